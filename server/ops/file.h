/* SPDX-License-Identifier: ISC */
/* Whole files into memory: configuration, policies, tokens. */
#ifndef OPS_FILE_H
#define OPS_FILE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/*
 * Appends the file's bytes to `out`. 0; ERR_NOTFOUND or ERR_IO when it cannot be
 * read, ERR_INVALID for what is not a regular file, ERR_TOOBIG over `max` bytes,
 * ERR_NOMEM. The text does not name the file.
 */
int file_read(
    const char *path, size_t max, struct buf *out, struct errinfo *ei) MUST_CHECK;

#endif
