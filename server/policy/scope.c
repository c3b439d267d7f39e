/* SPDX-License-Identifier: ISC */
#include "policy/scope.h"

#include <stdlib.h>

#include "limit/key.h"
#include "policy/quote.h"

static const char *const reserved[] = { "grant", "session", "global", "tool",
	"policy" };

/* Shared by all policies; never written to. */
static char grant_name[] = "grant";
static char session_name[] = "session";
static char rate_text[] = "session or grant";
static char global_name[] = "global";

bool
scope_is_reserved(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (slice_eq_str(name, reserved[i]))
			return true;
	return false;
}

static enum scope_source
source_of(const char *name)
{
	if (strcmp(name, grant_name) == 0)
		return SCOPE_GRANT;
	return strcmp(name, session_name) == 0 ? SCOPE_SESSION : SCOPE_ATTRIBUTE;
}

/* One name, alone or in a list, at the reader's place. */
static bool
part_read(struct reader *r, const json_t *value, struct scope_part *out)
{
	struct buf encoded = { 0 };
	char *name = reader_name(r, "a scope's name", value);

	if (!name)
		return false;
	if (strcmp(name, "tool") == 0 || strcmp(name, "policy") == 0)
		return reader_fault(r, ERR_INVALID,
		    "\"%s\" is no scope: every counter "
		    "belongs to one policy, and a limit under a tool counts that tool",
		    name);
	key_add_part(&encoded, slice_str(name));
	out->source = source_of(name);
	out->name = name;
	out->encoded = arena_copy(r->arena, buf_slice(&encoded));
	buf_fini(&encoded);
	return out->encoded != NULL;
}

static int
part_compare(const void *a, const void *b)
{
	const struct scope_part *x = a;
	const struct scope_part *y = b;

	return strcmp(x->name, y->name);
}

static bool
element_read(struct reader *r, const json_t *value, struct scope *scope)
{
	struct scope_part *part = &scope->parts[scope->n];
	char quoted[QUOTE_MAX];

	if (!json_is_string(value))
		return reader_wrong_as(r, "a scope's name", "a string", value);
	if (!part_read(r, value, part))
		return false;
	if (strcmp(part->name, global_name) == 0)
		return reader_fault(r, ERR_INVALID,
		    "\"global\" counts all callers and stands alone, not in a list");
	for (size_t i = 0; i < scope->n; i++)
		if (strcmp(scope->parts[i].name, part->name) == 0)
			return reader_fault(r, ERR_INVALID,
			    "%s is given twice in this list",
			    quote_name(quoted, slice_str(part->name)));
	scope->n++;
	return true;
}

/* "grant&org", the parts in the order of the key. */
static bool
set_text(struct reader *r, struct scope *scope)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < scope->n; i++) {
		if (i > 0)
			buf_add_char(&text, '&');
		buf_add_str(&text, scope->parts[i].name);
	}
	scope->text = text.failed ? NULL : arena_copy(r->arena, buf_slice(&text));
	buf_fini(&text);
	return scope->text != NULL;
}

static bool
list_read(struct reader *r, json_t *list, struct scope *out)
{
	size_t n = json_array_size(list);
	size_t before = r->faults;

	if (n == 0)
		return reader_fault(r, ERR_INVALID,
		    "a scope's list must not be empty; "
		    "\"global\" counts all callers together");
	if (n > POLICY_SCOPES_MAX)
		return reader_fault(r, ERR_TOOBIG,
		    "a scope names at most %d parts, not %zu", POLICY_SCOPES_MAX, n);
	out->parts = arena_get(r->arena, n * sizeof(*out->parts));
	for (size_t i = 0; out->parts && i < n; i++) {
		size_t mark = reader_enter_at(r, i);

		element_read(r, json_array_get(list, i), out);
		reader_leave(r, mark);
	}
	if (r->faults != before || !out->parts)
		return false;
	qsort(out->parts, out->n, sizeof(*out->parts), part_compare);
	return set_text(r, out);
}

