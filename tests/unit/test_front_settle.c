/* SPDX-License-Identifier: ISC */
/* Commits, rollbacks, renewals and resets, over both protocols. */
#include <fcntl.h>

#include "front_fixture.h"

#define COUNTED \
	"*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:2\r\n:3600000\r\n:0\r\n$0\r\n\r\n:0\r\n"
#define NOAUTH "-NOAUTH Authentication required: send AUTH with a token\r\n"

/* What the log says while it is caught. */
static int log_file = -1;
static int log_kept = -1;

static void
catch_log(void)
{
	char name[] = "/tmp/test_front_settle.XXXXXX";

	log_file = mkstemp(name);
	assert_true(log_file >= 0);
	assert_int_equal(unlink(name), 0);
	log_kept = dup(STDERR_FILENO);
	assert_true(log_kept >= 0);
	assert_true(dup2(log_file, STDERR_FILENO) >= 0);
}

static const char *
caught_log(void)
{
	static char text[16384];
	ssize_t n = pread(log_file, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void
drop_log(void)
{
	if (log_kept < 0)
		return;
	dup2(log_kept, STDERR_FILENO);
	close(log_kept);
	close(log_file);
	log_kept = log_file = -1;
}

static int
teardown(void **state)
{
	drop_log();
	return house_teardown(state);
}

static struct house *
open_house(void **state, const struct front_protocol *protocol)
{
	struct house *h = *state;

	house_open(h, protocol, "127.0.0.1:0");
	house_connect(h);
	return h;
}

static bool
all_wait(struct house *h)
{
	return h->late.n == 1 && h->late.n_settles == 3 && h->late.n_resets == 1;
}

static bool
settle_waits(struct house *h)
{
	return h->late.n_settles == 1;
}

static bool
reset_waits(struct house *h)
{
	return h->late.n_resets == 1;
}

static void
test_answers_keep_the_order_of_the_requests(void **state)
{
	struct house *h = open_house(state, &front_resp);

	house_say(h,
	    "COMMIT " RESERVATION "\r\nPING\r\nCHECK counted g\r\n"
	    "rollback " RESERVATION " grant g\r\nRESET p c hour grant=g\r\n"
	    "RENEW " RESERVATION " TTL 5\r\nPING 2\r\n");
	house_run(h, all_wait);
	assert_int_equal(h->late.settles[0]->action, SETTLE_COMMIT);
	assert_int_equal(h->late.settles[1]->action, SETTLE_ROLLBACK);
	assert_int_equal(h->late.settles[2]->action, SETTLE_RENEW);
	assert_int_equal(h->late.settles[2]->ttl_ms, 5000);
	house_answer_settle(h, 2, SETTLE_DONE);
	house_answer_reset(h, 0, FAULT_NONE);
	house_answer_settle(h, 1, SETTLE_ALREADY);
	house_answer(h, 0);
	assert_int_equal(h->got.len, 0);
	house_answer_settle(h, 0, SETTLE_DONE);
	house_expect(h, ":1\r\n+PONG\r\n" COUNTED ":0\r\n:1\r\n:1\r\n$1\r\n2\r\n");
}

/* Both have said something before the loop runs, the greedy one first. */
static int
house_crowd(struct house *h, const char *greedy, int n, const char *modest)
{
	struct buf all = { 0 };
	int first;

	h->options.pending_max = LATE_MAX;
	house_open(h, &front_resp, "127.0.0.1:0");
	house_connect(h);
	first = h->client;
	house_say(h, "PING\r\n");
	house_expect(h, "+PONG\r\n");
	house_connect(h);
	house_say(h, "PING\r\n");
	house_expect(h, "+PONG\r\n");
	/* At once, so that all of it is there. */
	for (int i = 0; i < n; i++)
		buf_add_str(&all, greedy);
	assert_int_equal(send(first, all.data, all.len, MSG_NOSIGNAL), all.len);
	buf_fini(&all);
	house_say(h, modest);
	return first;
}

#define CROWD 20

static bool
all_resets_wait(struct house *h)
{
	return h->late.n_resets == CROWD + 1;
}

static bool
all_takes_wait(struct house *h)
{
	return h->late.n == CROWD + 1;
}

static bool
is_of_h(struct slice key)
{
	return memmem(key.ptr, key.len, "{grant=h}", 9) != NULL;
}

/* Each goes through all limits of a policy, of which there may be many. */
static void
test_many_resets_keep_nobody_waiting(void **state)
{
	struct house *h = *state;
	int greedy =
	    house_crowd(h, "RESET p grant=g\r\n", CROWD, "RESET p grant=h\r\n");
	size_t i = 0;

	house_run(h, all_resets_wait);
	while (!is_of_h(h->late.resets[i]->keys[0]))
		i++;
	assert_in_range(i, 0, 8);
	close(greedy);
}

static void
test_many_usages_keep_nobody_waiting(void **state)
{
	struct house *h = *state;
	int greedy = house_crowd(h, "USAGE g\r\n", CROWD, "CHECK counted h\r\n");
	size_t i = 0;

	house_run(h, all_takes_wait);
	while (!is_of_h(h->late.takes[i]->charges[0].key))
		i++;
	assert_in_range(i, 0, 8);
	close(greedy);
}

static void
test_each_outcome_over_resp(void **state)
{
	static const struct {
		enum settle_status status;
		const char *expect;
	} rows[] = {
		{ SETTLE_DONE, ":1\r\n" },
		{ SETTLE_ALREADY, ":0\r\n" },
		{ SETTLE_UNKNOWN,
		    "-ERR there is no such reservation, or it has expired\r\n" },
		{ SETTLE_FAILED,
		    "-UNAVAILABLE the store is unavailable: the store did not answer "
		    "in time (slow)\r\n" },
	};
	struct house *h = open_house(state, &front_resp);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		h->late.n_settles = 0;
		house_say(h, "COMMIT " RESERVATION " COST 7\r\n");
		house_run(h, settle_waits);
		assert_int_equal(h->late.settles[0]->cost, 7);
		house_answer_settle(h, 0, rows[i].status);
		house_expect(h, rows[i].expect);
	}
}

static void
test_each_error_over_resp(void **state)
{
	static const char *const rows[][2] = {
		{ "COMMIT\r\n", "-ERR COMMIT needs a reservation: " },
		{ "RENEW\r\n", "-ERR RENEW needs a reservation: " },
		{ "RENEW " RESERVATION "\r\n", "-ERR RENEW needs TTL: " },
		{ "ROLLBACK " RESERVATION " COST 1\r\n",
		    "-ERR unknown option \"COST\" of ROLLBACK; " },
		{ "COMMIT x\r\n", "-ERR " },
		{ "COMMIT " RESERVATION " GRANT other\r\n", "-ERR " },
		{ "RESET\r\n", "-ERR RESET needs a policy, " },
		{ "RESET nope global\r\n", "-ERR " },
		{ "RESET p c hour grant=g more\r\n",
		    "-ERR wrong number of arguments for 'reset' command\r\n" },
	};
	struct house *h = open_house(state, &front_resp);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		house_say(h, rows[i][0]);
		house_expect_start(h, rows[i][1]);
		/* One line, and the connection goes on. */
		house_say(h, "PING\r\n");
		h->want = h->got.len + 1;
		while (!strstr(buf_cstr(&h->got), "\r\n+PONG\r\n")) {
			house_run(h, NULL);
			h->want = h->got.len + 1;
		}
		assert_ptr_equal(strstr(buf_cstr(&h->got), "\r\n"),
		    strstr(buf_cstr(&h->got), "\r\n+PONG\r\n"));
		buf_clear(&h->got);
	}
	assert_int_equal(h->late.n_settles + h->late.n_resets, 0);
	assert_int_equal(metric_get(h->cells, METRIC_CHECKS_INVALID), 0);
	assert_int_equal(metric_get(h->cells, METRIC_COMMITS_INVALID), 3);
	assert_int_equal(metric_get(h->cells, METRIC_ROLLBACKS_INVALID), 1);
	assert_int_equal(metric_get(h->cells, METRIC_RENEWS_INVALID), 2);
}

