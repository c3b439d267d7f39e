/* SPDX-License-Identifier: ISC */
/* What the tests of ration_check() ask a scripted daemon, and hear from it. */
#ifndef CLIENT_ASK_H
#define CLIENT_ASK_H

#include "client_peer.h"
#include "ration/ration.h"

#define CHECK_T_G "*3\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n"
#define ALLOW "*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:29\r\n:41000\r\n:0\r\n$0\r\n\r\n:0\r\n"
#define DENY                                                                       \
	"*8\r\n:0\r\n$18\r\n/tools/t/limits/\xc3\xa9\r\n$8\r\ntoo\nmany\r\n:0\r\n" \
	":1200\r\n:1200\r\n$2\r\nr1\r\n:3\r\n"
/* The answer above up to its numbers. */
#define HEAD "*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n"
/* The same with a request id and its answer; what settles that. */
#define RESERVED \
	"*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:2\r\n:5000\r\n:0\r\n$5\r\np:g:h\r\n:2\r\n"
#define CHECK_ID "*5\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n$2\r\nID\r\n$2\r\ni1\r\n"
#define COMMIT_R "*2\r\n$6\r\nCOMMIT\r\n$5\r\np:g:h\r\n"
#define TIMEOUT_MS 10000 /* of what is to succeed: far away */

static inline struct ration *
client(const struct peer *p, int64_t timeout_ms)
{
	struct ration_options options = RATION_OPTIONS_INIT;
	struct ration *r;
	char why[256];

	options.timeout_ms = timeout_ms;
	if (ration_connect(&r, p->address, &options, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	return r;
}

/* A client of a peer that plays `steps`. */
static inline struct ration *
begin(struct peer *p, const struct peer_step *steps)
{
	peer_start(p, steps);
	return client(p, TIMEOUT_MS);
}

/* The client goes first; then the peer has to have played all its steps. */
static inline void
end(struct ration *r, struct peer *p)
{
	ration_close(r);
	peer_end(p);
}

static inline int
check(struct ration *r, struct ration_answer *answer)
{
	struct ration_request request = RATION_REQUEST_INIT;
	struct ration_answer other = RATION_ANSWER_INIT;

	request.tool = "t";
	request.grant = "g";
	return ration_check(r, &request, answer ? answer : &other);
}

/* One check of t for g against a peer that answers `reply`, then keeps silent. */
static inline int
check_against(const char *reply, enum peer_do how, int64_t timeout_ms,
    struct ration_answer *answer)
{
	struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ how, reply, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct peer p;
	struct ration *r;
	int rc;

	peer_start_unix(&p, steps);
	r = client(&p, timeout_ms);
	rc = check(r, answer);
	assert_int_equal(rc == 0, ration_detail(r)[0] == '\0');
	end(r, &p);
	return rc;
}

static inline struct ration_request
request_with(const char *id, enum ration_mode mode, int64_t ttl_s)
{
	struct ration_request q = RATION_REQUEST_INIT;

	q.tool = "t";
	q.grant = "g";
	q.request_id = id;
	q.mode = mode;
	q.ttl_s = ttl_s;
	return q;
}

#endif
