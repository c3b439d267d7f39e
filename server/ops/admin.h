/* SPDX-License-Identifier: ISC */
/*
 * What is served beside checks: health, metrics, version and policies over HTTP, the
 * text of INFO over RESP. docs/protocol.md describes every answer.
 *
 * Threads: belongs to its worker's thread; the cells of other workers are only read.
 */
#ifndef OPS_ADMIN_H
#define OPS_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/metric.h"
#include "base/slice.h"
#include "ops/in_force.h"
#include "store/memory.h"
#include "store/store.h"
#include "wire/http.h"

struct admin;

struct admin_options {
	struct in_force *in_force; /* borrowed */
	struct store *store;       /* borrowed */
	struct memory *memory;     /* borrowed; the embedded one, or NULL */
	bool lenient;              /* the daemon does not deny when the store fails */
	int64_t
	    settled_ms; /* how long after admin_new() the store is waited for, before
	                       the daemon is ready without it */
	const char *store_shown;           /* borrowed; where it is, without secrets */
	struct metric_cells *const *cells; /* borrowed, all workers' */
	size_t n_cells;
	size_t worker;      /* which block is this worker's */
	int64_t started_us; /* clock_real_us() at the process's start */
};

/* `options` is copied. NULL when out of memory. */
struct admin *admin_new(const struct admin_options *options) MUST_CHECK;
void admin_free(struct admin *admin);

/* For struct front_options; belongs to the admin. */
const struct http_endpoint *admin_endpoints(const struct admin *admin);
void admin_info(void *admin, struct slice section, struct buf *out);

/* From now on /readyz says no. */
void admin_set_draining(struct admin *admin);

#endif