/* A listener that asks no token of checks asks it of these. */
static void
test_settling_needs_a_token_everywhere(void **state)
{
	struct house *h = *state;

	house_use_tokens(h);
	open_house(state, &front_resp);
	house_say(h,
	    "CHECK stop g\r\nCOMMIT x\r\nROLLBACK x\r\nRENEW x TTL 1\r\n"
	    "RESET p global\r\nHELLO 3\r\nCOMMIT x\r\nAUTH wrong\r\nCOMMIT x\r\n");
	h->want = 1;
	while (!strstr(buf_cstr(&h->got),
	    "-WRONGPASS the token is not one of this "
	    "daemon's\r\n" NOAUTH)) {
		house_run(h, NULL);
		h->want = h->got.len + 1;
	}
	assert_non_null(strstr(buf_cstr(&h->got), NOAUTH NOAUTH NOAUTH NOAUTH "%7"));
	assert_memory_equal(h->got.data, "*8\r\n", 4);
	buf_clear(&h->got);
	house_say(h, "AUTH " TOKEN "\r\nCOMMIT " RESERVATION "\r\n");
	house_run(h, settle_waits);
	house_answer_settle(h, 0, SETTLE_DONE);
	house_expect(h, "+OK\r\n:1\r\n");
}

static void
test_hello_shows_a_token_too(void **state)
{
	struct house *h = *state;

	house_use_tokens(h);
	open_house(state, &front_resp);
	house_say(h, "HELLO 2 AUTH any " TOKEN "\r\nCOMMIT " RESERVATION "\r\n");
	house_run(h, settle_waits);
	house_answer_settle(h, 0, SETTLE_DONE);
	house_expect_start(h, "*14\r\n");
}

