/* SPDX-License-Identifier: ISC */
/*
 * The process's log: one JSON object a line on stderr, or plain text on a terminal.
 * A process has one stderr, so this is one of the few globals.
 *
 *	log_warn("redis", "lost the connection to %s: %s", addr, why);
 *	{"time":"2026-01-01T00:00:00.000Z","level":"warn","room":"redis","message":"..."}
 *
 * It never waits: lines that stderr does not take at once (a full pipe that nobody reads)
 * are dropped and counted, and the count is logged once stderr takes lines again. A line
 * has at most LOG_LINE_MAX bytes; a longer message is cut.
 * On a terminal, control characters are shown as \xNN.
 *
 * Threads: any; a line is one write(2), so lines do not mix.
 * Never logs argument values or credentials; that is the caller's promise.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include "base/attr.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_style { LOG_AUTO, LOG_TEXT, LOG_JSON }; /* AUTO: text on a terminal */

/* Call before threads start. Until then LOG_INFO and LOG_AUTO hold. */
void log_start(enum log_level level, enum log_style style);

void log_error(const char *room, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_warn(const char *room, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_info(const char *room, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_debug(const char *room, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define LOG_LINE_MAX 4096 /* PIPE_BUF: a pipe that is ready takes that much at once */

/* Lines that were dropped since the start. */
uint64_t log_dropped(void);

/* Writes a clock_real_us() as ISO 8601 in UTC, with milliseconds: "...T00:00:00.000Z". */
#define LOG_TIME_MAX 32
void log_time(int64_t real_us, char out[LOG_TIME_MAX]);

#endif
