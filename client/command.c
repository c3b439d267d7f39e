/* SPDX-License-Identifier: ISC */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

/* CHECK tool grant, five options of two words, three words an attribute. */
#define WORDS_MAX (3 + 5 * 2 + 3 * RATION_ATTRIBUTES_MAX)

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

/* Only NULL is "not given". An empty one is sent for the daemon to refuse: it comes from
 * a variable that was not set, and dropping it would ask for another limit. */
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
command_of(struct command *c, const char *name, const struct ration_request *q,
    int64_t decide_ms, struct failure *f)
{
	struct words w = { .n = 0 };
	char cost[24];
	char timeout[24];
	int rc = validate(q, f);

	if (rc != 0)
		return rc;
	if (q->has_cost)
		snprintf(cost, sizeof(cost), "%" PRId64, q->cost);
	if (decide_ms > 0)
		snprintf(timeout, sizeof(timeout), "%" PRId64, decide_ms);
	add(&w, name);
	add(&w, q->tool);
	add(&w, q->grant);
	add_option(&w, "POLICY", q->policy);
	add_option(&w, "SESSION", q->session);
	add_option(&w, "COST", q->has_cost ? cost : NULL);
	add_option(&w, "ARGS", q->args_json);
	add_option(&w, "TIMEOUT", decide_ms > 0 ? timeout : NULL);
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
	/* The first row that the text starts with, up to a space or the end. */
	static const struct {
		const char *start;
		int code;
	} table[] = {
		{ "ERR max number of clients", RATION_ERR_UNAVAILABLE },
		{ "ERR out of memory", RATION_ERR_UNAVAILABLE },
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

/* What each number may be at least and at most; texts have no row of their own. */
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
