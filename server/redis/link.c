/* SPDX-License-Identifier: ISC */
#include "redis/link_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

#define CONNECT_TIMEOUT_US INT64_C(2000000) /* for connecting and greeting */
/* The longest reply that is accepted; those of scripts, and the map of a large Cluster, are
 * under a tenth of it. */
#define REPLY_BYTES_MAX ((size_t)16 << 20)
#define PAUSE_MAX_US INT64_C(1000000)

static const char *const state_names[] = { "waiting", "connecting", "greeting", "ready",
	"closed" };

static void
set_state(struct link *link, enum link_state state)
{
	log_debug("redis", "%s: %s -> %s", link->shown, state_names[link->state],
	    state_names[state]);
	link->state = state;
}

/* --- replies owed ------------------------------------------------------------- */

int
link_expect(struct link *link, link_reply_fn *fn, void *arg)
{
	if (link->owed_n == link->owed_cap) {
		size_t cap = link->owed_cap ? link->owed_cap * 2 : 16;
		struct expected *owed = malloc(cap * sizeof(*owed));

		if (!owed) {
			link_drop(link, FAULT_OTHER, "out of memory");
			return ERR_NOMEM;
		}
		for (size_t i = 0; i < link->owed_n; i++)
			owed[i] = link->owed[(link->owed_head + i) % link->owed_cap];
		free(link->owed);
		link->owed = owed;
		link->owed_cap = cap;
		link->owed_head = 0;
	}
	link->owed[(link->owed_head + link->owed_n++) % link->owed_cap] =
	    (struct expected){ fn, arg };
	return 0;
}

static struct expected
owed_pop(struct link *link)
{
	struct expected e = link->owed[link->owed_head];

	link->owed_head = (link->owed_head + 1) % link->owed_cap;
	link->owed_n--;
	return e;
}

static void
owed_void(struct link *link)
{
	/* Only the replies owed now: while the link is down, callbacks cannot add more. */
	while (link->owed_n > 0) {
		struct expected e = owed_pop(link);

		e.fn(e.arg, NULL);
	}
}

/* --- down and up again -------------------------------------------------------- */

static void
close_conn(struct link *link)
{
	if (link->conn)
		conn_close(link->conn);
	link->conn = NULL;
	reply_reader_free(link->reader);
	link->reader = NULL;
}

/* Half to the whole of the pause, so that many daemons do not reconnect at once. */
static void
wait_then_retry(struct link *link)
{
	int64_t pause = link->pause_us;

	pause = pause / 2 + hash_random((uint32_t)(pause / 2 + 1));
	set_state(link, LINK_WAITING);
	loop_timer_set(link->timer, pause);
	link->pause_us *= 2;
	if (link->pause_us > PAUSE_MAX_US)
		link->pause_us = PAUSE_MAX_US;
}

/* Logs one line for each trouble, not for each attempt. */
static void
tell_trouble(struct link *link, enum store_fault fault, const char *why)
{
	bool same = link->told && link->fault == fault && strcmp(link->why, why) == 0;

	link->fault = fault;
	snprintf(link->why, sizeof(link->why), "%s", why);
	if (same)
		return;
	link->told = true;
	if (link->options.asks_only)
		log_debug("redis", "%s: %s", link->shown, why);
	else if (fault == FAULT_CONFIG || fault == FAULT_TLS)
		log_error("redis", "%s: %s", link->shown, why);
	else
		log_warn(
		    "redis", "%s: %s; trying again until it answers", link->shown, why);
}

void
link_drop(struct link *link, enum store_fault fault, const char *why)
{
	bool was_ready = link->state == LINK_READY;

	if (link->state == LINK_WAITING || link->state == LINK_CLOSED)
		return;
	if (was_ready)
		link->doubted = fault == FAULT_READONLY;
	tell_trouble(link, fault, why);
	close_conn(link);
	wait_then_retry(link);
	owed_void(link);
	if (was_ready)
		link->options.ops->on_down(link->options.arg);
	else if (link->options.ops->on_missed)
		link->options.ops->on_missed(link->options.arg);
}

