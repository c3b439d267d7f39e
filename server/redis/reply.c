/* SPDX-License-Identifier: ISC */
#include "redis/reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_TEXT_MAX (1 << 20) /* bytes kept of one text: a record of the ledger */

struct reply_reader {
	redisReader *hiredis;
	struct reply reply;
};

struct slice
reply_text(const struct reply *reply, size_t i)
{
	const struct reply_value *v = &reply->values[i];

	return slice_make(reply->text.data + v->text_at, v->text_len);
}

/* hiredis tells each value through these; `task->privdata` is the struct reply. What
 * they return only has to differ from NULL. */
static void
begin(struct reply *reply, enum reply_kind kind)
{
	reply->kind = kind;
	reply->n = 0;
	buf_clear(&reply->text);
}

static struct reply_value *
next_value(struct reply *reply)
{
	if (reply->n == reply->cap) {
		size_t cap = reply->cap ? reply->cap * 2 : 64;
		struct reply_value *values =
		    realloc(reply->values, cap * sizeof(*values));

		if (!values) {
			reply->failed = true;
			return NULL;
		}
		reply->values = values;
		reply->cap = cap;
	}
	return &reply->values[reply->n++];
}

static void *
put(const redisReadTask *task, enum reply_kind kind, int64_t number, const char *text,
    size_t len)
{
	struct reply *reply = task->privdata;
	struct reply_value *v;

	if (!task->parent)
		begin(reply, kind);
	v = next_value(reply);
	if (!v)
		return NULL;
	v->kind = kind;
	v->number = number;
	v->text_at = reply->text.len;
	v->text_len = (uint32_t)(len < REPLY_TEXT_MAX ? len : REPLY_TEXT_MAX);
	buf_add(&reply->text, text, v->text_len);
	return reply;
}

static void *
on_string(const redisReadTask *task, char *text, size_t len)
{
	return put(task, task->type == REDIS_REPLY_ERROR ? REPLY_ERROR : REPLY_TEXT, 0,
	    text, len);
}

static void *
on_integer(const redisReadTask *task, long long number)
{
	return put(task, REPLY_INT, number, NULL, 0);
}

static void *
on_nil(const redisReadTask *task)
{
	return put(task, REPLY_NIL, 0, NULL, 0);
}

/* The count's type changed between hiredis 0.14 and 1.0. */
#if HIREDIS_MAJOR >= 1
static void *
on_array(const redisReadTask *task, size_t n)
#else
static void *
on_array(const redisReadTask *task, int n)
#endif
{
	if (task->parent)
		return put(task, REPLY_ARRAY, (int64_t)n, NULL, 0);
	begin(task->privdata, REPLY_ARRAY);
	return task->privdata;
}

static void
on_free(void *reply)
{
	(void)reply;
}

static redisReplyObjectFunctions functions = {
	.createString = on_string,
	.createArray = on_array,
	.createInteger = on_integer,
	.createNil = on_nil,
	.freeObject = on_free,
};

struct slice
reply_info_value(struct slice info, const char *name)
{
	size_t len = strlen(name);
	const char *end = info.ptr + info.len;
	const char *line = info.ptr;

	while (line && line < end) {
		const char *stop = memchr(line, '\r', (size_t)(end - line));

		if (!stop)
			stop = end;
		if ((size_t)(stop - line) > len && memcmp(line, name, len) == 0 &&
		    line[len] == ':')
			return slice_make(
			    line + len + 1, (size_t)(stop - line) - len - 1);
		line = memchr(stop, '\n', (size_t)(end - stop));
		line = line ? line + 1 : NULL;
	}
	return slice_make(NULL, 0);
}

struct reply_reader *
reply_reader_new(void)
{
	struct reply_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->hiredis = redisReaderCreateWithFunctions(&functions);
	if (!reader->hiredis) {
		free(reader);
		return NULL;
	}
	reader->hiredis->privdata = &reader->reply;
	/* Keep the input buffer: it is as large as our own scripts' answers. */
	reader->hiredis->maxbuf = 0;
	return reader;
}

void
reply_reader_free(struct reply_reader *reader)
{
	if (!reader)
		return;
	redisReaderFree(reader->hiredis);
	free(reader->reply.values);
	buf_fini(&reader->reply.text);
	free(reader);
}

int
reply_reader_feed(struct reply_reader *reader, const char *data, size_t len)
{
	return redisReaderFeed(reader->hiredis, data, len) == REDIS_OK ? 0 : ERR_NOMEM;
}

int
reply_reader_next(struct reply_reader *reader, const struct reply **out)
{
	struct reply *reply = &reader->reply;
	void *got = NULL;

	if (redisReaderGetReply(reader->hiredis, &got) != REDIS_OK)
		return ERR_SYNTAX;
	if (!got)
		return 0;
	if (reply->failed || reply->text.failed)
		return ERR_SYNTAX;
	*out = reply;
	return 1;
}
