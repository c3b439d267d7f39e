/* SPDX-License-Identifier: ISC */
/* What a run measured, for people and for programs. Pure. */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

#include "base/buf.h"
#include "bench_crew.h"

/* Append; out->failed when out of memory. */
void bench_report_text(
    struct buf *out, const struct bench_plan *plan, const struct bench_result *result);
void bench_report_json(
    struct buf *out, const struct bench_plan *plan, const struct bench_result *result);

#endif
