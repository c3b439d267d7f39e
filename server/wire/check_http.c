/* SPDX-License-Identifier: ISC */
#include "wire/check_http.h"

#include <string.h>

#include "base/num.h"
#include "wire/value.h"

#define PREFIX "X-Ration-"

#define STATUS_LIMITED 429
#define STATUS_UNAVAILABLE 503

/* RFC 9651: a structured field's integer has at most 15 digits. */
#define SF_INTEGER_MAX INT64_C(999999999999999)

int
check_http_status(const struct decision *d)
{
	static const int statuses[] = {
		[CAUSE_ALLOWED] = 200,
		[CAUSE_POLICY] = 403,
		[CAUSE_LIMIT] = STATUS_LIMITED,
		[CAUSE_STORE] = STATUS_UNAVAILABLE,
		[CAUSE_CONFLICT] = 422,
	};

	return statuses[d->cause];
}

/* A structured field's string may only have ASCII; the rest, and '%', become %XX. */
static void
add_sf_string(struct buf *out, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	buf_add_char(out, '"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c >= 0x7f || c == '%') {
			char escape[3] = { '%', hex[c >> 4], hex[c & 15] };

			buf_add(out, escape, sizeof(escape));
			continue;
		}
		if (c == '"' || c == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, (char)c);
	}
	buf_add_char(out, '"');
}

static void
add_parameter(struct buf *out, char name, int64_t value)
{
	char head[3] = { ';', name, '=' };

	buf_add(out, head, sizeof(head));
	buf_add_int(out, value < SF_INTEGER_MAX ? value : SF_INTEGER_MAX);
}

static int64_t
seconds_up(int64_t ms)
{
	return ms / 1000 + (ms % 1000 > 0);
}

static void
add_limit_fields(const struct decision_limit *dl, struct buf *out)
{
	const struct policy_limit *pl = dl->limit;

	buf_add_str(out, "RateLimit-Policy: ");
	add_sf_string(out, pl->counter);
	add_parameter(out, 'q', pl->limit.max);
	/* A limit of slots has no window. */
	if (pl->limit.algorithm != ALGORITHM_CONCURRENCY)
		add_parameter(out, 'w', seconds_up(dl->outcome.window_ms));
	buf_add_str(out, "\r\nRateLimit: ");
	add_sf_string(out, pl->counter);
	add_parameter(out, 'r', dl->outcome.remaining);
	add_parameter(out, 't', seconds_up(dl->outcome.reset_ms));
	buf_add(out, "\r\n", 2);
}

/* Seconds, 0 for none. */
static int64_t
retry_after(int status, const struct decision_limit *tightest)
{
	int64_t seconds;

	if (status == STATUS_UNAVAILABLE)
		return 1;
	if (status != STATUS_LIMITED || !tightest ||
	    tightest->outcome.retry_after_ms < 0)
		return 0;
	seconds = seconds_up(tightest->outcome.retry_after_ms);
	return seconds > 0 ? seconds : 1;
}

void
check_http_add_fields(const struct decision *d, struct http_response *resp)
{
	const struct decision_limit *tightest = NULL;
	int64_t seconds;

	if (d->tightest < d->n_limits)
		tightest = &d->limits[d->tightest];
	if (tightest)
		add_limit_fields(tightest, &resp->fields);
	seconds = retry_after(check_http_status(d), tightest);
	if (seconds > 0) {
		buf_add_str(&resp->fields, "Retry-After: ");
		buf_add_int(&resp->fields, seconds);
		buf_add(&resp->fields, "\r\n", 2);
	}
	if (d->degraded)
		http_response_add_field(resp, PREFIX "Degraded", slice_str("1"));
	if (d->reservation.len > 0)
		http_response_add_field(resp, PREFIX "Reservation", d->reservation);
}

static int
read_tool(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	out->call.tool = value;
	return call_validate_name(name, value, ei);
}

static int
read_grant(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	out->call.grant = value;
	return call_validate_name(name, value, ei);
}

static int
read_policy(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	out->policy = value;
	return call_validate_name(name, value, ei);
}

static int
read_session(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	out->call.session = value;
	return call_validate_name(name, value, ei);
}

static int
read_cost(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	return value_parse_whole(name, value, 0, NUM_MAX, &out->call.cost, ei);
}

static int
read_timeout(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	return value_parse_whole(
	    name, value, 1, VALUE_TIMEOUT_MAX_MS, &out->timeout_ms, ei);
}

static int
read_mode(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	return value_parse_mode(name, value, false, &out->mode, ei);
}

/* The body says the mode, too, so the field is only compared with it. */
static int
read_same_mode(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	enum check_mode mode;
	int rc = value_parse_mode(name, value, false, &mode, ei);

	if (rc == 0 && mode != out->mode)
		rc = err_set(ei, ERR_INVALID,
		    "%s is not the mode of the body; leave it out here", name);
	return rc;
}

