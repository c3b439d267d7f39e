/* SPDX-License-Identifier: ISC */
/*
 * RESP, the protocol of Redis clients: commands in, replies out. Pure: bytes and
 * buffers; the caller owns both.
 */
#ifndef WIRE_RESP_H
#define WIRE_RESP_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define RESP_ARGS_MAX 128 /* words of one command */

struct resp_command {
	struct slice args[RESP_ARGS_MAX]; /* views into the input */
	size_t n;                         /* 0: an empty line, nothing to answer */
};

/*
 * Reads one command from the beginning of `data`: an array of bulk strings, or one line
 * of words ("PING\r\n"; quotes have no meaning there).
 *
 * Returns the bytes that the command takes (> 0) and fills *cmd;
 * ERR_AGAIN: incomplete; *need is the total length before which another try is useless,
 *   so that a sender of single bytes does not cost a parse for each;
 * ERR_SYNTAX, ERR_TOOBIG: the stream cannot be followed any further; ei->text is for
 *   the client ("Protocol error: ..."). A command longer than max_len is ERR_TOOBIG
 *   as soon as its head says so.
 */
ptrdiff_t resp_parse(const char *data, size_t len, size_t max_len,
    struct resp_command *cmd, size_t *need, struct errinfo *ei) MUST_CHECK;

/* Append replies. In simple strings and errors, which have no length, CR and LF become
 * spaces. */
void resp_add_simple(struct buf *out, const char *text);
/* "-CODE text": code is "ERR", "NOAUTH", ... */
void resp_add_error(struct buf *out, const char *code, struct slice text);
void resp_add_int(struct buf *out, int64_t value);
void resp_add_bulk(struct buf *out, struct slice value);
void resp_add_null(struct buf *out, int protocol);          /* 2: $-1, 3: _ */
void resp_add_array(struct buf *out, size_t n);             /* n elements follow */
void resp_add_map(struct buf *out, size_t n, int protocol); /* n pairs follow; as an
                                                              array under RESP2 */

#endif
