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
#define FRONT_OUT_HIGH 262144      /* with more unsent bytes, nothing is read */
#define FRONT_SPARE_EXCHANGES 4096 /* kept for re-use */
#define FRONT_EXCHANGE_BYTES 4096  /* an exchange with a larger buffer frees that */

/*
 * How much work connections may have done in one turn of the loop; the unit is a check.
 * BUDGET is one connection's maximum, so that others are read in between. SHARED is for
 * all together, in equal shares: a turn is what a polite client has to wait for while
 * others flood. LEAST is what each gets in any case.
 */
#define FRONT_TURN_BUDGET 1024
#define FRONT_TURN_SHARED 4096
#define FRONT_TURN_LEAST 32
#define FRONT_CHECK_COST 1
#define FRONT_REQUEST_COST 16   /* any other request */
#define FRONT_ENDPOINT_COST 128 /* one that looks at the whole daemon */
#define FRONT_POLICY_COST 128   /* one that looks at every limit of a policy */

/* Longest request, in bytes, of a client that has yet to show its token. */
#define FRONT_STRANGER_MAX 16384

struct front_conn;

/* How a request is to be answered; HTTP only. */
struct answer_style {
	int deny_status; /* the status of every denial; 0: it depends on the cause */
	bool head_only;  /* the request was a HEAD: no body */
};

/* What a request waits for before it can be answered. To add one: a word here, its row
 * in the table of pipeline.c, and a `format` function in each protocol. */
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
	bool ready; /* the job is done; the answer may be written */
	union {
		struct check *check;
		struct throttle *throttle;
		struct settlement *settlement;
		struct resetting *resetting;
	} work; /* the one that `job` names; owned */
	struct answer_style style;
	/* JOB_NONE: the finished answer. JOB_SETTLEMENT: the reservation's id.
	 * JOB_RESETTING: what is reset, as reset_json_asked() wrote it. */
	struct buf bytes;
};

struct resp_state {
	size_t need; /* bytes of input before another parse is worthwhile */
	int64_t id;  /* what CLIENT ID answers */
	int64_t opened_us, last_us; /* on the loop's clock */
	int protocol;               /* 2 or 3 */
	bool in_multi; /* a MULTI was refused: the commands inside it must not run */
	char *name;    /* CLIENT SETNAME; owned, NULL without one */
};

struct http_state {
	struct http_reader reader;
};

struct front_conn {
	uint32_t magic;
	bool in_data; /* its on_data is running: it must not be freed now */
	bool over;    /* the conn is gone; freed once on_data has returned */
	bool
	    finishing; /* takes no more requests; closes when all owed answers are out */
	bool paused;   /* too many answers are owed to read more */
	bool
	    unread; /* on_data left input: a partial request, or requests whose turn has
			    not come */
	bool authorized; /* may check: no token is asked for, or it has shown one */
	bool proven;     /* it has shown a token; RESP only */
	uint64_t turn;   /* the turn of the loop in which `spent` was spent */
	int spent;       /* of front->share */
	struct front *front;
	struct conn *conn;
	struct exchange *first, *last; /* owed, in the order of the requests */
	size_t n_owed;
	size_t owed_bytes; /* of owed answers that are written already */
	size_t arrived;    /* while it drains: bytes that are still to be taken */
	LIST_ENTRY(front_conn) link;
	union {
		struct resp_state resp;
		struct http_state http;
	} state;
};

LIST_HEAD(front_conn_list, front_conn);

/* Whether a connection must show a token depends on the listener it came over, not on
 * where it came from: behind a proxy on this host, everybody comes from this host. */
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
	uint64_t turn;  /* the last turn of the loop in which requests were taken, */
	size_t n_asked; /* from how many connections, */
	int spent;      /* and how much of FRONT_TURN_SHARED they spent */
	int share;      /* of one connection; by how many asked in the turn before */
	bool parting;   /* front_part() was called */
	bool draining;  /* front_drain() was called */
	struct spares exchanges;
	struct http_response response; /* HTTP's, re-used */
	struct buf body;               /* HTTP's chunked bodies, re-used */
};

struct front_protocol {
	enum metric connections; /* the gauge that counts them */
	/* The longest request with a body of request_max, head and framing included. */
	size_t (*in_max)(size_t request_max);
	/* Initialise and free fc->state. */
	void (*open)(struct front_conn *fc);
	void (*close)(struct front_conn *fc);
	/* Takes one request from the beginning of `data` and answers it, or starts the job
	 * that will. Returns the bytes taken; 0 when more are needed. */
	size_t (*take)(struct front_conn *fc, const char *data, size_t len);
	/* By job: appends the answer once the job is done. */
	void (*format[JOB_COUNT])(
	    struct front_conn *fc, const struct exchange *ex, struct buf *out);
	/* Appends what a client over the maximum is told. */
	void (*refuse)(struct front *front, struct buf *out);
	/* Appends what a client is told last, when it was too slow, sent too much, or was
	 * crowded out. */
	void (*farewell)(struct front_conn *fc, enum conn_end end, struct buf *out);
};

/*
 * pipeline.c: answers leave in the order of the requests.
 *
 * Returns where to append the answer to the request at hand: the connection's output
 * when no earlier answer is owed. NULL when out of memory; the connection is closed then.
 */
struct buf *front_reply(struct front_conn *fc);
/* Starts a check whose decision answers the request at hand. 0, or ERR_NOMEM: then
 * nothing is owed, and the caller has to answer. */
int front_check(struct front_conn *fc, const struct check_request *request,
    struct answer_style style) MUST_CHECK;
/* The same with a throttle. 0, or the error that throttle_start() put into *ei. */
int front_throttle(struct front_conn *fc, const struct throttle_request *request,
    struct errinfo *ei) MUST_CHECK;
/* The same with a settlement and a resetting; errors as their start functions say. */
int front_settlement(struct front_conn *fc, const struct settlement_request *request,
    struct errinfo *ei) MUST_CHECK;
int front_resetting(struct front_conn *fc, const struct reset_request *request,
    struct errinfo *ei) MUST_CHECK;
/* Makes the request at hand the connection's last. Call before answering it. */
void front_finish(struct front_conn *fc);
/* Pauses, resumes or closes the connection, as what it is owed now asks for. Call after
 * requests were taken or answers given. */
void front_settle(struct front_conn *fc);
/* Releases the jobs and drops the answers that are owed. */
void front_drop_owed(struct front_conn *fc);
/* Whether it may take another request now. */
bool front_wants_more(const struct front_conn *fc);
/* The `free` of front->exchanges. */
void front_exchange_free(void *exchange);

/* front.c: writes "the store is unavailable: ..." and returns out. `detail` may be "". */
#define FRONT_FAULT_MAX 512
const char *front_fault(
    enum store_fault fault, const char *detail, char out[FRONT_FAULT_MAX]);

/* front.c: closes the connection without another word, or once all is written. */
void front_conn_close(struct front_conn *fc);
void front_conn_close_after_write(struct front_conn *fc);

#endif
