/* SPDX-License-Identifier: ISC */
/* A view of bytes that somebody else owns. Not zero-terminated. Pure. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *ptr; /* may be NULL only when len is 0: "absent" */
	size_t len;      /* bytes */
};

/* printf("%.*s", SLICE_ARG(s)); for text that is known to be short. */
#define SLICE_ARG(s) (int)(s).len, (s).len ? (s).ptr : ""

static inline struct slice
slice_make(const char *ptr, size_t len)
{
	struct slice s = { ptr, len };

	return s;
}

/* A view of a string; the string must outlive it. NULL gives the absent slice. */
static inline struct slice
slice_str(const char *text)
{
	return slice_make(text, text ? strlen(text) : 0);
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
slice_eq_str(struct slice a, const char *text)
{
	return slice_eq(a, slice_str(text));
}

/* ASCII letters in any case. */
static inline bool
slice_case_eq_str(struct slice a, const char *text)
{
	size_t len = strlen(text);

	return a.len == len && (len == 0 || strncasecmp(a.ptr, text, len) == 0);
}

/* <0, 0, >0 as memcmp; a prefix comes first. */
static inline int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

#endif
