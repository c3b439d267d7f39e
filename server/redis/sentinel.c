/* SPDX-License-Identifier: ISC */
#include "redis/sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "net/conn.h"
#include "redis/fault.h"
#include "redis/link.h"
#include "redis/reply.h"
#include "redis/sentinel_reply.h"

#define ANSWER_TIMEOUT_US INT64_C(2000000) /* for connecting, and for each round */
#define ASK_EVERY_US INT64_C(10000000)
#define PAUSE_FIRST_US INT64_C(100000)
#define PAUSE_MAX_US INT64_C(5000000)
#define UNREAD_MAX (1 << 20) /* bytes of one reply */
#define OWED_MAX 16
#define NO_SUCH_MASTER "ERR No such master"

/* The last one ends a failover. The others are announced by the Sentinel that leads it:
 * when it has told a replica to become the master, and when it has seen it become one. */
#define CHANNEL_PROMOTION "+failover-state-wait-promotion"
#define CHANNELS CHANNEL_PROMOTION, "+promoted-slave", "+switch-master"
#define N_CHANNELS 3

enum sentinel_state {
	SENTINEL_WAITING, /* in the pause before the next attempt */
	SENTINEL_CONNECTING,
	SENTINEL_ASKING,
	SENTINEL_LISTENING,
	SENTINEL_CLOSED
};

static const char *const state_names[] = { "waiting", "connecting", "asking",
	"listening", "closed" };

enum step {
	STEP_AUTH,
	STEP_QUIET, /* a connection that listens may not ask */
	STEP_ID,
	STEP_MASTER,
	STEP_ADDRESS,
	STEP_OTHERS,
	STEP_NAMES,
	STEP_LISTEN
};

struct sentinel {
	enum sentinel_state state;
	struct sentinel_options options; /* options.address points to the one below */
	struct address address;
	struct conn *conn;
	struct reply_reader *reader;
	size_t unread;            /* bytes since the last whole reply */
	struct loop_timer *timer; /* the pause, the patience, or the next round */
	int64_t pause_us;
	enum step owed[OWED_MAX]; /* replies to come */
	size_t n_owed;
	bool again; /* another round is to follow this one */
	bool knows; /* it knows the master's name, as this round showed */
	char names[256];
	int64_t epoch; /* as this round showed */
	bool has_answer;
	struct sentinel_answer answer;
	char id[SENTINEL_ID_LEN + 1]; /* "": not known */
	enum store_fault fault;
	char why[512];
	bool told;  /* the present trouble was logged */
	bool heard; /* that it answers was logged */
};

static void
set_state(struct sentinel *s, enum sentinel_state state)
{
	log_debug("redis", "sentinel %s: %s -> %s", s->address.text,
	    state_names[s->state], state_names[state]);
	s->state = state;
}

/* --- trouble ------------------------------------------------------------------- */

/* Logs one line for each trouble, not for each attempt. */
static void
tell_trouble(struct sentinel *s, enum store_fault fault, const char *why)
{
	char text[sizeof(s->why)];
	bool same;

	snprintf(text, sizeof(text), "sentinel %s: %s", s->address.text, why);
	same = s->told && s->fault == fault && strcmp(s->why, text) == 0;
	s->fault = fault;
	memcpy(s->why, text, sizeof(s->why));
	if (same)
		return;
	s->told = true;
	if (!s->options.listed)
		log_debug("redis", "%s", text);
	else if (fault == FAULT_CONFIG || fault == FAULT_TLS)
		log_error("redis", "%s", text);
	else
		log_warn("redis", "%s; trying again until it answers", text);
}

static void
close_conn(struct sentinel *s)
{
	if (s->conn)
		conn_close(s->conn);
	s->conn = NULL;
	reply_reader_free(s->reader);
	s->reader = NULL;
	s->unread = 0;
	s->n_owed = 0;
	s->again = false;
	s->has_answer = false;
	s->heard = false;
	s->names[0] = '\0';
	s->id[0] = '\0';
}

/* Half to the whole of the pause, so that many daemons do not come at once. */
static int64_t
jittered(int64_t pause_us)
{
	return pause_us / 2 + hash_random((uint32_t)(pause_us / 2 + 1));
}

