/* SPDX-License-Identifier: ISC */
#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const texts[] = {
	[0] = "no error",
	[-RATION_ERR_NOMEM] = "out of memory",
	[-RATION_ERR_ARGUMENT] = "invalid argument",
	[-RATION_ERR_CONNECT] = "cannot connect",
	[-RATION_ERR_TIMEOUT] = "no answer in time",
	[-RATION_ERR_CLOSED] = "connection closed before the answer",
	[-RATION_ERR_PROTOCOL] = "not the reply of a ration daemon",
	[-RATION_ERR_AUTH] = "token missing or wrong",
	[-RATION_ERR_REFUSED] = "request refused",
	[-RATION_ERR_UNAVAILABLE] = "daemon cannot answer",
	[-RATION_ERR_NOTFOUND] = "no such reservation",
};

const char *
ration_error_text(int error)
{
	if (error > 0 || error <= -(int)(sizeof(texts) / sizeof(texts[0])))
		return "unknown error";
	return texts[-error];
}

int
ration_failure_set(struct failure *f, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return code;
}
