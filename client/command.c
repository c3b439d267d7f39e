/* SPDX-License-Identifier: ISC */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

/* CHECK tool grant, eight options of two words, and three words for each attribute. */
#define WORDS_MAX (3 + 8 * 2 + 3 * RATION_ATTRIBUTES_MAX)

#define TTL_DEFAULT_S 600 /* of a renewal that gives none */

struct words {
	const char *text[WORDS_MAX]; /* borrowed */
	size_t len[WORDS_MAX];
	int n;
	size_t bytes;
};

static void
add(struct words *w, const char *text)
{
	w->text[w->n] = text;
	w->len[w->n] = strlen(text);
	w->bytes += w->len[w->n];
	w->n++;
}

/* Only NULL means "not given". An empty string is sent, so that the daemon refuses it: it
 * comes from a variable that was not set, and dropping it would ask for another limit. */
static void
add_option(struct words *w, const char *name, const char *value)
{
	if (!value)
		return;
	add(w, name);
	add(w, value);
}

static int
format(struct command *c, struct words *w, struct failure *f)
{
	int64_t len;

	if (w->bytes > COMMAND_BYTES_MAX)
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "the request is longer than %u bytes", COMMAND_BYTES_MAX);
	len = redisFormatCommandArgv(&c->data, w->n, w->text, w->len);
	if (len < 0) {
		c->data = NULL;
		return ration_failure_set(f, RATION_ERR_NOMEM, "out of memory");
	}
	c->len = (size_t)len;
	return 0;
}

static int
validate(const struct ration_request *q, struct failure *f)
{
	if (!q->tool || !q->tool[0] || !q->grant || !q->grant[0])
		return ration_failure_set(
		    f, RATION_ERR_ARGUMENT, "a request needs a tool and a grant");
	if (q->has_cost && (q->cost < 0 || q->cost > RATION_COST_MAX))
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "cost is %" PRId64 ", but has to be 0 to %" PRId64, q->cost,
		    RATION_COST_MAX);
	if (q->n_attributes > RATION_ATTRIBUTES_MAX)
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "more than %d attributes", RATION_ATTRIBUTES_MAX);
	if (q->n_attributes > 0 && !q->attributes)
		return ration_failure_set(f, RATION_ERR_ARGUMENT, "attributes is NULL");
	for (size_t i = 0; i < q->n_attributes; i++)
		if (!q->attributes[i].name || !q->attributes[i].value)
			return ration_failure_set(f, RATION_ERR_ARGUMENT,
			    "attribute %zu lacks a name or a value", i + 1);
	return 0;
}

static int
validate_mode(const struct ration_request *q, struct failure *f)
{
	size_t len = q->request_id ? strlen(q->request_id) : 1;

	if (len < 1 || len > RATION_REQUEST_ID_MAX)
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "a request id has 1 to %d bytes, not %zu", RATION_REQUEST_ID_MAX,
		    len);
	if ((unsigned)q->mode > RATION_RESERVE)
		return ration_failure_set(
		    f, RATION_ERR_ARGUMENT, "mode is not an enum ration_mode");
	if (q->ttl_s < 0 || q->ttl_s > RATION_TTL_MAX_S)
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "ttl_s is %" PRId64 ", but has to be 0 to %d", q->ttl_s,
		    RATION_TTL_MAX_S);
	if (q->ttl_s > 0 && q->mode != RATION_RESERVE)
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "ttl_s belongs to a reservation: ration_reserve()");
	return 0;
}

/* Adds an option with a number; leaves it out if it is optional and 0. */
struct number {
	char text[24];
};

static const char *
number_of(struct number *to, bool given, int64_t value)
{
	snprintf(to->text, sizeof(to->text), "%" PRId64, value);
	return given ? to->text : NULL;
}

static int
command_of(struct command *c, const char *name, const struct ration_request *q,
    int64_t decide_ms, struct failure *f)
{
	struct words w = { .n = 0 };
	static const char *const modes[] = { NULL, "peek", "reserve" };
	struct number cost, timeout, ttl;
	int rc = validate(q, f);

	if (rc == 0)
		rc = validate_mode(q, f);
	if (rc != 0)
		return rc;
	add(&w, name);
	add(&w, q->tool);
	add(&w, q->grant);
	add_option(&w, "POLICY", q->policy);
	add_option(&w, "SESSION", q->session);
	add_option(&w, "COST", number_of(&cost, q->has_cost, q->cost));
	add_option(&w, "ID", q->request_id);
	add_option(&w, "ARGS", q->args_json);
	add_option(&w, "MODE", modes[q->mode]);
	add_option(&w, "TTL", number_of(&ttl, q->ttl_s > 0, q->ttl_s));
	add_option(&w, "TIMEOUT", number_of(&timeout, decide_ms > 0, decide_ms));
	for (size_t i = 0; i < q->n_attributes; i++) {
		add(&w, "ATTR");
		add(&w, q->attributes[i].name);
		add(&w, q->attributes[i].value);
	}
	return format(c, &w, f);
}