static void
drop(struct sentinel *s, enum store_fault fault, const char *why)
{
	if (s->state == SENTINEL_WAITING || s->state == SENTINEL_CLOSED)
		return;
	tell_trouble(s, fault, why);
	close_conn(s);
	set_state(s, SENTINEL_WAITING);
	loop_timer_set(s->timer, jittered(s->pause_us));
	s->pause_us = s->pause_us * 2 < PAUSE_MAX_US ? s->pause_us * 2 : PAUSE_MAX_US;
	s->options.ops->on_trouble(s->options.arg, s);
}

/* --- what it answers ----------------------------------------------------------- */

static void
on_authenticated(struct sentinel *s, const struct reply *reply)
{
	(void)s;
	(void)reply;
}

static void
on_id(struct sentinel *s, const struct reply *reply)
{
	struct slice id;

	if (reply->kind != REPLY_TEXT)
		return;
	id = reply_text(reply, 0);
	if (id.len != SENTINEL_ID_LEN)
		return;
	memcpy(s->id, id.ptr, id.len);
	s->id[id.len] = '\0';
	s->options.ops->on_id(s->options.arg, s);
}

static void
on_master(struct sentinel *s, const struct reply *reply)
{
	s->knows = reply->kind == REPLY_ARRAY;
	s->epoch = sentinel_reply_epoch(reply);
}

static void
on_address(struct sentinel *s, const struct reply *reply)
{
	struct address master;
	int rc = sentinel_reply_master(reply, &master);

	if (rc == ERR_NOTFOUND)
		return; /* it does not know the name, and has said so before */
	if (rc < 0) {
		s->has_answer = false;
		tell_trouble(s, FAULT_OTHER, "the master it names has no address");
		return;
	}
	s->answer.master = master;
	s->answer.epoch = s->epoch;
	s->has_answer = true;
	s->fault = FAULT_NONE;
	s->told = false;
	s->options.ops->on_answer(s->options.arg);
}

static void
on_others(struct sentinel *s, const struct reply *reply)
{
	struct address address;
	struct slice id;
	size_t at = 0;

	while (sentinel_reply_next(reply, &at, &address, &id))
		s->options.ops->on_other(s->options.arg, &address, id);
}

static void
on_names(struct sentinel *s, const struct reply *reply)
{
	sentinel_reply_names(reply, s->names, sizeof(s->names));
}

/* --- asking -------------------------------------------------------------------- */

static const struct {
	const char *words[5]; /* AUTH's are put together when it is sent */
	bool named;           /* the master's name follows the words */
	bool optional;        /* if it is refused, we go on without */
	void (*on_reply)(struct sentinel *s, const struct reply *reply);
} steps[] = {
	[STEP_AUTH] = { { NULL }, false, false, on_authenticated },
	[STEP_QUIET] = { { "UNSUBSCRIBE", CHANNELS }, false, false, NULL },
	[STEP_ID] = { { "SENTINEL", "MYID" }, false, true, on_id },
	[STEP_MASTER] = { { "SENTINEL", "MASTER" }, true, false, on_master },
	[STEP_ADDRESS] = { { "SENTINEL", "GET-MASTER-ADDR-BY-NAME" }, true, false,
	    on_address },
	[STEP_OTHERS] = { { "SENTINEL", "SENTINELS" }, true, true, on_others },
	[STEP_NAMES] = { { "SENTINEL", "MASTERS" }, false, true, on_names },
	[STEP_LISTEN] = { { "SUBSCRIBE", CHANNELS }, false, false, NULL },
};

static size_t
auth_words(const struct redis_url *url, struct slice *words)
{
	size_t n = 0;

	words[n++] = slice_str("AUTH");
	if (url->sentinel_user[0])
		words[n++] = slice_str(url->sentinel_user);
	words[n++] = slice_str(url->sentinel_password);
	return n;
}

static void
send_step(struct sentinel *s, enum step step)
{
	struct slice words[ARRAY_LEN(steps[0].words) + 1];
	size_t n = 0;

	if (step == STEP_AUTH)
		n = auth_words(s->options.url, words);
	while (step != STEP_AUTH && steps[step].words[n]) {
		words[n] = slice_str(steps[step].words[n]);
		n++;
	}
	if (steps[step].named)
		words[n++] = slice_str(s->options.url->name);
	link_add_command(conn_out(s->conn), words, n);
	s->owed[s->n_owed++] = step;
}

/* All in one write, so that nothing can be announced after the answer but before we
 * listen. */
static void
send_all(struct sentinel *s, const enum step *list, size_t n)
{
	set_state(s, SENTINEL_ASKING);
	loop_timer_set(s->timer, ANSWER_TIMEOUT_US);
	for (size_t i = 0; i < n; i++)
		send_step(s, list[i]);
}

