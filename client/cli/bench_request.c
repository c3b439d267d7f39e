/* SPDX-License-Identifier: ISC */
#include "bench_request.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"

#define BLANKS " \t"

static const char zeros[] = "000000000000";

/* `text` ends with the grant's name: notes where its digits are. */
static int
add_place(struct bench_request *r)
{
	if (r->n_places == REQUEST_PLACES_MAX)
		return ERR_INVALID;
	r->places[r->n_places++] = r->text.len - REQUEST_DIGITS;
	return 0;
}

static void
add_word(struct buf *out, const char *word)
{
	buf_printf(out, "$%zu\r\n", strlen(word));
	buf_add_str(out, word);
	buf_add_str(out, "\r\n");
}

static int
whole(const struct bench_request *r)
{
	return r->text.failed ? ERR_NOMEM : 0;
}

int
bench_request_check(struct bench_request *r, const struct request_words *w)
{
	struct buf *out = &r->text;
	char cost[24];

	buf_printf(out, "*%d\r\n", 3 + (w->policy ? 2 : 0) + (w->cost >= 0 ? 2 : 0));
	add_word(out, "CHECK");
	add_word(out, w->tool);
	buf_printf(out, "$%zu\r\n", strlen(w->grant_prefix) + REQUEST_DIGITS);
	buf_add_str(out, w->grant_prefix);
	buf_add_str(out, zeros);
	if (whole(r) != 0 || add_place(r) != 0)
		return ERR_NOMEM;
	buf_add_str(out, "\r\n");
	if (w->policy) {
		add_word(out, "POLICY");
		add_word(out, w->policy);
	}
	if (w->cost >= 0) {
		snprintf(cost, sizeof(cost), "%lld", (long long)w->cost);
		add_word(out, "COST");
		add_word(out, cost);
	}
	return whole(r);
}

/* *at is where the digits are. */
static void
add_body(struct buf *body, const struct request_words *w, size_t *at)
{
	struct json_text j;

	json_text_init(&j, body);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "tool", slice_str(w->tool));
	if (w->policy)
		json_text_string(&j, "policy", slice_str(w->policy));
	if (w->cost >= 0)
		json_text_int(&j, "cost", w->cost);
	buf_add_str(body, ",\"grant\":");
	json_text_quote(body, slice_str(w->grant_prefix));
	if (!body->failed)
		body->len--; /* the closing quote */
	buf_add_str(body, zeros);
	*at = body->len - REQUEST_DIGITS;
	buf_add_str(body, "\"}");
}

int
bench_request_http(struct bench_request *r, const struct request_words *w)
{
	struct buf *out = &r->text;
	struct buf body = { 0 };
	size_t at;

	add_body(&body, w, &at);
	buf_add_str(out, "POST /v1/check HTTP/1.1\r\nHost: ");
	buf_add_str(out, w->host);
	buf_add_str(out, "\r\nContent-Type: application/json\r\n");
	if (w->token) {
		buf_add_str(out, "Authorization: Bearer ");
		buf_add_str(out, w->token);
		buf_add_str(out, "\r\n");
	}
	buf_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
	r->places[r->n_places++] = out->len + at;
	buf_add_slice(out, buf_slice(&body));
	out->failed |= body.failed;
	buf_fini(&body);
	return whole(r);
}

int
bench_request_auth(struct bench_request *r, const char *token)
{
	buf_add_str(&r->text, "*2\r\n");
	add_word(&r->text, "AUTH");
	add_word(&r->text, token);
	return whole(r);
}

/* Adds one word, in which the grant's name replaces REQUEST_GRANT. */
static int
add_command_word(
    struct bench_request *r, const char *word, size_t len, const char *prefix)
{
	const size_t mark = sizeof(REQUEST_GRANT) - 1;
	const char *end = word + len;
	size_t grants = 0;
	int rc = 0;

	for (const char *p = word;
	     (p = memmem(p, (size_t)(end - p), REQUEST_GRANT, mark)); p += mark)
		grants++;
	buf_printf(&r->text, "$%zu\r\n",
	    len - grants * mark + grants * (strlen(prefix) + REQUEST_DIGITS));
	for (; grants > 0 && rc == 0; grants--) {
		const char *p = memmem(word, (size_t)(end - word), REQUEST_GRANT, mark);

		buf_add(&r->text, word, (size_t)(p - word));
		buf_add_str(&r->text, prefix);
		buf_add_str(&r->text, zeros);
		rc = r->text.failed ? ERR_NOMEM : add_place(r);
		word = p + mark;
	}
	buf_add(&r->text, word, (size_t)(end - word));
	buf_add_str(&r->text, "\r\n");
	return rc;
}

int
bench_request_command(struct bench_request *r, const char *words, const char *prefix)
{
	size_t n = 0;
	int rc = 0;

	for (const char *p = words + strspn(words, BLANKS); *p; n++) {
		p += strcspn(p, BLANKS);
		p += strspn(p, BLANKS);
	}
	if (n == 0)
		return ERR_INVALID;
	buf_printf(&r->text, "*%zu\r\n", n);
	for (const char *p = words + strspn(words, BLANKS); *p && rc == 0;) {
		size_t len = strcspn(p, BLANKS);

		rc = add_command_word(r, p, len, prefix);
		p += len;
		p += strspn(p, BLANKS);
	}
	return rc != 0 ? rc : whole(r);
}

void
bench_request_fini(struct bench_request *r)
{
	/* It may contain the token. */
	if (r->text.data)
		explicit_bzero(r->text.data, r->text.cap);
	buf_fini(&r->text);
	r->n_places = 0;
}

static void
write_digits(char *to, uint64_t number)
{
	for (size_t i = REQUEST_DIGITS; i > 0 && number > 0; number /= 10)
		to[--i] = (char)('0' + number % 10);
}

void
bench_request_add(const struct bench_request *r, uint64_t grant, struct buf *out)
{
	char *to = buf_reserve(out, r->text.len);

	if (!to)
		return;
	memcpy(to, r->text.data, r->text.len);
	for (size_t i = 0; i < r->n_places; i++)
		write_digits(to + r->places[i], grant);
	buf_commit(out, r->text.len);
}
