/* SPDX-License-Identifier: ISC */
#include "wire/resp.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"

#define INLINE_MAX 65536 /* bytes of a line of words, with its end */
#define DIGITS_MAX 20    /* of one number; longer ones are leading zeros */

/* The state of a read. Bytes past `max` are not looked at, so that the answer does not
 * depend on how the input was cut into pieces. */
struct reader {
	const char *data;
	size_t len; /* min(bytes there, max) */
	size_t pos;
	size_t max;
	size_t *need;
	struct errinfo *ei;
};

static int
too_long(const struct reader *rd)
{
	return err_set(rd->ei, ERR_TOOBIG,
	    "Protocol error: a command must not be longer than %zu bytes", rd->max);
}

static int
again(const struct reader *rd, size_t need)
{
	if (need > rd->max)
		return too_long(rd);
	*rd->need = need;
	return ERR_AGAIN;
}

static int
bad_number(const struct reader *rd, const char *what)
{
	return err_set(rd->ei, ERR_SYNTAX,
	    "Protocol error: the %s must be a decimal number, ended by CRLF", what);
}

/*
 * Reads "-?[0-9]+\r\n" at pos and steps over it. ERR_INVALID, without a text, when it
 * is over `cap`, as soon as the digits say so.
 */
static inline int
read_number(struct reader *rd, size_t cap, const char *what, int64_t *out)
{
	const char *p = rd->data + rd->pos;
	const char *end = rd->data + rd->len;
	bool negative = p < end && *p == '-';
	const char *first = p += negative;
	uint64_t value = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (UNLIKELY(value > cap)) {
			if (!negative)
				return ERR_INVALID;
			value = cap;
		}
		if (UNLIKELY(p - first >= DIGITS_MAX))
			return bad_number(rd, what);
	}
	if (p == end)
		return again(rd, rd->len + 1);
	if (p == first || *p != '\r')
		return bad_number(rd, what);
	if (p + 1 == end)
		return again(rd, rd->len + 1);
	if (p[1] != '\n')
		return bad_number(rd, what);
	rd->pos = (size_t)(p + 2 - rd->data);
	*out = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

static int
not_bulk(const struct reader *rd)
{
	unsigned char c = (unsigned char)rd->data[rd->pos];

	if (c < 0x20 || c > 0x7e)
		return err_set(rd->ei, ERR_SYNTAX,
		    "Protocol error: expected '$', got byte 0x%02x", c);
	return err_set(rd->ei, ERR_SYNTAX, "Protocol error: expected '$', got '%c'", c);
}

static inline int
read_bulk(struct reader *rd, struct slice *out)
{
	int64_t len = 0;
	size_t end;
	int rc;

	if (rd->pos == rd->len)
		return again(rd, rd->len + 1);
	if (UNLIKELY(rd->data[rd->pos] != '$'))
		return not_bulk(rd);
	rd->pos++;
	rc = read_number(rd, rd->max, "length of a bulk string", &len);
	if (UNLIKELY(rc < 0))
		return rc == ERR_INVALID ? too_long(rd) : rc;
	if (UNLIKELY(len < 0))
		return err_set(rd->ei, ERR_SYNTAX,
		    "Protocol error: the length of a bulk string must not be negative");
	end = rd->pos + (size_t)len;
	if (UNLIKELY(rd->len < end + 2))
		return again(rd, end + 2);
	if (UNLIKELY(rd->data[end] != '\r' || rd->data[end + 1] != '\n'))
		return err_set(rd->ei, ERR_SYNTAX,
		    "Protocol error: a bulk string must end with CRLF after its "
		    "length");
	*out = slice_make(rd->data + rd->pos, (size_t)len);
	rd->pos = end + 2;
	return 0;
}

static ptrdiff_t
parse_array(struct reader *rd, struct resp_command *cmd)
{
	int64_t n = 0;
	int rc;

	rd->pos = 1;
	rc = read_number(rd, RESP_ARGS_MAX, "length of an array", &n);
	if (rc == ERR_INVALID)
		return err_set(rd->ei, ERR_TOOBIG,
		    "Protocol error: a command has at most %d words", RESP_ARGS_MAX);
	for (int64_t i = 0; rc == 0 && i < n; i++)
		rc = read_bulk(rd, &cmd->args[i]);
	if (rc < 0)
		return rc;
	cmd->n = n > 0 ? (size_t)n : 0;
	return (ptrdiff_t)rd->pos;
}

static int
split_words(
    const struct reader *rd, const char *p, const char *end, struct resp_command *cmd)
{
	while (p < end) {
		const char *from = p;

		if (*p == ' ' || *p == '\t') {
			p++;
			continue;
		}
		while (p < end && *p != ' ' && *p != '\t')
			p++;
		if (cmd->n == RESP_ARGS_MAX)
			return err_set(rd->ei, ERR_TOOBIG,
			    "Protocol error: a command has at most %d words",
			    RESP_ARGS_MAX);
		cmd->args[cmd->n++] = slice_make(from, (size_t)(p - from));
	}
	return 0;
}

