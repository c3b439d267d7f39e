/* SPDX-License-Identifier: ISC */
/*
 * What the vectors run against: a store whose clock the runner sets. Each backend is open
 * at most once.
 */
#ifndef VECTORS_BACKEND_H
#define VECTORS_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "store/store.h"

struct backend_ops {
	const char *name;
	/* NULL when it cannot be had; the reason went to stderr. */
	struct store *(*open)(struct metric_cells *cells);
	void (*close)(void);
	/* Forgets all counters. */
	bool (*clear)(void);
	void (*set_time)(int64_t now_us);
	/* All that there is, as audit.h wants it, owned; NULL: it cannot be had. */
	json_t *(*keys)(void);
	/* Works until `done` says so; NULL: the store answers at once. */
	void (*wait)(bool (*done)(void *arg), void *arg);
	/* From within the work: have a look at `done`. NULL beside a NULL wait. */
	void (*wake)(void);
};

extern const struct backend_ops backend_limit;
extern const struct backend_ops backend_memory;
/* One of the two at a time. */
extern const struct backend_ops backend_redis;
extern const struct backend_ops backend_cluster;

/* Takes "--backend redis|cluster" from the front of the arguments; without it redis.
 * NULL: it is neither. */
const struct backend_ops *backend_option(int *argc, char ***argv);

#endif