static void
test_a_client_that_leaves(void **state)
{
	struct house *h = open_house(state, &front_resp);
	const char *text;

	catch_log();
	house_say(h, "COMMIT " RESERVATION "\r\nRESET p c hour grant=g\r\n");
	house_run(h, reset_waits);
	front_free(h->front);
	h->front = NULL;
	assert_int_equal(settler_pending(h->settler), 1);
	house_answer_settle(h, 0, SETTLE_DONE);
	house_answer_reset(h, 0, FAULT_NONE);
	assert_int_equal(settler_pending(h->settler), 0);
	text = caught_log();
	assert_non_null(strstr(text, "reset by 127.0.0.1:"));
	assert_non_null(strstr(text, ", which left before the store answered: "));
	assert_non_null(strstr(text, "grant=g"));
}

static void
test_every_reset_is_logged(void **state)
{
	struct house *h = open_house(state, &front_resp);
	const char *text;

	catch_log();
	house_say(h, "RESET p grant=g\r\n");
	house_run(h, reset_waits);
	house_answer_reset(h, 0, FAULT_NONE);
	house_expect(h, ":1\r\n");
	text = caught_log();
	assert_non_null(strstr(text, "reset by 127.0.0.1:"));
	assert_non_null(
	    strstr(text, ": 1 of 1 counters held something: {\\\"policy\\\":"));
	assert_null(strstr(text, "left before"));

	h->late.n_resets = 0;
	house_say(h, "RESET p c hour grant=g\r\n");
	house_run(h, reset_waits);
	house_answer_reset(h, 0, FAULT_TIMEOUT);
	house_expect(h,
	    "-UNAVAILABLE the store is unavailable: the store did not answer in "
	    "time\r\n");
	assert_non_null(strstr(caught_log(), "it is not known whether it was done"));
}

static const char *end_of_response;

static bool
has_end(struct house *h)
{
	return h->got.len > 0 && strstr(buf_cstr(&h->got), end_of_response);
}

