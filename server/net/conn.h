/* SPDX-License-Identifier: ISC */
/*
 * One byte stream, accepted or connected: TCP, Unix, or TLS. Owners see events in
 * the domain's words, never descriptors or EV_ flags.
 *
 * Reading: bytes arrive in on_data; what the owner does not consume is kept and shown
 * again, followed by what came after it. A conn without a partial message or unsent
 * bytes owns no buffers (an idle one costs a few hundred bytes).
 * Writing: append to conn_out(); the bytes leave at the end of the turn.
 * Back-pressure: while more than `out_high` bytes wait to leave, nothing is read; an
 * owner may stop consuming then, and is shown the rest again once they have left.
 * Half-close: an accepted peer that shut down its sending side still gets what it is
 * owed: on_end(PEER) waits until the owner is no longer busy (conn_set_busy) and
 * everything is written. A connected conn ends at once.
 * Closing: conn_close() may be called anywhere, also inside callbacks; no callback runs
 * after it, and the memory is freed at the end of the turn.
 *
 * Threads: a conn belongs to its loop's thread.
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

#define CONN_IN_FAIR 4096 /* bytes of input that each may keep even in a full group */

enum conn_end {
	CONN_END_PEER,   /* the other side closed, or reset */
	CONN_END_IDLE,   /* nothing came for idle_ms, and nothing was owed */
	CONN_END_SLOW,   /* a message took longer than message_ms to arrive, or what we
			    wrote was not read for write_ms */
	CONN_END_FAILED, /* could not connect, or a system error; `why` says which. Its
			    code is ERR_UNTRUSTED where TLS rejected the other side's
			    certificate, or the other side ours */
	CONN_END_TOOBIG, /* a message is longer than in_max */
	CONN_END_CROWDED /* the loop's group keeps too much input already, and this conn
			    would keep more than CONN_IN_FAIR bytes; only accepted ones */
};

struct conn_ops {
	/* What conn_connect() began has succeeded. NULL for accepted ones. */
	void (*on_open)(void *arg);
	/*
	 * `data` (len > 0) is everything not consumed yet; the view is valid until the
	 * return. Returns how many bytes it consumed, 0 ... len. It is called again only
	 * when more arrives or after conn_resume(), so consume all you can.
	 */
	size_t (*on_data)(void *arg, const char *data, size_t len);
	/* The other side is gone or we gave up; the conn is closed already (do not call
	 * conn_close). `why` may be NULL. Not called after the owner's conn_close().
	 * A last word: what is appended to conn_out() in here is still sent on IDLE,
	 * TOOBIG, CROWDED, and on SLOW when it was a message that was slow (not when we
	 * could not write). */
	void (*on_end)(void *arg, enum conn_end end, const struct errinfo *why);
};

struct conn_options {
	size_t in_max;      /* bytes kept unconsumed; more ends it with TOOBIG */
	size_t out_high;    /* stop reading above this many unsent bytes */
	int64_t idle_ms;    /* 0: never. All three times are checked every 100 ms, or
			       every 800 ms with more than 256 conns */
	int64_t message_ms; /* from the first unconsumed byte until one is consumed;
			       0: never */
	int64_t write_ms;   /* without progress in writing; also for connecting, and
			       for the TLS handshake; 0: never */
	struct tls_source *tls; /* for conn_connect(), which uses its current context;
				   need not outlive that call. NULL: no TLS */
};

/* Takes the connected, non-blocking `fd` (closed also on failure). `options` is
 * copied. NULL when out of memory. */
struct conn *conn_accept(struct loop *loop, int fd, const struct conn_options *options,
    const struct conn_ops *ops, void *arg) MUST_CHECK;

/* Connects; on_open or on_end follows, never before the return. With TLS, on_open comes
 * once the other side is verified; whether it accepts our certificate may only show
 * later. A host name is looked up by getaddrinfo in a thread of its own, so the loop
 * never waits for a name server. NULL: ei says why. */
struct conn *conn_connect(struct loop *loop, const struct address *to,
    const struct conn_options *options, const struct conn_ops *ops, void *arg,
    struct errinfo *ei) MUST_CHECK;

/* Where to append what is to be sent; never NULL. Marks the conn for writing. */
struct buf *conn_out(struct conn *conn);
/* Bytes appended and not yet taken by the kernel. */
size_t conn_out_pending(const struct conn *conn);

/* Stop and resume on_data (the bytes wait, in the kernel where possible). */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* To be called from on_data: what it does not consume is shown again in the next turn,
 * after other conns had theirs; until then nothing more is read from this one. */
void conn_yield(struct conn *conn);

/* Reads what has arrived by now, up to the longest message. on_data or on_end may run
 * before the return, and may leave the conn closed. */
void conn_read_now(struct conn *conn);

/* Bytes that have arrived and that on_data did not consume. */
size_t conn_arrived(const struct conn *conn) MUST_CHECK;

/* Whether on_data will be called for what is there, without more arriving. */
bool conn_shows_again(const struct conn *conn) MUST_CHECK;

/* Whether bytes that on_data has not seen, or the peer's end, have arrived. */
bool conn_has_news(const struct conn *conn) MUST_CHECK;

/* True: the owner still owes an answer, so the conn neither ends as idle nor after a
 * half-close until this is false again. */
void conn_set_busy(struct conn *conn, bool busy);

void conn_close(struct conn *conn);
/* Reads no more, and closes once everything is written, or the peer has not read it for
 * write_ms (2 s where that is 0). No callback runs any more. What still arrives is
 * thrown away for up to a second: closing with unread input would send a reset, which
 * may overtake the last answer. */
void conn_close_after_write(struct conn *conn);

/* Before on_open: puts what the conn is waiting for into *why, worded as a fault. */
void conn_tell_wait(const struct conn *conn, struct errinfo *why);

/* The address of the far end, for logs; a view that the next call on the same loop
 * overwrites. */
const char *conn_peer(const struct conn *conn);

#endif
