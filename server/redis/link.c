/* SPDX-License-Identifier: ISC */
#include "redis/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/num.h"
#include "net/conn.h"
#include "redis/fault.h"
#include "redis/script.h"

#define CONNECT_TIMEOUT_US INT64_C(2000000) /* to connect and introduce itself */
#define PAUSE_FIRST_US INT64_C(10000)
#define PAUSE_MAX_US INT64_C(1000000)
#define SHA_LEN 40
#define VERSION_MAJOR_MIN 6
#define VERSION_MINOR_MIN 2

enum link_state {
	LINK_WAITING, /* for the pause before the next attempt */
	LINK_CONNECTING,
	LINK_GREETING, /* introducing itself */
	LINK_READY,
	LINK_CLOSED
};

static const char *const state_names[] = { "waiting", "connecting", "greeting", "ready",
	"closed" };

struct expected {
	link_reply_fn *fn;
	void *arg;
};

struct link {
	enum link_state state;
	struct link_options options; /* its address is the one below */
	struct address address;
	char shown[REDIS_SHOWN_MAX];
	struct conn *conn;
	struct reply_reader *reader;
	struct loop_timer *timer; /* the pause, or the connect timeout */
	int64_t pause_us;
	int64_t heard_us;      /* when something last came */
	struct expected *owed; /* a ring of replies to come */
	size_t owed_head, owed_n, owed_cap;
	char take_sha[SHA_LEN + 1];
	char settle_sha[SHA_LEN + 1];
	enum store_fault fault; /* why it is not ready */
	char why[512];
	bool told;  /* this trouble was logged */
	bool heard; /* bytes came over this connection */
};

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
	/* Only those owed now: callbacks cannot add more while the link is down. */
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

/* Half to the whole of the pause, so that many daemons do not come at once. */
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

/* One line per trouble, not one per attempt. */
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
	tell_trouble(link, fault, why);
	close_conn(link);
	wait_then_retry(link);
	owed_void(link);
	if (was_ready)
		link->options.ops->on_down(link->options.arg);
	else if (link->options.ops->on_missed)
		link->options.ops->on_missed(link->options.arg);
}

/* --- the introduction --------------------------------------------------------- */

/* Drops the link when a reply of the introduction is an error. */
static bool
greeting_failed(struct link *link, const struct reply *reply, const char *step)
{
	char why[256];
	struct slice text;

	if (!reply)
		return true; /* dropped already */
	if (reply->kind != REPLY_ERROR)
		return false;
	text = reply_text(reply, 0);
	snprintf(why, sizeof(why), "%s: %.*s", step,
	    (int)(text.len < 200 ? text.len : 200), text.ptr);
	link_drop(link,
	    redis_fault_of(text) == FAULT_OTHER ? FAULT_CONFIG : redis_fault_of(text),
	    why);
	return true;
}

static void
on_auth(void *arg, const struct reply *reply)
{
	(void)greeting_failed(arg, reply, "AUTH was refused");
}

static void
on_select(void *arg, const struct reply *reply)
{
	(void)greeting_failed(arg, reply, "SELECT was refused");
}

/* The value behind "name:" at the start of a line of INFO; absent when it is not there. */
static struct slice
info_value(struct slice info, const char *name)
{
	size_t len = strlen(name);
	const char *end = info.ptr + info.len;
	const char *line = info.ptr;

	while (line && line < end) {
		const char *stop = memchr(line, '\r', (size_t)(end - line));

		if (!stop)
			stop = end;
		if ((size_t)(stop - line) > len && memcmp(line, name, len) == 0 &&
		    line[len] == ':')
			return slice_make(
			    line + len + 1, (size_t)(stop - line) - len - 1);
		line = memchr(stop, '\n', (size_t)(end - stop));
		line = line ? line + 1 : NULL;
	}
	return slice_make(NULL, 0);
}

static bool
version_is_old(struct slice version)
{
	int major = 0;
	int minor = 0;
	char text[32];

	snprintf(text, sizeof(text), "%.*s", (int)(version.len < 31 ? version.len : 31),
	    version.len ? version.ptr : "");
	if (sscanf(text, "%d.%d", &major, &minor) != 2)
		return true;
	return major < VERSION_MAJOR_MIN ||
	    (major == VERSION_MAJOR_MIN && minor < VERSION_MINOR_MIN);
}

static void
become_ready(struct link *link)
{
	loop_timer_cancel(link->timer);
	link->pause_us = PAUSE_FIRST_US;
	link->fault = FAULT_NONE;
	link->told = false;
	if (!link->options.asks_only)
		log_info("redis", "connected to %s", link->shown);
	set_state(link, LINK_READY);
	if (link->options.ops->on_ready)
		link->options.ops->on_ready(link->options.arg);
}

/* A node of a Cluster refuses most keys, which belong to others. */
static bool
check_mode(struct link *link, struct slice info)
{
	if (link->options.url->kind != REDIS_ONE ||
	    !slice_eq_str(info_value(info, "redis_mode"), "cluster"))
		return true;
	link_drop(link, FAULT_CONFIG,
	    "this is a node of a Redis Cluster: its URL is redis+cluster://HOST:PORT");
	return false;
}

