/* SPDX-License-Identifier: ISC */
#include "policy/document.h"

#include <stdio.h>

#include "base/utf8.h"
#include "policy/policy.h"
#include "policy/quote.h"

/* Every number becomes a double: whole ones are exact up to NUM_MAX, and one that is far
 * too big is then reported as a fault of its key, not as a syntax error. */
#define LOAD_FLAGS (JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL)

#define NEAR " near '"

static bool
fault_at(struct reader *r, int code, size_t offset, const char *text)
{
	struct position place = position_at(r->text, offset);

	r->faults++;
	errlist_add(r->errors, code, place.line, place.column, "", "%s", text);
	return false;
}

static bool
check_size(struct reader *r)
{
	if (r->len <= POLICY_BYTES_MAX)
		return true;
	r->faults++;
	errlist_add(r->errors, ERR_TOOBIG, 1, 1, "",
	    "the document is longer than %u bytes", POLICY_BYTES_MAX);
	return false;
}

static bool
check_mark(struct reader *r)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} marks[] = {
		{ "\xEF\xBB\xBF", 3,
		    "the document begins with a byte order mark; "
		    "save it as UTF-8 without one" },
		{ "\xFF\xFE", 2, "the document is UTF-16; save it as UTF-8" },
		{ "\xFE\xFF", 2, "the document is UTF-16; save it as UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (r->len >= marks[i].len &&
		    memcmp(r->text, marks[i].bytes, marks[i].len) == 0)
			return fault_at(r, ERR_SYNTAX, 0, marks[i].text);
	return true;
}

static bool
check_nul(struct reader *r)
{
	const char *nul = r->len ? memchr(r->text, '\0', r->len) : NULL;

	return !nul ||
	    fault_at(r, ERR_SYNTAX, (size_t)(nul - r->text),
		"the document holds a NUL byte");
}

/* The first byte that is not part of a valid character. */
static size_t
utf8_bad_offset(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t line = end ? (size_t)(end - text) - at + 1 : len - at;

		if (!utf8_valid(text + at, line))
			break;
		at += line;
	}
	while (at < len) {
		size_t n = 1;

		while (n <= 4 && at + n <= len && !utf8_valid(text + at, n))
			n++;
		if (n > 4 || at + n > len)
			break;
		at += n;
	}
	return at;
}

static bool
check_utf8(struct reader *r)
{
	char text[64];
	size_t at;

	if (utf8_valid(r->text, r->len))
		return true;
	at = utf8_bad_offset(r->text, r->len);
	snprintf(text, sizeof(text), "byte 0x%02x is not valid UTF-8",
	    (unsigned)(unsigned char)r->text[at]);
	return fault_at(r, ERR_SYNTAX, at, text);
}

static bool
check_empty(struct reader *r)
{
	for (size_t i = 0; i < r->len; i++)
		if (!strchr(" \t\r\n", r->text[i]))
			return true;
	return fault_at(r, ERR_SYNTAX, 0,
	    "the document is empty; the least is "
	    "{\"version\": \"1\", \"default\": \"deny\"}");
}

static bool (*const checks[])(
    struct reader *) = { check_size, check_mark, check_nul, check_utf8, check_empty };

static const struct {
	enum json_error_code code;
	const char *text;
} jansson_texts[] = {
	{ json_error_null_character, "a string holds a NUL character (\\u0000)" },
	{ json_error_null_byte_in_key, "a key holds a NUL character (\\u0000)" },
	{ json_error_numeric_overflow, "a number is too big" },
	{ json_error_stack_overflow, "the document is nested too deep" },
	{ json_error_premature_end_of_input, "the document ends too early" },
	{ json_error_end_of_input_expected,
	    "something follows the end of the document" },
};

/* The piece of text that jansson names at the end of its message ("... near 'x'"), after
 * which it stopped; absent when it names none. */
static struct slice
jansson_near(const json_error_t *error)
{
	const char *near = strstr(error->text, NEAR);
	const char *end = near ? strrchr(near, '\'') : NULL;

	if (!near || end < near + strlen(NEAR))
		return slice_str(NULL);
	near += strlen(NEAR);
	return slice_make(near, (size_t)(end - near));
}

static size_t
jansson_offset(const json_error_t *error, size_t len)
{
	size_t offset = error->position > 0 ? (size_t)error->position : 0;
	size_t back = jansson_near(error).len;

	offset = offset > back ? offset - back : 0;
	return offset < len ? offset : len;
}

/* A hint about what people most often write that JSON does not have. */
static const char *
syntax_hint(const struct reader *r, size_t offset)
{
	char c = offset < r->len ? r->text[offset] : '\0';
	size_t before = offset;

	if (c == '/' || c == '#')
		return "; JSON has no comments";
	if (c == '\'')
		return "; JSON has double quotes only";
	while (before > 0 && strchr(" \t\r\n", r->text[before - 1]))
		before--;
	if ((c == '}' || c == ']') && before > 0 && r->text[before - 1] == ',')
		return "; no comma stands before a closing bracket";
	return "";
}

/* jansson's message, or ours where jansson's is about its own flags and functions. The
 * piece that it names may end within a character, so it is quoted again. */
static void
add_message(struct buf *out, const json_error_t *error)
{
	struct slice near = jansson_near(error);
	size_t len = near.ptr ? (size_t)(near.ptr - error->text) - strlen(NEAR)
			      : strlen(error->text);
	char quoted[QUOTE_MAX];

	for (size_t i = 0; i < ARRAY_LEN(jansson_texts); i++) {
		if (jansson_texts[i].code != json_error_code(error))
			continue;
		buf_add_str(out, jansson_texts[i].text);
		return;
	}
	buf_add(out, error->text, len);
	if (near.ptr)
		buf_printf(out, " near %s", quote_name(quoted, near));
}

static bool
fault_syntax(struct reader *r, const json_error_t *error)
{
	size_t offset = jansson_offset(error, r->len);
	struct buf text = { 0 };

	if (json_error_code(error) == json_error_out_of_memory)
		return fault_at(r, ERR_NOMEM, 0, "out of memory");
	buf_add_str(&text, "syntax error: ");
	add_message(&text, error);
	buf_add_str(&text, syntax_hint(r, offset));
	fault_at(r, ERR_SYNTAX, offset, text.failed ? "syntax error" : buf_cstr(&text));
	buf_fini(&text);
	return false;
}

static void
report_duplicates(struct reader *r)
{
	size_t before = r->errors->n + r->errors->more;

	if (!r->index)
		r->index = position_new(r->text, r->len);
	if (r->index)
		position_report_duplicates(r->index, r->errors);
	r->faults += r->errors->n + r->errors->more - before;
	/* Without memory for the index there must still be a fault. */
	if (r->errors->n + r->errors->more == before)
		fault_at(r, ERR_INVALID, 0, "a key is given twice in its object");
}

json_t *
document_load(struct reader *r)
{
	json_error_t error;
	json_t *root;

	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (!checks[i](r))
			return NULL;
	root = json_loadb(r->text, r->len, LOAD_FLAGS | JSON_REJECT_DUPLICATES, &error);
	if (!root && json_error_code(&error) == json_error_duplicate_key) {
		root = json_loadb(r->text, r->len, LOAD_FLAGS, &error);
		if (root)
			report_duplicates(r);
	}
	if (!root) {
		fault_syntax(r, &error);
		return NULL;
	}
	if (!json_is_object(root)) {
		reader_wrong_as(r, "the document", "an object", root);
		json_decref(root);
		return NULL;
	}
	return root;
}
