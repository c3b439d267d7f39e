/* SPDX-License-Identifier: ISC */
/* The time zone files of the system (the package tzdata). */
#ifndef BASE_TZDATA_H
#define BASE_TZDATA_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/*
 * Appends the file of an IANA zone such as "Europe/Berlin" to `out`. `arg` is unused:
 * this is a zone_read of struct policy_options. 0; ERR_INVALID when `name` cannot be a
 * zone's (letters, digits, '_', '+' and '-', in parts joined by '/'); ERR_NOTFOUND;
 * ERR_IO; ERR_NOMEM; all with ei->text.
 */
int tzdata_read(
    void *arg, const char *name, struct buf *out, struct errinfo *ei) MUST_CHECK;

#endif
