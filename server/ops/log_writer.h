/* SPDX-License-Identifier: ISC */
/*
 * Lines on their way to a file or a pipe that may be slow, full or stuck: a thread of
 * its own writes them, so that whoever logs never waits. What it cannot write is lost
 * and counted; so is what comes while LOG_WRITER_MAX bytes wait.
 *
 * Threads: log_writer_put(), _take_lost() and _reopen() from any.
 */
#ifndef OPS_LOG_WRITER_H
#define OPS_LOG_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#define LOG_WRITER_MAX (4u << 20)
#define LOG_WRITER_CLOSE_US INT64_C(1000000)

struct log_writer;

/*
 * Appends to the file, which is made with mode 0640 (less the umask) when it is not
 * there; "-" is the standard output. A named pipe must have its reader already.
 * NULL: ei says why not, ERR_IO or ERR_NOMEM.
 */
struct log_writer *log_writer_open(const char *path, struct errinfo *ei) MUST_CHECK;
/* Whether it could be opened, without opening or making anything. 0, or ERR_IO. */
int log_writer_check(const char *path, struct errinfo *ei) MUST_CHECK;
/* Writes what waits, for LOG_WRITER_CLOSE_US at most. NULL is fine. */
void log_writer_close(struct log_writer *writer);

/* Takes whole lines out of `lines`, which is empty afterwards, whatever happens. False:
 * they are lost, since too much waits already; they do not count in _take_lost(). */
bool log_writer_put(struct log_writer *writer, struct buf *lines);

/* Lines that could not be written since the last call. */
int64_t log_writer_take_lost(struct log_writer *writer);

/* Opens the file by its name again, soon: after it was moved away. If that fails the
 * old one is written on, and the process's log says so. Nothing for "-". */
void log_writer_reopen(struct log_writer *writer);

#endif
