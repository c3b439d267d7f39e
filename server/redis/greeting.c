/* SPDX-License-Identifier: ISC */
/* The greeting: what a link sends before it may be used. It logs in, asks which server that
 * is, and loads the scripts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "redis/fault.h"
#include "redis/link_inner.h"
#include "redis/script.h"

#define VERSION_MAJOR_MIN 6
#define VERSION_MINOR_MIN 2
/* The part of maxmemory from which on its use is logged. */
#define MEMORY_SHORT_PERCENT 90

/* Drops the link when a reply to the greeting is an error. */
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

/* A node of a Cluster, used as a single server, refuses most keys: they belong to other
 * nodes. */
static bool
check_mode(struct link *link, struct slice info)
{
	if (link->options.url->kind != REDIS_ONE ||
	    !slice_eq_str(reply_info_value(info, "redis_mode"), "cluster"))
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
	version = reply_info_value(reply_text(reply, 0), "redis_version");
	if (!version_is_old(version)) {
		if (link->options.asks_only)
			link_become_ready(link);
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
	if (slice_eq_str(reply_info_value(reply_text(reply, 0), "role"), "slave"))
		link_drop(link, FAULT_READONLY,
		    "this is a replica; counters need the "
		    "master");
}

/* If Redis evicts a counter, too much is admitted. Without eviction a new counter that has
 * no room is refused. */
static void
on_info_memory(void *arg, const struct reply *reply)
{
	struct link *link = arg;
	struct slice info, policy;
	int64_t max = 0;
	int64_t used = 0;

	if (greeting_failed(link, reply, "INFO was refused"))
		return;
	info = reply_text(reply, 0);
	policy = reply_info_value(info, "maxmemory_policy");
	if (num_parse(reply_info_value(info, "maxmemory"), &max) < 0 || max == 0)
		return;
	if (!slice_eq_str(policy, "noeviction"))
		log_warn("redis",
		    "%s: maxmemory-policy is %.*s: when memory is short counters "
		    "are thrown away and more is admitted than max; set noeviction",
		    link->shown, SLICE_ARG(policy));
	else if (num_parse(reply_info_value(info, "used_memory"), &used) == 0 &&
	    used > max / 100 * MEMORY_SHORT_PERCENT)
		log_warn("redis",
		    "%s: %" PRId64 " of %" PRId64 " bytes are used: when there is no "
		    "room for another counter, its checks fail; raise maxmemory",
		    link->shown, used, max);
}

/* False when the link was dropped. */
static bool
keep_sha(struct link *link, const struct reply *reply, char to[LINK_SHA_LEN + 1])
{
	struct slice sha;

	if (greeting_failed(link, reply, "SCRIPT LOAD was refused"))
		return false;
	sha = reply_text(reply, 0);
	if (reply->kind != REPLY_TEXT || sha.len != LINK_SHA_LEN) {
		link_drop(
		    link, FAULT_OTHER, "SCRIPT LOAD did not answer with a digest");
		return false;
	}
	memcpy(to, sha.ptr, LINK_SHA_LEN);
	metric_add(link->options.cells, METRIC_STORE_SCRIPT_LOADS, 1);
	return true;
}

static void
on_settle_loaded(void *arg, const struct reply *reply)
{
	struct link *link = arg;

	(void)keep_sha(link, reply, link->settle_sha);
}

/* The last reply of the greeting. */
static void
on_take_loaded(void *arg, const struct reply *reply)
{
	struct link *link = arg;

	if (!keep_sha(link, reply, link->take_sha) || link->state == LINK_READY)
		return;
	link_become_ready(link);
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

void
link_greet(struct link *link)
{
	/* On ERR_NOMEM the link was dropped, and another attempt follows. */
	if (send_auth(link) < 0 || send_select(link) < 0 ||
	    send_info(link, "server", on_info_server) < 0 || link->options.asks_only ||
	    send_info(link, "replication", on_info_replication) < 0 ||
	    send_info(link, "memory", on_info_memory) < 0 ||
	    send_script(link, lua_settle, on_settle_loaded) < 0 ||
	    link_load_take(link) < 0)
		return;
}
