/* SPDX-License-Identifier: ISC */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define TOKEN_FILE_MAX 65536 /* bytes */
#define BLANKS " \t\r"

int
daemon_set_timeout(void *into, const char *value)
{
	struct daemon *d = into;

	return cli_set_number(
	    d->command, "timeout-ms", value, 1, RATION_TIMEOUT_MAX_MS, &d->timeout_ms);
}

int
daemon_set_token_file(void *into, const char *value)
{
	((struct daemon *)into)->token_file = value;
	return 0;
}

int
daemon_set_json(void *into, const char *value)
{
	(void)value;
	((struct daemon *)into)->json = true;
	return 0;
}

int
daemon_set_server(void *into, const char *value)
{
	((struct daemon *)into)->server = value;
	return 0;
}

/* The first line that is neither empty nor a comment, as rationd reads its file, without
 * white space around it; NULL: there is none. Ends it with a NUL. */
static char *
first_line(char *text)
{
	char *save = NULL;
	char *line = strtok_r(text, "\n", &save);

	for (; line; line = strtok_r(NULL, "\n", &save)) {
		size_t len;

		line += strspn(line, BLANKS);
		len = strlen(line);
		while (len > 0 && strchr(BLANKS, line[len - 1]))
			line[--len] = '\0';
		if (len > 0 && line[0] != '#')
			return line;
	}
	return NULL;
}

/* Reads at most `size` - 1 bytes. False: errno says why. */
static bool
read_small(const char *file, char *out, size_t size)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = fd < 0 ? -1 : 1;
	int error;

	while (n > 0 && len < size - 1) {
		n = read(fd, out + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	out[len] = '\0';
	errno = error;
	return n >= 0;
}

static int
status_of(int rc)
{
	switch (rc) {
	case RATION_ERR_ARGUMENT:
	case RATION_ERR_REFUSED:
		return CLI_USAGE;
	case RATION_ERR_NOTFOUND:
		return CLI_NO;
	default:
		return CLI_NO_ANSWER;
	}
}

/* What is left of --timeout-ms after connecting, which it covers as well. */
static int64_t
left_of(int64_t timeout_ms, int64_t since_us)
{
	int64_t spent_ms = (clock_mono_us() - since_us) / 1000;

	if (timeout_ms == 0)
		return 0;
	return timeout_ms > spent_ms ? timeout_ms - spent_ms : 1;
}

/* An empty variable counts as not set. */
static const char *
env_or_null(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

/* The daemon's words, without the "ERR" of RESP's ordinary errors. */
static const char *
words_of(const char *detail)
{
	return strncmp(detail, "ERR ", 4) == 0 ? detail + 4 : detail;
}

/* A question, and whom to ask. */
struct question {
	const struct daemon *d;
	int (*ask)(void *arg, struct ration *r, int64_t left_ms, int *status);
	void *arg;
};

static int
ask_with(void *arg, const char *token)
{
	const struct question *q = arg;
	const struct daemon *d = q->d;
	struct ration_options with = RATION_OPTIONS_INIT;
	const char *server = d->server ? d->server : env_or_null("RATION_SERVER");
	int64_t since_us = clock_mono_us();
	struct ration *r;
	char why[256];
	int status = CLI_NO_ANSWER;
	int rc;

	with.timeout_ms = d->timeout_ms;
	with.token = token;
	rc = ration_connect(&r, server, &with, why, sizeof(why));
	if (rc != 0) {
		cli_error("%s", why);
		return status_of(rc);
	}
	rc = q->ask(q->arg, r, left_of(d->timeout_ms, since_us), &status);
	if (rc != 0) {
		cli_error("%s: %s", ration_error_text(rc), words_of(ration_detail(r)));
		status = status_of(rc);
	}
	ration_close(r);
	return status;
}

int
daemon_ask(const struct daemon *d,
    int (*ask)(void *arg, struct ration *r, int64_t left_ms, int *status), void *arg)
{
	struct question q = { d, ask, arg };

	return daemon_with_token(d, ask_with, &q);
}

int
daemon_with_token(
    const struct daemon *d, int (*go)(void *arg, const char *token), void *arg)
{
	char *text = d->token_file ? malloc(TOKEN_FILE_MAX) : NULL;
	const char *token = env_or_null("RATION_TOKEN");
	int rc = CLI_USAGE;

	if (d->token_file && !text)
		cli_error("out of memory");
	else if (text && !read_small(d->token_file, text, TOKEN_FILE_MAX))
		cli_error("%s: %s", d->token_file, strerror(errno));
	else if (text && !(token = first_line(text)))
		cli_error("%s: there is no token in it", d->token_file);
	else
		rc = go(arg, token);
	if (text)
		explicit_bzero(text, TOKEN_FILE_MAX);
	free(text);
	return rc;
}
