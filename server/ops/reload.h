/* SPDX-License-Identifier: ISC */
/*
 * Live change: on SIGHUP, and when a file changes, all documents are read and parsed
 * in a helper thread, so that the loop goes on answering; then they are handed over
 * whole, or refused whole and the old ones stay. What came of it goes into the log,
 * the metrics and a report for GET /v1/policies.
 *
 * A request that comes while one is worked on is worked on next; several are one.
 * Threads: belongs to its loop's thread.
 */
#ifndef OPS_RELOAD_H
#define OPS_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/json_text.h"
#include "base/metric.h"
#include "net/loop.h"
#include "ops/config.h"
#include "ops/documents.h"

enum reload_trigger { RELOAD_SIGNAL, RELOAD_WATCH };
enum reload_result { RELOAD_NONE, RELOAD_OK, RELOAD_REFUSED };

/* The last reload. A zeroed one says that there was none. */
struct reload_report {
	enum reload_result result;
	enum reload_trigger trigger;
	int64_t time_us;       /* clock_real_us() at its end */
	bool changed;          /* whether other policies are in force since */
	struct errlist errors; /* RELOAD_REFUSED: why */
};

/* Writes it as the member `key`: an object, or null. */
void reload_report_format(
    struct json_text *j, const char *key, const struct reload_report *report);
void reload_report_fini(struct reload_report *report);

struct in_force;

struct reload_options {
	struct loop *loop;           /* borrowed, must outlive the reload */
	const struct config *config; /* borrowed: which files, and whether to watch */
	struct metric_cells *cells;  /* borrowed */
	struct in_force *in_force;   /* borrowed; only the reload writes to it */
	uint64_t stamp;              /* of the documents in force */
	/* Takes *docs, which is complete and free of faults. True: they are in force
	 * everywhere. False: not yet; reload_taken() is called once they are. */
	bool (*swap)(void *arg, struct documents *docs);
	void *arg;
};

struct reload;

/* Starts to watch where the configuration says so, and reads again at once what was
 * changed between the first reading and now; what cannot be watched is logged.
 * `options` is copied. NULL when out of memory. */
struct reload *reload_new(const struct reload_options *options) MUST_CHECK;
/* Waits for what is being read; swaps nothing more. NULL is fine. */
void reload_free(struct reload *reload);

/* What swap() took is in force everywhere: now it is told, and what was asked for
 * meanwhile begins. */
void reload_taken(struct reload *reload);

void reload_request(struct reload *reload, enum reload_trigger trigger);

#endif
