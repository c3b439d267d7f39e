/* SPDX-License-Identifier: ISC */
/*
 * libration - ask a ration daemon whether a call may go ahead.
 *
 *	struct ration *r;
 *	struct ration_request req = RATION_REQUEST_INIT;
 *	struct ration_answer ans = RATION_ANSWER_INIT;
 *	char why[200];
 *
 *	if (ration_connect(&r, "127.0.0.1:7481", NULL, why, sizeof(why)) != 0)
 *		... why says what is wrong ...
 *	req.tool = "create_connect_token";
 *	req.grant = "alice-laptop";
 *	rc = ration_check(r, &req, &ans);
 *	if (rc == 0 && ans.verdict == RATION_ALLOW)
 *		... go ahead; the call is charged ...
 *	ration_close(r);
 *
 * What it is: a synchronous client of one daemon over one connection (RESP over TCP or a
 * Unix socket). It keeps that connection, and opens it again when it is gone. It never
 * prints, never exits, installs no signal handler, raises no SIGPIPE and has no global
 * state. File descriptors are close-on-exec.
 *
 * Threads: a struct ration belongs to one thread at a time; any number of them may be
 * used side by side. After fork() only one of the two processes may go on using one.
 *
 * Ownership: what is passed in is borrowed until the call returns. The strings of an
 * answer belong to the struct ration and are valid until the next call on it; they are
 * never NULL, "" stands for none.
 *
 * Errors: functions return 0, or a negative enum ration_error, of which out of memory is
 * one; ration_detail() has the words. After RATION_ERR_TIMEOUT, RATION_ERR_CLOSED,
 * RATION_ERR_PROTOCOL and RATION_ERR_NOMEM nobody knows whether the check was charged.
 * A check with a request_id may then be sent again: it is charged once, however often it
 * is sent, and the library itself sends it a second time when the connection was lost.
 * One without is never sent again by the library, nor should it be by a caller who wants
 * exact counts. The same holds for ration_reserve(). What charges nothing, or has the
 * same effect when it is repeated - a peek, explain, usage, settling, a reset - may always
 * be sent again, and the library does so once. After any other error nothing was charged.
 * An error never spoils the struct ration: the next call connects again if it must.
 *
 * Time: milliseconds. One timeout covers a whole call: connecting if that is needed,
 * sending, and the whole reply. Only the look-up of a host name is not covered; use a
 * numeric address where that matters. A signal does not end a call.
 *
 * Versions: structs that callers fill start with their size, set by the INIT macros
 * (memset() is not enough). A program built against an older header works with a newer
 * library; one built against a newer header gets RATION_ERR_ARGUMENT from an older library
 * as soon as it uses a field that the library does not know.
 */
#ifndef RATION_RATION_H
#define RATION_RATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATION_VERSION_MAJOR 0
#define RATION_VERSION_MINOR 1
#define RATION_VERSION_PATCH 0
#define RATION_VERSION "0.1.0"

#if defined(__GNUC__)
#define RATION_API __attribute__((visibility("default")))
#else
#define RATION_API
#endif

/* Where a daemon listens unless told otherwise. */
#define RATION_DEFAULT_ADDRESS "127.0.0.1:7481"
#define RATION_DEFAULT_TIMEOUT_MS 1000
#define RATION_TIMEOUT_MAX_MS 60000
/* The largest cost: 2^53 - 1. */
#define RATION_COST_MAX INT64_C(9007199254740991)
#define RATION_ATTRIBUTES_MAX 32
#define RATION_REQUEST_ID_MAX 128
#define RATION_TTL_MAX_S 86400
#define RATION_RESERVATION_MAX 512 /* bytes of a reservation, with its NUL */

enum ration_error {
	RATION_ERR_NOMEM = -1,    /* out of memory */
	RATION_ERR_ARGUMENT = -2, /* the caller's arguments; nothing was sent */
	RATION_ERR_CONNECT = -3,  /* no connection in time; nothing was sent */
	RATION_ERR_TIMEOUT = -4,  /* no complete reply in time; may have been charged */
	RATION_ERR_CLOSED = -5,   /* the daemon hung up; may have been charged */
	RATION_ERR_PROTOCOL = -6, /* not a daemon's reply; may have been charged */
	RATION_ERR_AUTH = -7,     /* the token is missing or wrong */
	RATION_ERR_REFUSED = -8, /* the daemon refuses the request: it is malformed, its
	                                id was used for something else, or what it names
	                                does not exist or is another grant's */
	RATION_ERR_UNAVAILABLE = -9, /* the daemon replied that it cannot answer */
	RATION_ERR_NOTFOUND = -10    /* no such reservation, or it has expired */
};

