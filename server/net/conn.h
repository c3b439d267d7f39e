/* SPDX-License-Identifier: ISC */
/*
 * One byte stream, accepted or connected: TCP, Unix, or TLS. Owners see events in
 * the domain's words, never descriptors or EV_ flags.
 *
 * Reading: bytes arrive in on_data; what the owner does not consume is kept and shown
 * again, with more behind it. A conn that holds no half message and no unsent bytes
 * owns no buffers (an idle one is a few hundred bytes).
 * Writing: append to conn_out(); it leaves at the end of the turn.
 * Back-pressure: while more than `out_high` bytes wait to leave, nothing is read; an
 * owner may stop consuming then, and is shown the rest again once they have left.
 * Half-close: an accepted peer that shut down its sending side still gets what it is
 * owed: on_end(PEER) waits until the owner is not busy (conn_set_busy) and all is
 * written. A connected conn ends at once.
 * Closing: conn_close() may be called anywhere, also inside callbacks; no callback runs
 * after it, memory goes at the end of the turn.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/address.h"
#include "net/loop.h"

struct conn;
struct tls_source;

#define CONN_IN_FAIR 4096 /* bytes of input that each may keep, however full it is */

enum conn_end {
	CONN_END_PEER,   /* the other side closed, or reset */
	CONN_END_IDLE,   /* nothing came for idle_ms, and nothing was owed */
	CONN_END_SLOW,   /* a message took longer than message_ms to arrive, or what we
			    wrote was not read for write_ms */
	CONN_END_FAILED, /* could not connect, or a system error; `why` says it. Its
			    code is ERR_UNTRUSTED where TLS found the other side to be
			    the wrong one, or was found so itself */
	CONN_END_TOOBIG, /* a message is longer than in_max */
	CONN_END_CROWDED /* the loop keeps too much input already, and this one would
			    keep more than CONN_IN_FAIR bytes; only accepted ones */
};

struct conn_ops {
	/* A connect that conn_connect() began is through. NULL for accepted ones. */
	void (*on_open)(void *arg);
	/*
	 * `data` (len > 0) is all that was not consumed yet. Returns how much is
	 * consumed, 0 ... len. The view dies with the return. It is called again only
	 * when more arrives or after conn_resume(), so consume all you can.
	 */
	size_t (*on_data)(void *arg, const char *data, size_t len);
	/* The other side is gone or we gave up; the conn is closed already (do not call
	 * conn_close). `why` may be NULL. Not called after the owner's conn_close().
	 * On IDLE, TOOBIG, CROWDED and SLOW (a message that was too slow; not when we
	 * could not write) what is appended to conn_out() here is still sent: a last
	 * word. */
	void (*on_end)(void *arg, enum conn_end end, const struct errinfo *why);
};

struct conn_options {
	size_t in_max;      /* bytes kept unconsumed; more ends it with TOOBIG */
	size_t out_high;    /* stop reading above so many unsent bytes */
	int64_t idle_ms;    /* 0: never. All three are looked after every 100 ms, with
			       more than 256 conns every 800 ms */
	int64_t message_ms; /* from the first unconsumed byte to a consume; 0: never */
	int64_t write_ms;   /* without progress in writing, or for connecting to be
			       through, and for TLS to be begun; 0: never */
	struct tls_source *tls; /* for conn_connect(), not needed any longer than that:
				   with the context of the moment; NULL: no TLS */
};

/* Takes the connected, non-blocking `fd` (closed also on failure). `options` is
 * copied. NULL when out of memory. */
struct conn *conn_accept(struct loop *loop, int fd, const struct conn_options *options,
    const struct conn_ops *ops, void *arg) MUST_CHECK;

/* Connects; on_open or on_end follows, never before the return. With TLS on_open comes
 * once the other side is verified; that it does not take our certificate may show
 * later. A host name is looked
 * up by getaddrinfo in a thread of its own: the loop never waits for a name server.
 * NULL: ei says why. */
struct conn *conn_connect(struct loop *loop, const struct address *to,
    const struct conn_options *options, const struct conn_ops *ops, void *arg,
    struct errinfo *ei) MUST_CHECK;

/* Where to append what shall be sent; never NULL. Marks the conn for writing. */
struct buf *conn_out(struct conn *conn);
/* Bytes appended and not yet taken by the kernel. */
size_t conn_out_pending(const struct conn *conn);

/* Stops and resumes on_data (the bytes wait, in the kernel where possible). */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* For on_data, before it returns: what it leaves is shown again in the next turn, when
 * others have been read, and nothing more is read before. */
void conn_yield(struct conn *conn);

/* Reads what has arrived now, up to what a message may have. on_data or on_end may run
 * before the return, and the conn may be closed then. */
void conn_read_now(struct conn *conn);

/* Whether something has arrived that on_data was not shown yet, or the peer's end. */
bool conn_has_news(const struct conn *conn) MUST_CHECK;

/* The owner still owes an answer: no idle end, and no end after a half-close, until it
 * is false again. */
void conn_set_busy(struct conn *conn, bool busy);

void conn_close(struct conn *conn);
/* Reads no more, closes once all is written (or the peer does not read it within
 * write_ms, or 2 s). No callback runs any more. What still arrives is thrown away for
 * up to a second, so that a reset does not overtake the last answer. */
void conn_close_after_write(struct conn *conn);

/* While on_open has not come: what is waited for, as a fault. */
void conn_tell_wait(const struct conn *conn, struct errinfo *why);

/* The far end, for logs; a view that the next call on the same loop overwrites. */
const char *conn_peer(const struct conn *conn);

#endif
