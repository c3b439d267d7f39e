/* SPDX-License-Identifier: ISC */
/* What went wrong, in words. Owns nothing. */
#ifndef CLIENT_FAILURE_H
#define CLIENT_FAILURE_H

#include "ration/ration.h"

struct failure {
	char text[256]; /* one line, cut if it is longer; "" after a success */
};

/* Writes the text; returns `code`, an enum ration_error. */
int ration_failure_set(struct failure *f, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