void
link_add_command(struct buf *out, const struct slice *words, size_t n)
{
	buf_printf(out, "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "$%zu\r\n", words[i].len);
		buf_add_slice(out, words[i]);
		buf_add(out, "\r\n", 2);
	}
}

/* The trouble is over; the next one will be logged again. */
static void
tell_connected(struct link *link)
{
	link->fault = FAULT_NONE;
	link->told = false;
	if (!link->options.asks_only)
		log_info("redis", "connected to %s", link->shown);
}

static void
prove(struct link *link)
{
	link->proved = true;
	link->pause_us = LINK_PAUSE_FIRST_US;
}

void
link_prove(struct link *link)
{
	if (UNLIKELY(!link->proved) && !link->doubted && link->state == LINK_READY)
		prove(link);
}

void
link_become_ready(struct link *link)
{
	loop_timer_set(link->timer, LINK_PROOF_US);
	link->served = true;
	link->proved = false;
	if (!link->doubted)
		tell_connected(link);
	set_state(link, LINK_READY);
	if (link->options.ops->on_ready)
		link->options.ops->on_ready(link->options.arg);
}

/* --- events of the connection ------------------------------------------------- */

static void
on_open(void *arg)
{
	struct link *link = arg;

	set_state(link, LINK_GREETING);
	link_greet(link);
}

/* How a TLS server refuses plain text: by an alert, of TLS 1.0 to 1.3. */
static bool
is_tls_alert(const char *data, size_t len)
{
	return len >= 2 && data[0] == 0x15 && data[1] == 0x03;
}

static size_t
on_data(void *arg, const char *data, size_t len)
{
	struct link *link = arg;
	const struct reply *reply;
	int rc;

	if (!link->heard && is_tls_alert(data, len)) {
		link_drop(
		    link, FAULT_TLS, "it answers in TLS; for this port use rediss://");
		return len;
	}
	link->heard = true;
	link->heard_us = clock_mono_us();
	link->unfinished += len;
	if (link->unfinished > REPLY_BYTES_MAX) {
		link_drop(link, FAULT_OTHER, "a reply of it does not end");
		return len;
	}
	if (reply_reader_feed(link->reader, data, len) < 0) {
		link_drop(link, FAULT_OTHER, "out of memory");
		return len;
	}
	/* A callback may drop the link, and the reader with it. */
	while (link->reader && (rc = reply_reader_next(link->reader, &reply)) != 0) {
		struct expected e;

		if (rc < 0 || link->owed_n == 0) {
			link_drop(link, FAULT_OTHER,
			    "it sent something that is not a "
			    "reply; is this Redis?");
			return len;
		}
		link->unfinished = 0;
		e = owed_pop(link);
		e.fn(e.arg, reply);
	}
	return len;
}

static void
on_end(void *arg, enum conn_end end, const struct errinfo *why)
{
	struct link *link = arg;
	const char *text = why && why->text[0] ? why->text : "the connection was lost";
	bool refused = why && why->code == ERR_UNTRUSTED;

	link->conn = NULL;
	/* This is how a TLS port of Redis treats a client that does not speak TLS. */
	if (end == CONN_END_PEER && link->state == LINK_GREETING && !link->heard &&
	    !link->options.tls && !link->served)
		text = "it closed the connection without a word; a port with TLS does "
		       "that: for one, use rediss://";
	link_drop(link, refused ? FAULT_TLS : FAULT_DISCONNECTED, text);
}

static const struct conn_ops conn_events = { on_open, on_data, on_end };

static void
connect_now(struct link *link)
{
	struct conn_options options = {
		.in_max = 1 << 20, .out_high = SIZE_MAX, .tls = link->options.tls
	};
	struct errinfo ei = { 0 };

	if (!link->options.asks_only)
		metric_add(link->options.cells, METRIC_STORE_RECONNECTS, 1);
	set_state(link, LINK_CONNECTING);
	link->heard = false;
	link->unfinished = 0;
	loop_timer_set(link->timer, CONNECT_TIMEOUT_US);
	link->reader = reply_reader_new();
	if (link->reader)
		link->conn = conn_connect(link->options.loop, &link->address, &options,
		    &conn_events, link, &ei);
	if (!link->conn)
		link_drop(
		    link, FAULT_DISCONNECTED, ei.text[0] ? ei.text : "out of memory");
}

