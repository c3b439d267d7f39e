/* SPDX-License-Identifier: ISC */
#include "policy/reset_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/num.h"
#include "base/percent.h"
#include "limit/window.h"
#include "policy/compiled.h"
#include "policy/quote.h"
#include "policy/scope.h"

#define NAMED_MAX 8 /* counters or scopes that a message names */

/* A call made of what the scope's text says, and nothing else. */
struct scope_call {
	struct call call;
	struct call_attribute attributes[POLICY_SCOPES_MAX];
	size_t n;   /* parts: the grant, the session and the attributes */
	char *text; /* what its slices point into; owned */
};

/* --- the scope's text ------------------------------------------------------------ */

static int
fault_scope(struct errinfo *ei, const char *why)
{
	return err_set(ei, ERR_INVALID,
	    "scope %s; it is \"global\", or name=value such as grant=alice, several "
	    "joined by '&'",
	    why);
}

/* Decodes one name or value, and stores it after those before. */
static int
decode(struct slice raw, char **to, struct slice *out, struct errinfo *ei)
{
	/* Decoding never makes it longer. */
	ptrdiff_t len = percent_decode(raw, *to, raw.len);

	if (len < 0)
		return fault_scope(ei, "has a '%' without two hex digits");
	*out = slice_make(*to, (size_t)len);
	*to += len;
	return 0;
}

/* The grant or the session, neither of which may be empty. */
static int
add_caller(struct slice *to, struct slice value, struct errinfo *ei)
{
	if (value.len == 0)
		return fault_scope(ei, "has an empty value");
	if (to->ptr)
		return fault_scope(ei, "has a name twice");
	*to = value;
	return 0;
}

static int
add_part(
    struct scope_call *sc, struct slice name, struct slice value, struct errinfo *ei)
{
	if (++sc->n > POLICY_SCOPES_MAX)
		return fault_scope(ei, "has more parts than any limit's");
	if (slice_eq_str(name, "grant"))
		return add_caller(&sc->call.grant, value, ei);
	if (slice_eq_str(name, "session"))
		return add_caller(&sc->call.session, value, ei);
	sc->attributes[sc->call.n_attributes++] =
	    (struct call_attribute){ name, value };
	return 0;
}

/* One name=value. */
static int
read_part(struct scope_call *sc, struct slice part, char **to, struct errinfo *ei)
{
	const char *sign = part.len > 0 ? memchr(part.ptr, '=', part.len) : NULL;
	struct slice name, value;
	int rc;

	if (!sign)
		return fault_scope(ei, "has a part without '='");
	name = slice_make(part.ptr, (size_t)(sign - part.ptr));
	value = slice_make(sign + 1, part.len - name.len - 1);
	if (value.len > 0 && memchr(value.ptr, '=', value.len))
		return fault_scope(ei, "has a part with two '='; in a value it is %3D");
	rc = decode(name, to, &name, ei);
	if (rc == 0)
		rc = decode(value, to, &value, ei);
	return rc < 0 ? rc : add_part(sc, name, value, ei);
}

/* As call_validate(), for a call that has nothing but its scope. */
static int
validate(const struct scope_call *sc, struct errinfo *ei)
{
	struct call call = sc->call;
	int rc;

	call.tool = slice_str("-");
	if (!call.grant.ptr)
		call.grant = slice_str("-");
	rc = call_validate(&call, ei);
	if (rc == ERR_TOOBIG) /* here that means too many counters */
		ei->code = rc = ERR_INVALID;
	return rc;
}

static int
read_scope(struct slice text, struct scope_call *sc, struct errinfo *ei)
{
	char *to;
	int rc = 0;

	if (text.len == 0)
		return fault_scope(ei, "is empty");
	if (slice_eq_str(text, "global"))
		return 0;
	sc->call.attributes = sc->attributes;
	sc->text = to = malloc(text.len);
	if (!to)
		return err_set(ei, ERR_NOMEM, "out of memory");
	for (bool more = true; rc == 0 && more;) {
		const char *end = text.len > 0 ? memchr(text.ptr, '&', text.len) : NULL;
		size_t len = end ? (size_t)(end - text.ptr) : text.len;

		rc = read_part(sc, slice_make(text.ptr, len), &to, ei);
		more = end != NULL;
		text = slice_make(text.ptr + len + more, text.len - len - more);
	}
	return rc < 0 ? rc : validate(sc, ei);
}

/* --- the window's text ----------------------------------------------------------- */

