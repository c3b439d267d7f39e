/* SPDX-License-Identifier: ISC */
/*
 * Reads a JSON tree strictly: objects by a table of their keys, every fault with the
 * place and the JSON Pointer of what it is about. A fault never ends the reading, so
 * that one run finds all of them.
 *
 * Ownership: borrows text, errors and arena; owns the rest until reader_fini().
 */
#ifndef POLICY_READER_H
#define POLICY_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/arena.h"
#include "policy/position.h"

struct reader_key;

struct reader {
	const char *text;
	size_t len;
	struct errlist *errors;
	struct arena *arena;
	struct position_index
	    *index;      /* made at the first fault; most readers need none */
	struct buf path; /* JSON Pointer of what is being read */
	const struct reader_key *key; /* the row of the key that is being read */
	size_t faults;                /* how many there were */
};

void reader_init(struct reader *r, const char *text, size_t len, struct arena *arena,
    struct errlist *errors);
void reader_fini(struct reader *r);

/* Kinds of JSON values, to be or-ed. Integers and reals are one kind. */
#define KIND_OBJECT (1u << JSON_OBJECT)
#define KIND_ARRAY (1u << JSON_ARRAY)
#define KIND_STRING (1u << JSON_STRING)
#define KIND_NUMBER (1u << JSON_REAL)

/* One key that an object may have. */
struct reader_key {
	const char *name;
	unsigned kinds;
	bool required;
	const char *want; /* what its value must be, in words for people */
	/* NULL: the language has this key, but it is not supported yet. */
	void (*read)(struct reader *r, json_t *value, void *into);
};

/* All keys that objects of one kind may have. Exported by the file that reads them, so
 * that a test can compare docs/policy.schema.json with it. */
struct reader_table {
	const char *kind;
	const struct reader_key *keys;
	size_t n_keys;
};

/* Reads each member of `object` by its row; adds faults for unknown keys, wrong kinds,
 * and missing required keys. `into` is passed to the rows' read(). */
void reader_object(struct reader *r, json_t *object, const struct reader_key *keys,
    size_t n_keys, void *into);

/* Go down to a member or an element; both return the mark by which reader_leave() goes
 * back to where it was. */
size_t reader_enter(struct reader *r, struct slice token);
size_t reader_enter_at(struct reader *r, size_t i);
void reader_leave(struct reader *r, size_t mark);

/* Adds a fault at the place that is being read. Returns false. */
bool reader_fault(struct reader *r, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Adds the fault "WHAT must be WANT, not VALUE". Returns false. reader_wrong() takes WHAT
 * and WANT from the key that is being read. */
bool reader_wrong_as(
    struct reader *r, const char *what, const char *want, const json_t *value);
bool reader_wrong(struct reader *r, const json_t *value);

/* Takes a whole number by its value (30.0 is one), min ... max; else adds a fault and
 * returns false. */
bool reader_whole(
    struct reader *r, const json_t *value, int64_t min, int64_t max, int64_t *out);

/* A name of 1 ... CALL_NAME_MAX bytes. reader_name() copies it into the arena. Else they
 * add a fault ("WHAT must not be ...") and return false and NULL. */
bool reader_check_name(struct reader *r, const char *what, struct slice name);
char *reader_name(struct reader *r, const char *what, const json_t *value);

/* A message for people, not empty, copied into the arena. NULL after a fault. */
char *reader_message(struct reader *r, const json_t *value);

/* One of the words that a key may have as its value. */
struct reader_choice {
	const char *name;
	int value;
};

/* Takes the value of the word; else adds a fault and returns false. */
bool reader_choose(struct reader *r, const json_t *value,
    const struct reader_choice *choices, size_t n, int *out);

#endif