static int
read_id(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	out->id = value;
	return value_validate_text(name, value, REQUEST_ID_MAX, ei);
}

static int
read_ttl(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	return value_parse_whole(name, value, 1, REQUEST_TTL_MAX_S, &out->ttl_s, ei);
}

/* Refuses a field that would be a second source of what the JSON body says. */
static int
read_misplaced(
    struct check_request *out, const char *name, struct slice value, struct errinfo *ei)
{
	(void)out;
	(void)value;
	return err_set(ei, ERR_INVALID,
	    "%s is for /v1/auth; a question with a body has it there", name);
}

typedef int (*field_reader)(struct check_request *out, const char *name,
    struct slice value, struct errinfo *ei);

enum place { IN_AUTH, IN_CHECK, ELSEWHERE, PLACE_COUNT };

static const struct {
	const char *name;
	field_reader read[PLACE_COUNT]; /* by place; NULL: unknown there */
} known_fields[] = {
	{ PREFIX "Tool", { read_tool, read_misplaced, read_misplaced } },
	{ PREFIX "Grant", { read_grant, read_misplaced, read_misplaced } },
	{ PREFIX "Policy", { read_policy, read_misplaced, read_misplaced } },
	{ PREFIX "Session", { read_session, read_misplaced, read_misplaced } },
	{ PREFIX "Cost", { read_cost, read_misplaced, read_misplaced } },
	{ PREFIX "Timeout-Ms", { read_timeout, read_timeout, read_timeout } },
	{ PREFIX "Mode", { read_mode, read_same_mode, NULL } },
	{ PREFIX "Request-Id", { read_id, read_misplaced, read_misplaced } },
	{ PREFIX "Ttl", { read_ttl, read_misplaced, read_misplaced } },
};

/* What is read, and whose. */
struct field_reading {
	struct check_request *out;
	enum place place;
	const char *has; /* for messages: which fields there are in this place */
	unsigned seen;   /* bits: rows of known_fields */
};

static int
unknown_field(struct slice name, const char *has, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX];

	return err_set(ei, ERR_INVALID, "unknown header field \"%s\"; %s",
	    value_excerpt(name, excerpt), has);
}

/* Fields that are not ours are ignored: a gateway forwards its client's. */
static int
read_field(
    const struct http_field *field, struct field_reading *reading, struct errinfo *ei)
{
	const size_t prefix = strlen(PREFIX);

	if (field->name.len < prefix ||
	    strncasecmp(field->name.ptr, PREFIX, prefix) != 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
		const char *name = known_fields[i].name;
		field_reader read;

		if (!slice_case_eq_str(field->name, name))
			continue;
		if (reading->seen & (1u << i))
			return err_set(ei, ERR_INVALID, "%s is given twice", name);
		reading->seen |= 1u << i;
		read = known_fields[i].read[reading->place];
		return read ? read(reading->out, name, field->value, ei)
			    : unknown_field(field->name, reading->has, ei);
	}
	return unknown_field(field->name, reading->has, ei);
}

static int
read_fields(
    const struct http_request *req, struct field_reading *reading, struct errinfo *ei)
{
	int rc = 0;

	for (size_t i = 0; i < req->n_fields && rc == 0; i++)
		rc = read_field(&req->fields[i], reading, ei);
	return rc;
}

int
check_http_parse_auth(
    const struct http_request *req, struct check_request *out, struct errinfo *ei)
{
	struct field_reading reading = { .out = out,
		.place = IN_AUTH,
		.has = PREFIX " has Tool, Grant, Policy, Session, Cost, Request-Id, "
			      "Mode, Ttl and Timeout-Ms" };
	int rc;

	memset(out, 0, sizeof(*out));
	out->call.cost = 1;
	rc = read_fields(req, &reading, ei);
	if (rc < 0)
		return rc;
	if (!out->call.tool.ptr || !out->call.grant.ptr)
		return err_set(ei, ERR_INVALID, PREFIX "%s is missing",
		    out->call.tool.ptr ? "Grant" : "Tool");
	rc = value_validate_ttl(PREFIX "Ttl", PREFIX "Mode", out, ei);
	return rc < 0 ? rc : call_validate(&out->call, ei);
}

int
check_http_parse_fields(const struct http_request *req, enum check_http_beside beside,
    struct check_request *out, struct errinfo *ei)
{
	static const char *const has[] = {
		[BESIDE_CHECK] = PREFIX " has Mode and Timeout-Ms here",
		[BESIDE_DEADLINE] = PREFIX " has Timeout-Ms here",
		[BESIDE_RESET] = ("a reset has none that begins with " PREFIX),
	};
	struct field_reading reading = { .out = out,
		.place = beside == BESIDE_CHECK ? IN_CHECK : ELSEWHERE,
		.has = has[beside] };

	return read_fields(req, &reading, ei);
}
