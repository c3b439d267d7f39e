/* SPDX-License-Identifier: ISC */
#include "ration/ration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "endpoint.h"
#include "failure.h"
#include "reply.h"
#include "sock.h"

struct ration {
	struct endpoint endpoint;
	int64_t timeout_ms;
	char *token; /* owned; NULL without one */
	int fd;      /* -1: not connected */
	struct reply_reader reader;
	struct failure failure;
};

const char *
ration_version(void)
{
	return RATION_VERSION;
}

/*
 * Copies a caller's struct, which begins with its size, over `own`. One of another version
 * may be shorter (the rest of `own` stays) or longer: then the part that this library does
 * not know must be zero.
 */
static bool
adopt(void *own, size_t own_size, size_t least, const void *given)
{
	const unsigned char *bytes = given;
	size_t size;

	memcpy(&size, given, sizeof(size));
	if (size < least || size > 4096)
		return false;
	for (size_t i = own_size; i < size; i++)
		if (bytes[i] != 0)
			return false;
	memcpy(own, given, size < own_size ? size : own_size);
	return true;
}

/* The value, or `otherwise` for 0; -1 when it is out of bounds. */
static int64_t
timeout_of(int64_t given_ms, int64_t otherwise_ms)
{
	if (given_ms < 0 || given_ms > RATION_TIMEOUT_MAX_MS)
		return -1;
	return given_ms > 0 ? given_ms : otherwise_ms;
}

static int
bad_timeout(struct failure *f)
{
	return ration_failure_set(f, RATION_ERR_ARGUMENT,
	    "a timeout has to be 0 to %d ms", RATION_TIMEOUT_MAX_MS);
}

static int
bad_size(struct failure *f, const char *what)
{
	return ration_failure_set(f, RATION_ERR_ARGUMENT,
	    "%s: size is not set, or it uses fields newer than this library", what);
}