static void
ask_now(struct sentinel *s)
{
	static const enum step list[] = { STEP_QUIET, STEP_MASTER, STEP_ADDRESS,
		STEP_OTHERS, STEP_LISTEN };

	s->again = false;
	send_all(s, list, ARRAY_LEN(list));
}

void
sentinel_ask(struct sentinel *s)
{
	if (s->state == SENTINEL_LISTENING)
		ask_now(s);
	else if (s->state == SENTINEL_ASKING)
		s->again = true;
}

/* It knows no master of this name: the names that it does know help to find the mistake. */
static void
tell_unknown(struct sentinel *s)
{
	static const enum step list[] = { STEP_QUIET, STEP_NAMES, STEP_LISTEN };
	char why[sizeof(s->why)];

	s->has_answer = false;
	if (!s->names[0]) {
		snprintf(s->names, sizeof(s->names), "others, or none");
		send_all(s, list, ARRAY_LEN(list));
		return;
	}
	snprintf(why, sizeof(why), "it knows no master called \"%s\"; it knows %s",
	    s->options.url->name, s->names);
	tell_trouble(s, FAULT_CONFIG, why);
	s->options.ops->on_trouble(s->options.arg, s);
}

static void
tell_heard(struct sentinel *s)
{
	if (s->heard || !s->has_answer)
		return;
	s->heard = true;
	if (s->options.listed)
		log_info("redis", "listening to sentinel %s", s->address.text);
	else
		log_debug("redis", "listening to sentinel %s", s->address.text);
}

/* A round is done. */
static void
end_round(struct sentinel *s)
{
	s->pause_us = PAUSE_FIRST_US;
	set_state(s, SENTINEL_LISTENING);
	tell_heard(s);
	loop_timer_set(s->timer, jittered(ASK_EVERY_US));
	if (s->again)
		ask_now(s);
	else if (!s->knows)
		tell_unknown(s);
}

/* --- replies ------------------------------------------------------------------- */

/* A step was refused. */
static void
refused(struct sentinel *s, enum step step, struct slice text)
{
	char why[256];
	enum store_fault fault = redis_fault_of(text);

	if (step == STEP_MASTER && text.len >= strlen(NO_SUCH_MASTER) &&
	    memcmp(text.ptr, NO_SUCH_MASTER, strlen(NO_SUCH_MASTER)) == 0) {
		s->knows = false;
		return;
	}
	if (steps[step].optional)
		return;
	if (step == STEP_AUTH && fault == FAULT_OTHER)
		fault = FAULT_CONFIG;
	snprintf(why, sizeof(why), "%s was refused: %.*s",
	    step == STEP_AUTH ? "AUTH" : steps[step].words[0],
	    (int)(text.len < 180 ? text.len : 180), text.ptr);
	drop(s, fault, why);
}

static void
on_message(struct sentinel *s, struct slice channel, struct slice text)
{
	struct address to;

	if (!slice_eq_str(channel, CHANNEL_PROMOTION))
		sentinel_ask(s);
	else if (sentinel_reply_promotion(text, s->options.url->name, &to) == 0)
		s->options.ops->on_promotion(s->options.arg, &to);
}

static enum step
pop_owed(struct sentinel *s)
{
	enum step step = s->owed[0];

	s->n_owed--;
	memmove(s->owed, s->owed + 1, s->n_owed * sizeof(s->owed[0]));
	return step;
}

/* Whether this comes from the channels: an announcement, or that we listen to one, or no
 * longer do. The last of these counts as the step's reply. */
static bool
of_channels(struct sentinel *s, const struct reply *reply)
{
	struct slice kind = reply_text(reply, 0);
	bool more = slice_eq_str(kind, "subscribe");

	if (reply->kind != REPLY_ARRAY || reply->n != 3)
		return false;
	if (slice_eq_str(kind, "message")) {
		on_message(s, reply_text(reply, 1), reply_text(reply, 2));
		return true;
	}
	if (!more && !slice_eq_str(kind, "unsubscribe"))
		return false;
	if (s->n_owed == 0 || reply->values[2].number != (more ? N_CHANNELS : 0))
		return true;
	if (pop_owed(s) == STEP_LISTEN)
		end_round(s);
	return true;
}

