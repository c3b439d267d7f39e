/* SPDX-License-Identifier: ISC */
/* The table behind the configuration; private to ops/. To add a key, add a member to
 * struct config, a row to config_keys.c and a line to docs/configuration.md. */
#ifndef OPS_CONFIG_KEY_H
#define OPS_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

enum config_type {
	CONFIG_STRING,  /* char *, or struct config_list when it repeats */
	CONFIG_NUMBER,  /* int64_t */
	CONFIG_BOOL,    /* bool; as a flag without a value */
	CONFIG_CHOICE,  /* int64_t: index into `choices` */
	CONFIG_DURATION /* int64_t: milliseconds; `min` and `max` are, too */
};

/* Where a key may be given. */
enum config_where {
	CONFIG_IN_FLAGS = 1,
	CONFIG_IN_ENV = 2,
	CONFIG_IN_FILE = 4,
	CONFIG_EVERYWHERE = 7
};

struct config_key {
	const char *name;  /* as in flags */
	const char *group; /* heading in --help; NULL: that of the row before */
	enum config_type type;
	bool repeat;
	unsigned where;
	size_t offset; /* in struct config */
	int64_t min, max;
	const char *newer;   /* name of the row that this is an older spelling of;
				both have one member. NULL: it is none */
	const char *def;     /* as text; NULL: none */
	const char *choices; /* "auto|text|json" */
	const char *metavar;
	const char *help;
	/* Checks what the value means, once type and range are right. 0, or an enum err
	 * with ei->text. NULL: there is nothing to check. */
	int (*check)(const char *text, struct errinfo *ei);
};

/* Ends with a row whose name is NULL. */
extern const struct config_key config_keys[];

/* `name` may be spelt in any of the three ways: '-', '_' and case do not matter. NULL when
 * there is no such key. */
const struct config_key *config_key_find(struct slice name);
/* The nearest key's name, or NULL when none is near. */
const char *config_key_guess(struct slice name);

#define CONFIG_KEYS_MAX 128

/* Writes a key's name in one of its three spellings. */
#define CONFIG_NAME_MAX 64
enum config_spelling { CONFIG_AS_FLAG, CONFIG_AS_ENV, CONFIG_AS_FILE };
void config_key_spell(
    const char *name, enum config_spelling as, char out[CONFIG_NAME_MAX]);

struct config;

/*
 * Puts one value, given as text, into *config; a repeatable key's list grows.
 * 0; ERR_SYNTAX when it is not of the key's type, ERR_INVALID when it is out of range,
 * ERR_UNSUPPORTED, ERR_NOMEM. The text does not name the key.
 */
int config_key_set(const struct config_key *key, struct config *config,
    const char *text, struct errinfo *ei) MUST_CHECK;
/* Empties a repeatable key's list, which a weaker source filled. */
void config_key_clear(const struct config_key *key, struct config *config);

/* Where a value was given. `where` is a flag, a variable or a file. */
struct config_place {
	const char *where;
	int line, column; /* 0 outside files */
};

/* What config_load() works on; private to config*.c. */
struct config_reader {
	struct config *config;
	struct errlist *errors;
	bool usage;                  /* the command line itself is wrong */
	bool given[CONFIG_KEYS_MAX]; /* by row: some source gave the key */
};

/* Adds a fault at a place. */
void config_fault(struct config_reader *r, const struct config_place *place, int code,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* config_key_set(), adding the fault if there is one. Returns whether there was none. */
bool config_assign(struct config_reader *r, const struct config_key *key,
    const char *text, const struct config_place *place);
/* Adds the fault "unknown ..., did you mean ...?". */
void config_fault_unknown(struct config_reader *r, const struct config_place *place,
    const char *what, struct slice name, enum config_spelling as);

/* Adds a fault for a certificate without its key, and for TLS settings without a store
 * over TLS: whoever gives them believes that the connection is encrypted. */
void config_check_tls(struct config_reader *r);

/* Reads the JSON file. */
void config_file_read(struct config_reader *r, const char *file);

#endif