static bool
set_parts(
    struct reader *r, const struct scope_part *part, char *text, struct scope *out)
{
	out->parts = arena_get(r->arena, sizeof(*out->parts));
	if (!out->parts)
		return false;
	*out->parts = *part;
	out->n = 1;
	out->text = text;
	return true;
}

bool
scope_read(struct reader *r, json_t *value, struct scope *out)
{
	struct scope_part one;

	if (json_is_array(value))
		return list_read(r, value, out);
	if (strcmp(json_string_value(value), global_name) == 0) {
		out->text = global_name;
		return true;
	}
	return part_read(r, value, &one) && set_parts(r, &one, one.name, out);
}

bool
scope_set_default(struct reader *r, struct scope *out)
{
	struct scope_part part = { SCOPE_GRANT, grant_name, grant_name };

	return set_parts(r, &part, grant_name, out);
}

bool
scope_set_rate(struct reader *r, struct scope *out)
{
	struct scope_part part = { SCOPE_SESSION_OR_GRANT, session_name, session_name };

	return set_parts(r, &part, rate_text, out);
}

void
scope_add_phrase(const struct scope *scope, const char *shown, struct buf *out)
{
	if (scope->n == 0)
		buf_add_str(out, "for all callers");
	for (size_t i = 0; i < scope->n; i++) {
		const struct scope_part *part = &scope->parts[i];

		buf_add_str(out, i > 0 ? " and " : "for each ");
		buf_add_str(
		    out, part->source == SCOPE_SESSION_OR_GRANT ? shown : part->name);
	}
}

static bool
part_overlaps(const struct scope_part *a, const struct scope_part *b)
{
	if (a->source == SCOPE_SESSION_OR_GRANT || b->source == SCOPE_SESSION_OR_GRANT)
		return a->source != SCOPE_ATTRIBUTE && b->source != SCOPE_ATTRIBUTE;
	return strcmp(a->encoded, b->encoded) == 0;
}

bool
scope_overlaps(const struct scope *a, const struct scope *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!part_overlaps(&a->parts[i], &b->parts[i]))
			return false;
	return true;
}

/* An attribute's value; absent (ptr NULL) when the call does not have it. An empty value is
 * not absent. */
static struct slice
attribute_find(const struct call *call, const char *name)
{
	for (size_t i = 0; i < call->n_attributes; i++) {
		struct slice value = call->attributes[i].value;

		if (slice_eq_str(call->attributes[i].name, name))
			return value.ptr ? value : slice_str("");
	}
	return slice_str(NULL);
}

static void
add_pair(struct buf *key, const char *encoded, struct slice value)
{
	buf_add_str(key, encoded);
	buf_add_char(key, '=');
	key_add_part(key, value);
}

struct slice
scope_value(const struct scope_part *part, const struct call *call)
{
	bool has_session = call->session.len > 0;

	switch (part->source) {
	case SCOPE_GRANT:
		return call->grant;
	case SCOPE_SESSION:
		return has_session ? call->session : slice_str(NULL);
	case SCOPE_SESSION_OR_GRANT:
		return has_session ? call->session : call->grant;
	case SCOPE_ATTRIBUTE:
		return attribute_find(call, part->name);
	}
	return slice_str(NULL);
}

static int
part_add_key(const struct scope_part *part, const struct call *call, struct buf *key,
    const char **shown)
{
	struct slice value = scope_value(part, call);

	if (!value.ptr)
		return ERR_NOTFOUND;
	if (part->source == SCOPE_SESSION_OR_GRANT) {
		*shown = call->session.len > 0 ? session_name : grant_name;
		add_pair(key, *shown, value);
		return 0;
	}
	add_pair(key, part->encoded, value);
	return 0;
}

int
scope_add_key(const struct scope *scope, const struct call *call, struct buf *key,
    const char **shown, const struct scope_part **missing)
{
	*shown = scope->text;
	if (scope->n == 0)
		buf_add_str(key, global_name);
	for (size_t i = 0; i < scope->n; i++) {
		if (i > 0)
			buf_add_char(key, '&');
		if (part_add_key(&scope->parts[i], call, key, shown) < 0) {
			*missing = &scope->parts[i];
			return ERR_NOTFOUND;
		}
	}
	return 0;
}
