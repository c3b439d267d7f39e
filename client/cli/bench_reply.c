/* SPDX-License-Identifier: ISC */
#include "bench_reply.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"

#define CHECK_ITEMS 8
#define ITEMS_MAX 1000000   /* of one answer; more is not the answer to a load */
#define BYTES_MAX (1 << 28) /* of one string, so that lengths cannot overflow */
#define FLAG_DEGRADED 1

struct cursor {
	const char *at, *end;
};

/* What follows the first byte of an item: the rest of the line, a number, a string, or a
 * number of items or pairs. */
enum kind { NONE, LINE, NUMBER, BYTES, ITEMS, PAIRS };

static const unsigned char kinds[256] = {
	['+'] = LINE,
	['-'] = LINE,
	[','] = LINE,
	['#'] = LINE,
	['_'] = LINE,
	['('] = LINE,
	[':'] = NUMBER,
	['$'] = BYTES,
	['!'] = BYTES,
	['='] = BYTES,
	['*'] = ITEMS,
	['~'] = ITEMS,
	['>'] = ITEMS,
	['%'] = PAIRS,
};

/* One item of RESP. An aggregate's own items follow it. */
struct item {
	char type;
	struct slice text; /* of a line, without its type */
	int64_t number;    /* of ':', or how many items follow */
};

/* Steps over a line, which ends with CRLF. 0, ERR_AGAIN, ERR_SYNTAX. */
static int
read_line(struct cursor *c, struct slice *line)
{
	const char *cr = memchr(c->at, '\r', (size_t)(c->end - c->at));

	if (!cr || cr + 1 == c->end)
		return ERR_AGAIN;
	if (cr[1] != '\n')
		return ERR_SYNTAX;
	*line = slice_make(c->at, (size_t)(cr - c->at));
	c->at = cr + 2;
	return 0;
}

/* Steps over the bytes of a string and its CRLF; -1 is RESP2's absent string. */
static int
skip_bytes(struct cursor *c, int64_t len)
{
	if (len == -1)
		return 0;
	if (len < 0 || len > BYTES_MAX)
		return ERR_SYNTAX;
	if (c->end - c->at < len + 2)
		return ERR_AGAIN;
	c->at += len;
	if (c->at[0] != '\r' || c->at[1] != '\n')
		return ERR_SYNTAX;
	c->at += 2;
	return 0;
}

static int
read_items(struct item *it, int per)
{
	if (it->number > ITEMS_MAX || it->number < -1)
		return ERR_SYNTAX;
	it->number = it->number < 0 ? 0 : it->number * per;
	return 0;
}

/* Numbers are almost always one digit. */
static int
read_number(struct item *it)
{
	const char *p = it->text.ptr;

	if (it->text.len == 1 && p[0] >= '0' && p[0] <= '9') {
		it->number = p[0] - '0';
		return 0;
	}
	return num_parse(it->text, &it->number) == 0 ? 0 : ERR_SYNTAX;
}

/* Reads an item; of an aggregate only the head. 0, ERR_AGAIN, ERR_SYNTAX. */
static int
read_item(struct cursor *c, struct item *it)
{
	int rc = read_line(c, &it->text);
	enum kind kind;

	if (rc != 0)
		return rc;
	if (it->text.len == 0)
		return ERR_SYNTAX;
	it->type = it->text.ptr[0];
	it->text = slice_make(it->text.ptr + 1, it->text.len - 1);
	it->number = 0;
	kind = (enum kind)kinds[(unsigned char)it->type];
	if (kind == LINE)
		return 0;
	if (kind == NONE || read_number(it) != 0)
		return ERR_SYNTAX;
	if (kind == NUMBER)
		return 0;
	if (kind != BYTES)
		return read_items(it, kind == PAIRS ? 2 : 1);
	rc = skip_bytes(c, it->number);
	it->number = 0;
	return rc;
}

/* Whether an error means that the store failed: only the ones that the documents name. */
static enum bench_outcome
outcome_of_error(struct slice text)
{
	static const char word[] = "UNAVAILABLE ";
	size_t len = sizeof(word) - 1;

	return text.len >= len && memcmp(text.ptr, word, len) == 0 ? BENCH_UNAVAILABLE
								   : BENCH_REFUSED;
}

static void
tell_error(struct bench_reply *out, const struct item *it)
{
	out->error = it->text;
	out->outcome = outcome_of_error(it->text);
}

/* The eight of CHECK: the first is the verdict, the last the flags. */
static int
read_decision(struct cursor *c, struct bench_reply *out)
{
	static const enum bench_outcome outcomes[] = { BENCH_DENY, BENCH_ALLOW,
		BENCH_APPROVAL };
	struct item verdict = { 0 }, it = { 0 };
	int rc = read_item(c, &verdict);

	for (size_t i = 1; i < CHECK_ITEMS && rc == 0; i++)
		rc = read_item(c, &it);
	if (rc != 0)
		return rc;
	if (verdict.type != ':' || it.type != ':' ||
	    (uint64_t)verdict.number >= ARRAY_LEN(outcomes))
		return ERR_SYNTAX;
	out->outcome = outcomes[verdict.number];
	out->degraded = it.number & FLAG_DEGRADED;
	if (out->degraded && out->outcome == BENCH_DENY)
		out->outcome = BENCH_UNAVAILABLE;
	return 0;
}

