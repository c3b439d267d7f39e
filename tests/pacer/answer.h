/* SPDX-License-Identifier: ISC */
/* What came back, of either protocol: bytes in, the first whole answer out. */
#ifndef PACER_ANSWER_H
#define PACER_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer {
	char kind; /* as pacer.c describes it */
	bool degraded;
	const char *text; /* a view of the bytes; not ended by NUL */
	size_t text_len;
};

/* The bytes of the first answer; 0: it is not whole. */
size_t answer_take_resp(const char *in, size_t in_len, struct answer *answer);
/* The same; in[in_len] must be writable. *last: "Connection: close" was said. */
size_t answer_take_http(char *in, size_t in_len, struct answer *answer, bool *last);

#endif
