/* SPDX-License-Identifier: ISC */
/*
 * Reading a JSON tree strictly: objects by a table of their keys, every fault with
 * the place and the JSON Pointer of what it is about. A fault never ends the
 * reading, so that one run tells all of them.
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
	struct position_index *index; /* made at the first fault: few need it */
	struct buf path;              /* JSON Pointer of what is being read */
	const struct reader_key *key; /* its row */
	size_t faults;
};

void reader_init(struct reader *r, const char *text, size_t len, struct arena *arena,
    struct errlist *errors);
void reader_fini(struct reader *r);

/* Kinds of JSON values, to be or-ed. A number is one kind, however it is written. */
#define KIND_OBJECT (1u << JSON_OBJECT)
#define KIND_ARRAY (1u << JSON_ARRAY)
#define KIND_STRING (1u << JSON_STRING)
#define KIND_NUMBER (1u << JSON_REAL)

/* One key that an object may have. */
struct reader_key {
	const char *name;
	unsigned kinds;
	bool required;
	const char *want; /* what its value must be, for people */
	/* NULL: the contract names this key, but it is not supported yet. */
	void (*read)(struct reader *r, json_t *value, void *into);
};

/* What objects of one kind may have, told outside of the file that reads them:
 * docs/policy.schema.json is held against it. */
struct reader_table {
	const char *kind;
	const struct reader_key *keys;
	size_t n_keys;
};

/* Reads each member of `object` by its row; faults for unknown keys, wrong kinds,
 * and required keys that are missing. */
void reader_object(struct reader *r, json_t *object, const struct reader_key *keys,
    size_t n_keys, void *into);

/* Goes down to a member or an element, and back to where it was. */
size_t reader_enter(struct reader *r, struct slice token);
size_t reader_enter_at(struct reader *r, size_t i);
void reader_leave(struct reader *r, size_t mark);

/* One fault at the place of what is being read. Returns false. */
bool reader_fault(struct reader *r, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The fault "WHAT must be WANT, not VALUE". Returns false. reader_wrong() is about
 * the key that is being read. */
bool reader_wrong_as(
    struct reader *r, const char *what, const char *want, const json_t *value);
bool reader_wrong(struct reader *r, const json_t *value);

/* A whole number by value (30.0 is one), min ... max; else a fault and false. */
bool reader_whole(
    struct reader *r, const json_t *value, int64_t min, int64_t max, int64_t *out);

/* A name of 1 ... CALL_NAME_MAX bytes, copied into the arena; else a fault (saying
 * "WHAT must not be ...") and NULL. */
bool reader_check_name(struct reader *r, const char *what, struct slice name);
char *reader_name(struct reader *r, const char *what, const json_t *value);

/* A message for people: text that is not empty. NULL after a fault. */
char *reader_message(struct reader *r, const json_t *value);

/* One word of a few. */
struct reader_choice {
	const char *name;
	int value;
};

bool reader_choose(struct reader *r, const json_t *value,
    const struct reader_choice *choices, size_t n, int *out);

#endif