ptrdiff_t
bench_reply_check(const char *data, size_t len, struct bench_reply *out)
{
	struct cursor c = { data, data + len };
	struct item it;
	int rc = read_item(&c, &it);

	*out = (struct bench_reply){ 0 };
	if (rc != 0)
		return rc;
	if (it.type == '-')
		tell_error(out, &it);
	else if (it.type != '*' || it.number != CHECK_ITEMS)
		rc = ERR_SYNTAX;
	else
		rc = read_decision(&c, out);
	return rc != 0 ? rc : c.at - data;
}

ptrdiff_t
bench_reply_any(const char *data, size_t len, struct bench_reply *out)
{
	struct cursor c = { data, data + len };
	int64_t left = 1;
	struct item it;

	*out = (struct bench_reply){ .outcome = BENCH_OTHER };
	for (bool first = true; left > 0; first = false) {
		int rc = read_item(&c, &it);

		if (rc != 0)
			return rc;
		if (first && it.type == '-')
			tell_error(out, &it);
		left += (it.type == ':' ? 0 : it.number) - 1;
		if (left > ITEMS_MAX)
			return ERR_SYNTAX;
	}
	return c.at - data;
}

struct head {
	int status;
	int64_t body_len; /* -1: not given */
	bool close;
	bool chunked;
};

/* "HTTP/1.1 200 OK" */
static int
read_status(struct slice line, struct head *h)
{
	int64_t status;

	if (line.len < 12 || memcmp(line.ptr, "HTTP/1.", 7) != 0 ||
	    num_parse(slice_make(line.ptr + 9, 3), &status) != 0 || status < 100)
		return ERR_SYNTAX;
	h->status = (int)status;
	h->close = line.ptr[7] == '0';
	return 0;
}

/* The value of the field if it has that name; else absent. */
static struct slice
value_of(struct slice line, const char *name)
{
	size_t len = strlen(name);

	if (line.len <= len || line.ptr[len] != ':' ||
	    strncasecmp(line.ptr, name, len) != 0)
		return slice_make(NULL, 0);
	line = slice_make(line.ptr + len + 1, line.len - len - 1);
	while (line.len > 0 && line.ptr[0] == ' ')
		line = slice_make(line.ptr + 1, line.len - 1);
	while (line.len > 0 && line.ptr[line.len - 1] == ' ')
		line.len--;
	return line;
}

static int
read_field(struct slice line, struct head *h)
{
	struct slice value;

	value = value_of(line, "Content-Length");
	if (value.ptr && num_parse(value, &h->body_len) != 0)
		return ERR_SYNTAX;
	if (h->body_len < -1 || h->body_len > BYTES_MAX)
		return ERR_SYNTAX;
	value = value_of(line, "Connection");
	if (value.ptr && slice_case_eq_str(value, "close"))
		h->close = true;
	if (value_of(line, "Transfer-Encoding").ptr)
		h->chunked = true;
	return 0;
}

static int
read_head(struct cursor *c, struct head *h)
{
	struct slice line;
	int rc = read_line(c, &line);

	*h = (struct head){ .body_len = -1 };
	if (rc == 0)
		rc = read_status(line, h);
	while (rc == 0 && (rc = read_line(c, &line)) == 0 && line.len > 0)
		rc = read_field(line, h);
	return rc;
}

/* The letter that the value of "verdict" begins with; 0 when there is none. No value can be
 * taken for the name, since quotes within a value are escaped. */
static char
verdict_of(struct slice body)
{
	static const char name[] = "\"verdict\"";
	const char *end = body.ptr + body.len;
	const char *p = body.ptr;

	while (p && (p = memmem(p, (size_t)(end - p), name, sizeof(name) - 1))) {
		p += sizeof(name) - 1;
		while (p < end && (*p == ' ' || *p == ':'))
			p++;
		if (end - p >= 2 && p[0] == '"')
			return p[1];
	}
	return 0;
}

static enum bench_outcome
outcome_of(int status, struct slice body)
{
	static const struct {
		char verdict;
		enum bench_outcome outcome;
	} words[] = {
		{ 'a', BENCH_ALLOW },
		{ 'd', BENCH_DENY },
		{ 'r', BENCH_APPROVAL },
	};
	char verdict;

	if (status == 503)
		return BENCH_UNAVAILABLE;
	if (status != 200 && status != 403 && status != 429)
		return BENCH_REFUSED;
	verdict = verdict_of(body);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].verdict == verdict)
			return words[i].outcome;
	return BENCH_REFUSED;
}

ptrdiff_t
bench_reply_http(const char *data, size_t len, struct bench_reply *out)
{
	static const char degraded[] = "\"degraded\":true";
	struct cursor c = { data, data + len };
	struct slice body;
	struct head h;
	int rc = read_head(&c, &h);

	*out = (struct bench_reply){ 0 };
	if (rc != 0)
		return rc;
	if (h.chunked || h.body_len < 0)
		return ERR_SYNTAX;
	if (c.end - c.at < h.body_len)
		return ERR_AGAIN;
	body = slice_make(c.at, (size_t)h.body_len);
	out->outcome = outcome_of(h.status, body);
	out->close = h.close;
	out->degraded = memmem(body.ptr, body.len, degraded, sizeof(degraded) - 1);
	if (out->outcome >= BENCH_FIRST_ERROR)
		out->error = body.len ? body : slice_make(data, strcspn(data, "\r"));
	return c.at + h.body_len - data;
}
