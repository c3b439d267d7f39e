/* SPDX-License-Identifier: ISC */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

/* The length of the first line of `in`, its end included; 0: it is not whole. */
static size_t
line_len(const char *in, size_t len)
{
	const char *end = memchr(in, '\n', len);

	return end ? (size_t)(end - in) + 1 : 0;
}

/* One element of an array: its text. The bytes it took; 0: it is not whole. */
static size_t
resp_element(const char *in, size_t len, const char **text, size_t *text_len)
{
	size_t line = line_len(in, len);
	size_t body;

	if (line == 0)
		return 0;
	*text = in + 1;
	*text_len = line - 3;
	if (in[0] != '$')
		return line;
	body = (size_t)strtoul(in + 1, NULL, 10);
	*text = in + line;
	*text_len = body;
	return len >= line + body + 2 ? line + body + 2 : 0;
}

size_t
answer_take_resp(const char *in, size_t in_len, struct answer *answer)
{
	static const char kinds[] = "dap";
	size_t at = line_len(in, in_len);
	const char *text[8];
	size_t len[8];

	if (at == 0)
		return 0;
	*answer = (struct answer){ 'e', false, in, at - 2 };
	if (strncmp(in, "*8\r\n", 4) != 0)
		return at;
	for (size_t i = 0; i < 8; i++) {
		size_t n = resp_element(in + at, in_len - at, &text[i], &len[i]);

		if (n == 0)
			return 0;
		at += n;
	}
	*answer = (struct answer){ kinds[(text[0][0] - '0') % 3],
		(text[7][0] - '0') & 1, text[2], len[2] };
	return at;
}

/* Behind `name` in a body or head that ends with NUL; NULL: it is not there. */
static const char *
behind(const char *text, const char *name)
{
	const char *at = strcasestr(text, name);

	return at ? at + strlen(name) : NULL;
}

static void
read_body(const char *body, struct answer *answer)
{
	const char *verdict = behind(body, "\"verdict\":\"");
	const char *message = behind(body, "\"message\":\"");

	if (!verdict)
		return;
	answer->kind = verdict[0] == 'r' ? 'p' : verdict[0];
	answer->degraded = behind(body, "\"degraded\":true") != NULL;
	answer->text = message ? message : "";
	answer->text_len = strcspn(answer->text, "\"");
}

size_t
answer_take_http(char *in, size_t in_len, struct answer *answer, bool *last)
{
	char *head_end = memmem(in, in_len, "\r\n\r\n", 4);
	const char *length;
	size_t head, body;
	char kept;

	if (!head_end)
		return 0;
	head = (size_t)(head_end - in) + 4;
	head_end[2] = '\0';
	length = behind(in, "\r\ncontent-length:");
	body = length ? (size_t)strtoul(length, NULL, 10) : 0;
	*last = behind(in, "\r\nconnection: close") != NULL;
	head_end[2] = '\r';
	if (in_len < head + body)
		return 0;
	*answer = (struct answer){ 'e', false, in, line_len(in, head) - 2 };
	kept = in[head + body];
	in[head + body] = '\0';
	read_body(in + head, answer);
	in[head + body] = kept;
	return head + body;
}