/* A web page can make a browser send a request here; its lines must never be taken for
 * commands. */
static bool
looks_like_http(const struct resp_command *cmd)
{
	for (size_t i = 0; i < cmd->n; i++) {
		struct slice word = cmd->args[i];

		if (slice_case_eq_str(word, "host:"))
			return true;
		if (i > 0 && word.len >= 5 && strncasecmp(word.ptr, "HTTP/", 5) == 0)
			return true;
	}
	return cmd->n > 0 && slice_case_eq_str(cmd->args[0], "post");
}

static ptrdiff_t
parse_line(struct reader *rd, struct resp_command *cmd)
{
	size_t visible = rd->len < INLINE_MAX ? rd->len : INLINE_MAX;
	const char *newline = memchr(rd->data, '\n', visible);
	const char *end = newline;
	int rc;

	if (!newline && visible == INLINE_MAX)
		return err_set(rd->ei, ERR_TOOBIG,
		    "Protocol error: a line must not be longer than %d bytes",
		    INLINE_MAX);
	if (!newline)
		return again(rd, rd->len + 1);
	if (end > rd->data && end[-1] == '\r')
		end--;
	rc = split_words(rd, rd->data, end, cmd);
	if (rc < 0)
		return rc;
	if (looks_like_http(cmd))
		return err_set(rd->ei, ERR_SYNTAX,
		    "Protocol error: this is the RESP port, and that looks like HTTP");
	return newline + 1 - rd->data;
}

ptrdiff_t
resp_parse(const char *data, size_t len, size_t max_len, struct resp_command *cmd,
    size_t *need, struct errinfo *ei)
{
	struct reader rd = { .data = data,
		.len = len < max_len ? len : max_len,
		.max = max_len,
		.need = need,
		.ei = ei };
	unsigned char first;

	cmd->n = 0;
	if (rd.len == 0)
		return again(&rd, 1);
	if (LIKELY(*data == '*'))
		return parse_array(&rd, cmd);
	first = (unsigned char)*data;
	/* Refused now, since TLS and other binary protocols may never send the end of a line. */
	if (first < 0x20 && first != '\r' && first != '\n' && first != '\t')
		return err_set(ei, ERR_SYNTAX,
		    "Protocol error: a command cannot begin with byte 0x%02x", first);
	return parse_line(&rd, cmd);
}

/* Writes "TYPE number CRLF" to `to`, which has room for NUM_TEXT_MAX + 3; returns its
 * length. */
static inline size_t
put_number(char *to, char type, int64_t value)
{
	size_t len = 1;

	to[0] = type;
	if (LIKELY(value >= 0 && value < 10))
		to[len++] = (char)('0' + value);
	else
		len += num_format(value, to + 1);
	to[len++] = '\r';
	to[len++] = '\n';
	return len;
}

static void
add_number(struct buf *out, char type, int64_t value)
{
	char *to = buf_reserve(out, NUM_TEXT_MAX + 3);

	if (to)
		buf_commit(out, put_number(to, type, value));
}

static void
add_one_line(struct buf *out, struct slice text)
{
	char *to = buf_reserve(out, text.len + 2);

	if (!to)
		return;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		to[i] = c == '\r' || c == '\n' ? ' ' : c;
	}
	to[text.len] = '\r';
	to[text.len + 1] = '\n';
	buf_commit(out, text.len + 2);
}

void
resp_add_simple(struct buf *out, const char *text)
{
	buf_add_char(out, '+');
	add_one_line(out, slice_str(text));
}

void
resp_add_error(struct buf *out, const char *code, struct slice text)
{
	buf_add_char(out, '-');
	buf_add_str(out, code);
	buf_add_char(out, ' ');
	add_one_line(out, text);
}

void
resp_add_int(struct buf *out, int64_t value)
{
	add_number(out, ':', value);
}

void
resp_add_bulk(struct buf *out, struct slice value)
{
	char *to = buf_reserve(out, value.len + NUM_TEXT_MAX + 5);
	size_t len;

	if (!to)
		return;
	len = put_number(to, '$', (int64_t)value.len);
	if (value.len > 0)
		memcpy(to + len, value.ptr, value.len);
	len += value.len;
	to[len++] = '\r';
	to[len++] = '\n';
	buf_commit(out, len);
}

void
resp_add_null(struct buf *out, int protocol)
{
	buf_add_str(out, protocol >= 3 ? "_\r\n" : "$-1\r\n");
}

void
resp_add_array(struct buf *out, size_t n)
{
	add_number(out, '*', (int64_t)n);
}

void
resp_add_map(struct buf *out, size_t n, int protocol)
{
	if (protocol >= 3)
		add_number(out, '%', (int64_t)n);
	else
		add_number(out, '*', (int64_t)n * 2);
}
