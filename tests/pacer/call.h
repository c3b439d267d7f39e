/* SPDX-License-Identifier: ISC */
/* What is asked: each call as a request of both protocols. */
#ifndef PACER_CALL_H
#define PACER_CALL_H

#include <stdbool.h>
#include <stddef.h>

/* "TOOL GRANT". */
void call_add(const char *text);
size_t call_count(void);
/* Returns a view. */
const char *call_request(size_t call, bool http, size_t *len);

#endif
