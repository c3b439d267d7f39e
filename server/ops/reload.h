/* SPDX-License-Identifier: ISC */
/*
 * Reloading: on SIGHUP, and when a file changes, all documents are read and parsed in a
 * helper thread, so that the loop goes on answering. Then they are handed over as a whole,
 * or refused as a whole and the old ones stay. The outcome goes into the log, the metrics
 * and a report for GET /v1/policies.
 *
 * A reload that is requested during another one follows it; several requests are one.
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
	bool changed;          /* it put other policies in force */
	struct errlist errors; /* RELOAD_REFUSED: why */
};

/* Writes the report as the member `key`: an object, or null for RELOAD_NONE. */
void reload_report_format(
    struct json_text *j, const char *key, const struct reload_report *report);
void reload_report_fini(struct reload_report *report);

struct in_force;

struct reload_options {
	struct loop *loop;           /* borrowed, must outlive the reload */
	const struct config *config; /* borrowed: which files, and whether to watch */
	struct metric_cells *cells;  /* borrowed */
	struct in_force *in_force;   /* borrowed; nobody else writes to it */
	uint64_t stamp;              /* of the documents in force */
	/* Takes *docs, which is complete and free of faults. True: they are in force
	 * everywhere. False: not yet; reload_taken() is called once they are. */
	bool (*swap)(void *arg, struct documents *docs);
	void *arg;
};

struct reload;

/* Starts watching the files if the configuration says so, and reloads at once if one was
 * changed since it was first read; logs what cannot be watched. `options` is copied. NULL
 * when out of memory. */
struct reload *reload_new(const struct reload_options *options) MUST_CHECK;
/* Waits for the helper thread; swaps nothing more. NULL is fine. */
void reload_free(struct reload *reload);

/* What swap() took is now in force everywhere: reports it, and begins the next reload if
 * one was requested. */
void reload_taken(struct reload *reload);

void reload_request(struct reload *reload, enum reload_trigger trigger);

#endif