static void
drop(struct ration *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* Whether the connection can be used after that result: a whole reply was read. */
static bool
in_step(int rc)
{
	return rc == 0 || rc == RATION_ERR_REFUSED || rc == RATION_ERR_AUTH ||
	    rc == RATION_ERR_UNAVAILABLE || rc == RATION_ERR_NOTFOUND;
}

static int
read_reply(struct ration *r, int64_t deadline_us)
{
	char bytes[4096];
	int rc = 0;

	while (rc == 0) {
		rc = ration_sock_recv(
		    r->fd, bytes, sizeof(bytes), deadline_us, &r->failure);
		if (rc > 0)
			rc = ration_reply_feed(
			    &r->reader, bytes, (size_t)rc, &r->failure);
	}
	if (rc < 0)
		return rc;
	return r->reader.kind == REPLY_ERROR
	    ? ration_command_error(&r->reader, &r->failure)
	    : 0;
}

/* Sends one command and reads its reply into r->reader. Closes the connection when it is
 * out of step. *sent: how many bytes of the command left. */
static int
exchange(struct ration *r, const struct command *c, int64_t deadline_us, size_t *sent)
{
	int rc = ration_reply_begin(&r->reader, &r->failure);

	*sent = 0;
	if (rc == 0)
		rc = ration_sock_send(
		    r->fd, c->data, c->len, deadline_us, sent, &r->failure);
	if (rc == 0)
		rc = read_reply(r, deadline_us);
	if (!in_step(rc))
		drop(r);
	return rc;
}

static int
authenticate(struct ration *r, int64_t deadline_us)
{
	struct command c = { NULL, 0 };
	size_t sent;
	int rc = ration_command_auth(&c, r->token, &r->failure);

	if (rc == 0)
		rc = exchange(r, &c, deadline_us, &sent);
	if (rc == 0 && r->reader.kind != REPLY_SIMPLE)
		rc = ration_failure_set(&r->failure, RATION_ERR_PROTOCOL,
		    "the reply is not one of a ration daemon");
	/* No check was sent, so nothing was charged. */
	if (rc == RATION_ERR_TIMEOUT || rc == RATION_ERR_CLOSED ||
	    rc == RATION_ERR_PROTOCOL)
		rc = RATION_ERR_CONNECT;
	ration_command_fini(&c);
	return rc;
}

static int
open_connection(struct ration *r, int64_t deadline_us)
{
	int rc = ration_sock_connect(&r->endpoint, deadline_us, &r->failure);

	if (rc < 0)
		return rc;
	r->fd = rc;
	rc = r->token ? authenticate(r, deadline_us) : 0;
	if (rc != 0)
		drop(r);
	return rc;
}

static int
set_up(struct ration *r, const char *address, const struct ration_options *given)
{
	struct ration_options options = RATION_OPTIONS_INIT;
	int rc;

	if (given && !adopt(&options, sizeof(options), sizeof(options), given))
		return bad_size(&r->failure, "struct ration_options");
	r->timeout_ms = timeout_of(options.timeout_ms, RATION_DEFAULT_TIMEOUT_MS);
	if (r->timeout_ms < 0)
		return bad_timeout(&r->failure);
	rc = ration_endpoint_parse(
	    address ? address : RATION_DEFAULT_ADDRESS, &r->endpoint, &r->failure);
	if (rc != 0)
		return rc;
	if (options.token && !(r->token = strdup(options.token)))
		return ration_failure_set(
		    &r->failure, RATION_ERR_NOMEM, "out of memory");
	return open_connection(r, ration_sock_clock_us() + r->timeout_ms * 1000);
}

int
ration_connect(struct ration **out, const char *address,
    const struct ration_options *options, char *why, size_t why_size)
{
	struct ration *r = calloc(1, sizeof(*r));
	int rc = RATION_ERR_NOMEM;

	*out = NULL;
	if (r) {
		r->fd = -1;
		rc = set_up(r, address, options);
	}
	if (rc == 0) {
		*out = r;
		return 0;
	}
	if (why && why_size > 0)
		snprintf(
		    why, why_size, "%s", r ? r->failure.text : ration_error_text(rc));
	ration_close(r);
	return rc;
}

void
ration_close(struct ration *r)
{
	if (!r)
		return;
	drop(r);
	ration_reply_fini(&r->reader);
	if (r->token)
		explicit_bzero(r->token, strlen(r->token));
	free(r->token);
	free(r);
}

/* How much of the time left the daemon may take, so that its answer still arrives. */
static int64_t
decide_ms(const struct ration_request *q, int64_t deadline_us)
{
	int64_t left_ms = (deadline_us - ration_sock_clock_us()) / 1000;

	if (q->timeout_ms == 0)
		return 0;
	return left_ms * 9 / 10 > 1 ? left_ms * 9 / 10 : 1;
}

/* Makes a command of a request: ration_command_check() and the like. */
typedef int command_fn(struct command *c, const struct ration_request *request,
    int64_t decide_ms, struct failure *f);
typedef int settle_fn(struct command *c, const char *reservation,
    const struct ration_settle *how, struct failure *f);

/* One thing to ask of the daemon. */
struct question {
	command_fn *command; /* makes it of `request`; NULL: `made` is the command */
	struct ration_request request;
	struct command made;    /* by the caller, who frees it */
	enum reply_kind wanted; /* REPLY_ARRAY, REPLY_TEXT, REPLY_NUMBER */
	bool repeats;           /* it may be sent again when its fate is unknown */
	int64_t timeout_ms;     /* 0: the connection's */
};

/* Makes sure of a connection, sends the question, reads the reply. *sent is as above. The
 * command is made last because it tells the daemon how much time is left. */
static int
try_ask(struct ration *r, const struct question *q, int64_t deadline_us, size_t *sent)
{
	struct command c = { NULL, 0 };
	int rc;

	*sent = 0;
	rc = r->fd < 0 ? open_connection(r, deadline_us) : 0;
	if (rc == 0 && q->command)
		rc = q->command(
		    &c, &q->request, decide_ms(&q->request, deadline_us), &r->failure);
	r->reader.wanted = q->wanted;
	if (rc == 0)
		rc = exchange(r, q->command ? &c : &q->made, deadline_us, sent);
	r->reader.wanted = REPLY_NONE;
	ration_command_fini(&c);
	return rc;
}

/* A second try whose error means "nothing was charged" means only itself: what the first
 * one did is unknown. */
static int
fate_of_both(int rc)
{
	switch (rc) {
	case RATION_ERR_CONNECT:
	case RATION_ERR_AUTH:
	case RATION_ERR_UNAVAILABLE:
		return RATION_ERR_CLOSED;
	default:
		return rc;
	}
}

/* Asks, and leaves the reply in r->reader. */
static int
ask(struct ration *r, const struct question *q)
{
	int64_t timeout_ms = timeout_of(q->timeout_ms, r->timeout_ms);
	int64_t deadline_us;
	bool kept;
	size_t sent;
	int rc;

	if (timeout_ms < 0)
		return bad_timeout(&r->failure);
	deadline_us = ration_sock_clock_us() + timeout_ms * 1000;
	if (r->fd >= 0 && !ration_sock_is_quiet(r->fd))
		drop(r);
	kept = r->fd >= 0;
	rc = try_ask(r, q, deadline_us, &sent);
	/* A kept connection was closed before a byte had left: nothing can be charged. */
	if (rc == RATION_ERR_CLOSED && kept && sent == 0)
		rc = try_ask(r, q, deadline_us, &sent);
	else if (rc == RATION_ERR_CLOSED && q->repeats)
		rc = fate_of_both(try_ask(r, q, deadline_us, &sent));
	if (rc == 0)
		r->failure.text[0] = '\0';
	return rc;
}

/* The fields that were added since the first version begin here. */
#define REQUEST_LEAST offsetof(struct ration_request, request_id)

static int
question_of(struct ration *r, command_fn *command, enum reply_kind wanted,
    const struct ration_request *request, struct question *q)
{
	*q = (struct question){
		.command = command, .wanted = wanted, .request = RATION_REQUEST_INIT
	};
	r->failure.text[0] = '\0';
	if (!adopt(&q->request, sizeof(q->request), REQUEST_LEAST, request))
		return bad_size(&r->failure, "struct ration_request");
	/* What charges nothing may be asked twice. */
	q->repeats = q->request.request_id || wanted == REPLY_TEXT ||
	    q->request.mode == RATION_PEEK;
	q->timeout_ms = q->request.timeout_ms;
	return 0;
}

static int
ask_verdict(struct ration *r, const struct ration_request *request, bool reserves,
    struct ration_answer *answer)
{
	struct ration_answer a = RATION_ANSWER_INIT;
	struct question q;
	int rc;

	if (answer->size < sizeof(a))
		return bad_size(&r->failure, "struct ration_answer");
	rc = question_of(r, ration_command_check, REPLY_ARRAY, request, &q);
	if (rc == 0 && reserves)
		q.request.mode = RATION_RESERVE;
	if (rc == 0)
		rc = ask(r, &q);
	if (rc == 0)
		rc = ration_command_answer(&r->reader, &a, &r->failure);
	if (rc == RATION_ERR_PROTOCOL)
		drop(r);
	if (rc != 0)
		return rc;
	a.size = answer->size;
	memcpy(answer, &a, sizeof(a));
	return 0;
}

int
ration_check(struct ration *r, const struct ration_request *request,
    struct ration_answer *answer)
{
	return ask_verdict(r, request, false, answer);
}

int
ration_reserve(struct ration *r, const struct ration_request *request,
    struct ration_answer *answer)
{
	return ask_verdict(r, request, true, answer);
}

/* Asks something whose answer is a number, 0 ... max, and that may be asked again. */
static int
ask_number(struct ration *r, struct question *q, int64_t max, int64_t *out)
{
	const struct reply_item *item = &r->reader.items[0];
	int rc;

	q->wanted = REPLY_NUMBER;
	q->repeats = true;
	rc = ask(r, q);
	if (rc == 0 &&
	    (r->reader.kind != REPLY_NUMBER || item->number < 0 || item->number > max))
		rc = ration_failure_set(&r->failure, RATION_ERR_PROTOCOL,
		    "the reply is not the number that was asked for");
	if (rc == RATION_ERR_PROTOCOL)
		drop(r);
	if (rc != 0)
		return rc;
	*out = item->number;
	return 0;
}

/* The command is made first: the reservation may be a string of the last answer, which is
 * gone once a connection is opened. */
static int
settle(struct ration *r, settle_fn *command, const char *reservation,
    const struct ration_settle *given, bool *done)
{
	struct ration_settle how = RATION_SETTLE_INIT;
	struct question q = { .command = NULL };
	int64_t number = 0;
	int rc;

	r->failure.text[0] = '\0';
	if (given && !adopt(&how, sizeof(how), sizeof(how), given))
		return bad_size(&r->failure, "struct ration_settle");
	q.timeout_ms = how.timeout_ms;
	rc = command(&q.made, reservation, &how, &r->failure);
	if (rc == 0)
		rc = ask_number(r, &q, 1, &number);
	ration_command_fini(&q.made);
	if (rc == 0 && done)
		*done = number == 1;
	return rc;
}

int
ration_commit(struct ration *r, const char *reservation,
    const struct ration_settle *how, bool *done)
{
	return settle(r, ration_command_commit, reservation, how, done);
}

int
ration_rollback(struct ration *r, const char *reservation,
    const struct ration_settle *how, bool *done)
{
	return settle(r, ration_command_rollback, reservation, how, done);
}

int
ration_renew(struct ration *r, const char *reservation, const struct ration_settle *how,
    bool *done)
{
	return settle(r, ration_command_renew, reservation, how, done);
}

int
ration_reset(struct ration *r, const struct ration_counters *given, int64_t *counters)
{
	struct ration_counters what = RATION_COUNTERS_INIT;
	struct question q = { .command = NULL };
	int64_t number = 0;
	int rc;

	r->failure.text[0] = '\0';
	if (!adopt(&what, sizeof(what), sizeof(what), given))
		return bad_size(&r->failure, "struct ration_counters");
	q.timeout_ms = what.timeout_ms;
	rc = ration_command_reset(&q.made, &what, &r->failure);
	if (rc == 0)
		rc = ask_number(r, &q, RATION_COST_MAX, &number);
	ration_command_fini(&q.made);
	if (rc == 0 && counters)
		*counters = number;
	return rc;
}

static int
ask_for_text(struct ration *r, command_fn *command,
    const struct ration_request *request, const char **text)
{
	struct question q;
	int rc = question_of(r, command, REPLY_TEXT, request, &q);

	if (rc == 0)
		rc = ask(r, &q);
	if (rc == 0 && r->reader.kind != REPLY_TEXT)
		rc = ration_failure_set(&r->failure, RATION_ERR_PROTOCOL,
		    "the reply is not the text that was asked for");
	if (rc == RATION_ERR_PROTOCOL)
		drop(r);
	if (rc == 0)
		*text = ration_reply_text(&r->reader, 0);
	return rc;
}

int
ration_explain(
    struct ration *r, const struct ration_request *request, const char **json)
{
	return ask_for_text(r, ration_command_explain, request, json);
}

int
ration_usage(struct ration *r, const struct ration_request *request, const char **json)
{
	return ask_for_text(r, ration_command_usage, request, json);
}

int
ration_info(struct ration *r, const char **text)
{
	static const struct ration_request none = RATION_REQUEST_INIT;

	return ask_for_text(r, ration_command_info, &none, text);
}

const char *
ration_detail(const struct ration *r)
{
	return r->failure.text;
}