enum ration_verdict {
	RATION_DENY = 0,
	RATION_ALLOW = 1,
	RATION_APPROVAL = 2 /* a human has to approve; not to be treated as allowed */
};

/* What becomes of the charges of a check that is admitted. */
enum ration_mode {
	RATION_ENFORCE = 0, /* they stand */
	RATION_PEEK = 1,    /* none are made: the verdict as if they were */
	RATION_RESERVE = 2  /* they are held until they are settled: ration_reserve() */
};

/* One connection to one daemon. */
struct ration;

struct ration_options {
	size_t size;        /* sizeof(struct ration_options) */
	int64_t timeout_ms; /* of each call, 1 ... 60000; 0: the default */
	const char *token;  /* what the daemon asks for; NULL: none. Copied. */
};
#define RATION_OPTIONS_INIT                            \
	{                                              \
		sizeof(struct ration_options), 0, NULL \
	}

struct ration_attribute {
	const char *name;
	const char *value; /* may be "" */
};

struct ration_request {
	size_t size;       /* sizeof(struct ration_request) */
	const char *tool;  /* required */
	const char *grant; /* required: whose quota */
	/* Here only NULL means none: "" is sent, and refused by the daemon. */
	const char *policy;    /* NULL: the daemon's default */
	const char *session;   /* NULL: none */
	bool has_cost;         /* false: `cost` is ignored and 1 is charged */
	int64_t cost;          /* 0 ... RATION_COST_MAX */
	const char *args_json; /* the call's arguments, a JSON object; NULL: none */
	const struct ration_attribute *attributes;
	size_t n_attributes; /* at most RATION_ATTRIBUTES_MAX */
	/* For this call, instead of the connection's timeout; 0: that one. The daemon is
	 * told to decide in nine tenths of it, so that the answer arrives in time. */
	int64_t timeout_ms;
	/* 1 ... RATION_REQUEST_ID_MAX bytes, new for every call and the same for each retry
	 * of it: if it is admitted, it is charged once. NULL: none. */
	const char *request_id;
	enum ration_mode mode;
	int64_t ttl_s; /* of a reservation, 1 ... RATION_TTL_MAX_S; 0: the daemon's */
};
#define RATION_REQUEST_INIT                                                            \
	{                                                                              \
		sizeof(struct ration_request), NULL, NULL, NULL, NULL, false, 0, NULL, \
		    NULL, 0, 0, NULL, RATION_ENFORCE, 0                                \
	}

/* How a reservation is settled. Every member may stay as the INIT macro sets it. */
struct ration_settle {
	size_t size;        /* sizeof(struct ration_settle) */
	const char *grant;  /* whose reservation it must be; NULL: anybody's */
	bool has_cost;      /* of a commit: `cost` is what was really used */
	int64_t cost;       /* 0 ... RATION_COST_MAX */
	int64_t ttl_s;      /* of a renewal: from now on; 0: 600 */
	int64_t timeout_ms; /* for this call; 0: the connection's; as in a request */
};
#define RATION_SETTLE_INIT                                         \
	{                                                          \
		sizeof(struct ration_settle), NULL, false, 0, 0, 0 \
	}

struct ration_answer {
	size_t size; /* sizeof(struct ration_answer) */
	enum ration_verdict verdict;
	bool degraded;       /* decided without the store of counters */
	bool replayed;       /* the same answer as to an earlier request with that id */
	const char *rule;    /* what decided, "" on allow */
	const char *message; /* for people, "" on allow */
	int64_t remaining;   /* of the tightest limit; -1: there is none */
	int64_t reset_ms;    /* until its window ends; -1: there is none */
	int64_t retry_after_ms;  /* 0: no reason to wait; -1: never */
	const char *reservation; /* "" without one */
};
#define RATION_ANSWER_INIT                                                           \
	{                                                                            \
		sizeof(struct ration_answer), RATION_DENY, false, false, "", "", -1, \
		    -1, 0, ""                                                        \
	}

/* The library's version, which may differ from the header's: "0.1.0". */
RATION_API const char *ration_version(void);

/* A short lower-case phrase for a code; never NULL. */
RATION_API const char *ration_error_text(int error);

