/* SPDX-License-Identifier: ISC */
/* What the files of net/ share about connections. Nobody else includes this. */
#ifndef NET_CONN_INNER_H
#define NET_CONN_INNER_H

#include <netinet/in.h>
#include <sys/types.h>

#include "net/conn.h"
#include "net/loop_inner.h"

#define CONN_MAGIC 0x434f4e4eu
#define CONN_FLUSH_MS 2000  /* to write the last bytes where write_ms is 0 */
#define CONN_LINGER_MS 1000 /* to let the peer read them before a reset could */

/* A conn only moves forward, and from any state straight to the last. Set by
 * conn_set_state() alone. */
enum conn_state {
	CONN_CONNECTING,
	CONN_HANDSHAKING, /* with TLS */
	CONN_OPEN,
	CONN_FLUSHING,  /* the owner is done with it; the rest is being written */
	CONN_LINGERING, /* our side is shut down; input is thrown away until EOF */
	CONN_CLOSED     /* freed at the end of the turn */
};

/* How bytes get to the other side. recv and send behave as recv(2) and send(2): -1 and
 * errno, EAGAIN when the kernel must be waited for. A transport may hold bytes that the
 * kernel has not taken yet; it then sets conn->holds, and send is called until that is
 * false, with no bytes if there are none. Bytes that send did not count as sent are given
 * to it again, possibly with more behind them. */
struct transport {
	ssize_t (*recv)(struct conn *conn, void *data, size_t len);
	ssize_t (*send)(struct conn *conn, const void *data, size_t len);
	/* Tells the other side that we send no more. NULL: the protocol has no word for
	 * it. */
	void (*say_end)(struct conn *conn);
	/* Explains an errno of recv or send. NULL: strerror does. */
	void (*explain)(const struct conn *conn, int error, struct errinfo *why);
};

extern const struct transport transport_plain;
extern const struct transport transport_tls;

/* The addresses that a connecting conn has not tried yet. */
struct conn_targets;

struct conn {
	struct loop_garbage garbage; /* must stay first */
	uint32_t magic;
	enum conn_state state;
	int fd;
	bool accepted;
	bool paused; /* by the owner */
	bool
	    yielded; /* by the owner, until the next turn; the conn is in loop->later */
	bool busy;   /* the owner owes an answer */
	bool stalled; /* kept input waits for a resume or for room in `out` */
	bool eof;     /* the peer sends no more */
	bool blocked; /* the kernel took less than there was; wait for EV_WRITE */
	bool holds;   /* set by the transport, see there */
	bool send_wants_read;    /* send must wait for EV_READ, not EV_WRITE */
	bool reading, writing;   /* which events are added */
	bool is_dirty, is_again; /* in loop->dirty, in loop->again */

	struct loop *loop;
	const struct transport *transport;
	const struct conn_ops *ops;
	void *arg;
	struct conn_options options;
	struct conn_targets *targets;
	struct tls_session *tls; /* NULL: none */

	struct buf in;     /* what the owner did not consume */
	size_t in_counted; /* how much of its memory loop->group->in_bytes includes */
	struct buf out;
	size_t out_sent; /* bytes of `out`, from its front, that were sent */
	/* loop_now_us() at ... */
	int64_t last_us; /* the last byte in, or the last of an answer out */
	int64_t in_us;   /* the first byte of the message at the front of `in`; 0: there
			    is none, or its sender is not to blame that it waits */
	int64_t out_us;  /* the last progress in writing, or the last change of state */

	struct conn *prev, *next; /* loop->conns */
	TAILQ_ENTRY(conn) dirty_link;
	TAILQ_ENTRY(conn) again_link;
	TAILQ_ENTRY(conn) later_link;
	struct event read_event;
	struct event write_event;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer;
};

/* conn.c */
struct conn *conn_of(void *arg);
struct conn *conn_new(struct loop *loop, const struct conn_options *options,
    const struct conn_ops *ops, void *arg) MUST_CHECK;
void conn_set_state(struct conn *conn, enum conn_state state);
/* Gives the conn its socket and the events on it; takes the fd. */
void conn_attach(struct conn *conn, int fd);
/* Remembers who is at the other end. */
void conn_set_peer(struct conn *conn, const struct sockaddr *sa);
/* Closes it and removes it from everywhere; the memory is freed at the end of the turn. */
void conn_retire(struct conn *conn);
/* Retires it and calls on_end. */
void conn_end(struct conn *conn, enum conn_end end, const struct errinfo *why);
/* Calls on_end, which may append a last word, and closes once that is written. */
void conn_end_with_word(struct conn *conn, enum conn_end end);

/* conn_io.c */
void conn_on_readable(evutil_socket_t fd, short what, void *arg);
void conn_on_writable(evutil_socket_t fd, short what, void *arg);
/* Has the conn written and its wanted events computed at the end of the turn. */
void conn_mark_dirty(struct conn *conn);
/* Accounts for the memory, `now` bytes, that the conn keeps for its input. */
void conn_count_kept(struct conn *conn, size_t now);

/* Whether `error`, an errno of recv or send, only means: try again later. */
bool conn_must_wait(int error);

/* conn_tls.c */
/* Makes it a TLS conn. 0, ERR_NOMEM, or ERR_INVALID. */
int conn_tls_open(struct conn *conn, const struct address *to,
    struct tls_source *source, struct errinfo *ei) MUST_CHECK;
void conn_tls_free(struct conn *conn); /* a conn without TLS is fine */
/* 0: the handshake is done; ERR_AGAIN: conn->blocked says what to wait for;
 * ERR_UNTRUSTED or ERR_IO: `why` says more. */
int conn_tls_handshake(struct conn *conn, struct errinfo *why) MUST_CHECK;
/* Says in *why that the handshake takes too long. */
void conn_tls_tell_wait(const struct conn *conn, struct errinfo *why);

/* conn_connect.c */
/* The socket of a connecting conn became writable: it has connected, or has failed. */
void conn_finish_connect(struct conn *conn);
/* Goes on with the TLS handshake; opens the conn when it is done, ends it if it failed. */
void conn_shake(struct conn *conn);
void conn_targets_free(struct conn_targets *targets);
/* Cancels the name look-up; no event of it reaches the conn any more. */
void conn_stop_lookup(struct conn *conn);

/* For loop.c. Each does one round: what is queued meanwhile waits for the next. */
void conns_flush(struct loop *loop);
void conns_show_again(struct loop *loop);
/* Resumes the conns that yielded in an earlier turn. */
void conns_take_up(struct loop *loop);
/* Ends the conns whose time is up; `arg` is the loop. */
void conns_sweep(void *arg);
void conns_close_all(struct loop *loop);

#endif
