/* SPDX-License-Identifier: ISC */
/*
 * One Sentinel: a connection to it that asks which server is the master, listens for
 * failovers, and asks again whenever one is announced, and every ten seconds. When it is
 * lost, it connects again, for ever, after growing, jittered pauses. A connection whose
 * answer takes longer than two seconds is given up.
 *
 * What a Sentinel said counts only while it is connected.
 *
 * Threads: belongs to its loop's thread. No callback may free the Sentinel that calls it.
 */
#ifndef REDIS_SENTINEL_H
#define REDIS_SENTINEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/tls.h"
#include "redis/url.h"
#include "store/store.h"

#define SENTINEL_ID_LEN 40

struct sentinel;

/* What it says about the master. */
struct sentinel_answer {
	struct address master;
	int64_t epoch; /* of the configuration; grows with every failover */
};

struct sentinel_ops {
	/* It has named the master; sentinel_answer() has it. */
	void (*on_answer)(void *arg);
	/* It knows another Sentinel of this master; `id` may be absent. */
	void (*on_other)(void *arg, const struct address *address, struct slice id);
	/* It has just told this replica to become the master. Until it has seen that
	 * happen, which takes up to a second, it goes on naming the old master, and what
	 * is charged there meanwhile is lost. */
	void (*on_promotion)(void *arg, const struct address *to);
	/* Its own id is now known. */
	void (*on_id)(void *arg, struct sentinel *from);
	/* It is lost, refuses us or does not know the master; sentinel_fault() says. */
	void (*on_trouble)(void *arg, struct sentinel *from);
};

struct sentinel_options {
	struct loop *loop;
	const struct redis_url *url;   /* borrowed: the master's name, user, password */
	struct tls_source *tls;        /* borrowed; NULL without TLS */
	const struct address *address; /* copied */
	bool listed;                   /* in the URL: its troubles are logged */
	const struct sentinel_ops *ops;
	void *arg;
};

/* Begins to connect at the next turn. NULL when out of memory. */
struct sentinel *sentinel_new(const struct sentinel_options *options) MUST_CHECK;
/* NULL is fine. */
void sentinel_free(struct sentinel *s);

/* Asks now, or as soon as the answer to the last question has come. Does nothing while it
 * is not connected: it asks as soon as it is. */
void sentinel_ask(struct sentinel *s);

/* What it said last, a view; NULL while it has said nothing. */
const struct sentinel_answer *sentinel_answer(const struct sentinel *s);

/* The last fault and its text; FAULT_NONE when there is none. */
enum store_fault sentinel_fault(const struct sentinel *s, const char **text);

const struct address *sentinel_address(const struct sentinel *s);
/* Its own id, SENTINEL_ID_LEN bytes; absent while unknown. */
struct slice sentinel_id(const struct sentinel *s);

#endif
