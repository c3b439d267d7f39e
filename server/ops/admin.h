/* SPDX-License-Identifier: ISC */
/*
 * What is served besides checks: health, metrics, version and policies over HTTP, the
 * text of INFO over RESP. docs/protocol.md describes every answer.
 *
 * Threads: belongs to its worker's thread; it only reads the other workers' cells.
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
	struct memory *memory;     /* the embedded store, borrowed; NULL with Redis */
	bool lenient;              /* the daemon does not deny when the store fails */
	int64_t
	    settled_ms; /* how long after admin_new() to wait for the store, before a
			       daemon that need not deny without it is ready anyway */
	const char *store_shown; /* where the store is, without secrets; borrowed */
	struct metric_cells *const *cells; /* all workers' blocks; borrowed */
	size_t n_cells;
	size_t worker;      /* index of this worker's block */
	int64_t started_us; /* clock_real_us() at the process's start */
};

/* `options` is copied. NULL when out of memory. */
struct admin *admin_new(const struct admin_options *options) MUST_CHECK;
void admin_free(struct admin *admin);

/* For struct front_options: the table, which belongs to the admin, and `info`. */
const struct http_endpoint *admin_endpoints(const struct admin *admin);
void admin_info(void *admin, struct slice section, struct buf *out);

/* From now on /readyz says no. */
void admin_set_draining(struct admin *admin);

#endif
