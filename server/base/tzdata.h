/* SPDX-License-Identifier: ISC */
/* The time zone files of the system (the package tzdata). */
#ifndef BASE_TZDATA_H
#define BASE_TZDATA_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/*
 * Reads the file of an IANA zone such as "Europe/Berlin" into `out`. `arg` is not used.
 * 0; ERR_INVALID when `name` is no such name (letters, digits, '_', '+' and '-', parts
 * joined by '/'); ERR_NOTFOUND; ERR_IO; ERR_NOMEM; all with ei->text.
 */
int tzdata_read(
    void *arg, const char *name, struct buf *out, struct errinfo *ei) MUST_CHECK;

#endif
