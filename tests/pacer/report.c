/* SPDX-License-Identifier: ISC */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGES_MAX 512
#define STALL_US 2500 /* between two turns, which are at most 1 ms apart otherwise */

static char *messages[MESSAGES_MAX];
static size_t n_messages;

int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("pacer: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

void *
need(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

/* The index of a message, which is told when it is new; the table full, the last one. */
static size_t
message_index(const char *text, size_t len)
{
	for (size_t i = 0; i < n_messages; i++)
		if (strlen(messages[i]) == len && memcmp(messages[i], text, len) == 0)
			return i;
	if (n_messages == MESSAGES_MAX)
		return n_messages - 1;
	messages[n_messages] = need(strndup(text, len));
	printf("m %zu %s\n", n_messages, messages[n_messages]);
	return n_messages++;
}

void
report_open(void)
{
	message_index("", 0);
}

void
report_check(size_t target, const struct asked *asked, const struct answer *answer)
{
	size_t message = message_index(answer->text, answer->text_len);

	printf("c %lld %lld %c %d %zu %zu %zu\n", (long long)asked->start_us,
	    (long long)(now_us() - asked->start_us), answer->kind, answer->degraded,
	    asked->call, target, message);
}

void
report_stall(int64_t before_us)
{
	int64_t took_us = now_us() - before_us;

	if (took_us > STALL_US)
		printf("n %lld %lld\n", (long long)before_us, (long long)took_us);
}

void
report_wait(int64_t start_us, int64_t took_us)
{
	printf("w %lld %lld\n", (long long)start_us, (long long)took_us);
}
