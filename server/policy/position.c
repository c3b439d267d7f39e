/* SPDX-License-Identifier: ISC */
#include "policy/position.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "policy/quote.h"

#define NO_NODE UINT32_MAX

/* One value of the text. Nodes are in the order of the text. */
struct node {
	uint32_t parent;
	uint32_t token; /* key or element number: offset into tokens */
	uint32_t token_len;
	uint32_t children; /* so far; the next element's number */
	int line;
	int column;
	bool array;
};

struct position_index {
	struct node *nodes;
	size_t n;
	size_t cap;
	uint32_t *order; /* nodes by parent, token and place in the text */
	struct buf tokens;
};

/* The state of the scan. The text is known to be valid, so it only looks for what opens,
 * closes and begins values. */
struct scan {
	struct position_index *index;
	const char *text;
	size_t len;
	size_t at;
	size_t line_start;
	int line;
	uint32_t parent; /* the container that is open */
	bool has_key;    /* `key` waits for its value */
	struct node key;
	bool failed;
};

static struct slice
token_of(const struct position_index *ix, const struct node *node)
{
	return slice_make(ix->tokens.data + node->token, node->token_len);
}

static void
set_place(const struct scan *s, struct node *node)
{
	node->line = s->line;
	node->column = (int)(s->at - s->line_start) + 1;
}

/* The end of the string that begins at s->at, after its closing quote. */
static size_t
string_end(const struct scan *s)
{
	size_t end = s->at + 1;

	while (end < s->len && s->text[end] != '"')
		end += s->text[end] == '\\' ? 2 : 1;
	return end + 1 < s->len ? end + 1 : s->len;
}

static void
add_token(struct scan *s, struct node *node, struct slice token)
{
	struct buf *tokens = &s->index->tokens;

	node->token = (uint32_t)tokens->len;
	node->token_len = (uint32_t)token.len;
	buf_add_slice(tokens, token);
	/* There is always one byte, so that token_of() has an address to return. */
	if (!buf_reserve(tokens, 1))
		s->failed = true;
}

/* A key with escapes is decoded by jansson, as the document was. */
static void
add_escaped(struct scan *s, struct slice quoted)
{
	json_t *key = json_loadb(quoted.ptr, quoted.len, JSON_DECODE_ANY, NULL);

	if (key)
		add_token(s, &s->key, slice_str(json_string_value(key)));
	else
		s->failed = true;
	json_decref(key);
}

static void
on_key(struct scan *s)
{
	size_t end = string_end(s);
	struct slice quoted = slice_make(s->text + s->at, end - s->at);

	memset(&s->key, 0, sizeof(s->key));
	set_place(s, &s->key);
	if (memchr(quoted.ptr, '\\', quoted.len))
		add_escaped(s, quoted);
	else
		add_token(s, &s->key, slice_make(quoted.ptr + 1, quoted.len - 2));
	s->has_key = true;
	s->at = end;
}

static struct node *
node_slot(struct scan *s)
{
	struct position_index *ix = s->index;
	size_t cap = ix->cap ? ix->cap * 2 : 64;
	struct node *nodes;

	if (ix->n < ix->cap)
		return &ix->nodes[ix->n++];
	nodes = cap < NO_NODE ? realloc(ix->nodes, cap * sizeof(*nodes)) : NULL;
	if (!nodes) {
		s->failed = true;
		return NULL;
	}
	ix->nodes = nodes;
	ix->cap = cap;
	return &ix->nodes[ix->n++];
}

/* Adds the value that begins at s->at, under its key or its number. */
static void
on_value(struct scan *s, bool array)
{
	struct node one = { 0 };
	struct node *slot;

	if (s->has_key) {
		one = s->key;
	} else {
		set_place(s, &one);
		if (s->parent != NO_NODE) {
			char number[16];

			snprintf(number, sizeof(number), "%u",
			    s->index->nodes[s->parent].children++);
			add_token(s, &one, slice_str(number));
		}
	}
	s->has_key = false;
	one.parent = s->parent;
	one.array = array;
	slot = node_slot(s);
	if (slot)
		*slot = one;
}

static void
on_scalar(struct scan *s)
{
	on_value(s, false);
	if (s->text[s->at] == '"') {
		s->at = string_end(s);
		return;
	}
	while (s->at < s->len && !strchr(" \t\r\n,]}", s->text[s->at]))
		s->at++;
}

static void
on_bracket(struct scan *s, char c)
{
	if (c == '{' || c == '[') {
		on_value(s, c == '[');
		s->parent = (uint32_t)s->index->n - 1;
	} else if (s->parent != NO_NODE) {
		s->parent = s->index->nodes[s->parent].parent;
	}
	s->at++;
}

static void
scan_step(struct scan *s)
{
	char c = s->text[s->at];

	if (c == '\n') {
		s->line++;
		s->line_start = s->at + 1;
	}
	if (memchr(" \t\r\n,:", c, 6))
		s->at++;
	else if (memchr("{}[]", c, 4))
		on_bracket(s, c);
	else if (c == '"' && !s->has_key && s->parent != NO_NODE &&
	    !s->index->nodes[s->parent].array)
		on_key(s);
	else
		on_scalar(s);
}

