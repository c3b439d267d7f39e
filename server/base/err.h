/* SPDX-License-Identifier: ISC */
/*
 * Errors. A function that can fail returns 0 or a negative `enum err`; what a
 * human needs to know goes into the caller's struct errinfo, or, where several
 * faults are told at once, into a struct errlist.
 *
 * Ownership: an errinfo owns nothing; an errlist owns its entries.
 * Threads: none of these is shared.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

enum err {
	ERR_NOMEM = -1,       /* out of memory */
	ERR_INVALID = -2,     /* the input says something that is not allowed */
	ERR_SYNTAX = -3,      /* the input cannot be read at all */
	ERR_UNSUPPORTED = -4, /* valid, but not something that this program does */
	ERR_TOOBIG = -5,      /* over a documented limit */
	ERR_AGAIN = -6,       /* not finished: more bytes, or more events, are needed */
	ERR_NOTFOUND = -7,    /* no such thing */
	ERR_IO = -8,          /* a system call failed; text carries strerror */
	ERR_INUSE = -9,       /* taken: an address, or a reservation of another grant */
	ERR_UNAVAILABLE = -10, /* something we depend on cannot serve */
	ERR_UNTRUSTED = -11    /* TLS: the other side's certificate was rejected, or the
				 other side rejected ours */
};

/*
 * One fault. Unused parts are 0 or "". What is too long for its field is cut, on a UTF-8
 * boundary.
 */
struct errinfo {
	int code;          /* an enum err */
	int line;          /* 1-based, 0 when there is none */
	int column;        /* 1-based, in bytes, 0 when there is none */
	char file[256];    /* as the user named it */
	char pointer[512]; /* JSON Pointer of the place, "" for the whole document */
	char text[512];    /* what is wrong, and what would be right; no full stop */
};

/* Fills code and text and clears the rest; returns code. `ei` may be NULL. */
int err_set(struct errinfo *ei, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Writes "file:line:column: text (pointer)" without the empty parts into out[size], with
 * a final NUL. Always one line: control characters are shown as \xNN. */
void err_format(const struct errinfo *ei, char *out, size_t size);

#define ERRLIST_MAX 200

/* Faults in the order in which they were found, at most ERRLIST_MAX of them. */
struct errlist {
	struct errinfo *items;
	size_t n;
	size_t cap;
	size_t more;    /* faults that were not kept */
	char file[256]; /* copied into every fault that is added */
};

/* `file` may be NULL. */
void errlist_init(struct errlist *list, const char *file);
void errlist_fini(struct errlist *list);

/* Adds one fault; when out of memory it is only counted, in `more`. Returns `code`. */
int errlist_add(struct errlist *list, int code, int line, int column,
    const char *pointer, const char *fmt, ...) PRINTF_LIKE(6, 7);

/* Adds a copy of a finished fault, as a fault of `file`. */
void errlist_add_info(struct errlist *list, const char *file, const struct errinfo *ei);

/* Sorts by line, then by column; stable. */
void errlist_sort(struct errlist *list);

#endif