static void
take_reply(struct sentinel *s, const struct reply *reply)
{
	enum step step;

	if (reply->n > 0 && of_channels(s, reply))
		return;
	if (s->n_owed == 0 ||
	    (reply->kind != REPLY_ERROR && !steps[s->owed[0]].on_reply)) {
		drop(s, FAULT_OTHER,
		    "it sent something that is not an answer; is this a Sentinel?");
		return;
	}
	step = pop_owed(s);
	if (reply->kind == REPLY_ERROR)
		refused(s, step, reply_text(reply, 0));
	else
		steps[step].on_reply(s, reply);
}

/* --- events of the connection --------------------------------------------------- */

static void
on_open(void *arg)
{
	static const enum step list[] = { STEP_ID, STEP_MASTER, STEP_ADDRESS,
		STEP_OTHERS, STEP_LISTEN };
	struct sentinel *s = arg;

	if (s->options.url->sentinel_password[0])
		send_step(s, STEP_AUTH);
	send_all(s, list, ARRAY_LEN(list));
}

static size_t
on_data(void *arg, const char *data, size_t len)
{
	struct sentinel *s = arg;
	const struct reply *reply;
	int rc;

	s->unread += len;
	if (reply_reader_feed(s->reader, data, len) < 0) {
		drop(s, FAULT_OTHER, "out of memory");
		return len;
	}
	/* What a reply leads to may drop the connection, and the reader with it. */
	while (s->reader && (rc = reply_reader_next(s->reader, &reply)) != 0) {
		s->unread = 0;
		if (rc > 0)
			take_reply(s, reply);
		else
			drop(s, FAULT_OTHER,
			    "it sent something that is not a reply; is this a "
			    "Sentinel?");
	}
	if (s->unread > UNREAD_MAX)
		drop(s, FAULT_OTHER, "its answer does not end");
	return len;
}

static void
on_end(void *arg, enum conn_end end, const struct errinfo *why)
{
	struct sentinel *s = arg;

	bool refused = why && why->code == ERR_UNTRUSTED;

	(void)end;
	s->conn = NULL;
	drop(s, refused ? FAULT_TLS : FAULT_DISCONNECTED,
	    why && why->text[0] ? why->text : "the connection was lost");
}

static const struct conn_ops conn_events = { on_open, on_data, on_end };

static void
connect_now(struct sentinel *s)
{
	struct conn_options options = {
		.in_max = 1 << 20, .out_high = SIZE_MAX, .tls = s->options.tls
	};
	struct errinfo ei = { 0 };

	set_state(s, SENTINEL_CONNECTING);
	loop_timer_set(s->timer, ANSWER_TIMEOUT_US);
	s->reader = reply_reader_new();
	if (s->reader)
		s->conn = conn_connect(
		    s->options.loop, &s->address, &options, &conn_events, s, &ei);
	if (!s->conn)
		drop(s, FAULT_DISCONNECTED, ei.text[0] ? ei.text : "out of memory");
}

static void
on_timer(void *arg)
{
	struct sentinel *s = arg;
	struct errinfo why;

	if (s->state == SENTINEL_WAITING) {
		connect_now(s);
	} else if (s->state == SENTINEL_LISTENING) {
		ask_now(s);
	} else if (s->state == SENTINEL_CONNECTING) {
		conn_tell_wait(s->conn, &why);
		drop(s, FAULT_TIMEOUT, why.text);
	} else {
		drop(s, FAULT_TIMEOUT, "no answer within 2 s");
	}
}

/* --- birth and death ------------------------------------------------------------- */

struct sentinel *
sentinel_new(const struct sentinel_options *options)
{
	struct sentinel *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = *options;
	s->address = *options->address;
	s->options.address = &s->address;
	s->pause_us = PAUSE_FIRST_US;
	s->timer = loop_timer_new(options->loop, on_timer, s);
	if (!s->timer) {
		free(s);
		return NULL;
	}
	s->state = SENTINEL_WAITING;
	loop_timer_set(s->timer, 0);
	return s;
}

void
sentinel_free(struct sentinel *s)
{
	if (!s)
		return;
	loop_timer_free(s->timer);
	close_conn(s);
	set_state(s, SENTINEL_CLOSED);
	free(s);
}

const struct sentinel_answer *
sentinel_answer(const struct sentinel *s)
{
	return s->has_answer ? &s->answer : NULL;
}

enum store_fault
sentinel_fault(const struct sentinel *s, const char **text)
{
	*text = s->why;
	return s->fault;
}

const struct address *
sentinel_address(const struct sentinel *s)
{
	return &s->address;
}

struct slice
sentinel_id(const struct sentinel *s)
{
	return slice_str(s->id[0] ? s->id : NULL);
}