int
ration_command_check(struct command *c, const struct ration_request *q,
    int64_t decide_ms, struct failure *f)
{
	return command_of(c, "CHECK", q, decide_ms, f);
}

int
ration_command_explain(struct command *c, const struct ration_request *q,
    int64_t decide_ms, struct failure *f)
{
	return command_of(c, "EXPLAIN", q, decide_ms, f);
}

int
ration_command_usage(struct command *c, const struct ration_request *q,
    int64_t decide_ms, struct failure *f)
{
	struct words w = { .n = 0 };

	(void)decide_ms;
	if (!q->grant || !q->grant[0])
		return ration_failure_set(
		    f, RATION_ERR_ARGUMENT, "a request needs a grant");
	add(&w, "USAGE");
	add(&w, q->grant);
	add_option(&w, "POLICY", q->policy);
	return format(c, &w, f);
}

int
ration_command_info(struct command *c, const struct ration_request *q,
    int64_t decide_ms, struct failure *f)
{
	struct words w = { .n = 0 };

	(void)q;
	(void)decide_ms;
	add(&w, "INFO");
	return format(c, &w, f);
}

static int
validate_settle(
    const char *reservation, const struct ration_settle *how, struct failure *f)
{
	if (!reservation || !reservation[0])
		return ration_failure_set(
		    f, RATION_ERR_ARGUMENT, "a reservation is needed");
	if (how->has_cost && (how->cost < 0 || how->cost > RATION_COST_MAX))
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "cost is %" PRId64 ", but has to be 0 to %" PRId64, how->cost,
		    RATION_COST_MAX);
	if (how->ttl_s < 0 || how->ttl_s > RATION_TTL_MAX_S)
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "ttl_s is %" PRId64 ", but has to be 0 to %d", how->ttl_s,
		    RATION_TTL_MAX_S);
	return 0;
}

/* The commands that end or prolong a reservation, and what each takes. */
struct settling {
	const char *name;
	bool takes_cost;
	bool takes_ttl; /* which is then always sent */
};

static int
settle_of(struct command *c, struct settling s, const char *reservation,
    const struct ration_settle *how, struct failure *f)
{
	struct words w = { .n = 0 };
	struct number cost, ttl, timeout;
	int rc = validate_settle(reservation, how, f);

	if (rc == 0 && how->has_cost && !s.takes_cost)
		rc = ration_failure_set(
		    f, RATION_ERR_ARGUMENT, "a cost belongs to a commit");
	if (rc == 0 && how->ttl_s > 0 && !s.takes_ttl)
		rc = ration_failure_set(
		    f, RATION_ERR_ARGUMENT, "ttl_s belongs to a renewal");
	if (rc != 0)
		return rc;
	add(&w, s.name);
	add(&w, reservation);
	add_option(&w, "COST", number_of(&cost, how->has_cost, how->cost));
	add_option(&w, "TTL",
	    number_of(&ttl, s.takes_ttl, how->ttl_s > 0 ? how->ttl_s : TTL_DEFAULT_S));
	add_option(&w, "GRANT", how->grant);
	/* The daemon is told to decide by then, so that its answer still arrives. */
	add_option(&w, "TIMEOUT",
	    number_of(&timeout, how->timeout_ms > 0,
		how->timeout_ms > 1 ? how->timeout_ms * 9 / 10 : 1));
	return format(c, &w, f);
}

int
ration_command_commit(struct command *c, const char *reservation,
    const struct ration_settle *how, struct failure *f)
{
	return settle_of(
	    c, (struct settling){ "COMMIT", true, false }, reservation, how, f);
}

int
ration_command_rollback(struct command *c, const char *reservation,
    const struct ration_settle *how, struct failure *f)
{
	return settle_of(
	    c, (struct settling){ "ROLLBACK", false, false }, reservation, how, f);
}