#define WINDOW_MARKS "@+." /* each begins what follows the span of time in a key */

/* A window as in a key, in two pieces: its length, "30d" or 2592000 in the one spelling that
 * keys have, and what follows, "+15.sliding". */
struct wanted_window {
	struct window cut;
	struct slice head, rest;
	bool any_rest; /* the head alone counts */
};

static int
parse_cut(struct slice text, struct window *out)
{
	struct errinfo ei;
	int64_t seconds;

	/* As in a policy, a number must not begin with 0. */
	if (text.len > 0 && text.ptr[0] >= '1' && text.ptr[0] <= '9' &&
	    num_parse(text, &seconds) == 0)
		return window_from_seconds(seconds, out, &ei);
	return window_parse(text, out, &ei);
}

/* What is no span of time stays as it is: "slots", or something that no limit has. */
static void
read_window(struct slice text, struct wanted_window *out)
{
	size_t len = 0;

	while (len < text.len && !memchr(WINDOW_MARKS, text.ptr[len], 3))
		len++;
	out->head = slice_make(text.ptr, len);
	out->rest = slice_make(text.ptr + len, text.len - len);
	if (parse_cut(out->head, &out->cut) == 0)
		out->head = slice_str(out->cut.name);
}

/* --- the policy's limits ----------------------------------------------------------- */

struct search {
	const struct policy *policy;
	const struct reset_wanted *wanted;
	struct wanted_window window;
	const struct scope_call *scope;
	size_t max;
	struct reset_keys *out;
	struct map seen; /* key_tails: all keys of a search have the same head */
	bool in_scope;   /* some limit has the scope */
	bool failed;     /* out of memory */
	/* for the message when nothing was found */
	const char *(*name_of)(const struct policy_limit *limit);
	const struct policy_limit *named[NAMED_MAX];
	size_t n_named;
	bool more_named;
};

/* Calls `each` for every limit of the policy, until the search is over. */
static void
each_limit(struct search *s, bool (*each)(struct search *, const struct policy_limit *))
{
	const struct policy *policy = s->policy;
	bool more = true;

	for (size_t t = 0; more && t < policy->n_tools; t++) {
		const struct policy_tool *tool = &policy->tools[t];

		for (size_t i = 0; more && i < tool->limits.n; i++)
			more = each(s, &tool->limits.items[i]);
		if (more && tool->rate)
			more = each(s, tool->rate);
	}
	for (size_t i = 0; more && i < policy->all_tools.n; i++)
		more = each(s, &policy->all_tools.items[i]);
}

/* "minute.sliding", cut out of a key_tail: parts of keys contain no colon. */
static const char *
window_of(const struct policy_limit *limit)
{
	return strrchr(limit->key_tail, ':') + 1;
}

/* Whether the limit counts by exactly these names. */
static bool
has_scope(const struct policy_limit *limit, const struct scope_call *sc)
{
	if (limit->scope.n != sc->n)
		return false;
	for (size_t i = 0; i < sc->n; i++)
		if (!scope_value(&limit->scope.parts[i], &sc->call).ptr)
			return false;
	return true;
}

static bool
has_window(const struct policy_limit *limit, const struct wanted_window *wanted)
{
	struct slice name = slice_str(window_of(limit));
	size_t len = wanted->head.len;

	if (name.len < len || !slice_eq(slice_make(name.ptr, len), wanted->head))
		return false;
	if (wanted->any_rest)
		return name.len == len || memchr(WINDOW_MARKS, name.ptr[len], 3);
	return slice_eq(slice_make(name.ptr + len, name.len - len), wanted->rest);
}

static bool
is_wanted(const struct policy_limit *limit, const struct search *s)
{
	const struct reset_wanted *wanted = s->wanted;

	return (wanted->counter.len == 0 ||
		   slice_eq_str(wanted->counter, limit->counter)) &&
	    (wanted->window.len == 0 || has_window(limit, &s->window));
}

/* Makes room for one more; grows by powers of two. */
static bool
add_item(struct reset_keys *keys, size_t len)
{
	size_t n = keys->n;
	struct slice *items = keys->items;

	if ((n & (n - 1)) == 0)
		items = realloc(items, (n ? 2 * n : 1) * sizeof(*items));
	if (!items)
		return false;
	keys->items = items;
	keys->items[keys->n++] = slice_make(NULL, len);
	return true;
}

