/* SPDX-License-Identifier: ISC */
/*
 * Replies of a daemon, read from bytes as they come, by hiredis's reader, which stays
 * hidden in here. A reply is a simple string, an error, or one flat array of REPLY_ITEMS,
 * or, if that was asked for, one text or number. Anything else is refused as soon as its
 * head is read, so that an announced length costs no memory.
 *
 * Ownership: a reply_reader owns its memory; texts are valid until the next begin.
 */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define REPLY_ITEMS 8
#define REPLY_BYTES_MAX (1u << 20) /* of one reply */

enum reply_kind {
	REPLY_NONE,
	REPLY_SIMPLE,
	REPLY_ERROR,
	REPLY_ARRAY,
	REPLY_TEXT,
	REPLY_NUMBER
};

struct reply_item {
	bool is_number;
	int64_t number;
	size_t at; /* of its text in `texts` */
};

struct reply_reader {
	void *reader; /* hiredis's; NULL until the first begin */
	size_t fed;   /* bytes since begin */
	int fault;    /* an enum ration_error that one of the reader's callbacks set */
	enum reply_kind
	    wanted; /* set by the caller: REPLY_TEXT or REPLY_NUMBER to accept
	                           that as well */
	enum reply_kind kind;
	struct reply_item items[REPLY_ITEMS]; /* [0] alone unless it is an array */
	char *texts;                          /* each ended by a NUL */
	size_t texts_len;
	size_t texts_cap;
};

/* A zeroed reader is a valid one. */
void ration_reply_fini(struct reply_reader *rr);

/* Forgets whatever was read, even a partial reply. 0 or RATION_ERR_NOMEM. */
int ration_reply_begin(struct reply_reader *rr, struct failure *f);

/* 1: the reply is complete; 0: more bytes are needed; RATION_ERR_PROTOCOL,
 * RATION_ERR_NOMEM. */
int ration_reply_feed(
    struct reply_reader *rr, const char *data, size_t len, struct failure *f);

/* The text of item i; "" when it is a number. */
const char *ration_reply_text(const struct reply_reader *rr, size_t i);

#endif
