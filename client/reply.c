/* SPDX-License-Identifier: ISC */
#include "reply.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

/* The type of an array's length in hiredis's callbacks. */
#if HIREDIS_MAJOR >= 1
typedef size_t array_len;
#else
typedef int array_len;
#endif

/* hiredis takes NULL from a callback for "out of memory"; `fault` knows better. */
static void *
refuse(struct reply_reader *rr, int fault)
{
	rr->fault = fault;
	return NULL;
}

static bool
texts_add(struct reply_reader *rr, const char *text, size_t len)
{
	if (rr->texts_cap - rr->texts_len <= len) {
		size_t cap = (rr->texts_len + len + 1) * 2;
		char *texts = realloc(rr->texts, cap);

		if (!texts)
			return false;
		rr->texts = texts;
		rr->texts_cap = cap;
	}
	memcpy(rr->texts + rr->texts_len, text, len);
	rr->texts_len += len;
	rr->texts[rr->texts_len++] = '\0';
	return true;
}

/* Callers get C strings, so a text with a NUL in it is refused: ours have none. */
static void *
on_string(const redisReadTask *task, char *text, size_t len)
{
	struct reply_reader *rr = task->privdata;
	struct reply_item *item = &rr->items[task->parent ? task->idx : 0];

	if (task->type == REDIS_REPLY_ERROR && !task->parent)
		rr->kind = REPLY_ERROR;
	else if (task->type == REDIS_REPLY_STATUS && !task->parent)
		rr->kind = REPLY_SIMPLE;
	else if (task->type == REDIS_REPLY_STRING && !task->parent &&
	    rr->wanted == REPLY_TEXT)
		rr->kind = REPLY_TEXT;
	else if (task->type != REDIS_REPLY_STRING || !task->parent)
		return refuse(rr, RATION_ERR_PROTOCOL);
	if (memchr(text, '\0', len))
		return refuse(rr, RATION_ERR_PROTOCOL);
	item->is_number = false;
	item->at = rr->texts_len;
	return texts_add(rr, text, len) ? rr : refuse(rr, RATION_ERR_NOMEM);
}

static void *
on_array(const redisReadTask *task, array_len n)
{
	struct reply_reader *rr = task->privdata;

	if (task->type != REDIS_REPLY_ARRAY || task->parent || n != REPLY_ITEMS)
		return refuse(rr, RATION_ERR_PROTOCOL);
	rr->kind = REPLY_ARRAY;
	return rr;
}

static void *
on_integer(const redisReadTask *task, long long value)
{
	struct reply_reader *rr = task->privdata;
	struct reply_item *item = &rr->items[task->parent ? task->idx : 0];

	if (task->type != REDIS_REPLY_INTEGER ||
	    (!task->parent && rr->wanted != REPLY_NUMBER))
		return refuse(rr, RATION_ERR_PROTOCOL);
	if (!task->parent)
		rr->kind = REPLY_NUMBER;
	item->is_number = true;
	item->number = value;
	return rr;
}

static void *
on_nil(const redisReadTask *task)
{
	return refuse(task->privdata, RATION_ERR_PROTOCOL);
}

static void
on_free(void *object)
{
	(void)object; /* every object is the reply_reader itself */
}

/* Never written; hiredis wants it without const. */
static redisReplyObjectFunctions callbacks = {
	.createString = on_string,
	.createArray = on_array,
	.createInteger = on_integer,
	.createNil = on_nil,
	.freeObject = on_free,
};

void
ration_reply_fini(struct reply_reader *rr)
{
	if (rr->reader)
		redisReaderFree(rr->reader);
	free(rr->texts);
	memset(rr, 0, sizeof(*rr));
}

int
ration_reply_begin(struct reply_reader *rr, struct failure *f)
{
	redisReader *reader = rr->reader;

	/* A reader can only be used again if it is between two replies. */
	if (reader &&
	    (reader->err || reader->ridx != -1 || reader->pos != reader->len)) {
		redisReaderFree(reader);
		reader = NULL;
	}
	if (!reader)
		reader = redisReaderCreateWithFunctions(&callbacks);
	rr->reader = reader;
	rr->fed = rr->texts_len = 0;
	rr->fault = 0;
	rr->kind = REPLY_NONE;
	if (!reader)
		return ration_failure_set(f, RATION_ERR_NOMEM, "out of memory");
	reader->privdata = rr;
	return 0;
}

static int
failed(struct reply_reader *rr, struct failure *f)
{
	const redisReader *reader = rr->reader;

	if (rr->fault == 0)
		rr->fault = reader->err == REDIS_ERR_OOM ? RATION_ERR_NOMEM
							 : RATION_ERR_PROTOCOL;
	if (rr->fault == RATION_ERR_NOMEM)
		return ration_failure_set(f, RATION_ERR_NOMEM, "out of memory");
	return ration_failure_set(
	    f, RATION_ERR_PROTOCOL, "the reply is not one of a ration daemon");
}

/* No RESP reply begins with an 'H'. */
static bool
is_http(const struct reply_reader *rr, const char *data, size_t len)
{
	static const char start[] = "HTTP/";
	size_t n = len < sizeof(start) - 1 ? len : sizeof(start) - 1;

	return rr->fed == 0 && n > 0 && memcmp(data, start, n) == 0;
}

int
ration_reply_feed(
    struct reply_reader *rr, const char *data, size_t len, struct failure *f)
{
	redisReader *reader = rr->reader;
	void *object = NULL;

	if (is_http(rr, data, len))
		return ration_failure_set(f, RATION_ERR_PROTOCOL,
		    "this is an HTTP port; ration check speaks RESP, by default on "
		    "7481");
	rr->fed += len;
	if (rr->fed > REPLY_BYTES_MAX)
		return ration_failure_set(f, RATION_ERR_PROTOCOL,
		    "the reply is longer than %u bytes", REPLY_BYTES_MAX);
	if (redisReaderFeed(reader, data, len) != REDIS_OK ||
	    redisReaderGetReply(reader, &object) != REDIS_OK)
		return failed(rr, f);
	if (!object)
		return 0;
	if (reader->pos != reader->len)
		return ration_failure_set(
		    f, RATION_ERR_PROTOCOL, "more than one reply came");
	return 1;
}

const char *
ration_reply_text(const struct reply_reader *rr, size_t i)
{
	return rr->items[i].is_number ? "" : rr->texts + rr->items[i].at;
}