static const char *
hear(struct house *h, const char *end)
{
	end_of_response = end;
	house_run(h, has_end);
	return buf_cstr(&h->got);
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void
post(struct house *h, const char *path, const char *fields, const char *body)
{
	struct buf text = { 0 };

	buf_clear(&h->got);
	buf_printf(&text,
	    "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s"
	    "Content-Length: %zu\r\n\r\n%s",
	    path, fields, strlen(body), body);
	house_say(h, buf_cstr(&text));
	buf_fini(&text);
}

#define BODY "{\"reservation\":\"" RESERVATION "\"}"

static void
test_each_outcome_over_http(void **state)
{
	static const struct {
		const char *path;
		enum settle_status status;
		const char *parts[4];
	} rows[] = {
		{ "/v1/commit", SETTLE_DONE,
		    { "HTTP/1.1 200 OK\r\n", "application/json\r\n",
			"{\"done\":true,\"reservation\":\"" RESERVATION "\"}" } },
		{ "/v1/rollback", SETTLE_ALREADY,
		    { "HTTP/1.1 200 OK\r\n", "{\"done\":false," } },
		{ "/v1/renew", SETTLE_UNKNOWN,
		    { "HTTP/1.1 404 Not Found\r\n", "application/problem+json\r\n",
			"no such reservation" } },
		{ "/v1/commit", SETTLE_FAILED,
		    { "HTTP/1.1 503 ", "application/problem+json\r\n",
			"Retry-After: 1\r\n", "did not answer in time" } },
	};
	struct house *h = open_house(state, &front_http);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *text;

		h->late.n_settles = 0;
		post(h, rows[i].path, "X-Ration-Timeout-Ms: 70\r\n", BODY);
		house_run(h, settle_waits);
		house_answer_settle(h, 0, rows[i].status);
		text = hear(h, "\"}");
		for (size_t k = 0; k < 4 && rows[i].parts[k]; k++)
			assert_has(text, rows[i].parts[k]);
		assert_has(text, "Cache-Control: no-store\r\n");
	}
}

static void
test_each_refusal_over_http(void **state)
{
	static const struct {
		const char *path, *fields, *body, *status, *also;
	} rows[] = {
		{ "/v1/commit", "", "{}", "400", "reservation is missing" },
		{ "/v1/rollback", "", "{\"reservation\":\"r\",\"cost\":1}", "400",
		    "cost" },
		{ "/v1/renew", "", "{\"reservation\":\"x\"}", "400", "" },
		{ "/v1/commit", "",
		    "{\"grant\":\"other\",\"reservation\":\"" RESERVATION "\"}", "409",
		    "" },
		{ "/v1/commit?x=1", "", BODY, "400", "no query" },
		{ "/v1/commit", "Content-Encoding: gzip\r\n", BODY, "415", "" },
		{ "/v1/commit", "X-Ration-Timeout-Ms: x\r\n", BODY, "400",
		    "Timeout-Ms" },
		{ "/v1/commit", "X-Ration-Grant: g\r\n", BODY, "400", "/v1/auth" },
		{ "/v1/commit", "X-Ration-Mode: enforce\r\n", BODY, "400",
		    "has Timeout-Ms here" },
		{ "/v1/reset", "X-Ration-Mode: enforce\r\n", "{\"scope\":\"global\"}",
		    "400", "a reset has none" },
		{ "/v1/reset", "", "{}", "400", "scope is missing" },
		{ "/v1/reset", "", "{\"scope\":\"global\",\"counter\":\"c\"}", "400",
		    "window is missing" },
		{ "/v1/reset", "", "{\"scope\":\"global\",\"policy\":\"nope\"}", "404",
		    "" },
		{ "/v1/reset", "X-Ration-Timeout-Ms: 5\r\n", "{\"scope\":\"global\"}",
		    "400", "is not for a reset" },
	};
	struct house *h = open_house(state, &front_http);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *text;

		post(h, rows[i].path, rows[i].fields, rows[i].body);
		text = hear(h, "\"}");
		if (memcmp(text + strlen("HTTP/1.1 "), rows[i].status, 3) != 0)
			fail_msg("%s %s: %s", rows[i].path, rows[i].body, text);
		assert_has(text, "application/problem+json\r\n");
		assert_has(text, rows[i].also);
	}
	buf_clear(&h->got);
	house_say(h, "GET /v1/reset HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_has(hear(h, "\"}"), "Allow: POST\r\n");
	assert_int_equal(metric_get(h->cells, METRIC_COMMITS_INVALID), 7);
	assert_int_equal(metric_get(h->cells, METRIC_ROLLBACKS_INVALID), 1);
	assert_int_equal(metric_get(h->cells, METRIC_RENEWS_INVALID), 1);
	assert_int_equal(h->late.n_settles + h->late.n_resets, 0);
	assert_int_equal(metric_get(h->cells, METRIC_CHECKS_INVALID), 0);
}

