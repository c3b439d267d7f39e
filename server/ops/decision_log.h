/* SPDX-License-Identifier: ISC */
/*
 * The decision log: one line of JSON for every check that was decided, with the names of
 * its arguments and never a value. docs/configuration.md describes it.
 *
 * Lines are gathered for a turn of the loop and then handed to the writer's thread.
 * Threads: belongs to its worker's thread; workers may share one writer.
 */
#ifndef OPS_DECISION_LOG_H
#define OPS_DECISION_LOG_H

#include "base/attr.h"
#include "base/metric.h"
#include "check/check.h"
#include "ops/log_writer.h"

/* How many of a check's argument names are written, the first in the order of the request,
 * and how many bytes of each. */
#define DECISION_LOG_NAMES_MAX 64
#define DECISION_LOG_NAME_BYTES 128

struct decision_log;

/* Borrows both. NULL when out of memory. */
struct decision_log *decision_log_new(
    struct log_writer *writer, struct metric_cells *cells) MUST_CHECK;
/* Flushes. NULL is fine. */
void decision_log_free(struct decision_log *log);

/* For `keep` and `observe` of struct check_options; `log` is the struct decision_log. */
void decision_log_keep(
    void *log, const struct check_request *request, struct buf *kept);
void decision_log_observe(void *log, const struct check *check);

/* Hands over what was gathered; call it at the end of each turn. */
void decision_log_flush(struct decision_log *log);

#endif