static int
compare(const struct position_index *ix, const struct node *node, uint32_t parent,
    struct slice token)
{
	if (node->parent != parent)
		return node->parent < parent ? -1 : 1;
	return slice_cmp(token_of(ix, node), token);
}

static int
compare_ids(const void *a, const void *b, void *arg)
{
	const struct position_index *ix = arg;
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	const struct node *other = &ix->nodes[y];
	int c = compare(ix, &ix->nodes[x], other->parent, token_of(ix, other));

	return c ? c : (x > y) - (x < y);
}

static bool
index_sort(struct position_index *ix)
{
	ix->order = malloc((ix->n ? ix->n : 1) * sizeof(*ix->order));
	if (!ix->order)
		return false;
	for (size_t i = 0; i < ix->n; i++)
		ix->order[i] = (uint32_t)i;
	if (ix->n > 1)
		qsort_r(ix->order, ix->n, sizeof(*ix->order), compare_ids, ix);
	return true;
}

struct position_index *
position_new(const char *text, size_t len)
{
	struct position_index *ix = calloc(1, sizeof(*ix));
	struct scan s = {
		.index = ix, .text = text, .len = len, .line = 1, .parent = NO_NODE
	};

	if (!ix)
		return NULL;
	/* The document itself has no token, but token_of() needs an address. */
	s.failed = !buf_reserve(&ix->tokens, 1);
	while (s.at < len && !s.failed)
		scan_step(&s);
	if (s.failed || !index_sort(ix)) {
		position_free(ix);
		return NULL;
	}
	return ix;
}

void
position_free(struct position_index *index)
{
	if (!index)
		return;
	free(index->nodes);
	free(index->order);
	buf_fini(&index->tokens);
	free(index);
}

/* The child of that name, or the last one if there are several, as in jansson; NO_NODE
 * without one. */
static uint32_t
child_find(const struct position_index *ix, uint32_t parent, struct slice token)
{
	size_t lo = 0;
	size_t hi = ix->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare(ix, &ix->nodes[ix->order[mid]], parent, token) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || compare(ix, &ix->nodes[ix->order[lo - 1]], parent, token) != 0)
		return NO_NODE;
	return ix->order[lo - 1];
}

/* Reads one token of a pointer, after its '/', into `out`; returns what follows. */
static const char *
next_token(const char *at, struct buf *out)
{
	buf_clear(out);
	for (; *at && *at != '/'; at++) {
		bool escape = *at == '~' && (at[1] == '0' || at[1] == '1');

		if (!escape) {
			buf_add_char(out, *at);
			continue;
		}
		at++;
		buf_add_char(out, *at == '0' ? '~' : '/');
	}
	return at;
}

struct position
position_find(const struct position_index *index, const char *pointer)
{
	struct position place = { 1, 1 };
	struct buf token = { 0 };
	uint32_t node = 0;

	if (index->n == 0)
		return place;
	while (*pointer == '/') {
		uint32_t child;

		pointer = next_token(pointer + 1, &token);
		child = child_find(index, node, buf_slice(&token));
		if (child == NO_NODE)
			break;
		node = child;
	}
	buf_fini(&token);
	place.line = index->nodes[node].line;
	place.column = index->nodes[node].column;
	return place;
}

struct position
position_at(const char *text, size_t offset)
{
	struct position place = { 1, 1 };
	size_t line_start = 0;

	for (size_t i = 0; i < offset; i++) {
		if (text[i] != '\n')
			continue;
		place.line++;
		line_start = i + 1;
	}
	place.column = (int)(offset - line_start) + 1;
	return place;
}

/* The depth is at most jansson's, so the recursion is bounded. */
static void
add_path(const struct position_index *ix, const struct node *node, struct buf *out)
{
	if (node->parent == NO_NODE)
		return;
	add_path(ix, &ix->nodes[node->parent], out);
	position_pointer_add(out, token_of(ix, node));
}

static void
report_one(const struct position_index *ix, const struct node *first,
    const struct node *again, struct errlist *errors)
{
	struct buf path = { 0 };
	char quoted[QUOTE_MAX];

	add_path(ix, again, &path);
	errlist_add(errors, ERR_INVALID, again->line, again->column, buf_cstr(&path),
	    "the key %s is given twice in this object; the first is on line %d",
	    quote_name(quoted, token_of(ix, again)), first->line);
	buf_fini(&path);
}

void
position_report_duplicates(const struct position_index *index, struct errlist *errors)
{
	const struct node *first = NULL;

	for (size_t i = 0; i < index->n; i++) {
		const struct node *node = &index->nodes[index->order[i]];

		if (first &&
		    compare(index, first, node->parent, token_of(index, node)) == 0)
			report_one(index, first, node, errors);
		else
			first = node;
	}
}

void
position_pointer_add(struct buf *pointer, struct slice token)
{
	buf_add_char(pointer, '/');
	for (size_t i = 0; i < token.len; i++) {
		char c = token.ptr[i];

		if (c == '~')
			buf_add(pointer, "~0", 2);
		else if (c == '/')
			buf_add(pointer, "~1", 2);
		else
			buf_add_char(pointer, c);
	}
}
