/* SPDX-License-Identifier: ISC */
#include "call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define CALLS_MAX 4096

struct call {
	char *resp, *http; /* the request */
	size_t resp_len, http_len;
};

static struct call calls[CALLS_MAX];
static size_t n_calls;

static size_t __attribute__((format(printf, 2, 3)))
format(char **out, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(out, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("out of memory");
	return (size_t)n;
}

void
call_add(const char *text)
{
	struct call *c = &calls[n_calls];
	const char *space = strchr(text, ' ');
	int tool_len = space ? (int)(space - text) : 0;
	char *body;
	size_t len;

	if (n_calls++ == CALLS_MAX || !space)
		die("%s: TOOL GRANT, at most %d of them", text, CALLS_MAX);
	c->resp_len =
	    format(&c->resp, "*3\r\n$5\r\nCHECK\r\n$%d\r\n%.*s\r\n$%zu\r\n%s\r\n",
		tool_len, tool_len, text, strlen(space + 1), space + 1);
	len = format(
	    &body, "{\"tool\":\"%.*s\",\"grant\":\"%s\"}", tool_len, text, space + 1);
	c->http_len = format(&c->http,
	    "POST /v1/check HTTP/1.1\r\nHost: pacer\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    len, body);
	free(body);
}

size_t
call_count(void)
{
	return n_calls;
}

const char *
call_request(size_t call, bool http, size_t *len)
{
	const struct call *c = &calls[call];

	*len = http ? c->http_len : c->resp_len;
	return http ? c->http : c->resp;
}
