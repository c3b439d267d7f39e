/* SPDX-License-Identifier: ISC */
#include "policy/path.h"

#include "policy/quote.h"
#include "policy/scope.h"

#define ARGS "args"

static bool
fault_path(struct reader *r, struct slice text, const char *why)
{
	char quoted[QUOTE_MAX];

	return reader_fault(
	    r, ERR_INVALID, "the path %s %s", quote_name(quoted, text), why);
}

/* Cuts "a.b.c", the path behind "args.", at its dots. */
static bool
keys_read(struct reader *r, struct path *path)
{
	struct slice whole = slice_str(path->text);
	char *at = arena_copy(r->arena, slice_str(path->text + strlen(ARGS ".")));
	size_t n = 1;

	for (const char *c = at; c && *c; c++)
		n += *c == '.';
	path->keys = arena_get(r->arena, n * sizeof(*path->keys));
	if (!at || !path->keys)
		return false;
	while (at) {
		char *key = strsep(&at, ".");

		if (*key == '\0')
			return fault_path(
			    r, whole, "has an empty name between its dots");
		path->keys[path->n++] = key;
	}
	return true;
}

static bool
attribute_read(struct reader *r, struct path *path)
{
	struct slice name = slice_str(path->text);

	path->source = PATH_ATTRIBUTE;
	if (strcmp(path->text, "grant") == 0)
		path->source = PATH_GRANT;
	else if (strcmp(path->text, "session") == 0)
		path->source = PATH_SESSION;
	else if (scope_is_reserved(name))
		return fault_path(r, name, "is no attribute; no request may carry it");
	return true;
}

bool
path_read(struct reader *r, const json_t *value, bool argument, struct path *out)
{
	out->text = reader_name(r, "a path", value);
	if (!out->text)
		return false;
	if (strncmp(out->text, ARGS ".", strlen(ARGS ".")) == 0) {
		out->source = PATH_ARGUMENT;
		return keys_read(r, out);
	}
	if (strcmp(out->text, ARGS) == 0)
		return fault_path(r, slice_str(ARGS),
		    "names all arguments; name one, as in \"args.amount\"");
	if (argument)
		return fault_path(r, slice_str(out->text),
		    "names no argument; it must begin with \"args.\"");
	return attribute_read(r, out);
}

static bool
argument_find(const struct path *path, const struct call *call, struct operand *out)
{
	const json_t *value = call->args;

	/* jansson returns NULL for a member of something that is not an object. */
	for (size_t i = 0; value && i < path->n; i++)
		value = json_object_get(value, path->keys[i]);
	if (!value || json_is_null(value))
		return false;
	*out = operand_of(value);
	return true;
}

bool
path_find(const struct path *path, const struct call *call, struct operand *out)
{
	static const enum scope_source sources[] = {
		[PATH_GRANT] = SCOPE_GRANT,
		[PATH_SESSION] = SCOPE_SESSION,
		[PATH_ATTRIBUTE] = SCOPE_ATTRIBUTE,
	};
	struct scope_part part = { .name = path->text };

	if (path->source == PATH_ARGUMENT)
		return argument_find(path, call, out);
	part.source = sources[path->source];
	*out =
	    (struct operand){ .kind = OPERAND_TEXT, .text = scope_value(&part, call) };
	return out->text.ptr != NULL;
}