int
ration_command_renew(struct command *c, const char *reservation,
    const struct ration_settle *how, struct failure *f)
{
	return settle_of(
	    c, (struct settling){ "RENEW", false, true }, reservation, how, f);
}

int
ration_command_reset(
    struct command *c, const struct ration_counters *what, struct failure *f)
{
	struct words w = { .n = 0 };

	if (!what->policy || !what->policy[0] || !what->scope || !what->scope[0])
		return ration_failure_set(
		    f, RATION_ERR_ARGUMENT, "a reset needs a policy and a scope");
	if (!what->counter != !what->window)
		return ration_failure_set(f, RATION_ERR_ARGUMENT,
		    "a reset's counter and window belong together");
	add(&w, "RESET");
	add(&w, what->policy);
	if (what->counter) {
		add(&w, what->counter);
		add(&w, what->window);
	}
	add(&w, what->scope);
	return format(c, &w, f);
}

int
ration_command_auth(struct command *c, const char *token, struct failure *f)
{
	struct words w = { .n = 0 };

	add(&w, "AUTH");
	add(&w, token);
	return format(c, &w, f);
}

void
ration_command_fini(struct command *c)
{
	if (c->data)
		redisFreeCommand(c->data);
	c->data = NULL;
	c->len = 0;
}

int
ration_command_error(const struct reply_reader *rr, struct failure *f)
{
	/* The first row whose words the text begins with, up to a space or the end. */
	static const struct {
		const char *start;
		int code;
	} table[] = {
		{ "ERR max number of clients", RATION_ERR_UNAVAILABLE },
		{ "ERR out of memory", RATION_ERR_UNAVAILABLE },
		{ "ERR there is no such reservation,", RATION_ERR_NOTFOUND },
		{ "ERR", RATION_ERR_REFUSED },
		{ "NOAUTH", RATION_ERR_AUTH },
		{ "WRONGPASS", RATION_ERR_AUTH },
		{ "NOPERM", RATION_ERR_AUTH },
	};
	const char *text = ration_reply_text(rr, 0);

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].start);

		if (strncmp(text, table[i].start, len) == 0 &&
		    (text[len] == ' ' || text[len] == '\0'))
			return ration_failure_set(f, table[i].code, "%s", text);
	}
	return ration_failure_set(f, RATION_ERR_UNAVAILABLE, "%s", text);
}

/* The array of eight, as docs/protocol.md has it. */
enum place {
	VERDICT,
	RULE,
	MESSAGE,
	REMAINING,
	RESET,
	RETRY_AFTER,
	RESERVATION,
	FLAGS
};

/* The least and greatest that each number may be; texts have no row. */
static const struct {
	bool is_number;
	int64_t min, max;
} shape[REPLY_ITEMS] = {
	[VERDICT] = { true, RATION_DENY, RATION_APPROVAL },
	[REMAINING] = { true, -1, RATION_COST_MAX },
	[RESET] = { true, -1, INT64_MAX },
	[RETRY_AFTER] = { true, -1, INT64_MAX },
	[FLAGS] = { true, 0, INT64_MAX },
};

#define FLAG_DEGRADED 1
#define FLAG_REPLAYED 2

int
ration_command_answer(
    const struct reply_reader *rr, struct ration_answer *answer, struct failure *f)
{
	const struct reply_item *items = rr->items;
	bool good = rr->kind == REPLY_ARRAY;

	for (size_t i = 0; good && i < REPLY_ITEMS; i++)
		good = items[i].is_number == shape[i].is_number &&
		    (!items[i].is_number ||
			(items[i].number >= shape[i].min &&
			    items[i].number <= shape[i].max));
	/* Callers have room for no more than that. */
	if (good &&
	    strlen(ration_reply_text(rr, RESERVATION)) >= RATION_RESERVATION_MAX)
		good = false;
	if (!good)
		return ration_failure_set(
		    f, RATION_ERR_PROTOCOL, "the reply is not the answer to a check");
	answer->verdict = (enum ration_verdict)items[VERDICT].number;
	answer->rule = ration_reply_text(rr, RULE);
	answer->message = ration_reply_text(rr, MESSAGE);
	answer->remaining = items[REMAINING].number;
	answer->reset_ms = items[RESET].number;
	answer->retry_after_ms = items[RETRY_AFTER].number;
	answer->reservation = ration_reply_text(rr, RESERVATION);
	answer->degraded = items[FLAGS].number & FLAG_DEGRADED;
	answer->replayed = items[FLAGS].number & FLAG_REPLAYED;
	return 0;
}
