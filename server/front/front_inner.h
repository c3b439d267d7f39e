/* SPDX-License-Identifier: ISC */
/*
 * What the files of front/ share: one client's connection, what it is owed, and what a
 * protocol brings. Nobody else includes this.
 */
#ifndef FRONT_FRONT_INNER_H
#define FRONT_FRONT_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/spares.h"
#include "check/resetting.h"
#include "front/front.h"
#include "net/conn.h"
#include "net/listener.h"
#include "wire/http.h"

#define FRONT_MAGIC 0x46524f4eu
#define FRONT_OUT_HIGH 262144      /* unsent bytes; above, nothing is read */
#define FRONT_SPARE_EXCHANGES 4096 /* kept for re-use */
#define FRONT_EXCHANGE_BYTES 4096  /* a larger buffer is not kept */

/* What one connection may use up of one turn, so that others are read in between; what
 * all of them may, in equal shares, since a turn is what a polite client waits for when
 * many flood; and what each has in any case. */
#define FRONT_TURN_BUDGET 1024
#define FRONT_TURN_SHARED 4096
#define FRONT_TURN_LEAST 32
#define FRONT_CHECK_COST 1
#define FRONT_REQUEST_COST 16   /* any other request */
#define FRONT_ENDPOINT_COST 128 /* what looks at the whole daemon */
#define FRONT_POLICY_COST 128   /* what looks at every limit of a policy */

/* Bytes of one request of a client that has not shown its token yet. */
#define FRONT_STRANGER_MAX 16384

struct front_conn;

/* How it shall be answered; HTTP only. */
struct answer_style {
	int deny_status; /* of every denial; 0: by its cause */
	bool head_only;
};

/* What is started for a request and answers it. Adding one: here, its row in the table
 * of pipeline.c, and how each protocol writes its answer. */
enum job {
	JOB_NONE, /* the answer is written already */
	JOB_CHECK,
	JOB_THROTTLE,
	JOB_SETTLEMENT,
	JOB_RESETTING,
	JOB_COUNT
};

/* One request whose answer could not leave at once. */
struct exchange {
	struct spare spare; /* must stay first */
	struct exchange *next;
	struct front_conn *owner;
	enum job job;
	bool ready; /* the job is done */
	union {
		struct check *check;
		struct throttle *throttle;
		struct settlement *settlement;
		struct resetting *resetting;
	} work; /* of the job */
	struct answer_style style;
	/* JOB_NONE: the answer. JOB_SETTLEMENT: the reservation's id. JOB_RESETTING: what
	 * is reset (reset_json_asked()). */
	struct buf bytes;
};

struct resp_state {
	size_t need;                /* least input worth another parse */
	int64_t id;                 /* of CLIENT ID */
	int64_t opened_us, last_us; /* on the loop's clock */
	int protocol;               /* 2 or 3 */
	bool in_multi; /* a MULTI was refused: what it holds must not be run */
	char *name;    /* CLIENT SETNAME; owned, NULL without one */
};

struct http_state {
	struct http_reader reader;
};

struct front_conn {
	uint32_t magic;
	bool in_data;   /* its on_data runs; it must not be freed */
	bool over;      /* the conn is gone; freed once nobody looks at it */
	bool finishing; /* no more requests; closes when all owed answers are out */
	bool paused;    /* it is owed too much to read more */
	bool unread; /* on_data left something: half a request, or all it may not take
			    yet */
	bool authorized; /* for checks: it need not show a token, or has */
	bool proven;     /* a token was shown on it; RESP only */
	uint64_t turn;   /* in which `spent` was spent */
	int spent;       /* of its share */
	struct front *front;
	struct conn *conn;
	struct exchange *first, *last; /* owed, in the order of the requests */
	size_t n_owed;
	size_t owed_bytes; /* of those that are written already */
	LIST_ENTRY(front_conn) link;
	union {
		struct resp_state resp;
		struct http_state http;
	} state;
};

LIST_HEAD(front_conn_list, front_conn);

/* Which listener a connection came over decides whether it must show a token, not from
 * where: behind a proxy of this host everybody comes from this host. */
struct front_listener {
	struct front *front;
	struct listener *listener;
};

struct front {
	struct loop *loop;
	const struct front_protocol *protocol;
	struct front_options options;
	struct conn_options conn_options;
	struct front_listener **listeners;
	size_t n_listeners;
	struct front_conn_list conns;
	size_t n_conns;
	uint64_t turn;  /* the last one in which requests were taken, */
	size_t n_asked; /* from so many connections, */
	int spent;      /* so much of FRONT_TURN_SHARED */
	int share;      /* of each; by how many asked in the turn before */
	bool parting;   /* front_part() */
	bool draining;
	struct spares exchanges;
	struct http_response response; /* HTTP's, re-used */
	struct buf body;               /* HTTP's chunked bodies, re-used */
};

struct front_protocol {
	enum metric connections;
	/* Most bytes of one request that is still read, whatever is around its body. */
	size_t (*in_max)(size_t request_max);
	void (*open)(struct front_conn *fc);
	void (*close)(struct front_conn *fc);
	/* Takes one request from the front of `data` and answers it, or begins to. The
	 * bytes it took; 0 when more are needed. */
	size_t (*take)(struct front_conn *fc, const char *data, size_t len);
	/* Append the answer of a job that is done. */
	void (*format[JOB_COUNT])(
	    struct front_conn *fc, const struct exchange *ex, struct buf *out);
	/* Appends the word to a client that is one too many. */
	void (*refuse)(struct front *front, struct buf *out);
	/* Appends a last word to a client that was too slow, sent too much, or could not
	 * be kept waiting any more. */
	void (*farewell)(struct front_conn *fc, enum conn_end end, struct buf *out);
};

/*
 * pipeline.c: answers in the order of the requests.
 *
 * Where the answer to the request at hand goes: straight into the output when nothing
 * is owed before it. NULL when out of memory; the connection is over then.
 */
struct buf *front_reply(struct front_conn *fc);
/* Starts a check that answers the request at hand. 0, or ERR_NOMEM: nothing is owed. */
int front_check(struct front_conn *fc, const struct check_request *request,
    struct answer_style style) MUST_CHECK;
/* Starts a throttle that answers the request at hand. 0, or what throttle_start() put
 * into *ei: nothing is owed. */
int front_throttle(struct front_conn *fc, const struct throttle_request *request,
    struct errinfo *ei) MUST_CHECK;
/* The same with what settlement_start() and resetting_start() say. */
int front_settlement(struct front_conn *fc, const struct settlement_request *request,
    struct errinfo *ei) MUST_CHECK;
int front_resetting(struct front_conn *fc, const struct reset_request *request,
    struct errinfo *ei) MUST_CHECK;
/* The request at hand is the last one. Call before answering it. */
void front_finish(struct front_conn *fc);
/* What follows once requests were taken or answers given. */
void front_settle(struct front_conn *fc);
/* Forgets all that is owed. */
void front_drop_owed(struct front_conn *fc);
bool front_wants_more(const struct front_conn *fc);
/* For the front's spares. */
void front_exchange_free(void *exchange);

/* front.c: "the store is unavailable: ..."; returns out. `detail` may be "". */
#define FRONT_FAULT_MAX 512
const char *front_fault(
    enum store_fault fault, const char *detail, char out[FRONT_FAULT_MAX]);

/* front.c: closes it without another word. */
void front_conn_close(struct front_conn *fc);
void front_conn_close_after_write(struct front_conn *fc);

#endif