static void
test_a_reset_over_http(void **state)
{
	struct house *h = open_house(state, &front_http);
	const char *text;

	catch_log();
	post(h, "/v1/reset", "",
	    "{\"scope\":\"grant=g\",\"counter\":\"c\",\"window\":\"hour\"}");
	house_run(h, reset_waits);
	house_answer_reset(h, 0, FAULT_NONE);
	text = hear(h, "\"}");
	assert_has(text, "HTTP/1.1 200 OK\r\n");
	assert_has(text,
	    "{\"reset\":1,\"held\":1,\"policy\":null,\"counter\":\"c\","
	    "\"window\":\"hour\",\"scope\":\"grant=g\"}");
	h->late.n_resets = 0;
	post(h, "/v1/reset", "", "{\"scope\":\"grant=g\",\"policy\":\"p\"}");
	house_run(h, reset_waits);
	house_answer_reset(h, 0, FAULT_DISCONNECTED);
	text = hear(h, "\"}");
	assert_has(text, "HTTP/1.1 503 ");
	assert_has(text, "Retry-After: 1\r\n");
}

/* A local listener asks a token of these, not of checks. */
static void
test_http_needs_a_token_everywhere(void **state)
{
	static const char *const paths[] = { "/v1/commit", "/v1/rollback", "/v1/renew",
		"/v1/reset" };
	struct house *h = *state;

	house_use_tokens(h);
	open_house(state, &front_http);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		post(h, paths[i], "", BODY);
		assert_has(hear(h, "\"}"), "HTTP/1.1 401 Unauthorized\r\n");
		post(h, paths[i], "Authorization: Bearer " TOKEN "x\r\n", BODY);
		assert_has(hear(h, "\"}"), "HTTP/1.1 401 Unauthorized\r\n");
	}
	post(h, "/v1/check", "", "{\"tool\":\"free\",\"grant\":\"g\"}");
	assert_has(hear(h, "null}"), "HTTP/1.1 200 OK\r\n");
	post(h, "/v1/commit", "Authorization: Bearer " TOKEN "\r\n", BODY);
	house_run(h, settle_waits);
	house_answer_settle(h, 0, SETTLE_DONE);
	assert_has(hear(h, "\"}"), "HTTP/1.1 200 OK\r\n");
}

#define SETTLES(test) cmocka_unit_test_setup_teardown(test, house_setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SETTLES(test_answers_keep_the_order_of_the_requests),
		SETTLES(test_many_resets_keep_nobody_waiting),
		SETTLES(test_many_usages_keep_nobody_waiting),
		SETTLES(test_each_outcome_over_resp),
		SETTLES(test_each_error_over_resp),
		SETTLES(test_settling_needs_a_token_everywhere),
		SETTLES(test_hello_shows_a_token_too),
		SETTLES(test_a_client_that_leaves),
		SETTLES(test_every_reset_is_logged),
		SETTLES(test_each_outcome_over_http),
		SETTLES(test_each_refusal_over_http),
		SETTLES(test_a_reset_over_http),
		SETTLES(test_http_needs_a_token_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