static void
on_timer(void *arg)
{
	struct link *link = arg;
	struct errinfo why;

	if (link->state == LINK_WAITING) {
		connect_now(link);
	} else if (link->state == LINK_CONNECTING) {
		conn_tell_wait(link->conn, &why);
		link_drop(link, FAULT_TIMEOUT, why.text);
	} else if (link->state == LINK_GREETING) {
		link_drop(
		    link, FAULT_TIMEOUT, "no answer to the introduction within 2 s");
	} else if (link->state == LINK_READY) {
		prove(link);
		if (link->doubted)
			tell_connected(link);
		link->doubted = false;
	}
}

/* --- birth and death ---------------------------------------------------------- */

/* What logs show: the URL if it names a single server, else this server's address. */
static void
set_address(struct link *link, const struct address *address)
{
	const struct redis_url *url = link->options.url;

	if (address)
		link->address = *address;
	link->options.address = &link->address;
	if (!address || url->kind == REDIS_ONE)
		memcpy(link->shown, url->shown, sizeof(link->shown));
	else
		snprintf(link->shown, sizeof(link->shown), "%s://%s",
		    url->tls ? "rediss" : "redis", address->text);
}

struct link *
link_new(const struct link_options *options)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->options = *options;
	set_address(link, options->address);
	link->pause_us = LINK_PAUSE_FIRST_US;
	link->fault = FAULT_DISCONNECTED;
	snprintf(link->why, sizeof(link->why), "not connected yet");
	link->timer = loop_timer_new(options->loop, on_timer, link);
	if (!link->timer) {
		free(link);
		return NULL;
	}
	link->state = LINK_WAITING;
	if (options->address)
		loop_timer_set(link->timer, 0);
	return link;
}

void
link_explain(struct link *link, enum store_fault fault, const char *why)
{
	if (link->address.text[0])
		return;
	link->fault = fault;
	snprintf(link->why, sizeof(link->why), "%s", why);
}

void
link_move(struct link *link, const struct address *address)
{
	char why[64 + ADDRESS_TEXT_MAX];

	if (link->state == LINK_CLOSED ||
	    strcmp(link->address.text, address->text) == 0)
		return;
	snprintf(why, sizeof(why), "the store moved to %s", address->text);
	link_drop(link, FAULT_DISCONNECTED, why);
	set_address(link, address);
	link->pause_us = LINK_PAUSE_FIRST_US;
	link->doubted = false;
	loop_timer_set(link->timer, 0);
}

int64_t
link_heard_us(const struct link *link)
{
	return link->heard_us;
}

const struct address *
link_address(const struct link *link)
{
	return &link->address;
}

const char *
link_shown(const struct link *link)
{
	return link->shown;
}

void
link_free(struct link *link)
{
	if (!link)
		return;
	loop_timer_free(link->timer);
	close_conn(link);
	set_state(link, LINK_CLOSED);
	link->fault = FAULT_DISCONNECTED;
	snprintf(link->why, sizeof(link->why), "shutting down");
	owed_void(link);
	free(link->owed);
	free(link);
}

bool
link_ready(const struct link *link)
{
	return link->state == LINK_READY;
}

bool
link_doubted(const struct link *link)
{
	return link->doubted;
}

enum store_fault
link_fault(const struct link *link, const char **text)
{
	if (text)
		*text = link->why;
	return link->fault == FAULT_NONE ? FAULT_DISCONNECTED : link->fault;
}

struct slice
link_take_sha(const struct link *link)
{
	return slice_make(link->take_sha, LINK_SHA_LEN);
}

struct slice
link_settle_sha(const struct link *link)
{
	return slice_make(link->settle_sha, LINK_SHA_LEN);
}

struct buf *
link_out(struct link *link)
{
	return conn_out(link->conn);
}
