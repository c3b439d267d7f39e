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

/* Only forwards, and from any state straight to the last; set by conn_set_state(). */
enum conn_state {
	CONN_CONNECTING,
	CONN_HANDSHAKING, /* with TLS */
	CONN_OPEN,
	CONN_FLUSHING,  /* the owner is through with it; the rest is being written */
	CONN_LINGERING, /* all is written and said; input is thrown away until EOF */
	CONN_CLOSED     /* freed at the end of the turn */
};

/* How bytes get to the other side. As recv(2) and send(2): -1 and errno, EAGAIN when
 * the kernel must be waited for. A transport may hold bytes of its own that the kernel
 * did not take yet, and says so in conn->holds: then send is called until it is false,
 * with nothing to send if there is nothing. What send did not say to be sent is given to
 * it again, with more behind it. */
struct transport {
	ssize_t (*recv)(struct conn *conn, void *data, size_t len);
	ssize_t (*send)(struct conn *conn, const void *data, size_t len);
	/* We send no more. NULL: nothing is to be said of it. */
	void (*say_end)(struct conn *conn);
	/* What there is to say of recv's or send's errno. NULL: strerror. */
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
	bool paused;  /* by the owner */
	bool yielded; /* by the owner, until the next turn; it is in loop->later */
	bool busy;    /* the owner owes an answer */
	bool stalled; /* kept input waits for a resume or for room in `out` */
	bool eof;     /* the peer sends no more */
	bool blocked; /* the kernel took less than there was; wait for EV_WRITE */
	bool holds;   /* the transport does; see there */
	bool send_wants_read;  /* it is for EV_READ that send must be waited for */
	bool reading, writing; /* which events are added */
	bool is_dirty, is_again;

	struct loop *loop;
	const struct transport *transport;
	const struct conn_ops *ops;
	void *arg;
	struct conn_options options;
	struct conn_targets *targets;
	struct tls_session *tls; /* NULL: none */

	struct buf in;     /* what the owner did not consume */
	size_t in_counted; /* of its memory, in loop->in_bytes */
	struct buf out;
	size_t out_sent; /* of out, from its front */
	/* loop_now_us() of ... */
	int64_t last_us; /* the last byte in, or the last of an answer out */
	int64_t in_us;   /* the first byte of the message that `in` begins; 0: none, or
			    it is not the sender's fault that it waits */
	int64_t out_us;  /* the last progress in writing, or of the last new state */

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
/* Gives the conn its socket, and the events on it. */
void conn_attach(struct conn *conn, int fd);
/* Remembers who is at the other end. */
void conn_set_peer(struct conn *conn, const struct sockaddr *sa);
/* Closes, removes from everything, leaves the memory to the end of the turn. */
void conn_retire(struct conn *conn);
/* Retires and tells the owner. */
void conn_end(struct conn *conn, enum conn_end end, const struct errinfo *why);
/* Lets the owner say a last word, then closes once it is written. */
void conn_end_with_word(struct conn *conn, enum conn_end end);

/* conn_io.c */
void conn_on_readable(evutil_socket_t fd, short what, void *arg);
void conn_on_writable(evutil_socket_t fd, short what, void *arg);
/* Has the conn written and its wanted events computed at the end of the turn. */
void conn_mark_dirty(struct conn *conn);
void conn_mark_again(struct conn *conn);
/* Counts what the conn keeps of its input; after every change of it. */
void conn_count_input(struct conn *conn);
/* The same, when it is `now` bytes. */
void conn_count_kept(struct conn *conn, size_t now);
/* Whether the owner, or unsent output, keeps input from being shown. */
bool conn_is_held(const struct conn *conn);

/* Whether recv or send failed only for now. */
bool conn_must_wait(int error);

/* conn_tls.c */
/* Makes it a TLS conn. 0, ERR_NOMEM, or ERR_INVALID. */
int conn_tls_open(struct conn *conn, const struct address *to,
    struct tls_source *source, struct errinfo *ei) MUST_CHECK;
void conn_tls_free(struct conn *conn); /* also of one without */
/* 0: it is through; ERR_AGAIN: conn->blocked says for what to wait; ERR_UNTRUSTED or
 * ERR_IO, with why. */
int conn_tls_handshake(struct conn *conn, struct errinfo *why) MUST_CHECK;
/* It takes too long. */
void conn_tls_tell_wait(const struct conn *conn, struct errinfo *why);

/* conn_connect.c */
/* The socket of a connecting conn became writable: it is through or has failed. */
void conn_finish_connect(struct conn *conn);
/* Goes on with the TLS handshake; opens the conn, or ends it. */
void conn_shake(struct conn *conn);
void conn_targets_free(struct conn_targets *targets);
/* No event of a look-up reaches the conn any more. */
void conn_stop_lookup(struct conn *conn);

/* For loop.c. One round each: what is added meanwhile waits for the next. */
void conns_flush(struct loop *loop);
void conns_show_again(struct loop *loop);
/* Those that yielded in an earlier turn go on. */
void conns_take_up(struct loop *loop);
/* Looks after the timeouts; `arg` is the loop. */
void conns_sweep(void *arg);
void conns_close_all(struct loop *loop);

#endif