static void
on_info_server(void *arg, const struct reply *reply)
{
	struct link *link = arg;
	struct slice version;
	char why[128];

	if (greeting_failed(link, reply, "INFO was refused") ||
	    !check_mode(link, reply_text(reply, 0)))
		return;
	version = info_value(reply_text(reply, 0), "redis_version");
	if (!version_is_old(version)) {
		if (link->options.asks_only)
			become_ready(link);
		return;
	}
	snprintf(why, sizeof(why),
	    "this is version %.*s; ration needs Redis %d.%d or "
	    "newer, or Valkey",
	    (int)(version.len < 32 ? version.len : 32), version.len ? version.ptr : "?",
	    VERSION_MAJOR_MIN, VERSION_MINOR_MIN);
	link_drop(link, FAULT_CONFIG, why);
}

static void
on_info_replication(void *arg, const struct reply *reply)
{
	struct link *link = arg;

	if (greeting_failed(link, reply, "INFO was refused"))
		return;
	if (slice_eq_str(info_value(reply_text(reply, 0), "role"), "slave"))
		link_drop(link, FAULT_READONLY,
		    "this is a replica; counters need the "
		    "master");
}

/* A counter that Redis throws away admits too much. */
static void
on_info_memory(void *arg, const struct reply *reply)
{
	struct link *link = arg;
	struct slice policy;
	struct slice max;

	if (greeting_failed(link, reply, "INFO was refused"))
		return;
	max = info_value(reply_text(reply, 0), "maxmemory");
	policy = info_value(reply_text(reply, 0), "maxmemory_policy");
	if (max.len == 0 || slice_eq_str(max, "0") ||
	    slice_eq_str(policy, "noeviction"))
		return;
	log_warn("redis",
	    "%s: maxmemory-policy is %.*s: when memory is short counters "
	    "are thrown away and more is admitted than max; set noeviction",
	    link->shown, SLICE_ARG(policy));
}

/* False when the link was dropped. */
static bool
keep_sha(struct link *link, const struct reply *reply, char to[SHA_LEN + 1])
{
	struct slice sha;

	if (greeting_failed(link, reply, "SCRIPT LOAD was refused"))
		return false;
	sha = reply_text(reply, 0);
	if (reply->kind != REPLY_TEXT || sha.len != SHA_LEN) {
		link_drop(
		    link, FAULT_OTHER, "SCRIPT LOAD did not answer with a digest");
		return false;
	}
	memcpy(to, sha.ptr, SHA_LEN);
	metric_add(link->options.cells, METRIC_STORE_SCRIPT_LOADS, 1);
	return true;
}

static void
on_settle_loaded(void *arg, const struct reply *reply)
{
	struct link *link = arg;

	(void)keep_sha(link, reply, link->settle_sha);
}

/* The last of the introduction. */
static void
on_take_loaded(void *arg, const struct reply *reply)
{
	struct link *link = arg;

	if (!keep_sha(link, reply, link->take_sha) || link->state == LINK_READY)
		return;
	become_ready(link);
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

static int
send_words(struct link *link, const struct slice *words, size_t n, link_reply_fn *fn)
{
	link_add_command(conn_out(link->conn), words, n);
	return link_expect(link, fn, link);
}

static int
send_script(struct link *link, const char *script, link_reply_fn *fn)
{
	struct slice words[] = { slice_str("SCRIPT"), slice_str("LOAD"),
		slice_str(script) };

	return send_words(link, words, ARRAY_LEN(words), fn);
}

int
link_load_take(struct link *link)
{
	return send_script(link, lua_take, on_take_loaded);
}

static int
send_auth(struct link *link)
{
	struct slice words[3] = { slice_str("AUTH") };
	size_t n = 1;

	if (!link->options.url->password[0])
		return 0;
	if (link->options.url->user[0])
		words[n++] = slice_str(link->options.url->user);
	words[n++] = slice_str(link->options.url->password);
	return send_words(link, words, n, on_auth);
}

static int
send_select(struct link *link)
{
	char text[NUM_TEXT_MAX];
	struct slice words[2] = { slice_str("SELECT") };

	if (link->options.url->db == 0)
		return 0;
	words[1] = slice_make(text, num_format(link->options.url->db, text));
	return send_words(link, words, 2, on_select);
}

static int
send_info(struct link *link, const char *section, link_reply_fn *fn)
{
	struct slice words[] = { slice_str("INFO"), slice_str(section) };

	return send_words(link, words, ARRAY_LEN(words), fn);
}

/* --- events of the connection ------------------------------------------------- */

static void
on_open(void *arg)
{
	struct link *link = arg;

	set_state(link, LINK_GREETING);
	/* On ERR_NOMEM the link was dropped, and the next attempt follows. */
	if (send_auth(link) < 0 || send_select(link) < 0 ||
	    send_info(link, "server", on_info_server) < 0 || link->options.asks_only ||
	    send_info(link, "replication", on_info_replication) < 0 ||
	    send_info(link, "memory", on_info_memory) < 0 ||
	    send_script(link, lua_settle, on_settle_loaded) < 0 ||
	    link_load_take(link) < 0)
		return;
}

/* How a server that speaks TLS refuses what is none: an alert, of TLS 1.0 to 1.3. */
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
	/* Redis closes a TLS port so to whoever does not begin with TLS. */
	if (end == CONN_END_PEER && link->state == LINK_GREETING && !link->heard &&
	    !link->options.tls)
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
	}
}

/* --- birth and death ---------------------------------------------------------- */

/* What is logged: the URL of the one server there is, or this server's address. */
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
	link->pause_us = PAUSE_FIRST_US;
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
	link->pause_us = PAUSE_FIRST_US;
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
	return slice_make(link->take_sha, SHA_LEN);
}

struct slice
link_settle_sha(const struct link *link)
{
	return slice_make(link->settle_sha, SHA_LEN);
}

struct buf *
link_out(struct link *link)
{
	return conn_out(link->conn);
}
