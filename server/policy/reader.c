/* SPDX-License-Identifier: ISC */
#include "policy/reader.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/num.h"
#include "policy/call.h"
#include "policy/quote.h"
#include "policy/suggest.h"

void
reader_init(struct reader *r, const char *text, size_t len, struct arena *arena,
    struct errlist *errors)
{
	memset(r, 0, sizeof(*r));
	r->text = text;
	r->len = len;
	r->arena = arena;
	r->errors = errors;
}

void
reader_fini(struct reader *r)
{
	position_free(r->index);
	buf_fini(&r->path);
	memset(r, 0, sizeof(*r));
}

size_t
reader_enter(struct reader *r, struct slice token)
{
	size_t mark = r->path.len;

	position_pointer_add(&r->path, token);
	return mark;
}

size_t
reader_enter_at(struct reader *r, size_t i)
{
	size_t mark = r->path.len;

	buf_add_char(&r->path, '/');
	buf_add_int(&r->path, (int64_t)i);
	return mark;
}

void
reader_leave(struct reader *r, size_t mark)
{
	r->path.len = mark;
}

/* The place of what is being read; 0:0 when out of memory. */
static struct position
reader_place(struct reader *r, const char *pointer)
{
	struct position nowhere = { 0, 0 };

	/* Faults beyond the end of the list are only counted: no need to search. */
	if (!pointer || r->errors->n == ERRLIST_MAX)
		return nowhere;
	if (!r->index)
		r->index = position_new(r->text, r->len);
	return r->index ? position_find(r->index, pointer) : nowhere;
}

bool
reader_fault(struct reader *r, int code, const char *fmt, ...)
{
	const char *pointer = buf_cstr(&r->path);
	struct position place = reader_place(r, pointer);
	char text[sizeof(((struct errinfo *)0)->text)];
	va_list ap;

	r->faults++;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	errlist_add(r->errors, code, place.line, place.column, pointer, "%s", text);
	return false;
}

/* A value as messages show it. */
static const char *
show_value(char out[QUOTE_MAX], const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	if (json_is_string(value))
		return quote_name(out, slice_str(json_string_value(value)));
	if (json_is_number(value))
		num_format_real(json_number_value(value), out);
	else
		snprintf(out, QUOTE_MAX, "%s", names[json_typeof(value)]);
	return out;
}

bool
reader_wrong_as(
    struct reader *r, const char *what, const char *want, const json_t *value)
{
	char shown[QUOTE_MAX];

	return reader_fault(r, ERR_INVALID, "%s must be %s, not %s", what, want,
	    show_value(shown, value));
}

bool
reader_wrong(struct reader *r, const json_t *value)
{
	char what[QUOTE_MAX];

	quote_name(what, slice_str(r->key->name));
	return reader_wrong_as(r, what, r->key->want, value);
}

static const struct reader_key *
key_find(const struct reader_key *keys, size_t n_keys, const char *name)
{
	for (size_t i = 0; i < n_keys; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static const char *
key_nearest(const struct reader_key *keys, size_t n_keys, const char *name)
{
	const char *nearest = NULL;
	int least = SUGGEST_FAR;

	for (size_t i = 0; i < n_keys; i++) {
		int n = suggest_distance(slice_str(name), keys[i].name);

		if (n >= least)
			continue;
		least = n;
		nearest = keys[i].name;
	}
	return nearest;
}

static void
unknown_key(
    struct reader *r, const struct reader_key *keys, size_t n_keys, const char *name)
{
	const char *nearest = key_nearest(keys, n_keys, name);
	char quoted[QUOTE_MAX];
	struct buf known = { 0 };

	quote_name(quoted, slice_str(name));
	if (nearest) {
		reader_fault(r, ERR_INVALID, "unknown key %s; did you mean \"%s\"?",
		    quoted, nearest);
		return;
	}
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].read)
			buf_printf(&known, "%s%s", known.len ? ", " : "", keys[i].name);
	reader_fault(r, ERR_INVALID, "unknown key %s; the keys here are %s", quoted,
	    buf_cstr(&known));
	buf_fini(&known);
}

static void
read_member(struct reader *r, const struct reader_key *key, json_t *value, void *into)
{
	const struct reader_key *outer = r->key;

	r->key = key;
	if (!key->read)
		reader_fault(
		    r, ERR_UNSUPPORTED, "\"%s\" is not supported yet", key->name);
	else if (!(key->kinds & (1u << json_typeof(value))))
		reader_wrong(r, value);
	else
		key->read(r, value, into);
	r->key = outer;
}

void
reader_object(struct reader *r, json_t *object, const struct reader_key *keys,
    size_t n_keys, void *into)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		const struct reader_key *key = key_find(keys, n_keys, name);
		size_t mark = reader_enter(r, slice_str(name));

		if (key)
			read_member(r, key, value, into);
		else
			unknown_key(r, keys, n_keys, name);
		reader_leave(r, mark);
	}
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].required && !json_object_get(object, keys[i].name))
			reader_fault(r, ERR_INVALID,
			    "the key \"%s\" is missing; it must be %s", keys[i].name,
			    keys[i].want);
}

bool
reader_whole(
    struct reader *r, const json_t *value, int64_t min, int64_t max, int64_t *out)
{
	double d = json_number_value(value);

	/* The range comes first: outside of it the cast would be undefined. */
	if (!(d >= (double)min && d <= (double)max) || d != (double)(int64_t)d)
		return reader_wrong(r, value);
	*out = (int64_t)d;
	return true;
}

bool
reader_check_name(struct reader *r, const char *what, struct slice name)
{
	if (name.len == 0)
		return reader_fault(r, ERR_INVALID, "%s must not be empty", what);
	if (name.len > CALL_NAME_MAX)
		return reader_fault(r, ERR_TOOBIG,
		    "%s must not be longer than %d bytes", what, CALL_NAME_MAX);
	return true;
}

char *
reader_name(struct reader *r, const char *what, const json_t *value)
{
	struct slice name = slice_str(json_string_value(value));

	return reader_check_name(r, what, name) ? arena_copy(r->arena, name) : NULL;
}

char *
reader_message(struct reader *r, const json_t *value)
{
	struct slice text = slice_str(json_string_value(value));

	if (text.len > 0)
		return arena_copy(r->arena, text);
	reader_fault(r, ERR_INVALID,
	    "\"%s\" must not be empty; leave the key out for the default message",
	    r->key->name);
	return NULL;
}

bool
reader_choose(struct reader *r, const json_t *value,
    const struct reader_choice *choices, size_t n, int *out)
{
	const char *word = json_string_value(value);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(choices[i].name, word) != 0)
			continue;
		*out = choices[i].value;
		return true;
	}
	return reader_wrong(r, value);
}
