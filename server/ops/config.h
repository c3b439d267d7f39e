/* SPDX-License-Identifier: ISC */
/*
 * What rationd is told to do by flags, environment, a JSON file and defaults, strongest
 * first, through one table of keys (config_keys.c). docs/configuration.md is tested
 * against the same table.
 *
 * A key is spelt "--listen-http" as a flag, "RATION_LISTEN_HTTP" in the environment
 * and "listen_http" in the file; no other spelling is accepted. A source that gives a
 * repeatable key replaces the whole list of the weaker sources. In the environment the
 * items of a list are separated by commas, and an empty variable counts as not set.
 *
 * Strict: anything unknown, of a wrong type, out of range or given twice is a fault,
 * reported with its place; all faults are reported at once.
 */
#ifndef OPS_CONFIG_H
#define OPS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/* The process's exit codes; the same numbers as in sysexits.h. */
enum config_exit {
	EXIT_CODE_OK = 0,
	EXIT_CODE_CUT = 1,         /* stopped by a second signal, with work left */
	EXIT_CODE_USAGE = 64,      /* the command line is wrong */
	EXIT_CODE_DEPENDENCY = 69, /* memory, libsodium or the event loop failed */
	EXIT_CODE_BIND = 73,       /* a listener's address cannot be bound */
	EXIT_CODE_CONFIG = 78 /* the configuration is wrong, or cannot be followed */
};

/* In the order of the choices in config_keys.c. */
enum config_failure { CONFIG_FAILURE_DENY, CONFIG_FAILURE_ALLOW, CONFIG_FAILURE_LOCAL };

struct config_list {
	char **items;
	size_t n;
};

/* Open data; every member is one row of the table. Strings are owned, never NULL
 * unless the comment says so. */
struct config {
	char *config; /* NULL without a file */
	struct config_list policy;
	bool watch;
	char *store;          /* "memory" or a URL that redis_url_parse() takes */
	char *store_tls_ca;   /* these four only with a store over TLS; may be NULL */
	char *store_tls_cert; /* with store_tls_key, or both NULL */
	char *store_tls_key;
	char *store_tls_name;
	char *key_prefix;
	int64_t store_max_counters;
	int64_t deadline_ms;
	int64_t on_store_failure; /* an enum config_failure */
	int64_t local_share;   /* how many daemons share a limit while Redis is away */
	int64_t dedup_ttl;     /* seconds */
	int64_t deny_cache_ms; /* 0: off */

	struct config_list listen_http; /* addresses; one item "none": off */
	struct config_list listen_resp;
	char *token_file; /* NULL without one */
	bool insecure;
	int64_t max_connections;
	int64_t max_request_bytes;
	int64_t max_buffered_bytes;
	int64_t idle_timeout_ms;
	int64_t request_timeout_ms;
	int64_t write_timeout_ms;

	int64_t workers;
	int64_t drain_delay_ms;
	int64_t drain_timeout_ms;
	int64_t log_level;  /* an enum log_level */
	int64_t log_format; /* an enum log_style */
	char *decision_log; /* a file, or "-"; NULL without one */

	bool check_config;
	bool version;
	bool help;
};

/*
 * Reads all sources into *config; the caller calls config_fini() whatever is returned.
 * `env` is as environ(7). Faults go into `errors` (initialised here; the caller calls
 * errlist_fini). Returns EXIT_CODE_OK, or the code to exit with. With --help or --version
 * it is EXIT_CODE_OK whatever else is wrong.
 */
int config_load(struct config *config, int argc, char *const *argv, char *const *env,
    struct errlist *errors) MUST_CHECK;
void config_fini(struct config *config);

/* Whether the store is reached over TLS. */
bool config_store_is_tls(const struct config *config);

/* Whether the list is "none": these listeners are switched off. */
bool config_list_is_none(const struct config_list *list);

/* Appends what --help prints. */
void config_help(struct buf *out);

#endif