static bool
collect(struct search *s, const struct policy_limit *limit)
{
	struct reset_keys *out = s->out;
	struct slice tail = slice_str(limit->key_tail);
	size_t begin = out->text.len;
	const char *shown;

	if (!has_scope(limit, s->scope))
		return true;
	s->in_scope = true;
	if (!is_wanted(limit, s) || map_get(&s->seen, tail))
		return true;
	policy_counter(limit, &s->scope->call, &out->text, &shown);
	s->failed = map_set(&s->seen, tail, limit->key_tail) < 0 || out->text.failed ||
	    !add_item(out, out->text.len - begin);
	return !s->failed && out->n <= s->max;
}

/* Only once everything was added: before that the text may move. */
static void
point_items(struct reset_keys *keys)
{
	const char *at = keys->text.data;

	for (size_t i = 0; i < keys->n; i++) {
		keys->items[i].ptr = at;
		at += keys->items[i].len;
	}
}

/* --- what there is instead --------------------------------------------------------- */

static const char *
scope_name(const struct policy_limit *limit)
{
	return limit->scope.text;
}

static const char *
counter_name(const struct policy_limit *limit)
{
	return limit->key_tail;
}

/* Notes each name once. */
static bool
note_name(struct search *s, const struct policy_limit *limit)
{
	if (s->in_scope && !has_scope(limit, s->scope))
		return true;
	for (size_t i = 0; i < s->n_named; i++)
		if (strcmp(s->name_of(s->named[i]), s->name_of(limit)) == 0)
			return true;
	s->more_named = s->n_named == NAMED_MAX;
	if (!s->more_named)
		s->named[s->n_named++] = limit;
	return !s->more_named;
}

static void
add_names(const struct search *s, struct buf *out)
{
	char quoted[QUOTE_MAX];

	for (size_t i = 0; i < s->n_named; i++) {
		const struct policy_limit *limit = s->named[i];

		buf_add_str(out, i > 0 ? ", " : "");
		if (s->in_scope)
			buf_printf(out, "%s %s",
			    quote_name(quoted, slice_str(limit->counter)),
			    window_of(limit));
		else
			buf_add_str(out, limit->scope.text);
	}
	buf_add_str(out, s->more_named ? ", and others" : "");
}

static int
fault_nothing(struct search *s, struct errinfo *ei)
{
	struct buf names = { 0 };
	const char *text;

	s->name_of = s->in_scope ? counter_name : scope_name;
	each_limit(s, note_name);
	add_names(s, &names);
	text = buf_cstr(&names);
	if (s->in_scope)
		err_set(ei, ERR_NOTFOUND,
		    "the policy has no such counter and window; those of this scope "
		    "are %s",
		    text ? text : "");
	else if (s->n_named > 0)
		err_set(ei, ERR_NOTFOUND,
		    "no limit of the policy counts by this scope; its scopes are %s",
		    text ? text : "");
	else
		err_set(ei, ERR_NOTFOUND, "the policy has no limits");
	buf_fini(&names);
	return ERR_NOTFOUND;
}

/* --- all of it --------------------------------------------------------------------- */

static int
search_run(struct search *s, struct errinfo *ei)
{
	each_limit(s, collect);
	/* Answers call a window "minute" whatever follows that in its key. */
	if (!s->failed && s->out->n == 0 && s->window.rest.len == 0) {
		s->window.any_rest = true;
		each_limit(s, collect);
	}
	if (s->failed)
		return err_set(ei, ERR_NOMEM, "out of memory");
	if (s->out->n > s->max)
		return err_set(ei, ERR_TOOBIG,
		    "more than %zu counters; name one counter and window", s->max);
	if (s->out->n == 0)
		return fault_nothing(s, ei);
	point_items(s->out);
	return 0;
}

int
reset_keys_find(const struct policy *policy, const struct reset_wanted *wanted,
    size_t max, struct reset_keys *out, struct errinfo *ei)
{
	struct scope_call sc = { .n = 0 };
	struct search s = {
		.policy = policy, .wanted = wanted, .scope = &sc, .max = max, .out = out
	};
	int rc;

	*out = (struct reset_keys){ .n = 0 };
	if (wanted->window.len > 0)
		read_window(wanted->window, &s.window);
	rc = read_scope(wanted->scope, &sc, ei);
	if (rc == 0)
		rc = search_run(&s, ei);
	map_fini(&s.seen);
	free(sc.text);
	return rc;
}

void
reset_keys_fini(struct reset_keys *keys)
{
	free(keys->items);
	buf_fini(&keys->text);
}