/*
 * Connects, and hands over the token where one is set. Addresses: "127.0.0.1:7481",
 * "host:port", "[::1]:7481", "unix:/path"; NULL is RATION_DEFAULT_ADDRESS. `options`
 * may be NULL.
 *
 * 0, and *out is to be closed by the caller; else *out is NULL and `why` (NULL, or
 * `why_size` bytes) has one line: RATION_ERR_ARGUMENT, RATION_ERR_CONNECT (also when the
 * connection failed while the token was sent), RATION_ERR_AUTH, RATION_ERR_REFUSED (a
 * token was given, but the daemon uses none), RATION_ERR_UNAVAILABLE, RATION_ERR_NOMEM.
 */
RATION_API int ration_connect(struct ration **out, const char *address,
    const struct ration_options *options, char *why, size_t why_size);

/* NULL is fine. */
RATION_API void ration_close(struct ration *r);

/*
 * Asks whether the call may go ahead, and if so charges it. 0, and *answer is filled in,
 * whatever the verdict; else any enum ration_error, and *answer is unchanged.
 *
 * A kept connection that turns out to be closed before a byte of the check was sent is
 * opened again, once, within the same timeout; with a request_id also if it is lost later.
 */
RATION_API int ration_check(struct ration *r, const struct ration_request *request,
    struct ration_answer *answer);

/*
 * The same with RATION_RESERVE: an admitted check holds its charges, and the slots of
 * concurrency limits, under answer->reservation, until it is committed or rolled back
 * or its ttl_s is over (then the charges stand and the slots are free). An answer that
 * allows without a reservation is a degraded one: there is nothing to settle.
 *
 * Copy the reservation, which is at most RATION_RESERVATION_MAX bytes, if another call
 * comes before it is settled: the string is only valid until the next call.
 */
RATION_API int ration_reserve(struct ration *r, const struct ration_request *request,
    struct ration_answer *answer);

/*
 * Settle a reservation. Commit: the work was done, at the cost that `how` may give.
 * Rollback: it was not done, and everything is given back. Renew: it takes longer. `how`
 * may be NULL. 0, and *done (which may be NULL) is whether this call did it: false if it
 * had been settled before. RATION_ERR_NOTFOUND when there is no such reservation, or it
 * has expired; RATION_ERR_REFUSED when it is malformed or another grant's; else any enum
 * ration_error. They may be called again after any error.
 */
RATION_API int ration_commit(struct ration *r, const char *reservation,
    const struct ration_settle *how, bool *done);
RATION_API int ration_rollback(struct ration *r, const char *reservation,
    const struct ration_settle *how, bool *done);
RATION_API int ration_renew(struct ration *r, const char *reservation,
    const struct ration_settle *how, bool *done);

/* Which counters are to start again at zero. */
struct ration_counters {
	size_t size;        /* sizeof(struct ration_counters) */
	const char *policy; /* required */
	const char
	    *scope; /* required: "global", "grant=alice-laptop", or several joined
	                        by '&'; %XX for bytes that have a meaning here */
	const char
	    *counter; /* only this one; NULL, together with window: all counters of
				the scope */
	const char *window; /* "minute", "30d", "60", "slots" ... */
	int64_t timeout_ms; /* for this call; 0: the connection's */
};
#define RATION_COUNTERS_INIT                                              \
	{                                                                 \
		sizeof(struct ration_counters), NULL, NULL, NULL, NULL, 0 \
	}

/*
 * Resets counters; for operators. 0, and *counters (which may be NULL) is how many were
 * reset; RATION_ERR_REFUSED when the policy has none of that name and scope; else any
 * enum ration_error. May be called again after any error.
 */
RATION_API int ration_reset(
    struct ration *r, const struct ration_counters *what, int64_t *counters);

/*
 * What ration_check() would answer, and why: every step of the decision, as the JSON
 * object of docs/protocol.md. Charges nothing, so it may be called again after any error.
 * 0, and *json is a string that is valid until the next call on `r` or ration_close();
 * else any enum ration_error, and *json is unchanged.
 */
RATION_API int ration_explain(
    struct ration *r, const struct ration_request *request, const char **json);

/* How the counters of a grant stand, in the same way. It uses only grant, policy and
 * timeout_ms of the request. */
RATION_API int ration_usage(
    struct ration *r, const struct ration_request *request, const char **json);

/* What the daemon says about itself, for operators: lines of "name:value", as in Redis's
 * INFO. 0, and *text is a string that is valid until the next call on `r`; else any enum
 * ration_error, and *text is unchanged. May be called again after any error. */
RATION_API int ration_info(struct ration *r, const char **text);

/* One line about why the last call on `r` failed; "" if it succeeded. It may quote the
 * daemon. Valid until the next call. */
RATION_API const char *ration_detail(const struct ration *r);

#ifdef __cplusplus
}
#endif

#endif
