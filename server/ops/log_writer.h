/* SPDX-License-Identifier: ISC */
/*
 * Lines on their way to a file or a pipe that may be slow, full or stuck: a thread of
 * its own writes them, so that whoever logs never waits. What it cannot write is lost
 * and counted; what comes while LOG_WRITER_MAX bytes are waiting is lost, too.
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

#define LOG_WRITER_MAX (4u << 20) /* bytes that may wait */
#define LOG_WRITER_CLOSE_US INT64_C(1000000)

struct log_writer;

/*
 * Appends to the file, which is created with mode 0640 (less the umask) if it does not
 * exist; "-" is standard output. A named pipe must already have a reader.
 * NULL: ERR_IO or ERR_NOMEM, and ei says why.
 */
struct log_writer *log_writer_open(const char *path, struct errinfo *ei) MUST_CHECK;
/* Whether it could be opened, without opening or creating anything. 0 or ERR_IO. */
int log_writer_check(const char *path, struct errinfo *ei) MUST_CHECK;
/* Spends at most LOG_WRITER_CLOSE_US on writing what still waits. NULL is fine. */
void log_writer_close(struct log_writer *writer);

/* Takes whole lines out of `lines`, which is empty afterwards in any case. False: too much
 * is waiting, and they are lost; log_writer_take_lost() does not count them. */
bool log_writer_put(struct log_writer *writer, struct buf *lines);

/* How many lines could not be written since the last call. */
int64_t log_writer_take_lost(struct log_writer *writer);

/* Has the file soon opened again by its name, after it was moved away. If that fails, the
 * old one is used on, and the process's log says so. Does nothing for "-". */
void log_writer_reopen(struct log_writer *writer);

#endif
