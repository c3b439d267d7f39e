/* SPDX-License-Identifier: ISC */
#include "wire/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/utf8.h"

/* The bytes of the character at `p`, or 0 when it should not be printed. */
static size_t
printable_len(const char *p, size_t left)
{
	unsigned char c = (unsigned char)*p;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f ? 1 : 0;
	/* U+0080 ... U+009F are control characters too. */
	if (c == 0xC2 && left > 1 && (unsigned char)p[1] < 0xA0)
		return 0;
	for (size_t n = 2; n <= 4 && n <= left; n++)
		if (utf8_valid(p, n))
			return n;
	return 0;
}

const char *
value_excerpt(struct slice raw, char *out)
{
	size_t len = 0;
	size_t i = 0;

	while (i < raw.len) {
		size_t n = printable_len(raw.ptr + i, raw.len - i);
		size_t take = n ? n : 1;

		if (len + take > VALUE_EXCERPT_BYTES)
			break;
		if (n)
			memcpy(out + len, raw.ptr + i, n);
		else
			out[len] = '?';
		len += take;
		i += take;
	}
	memcpy(out + len, i < raw.len ? "..." : "", i < raw.len ? 4 : 1);
	return out;
}

static int
not_whole(
    const char *field, int64_t min, int64_t max, const char *found, struct errinfo *ei)
{
	return err_set(ei, ERR_INVALID,
	    "%s must be a whole number from %" PRId64 " to %" PRId64 ", not %s", field,
	    min, max, found);
}

int
value_parse_whole(const char *field, struct slice text, int64_t min, int64_t max,
    int64_t *out, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX];
	char quoted[VALUE_EXCERPT_MAX + 2];
	int64_t value;

	if (LIKELY(num_parse(text, &value) == 0 && value >= min && value <= max)) {
		*out = value;
		return 0;
	}
	snprintf(quoted, sizeof(quoted), "\"%s\"", value_excerpt(text, excerpt));
	return not_whole(field, min, max, quoted, ei);
}

/* Names a JSON value for people: numbers and strings themselves, else the type. */
static void
describe(const json_t *value, char *out, size_t size)
{
	static const char *const types[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "an array",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};
	char excerpt[VALUE_EXCERPT_MAX];
	char real[NUM_REAL_MAX];

	if (json_is_string(value))
		snprintf(out, size, "\"%s\"",
		    value_excerpt(
			slice_make(json_string_value(value), json_string_length(value)),
			excerpt));
	else if (json_is_integer(value))
		snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(
		    out, size, "%s", num_format_real(json_real_value(value), real));
	else
		snprintf(out, size, "%s", types[json_typeof(value)]);
}

int
value_parse_json_whole(const char *field, const json_t *value, int64_t min, int64_t max,
    int64_t *out, struct errinfo *ei)
{
	char found[VALUE_EXCERPT_MAX + 2];
	int64_t whole = min - 1;

	if (json_is_integer(value)) {
		whole = json_integer_value(value);
	} else if (json_is_real(value)) {
		double real = json_real_value(value);

		/* In this range the conversion is exact when the number is whole. */
		if (real >= (double)min && real <= (double)max &&
		    (double)(int64_t)real == real)
			whole = (int64_t)real;
	}
	if (json_is_number(value) && whole >= min && whole <= max) {
		*out = whole;
		return 0;
	}
	describe(value, found, sizeof(found));
	return not_whole(field, min, max, found, ei);
}

int
value_parse_json_string(
    const char *field, const json_t *value, struct slice *out, struct errinfo *ei)
{
	if (!json_is_string(value))
		return value_wrong_type(field, "a string", value, ei);
	*out = slice_make(json_string_value(value), json_string_length(value));
	return 0;
}

int
value_parse_json_name(
    const char *field, const json_t *value, struct slice *out, struct errinfo *ei)
{
	int rc = value_parse_json_string(field, value, out, ei);

	return rc < 0 ? rc : call_validate_name(field, *out, ei);
}

int
value_parse_mode(const char *field, struct slice text, bool any_case,
    enum check_mode *out, struct errinfo *ei)
{
	static const char *const modes[] = {
		[MODE_ENFORCE] = "enforce",
		[MODE_PEEK] = "peek",
		[MODE_RESERVE] = "reserve",
	};
	char excerpt[VALUE_EXCERPT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (slice_eq_str(text, modes[i]) ||
		    (any_case && slice_case_eq_str(text, modes[i]))) {
			*out = (enum check_mode)i;
			return 0;
		}
	}
	return err_set(ei, ERR_INVALID,
	    "%s must be \"enforce\", \"peek\" or \"reserve\", not \"%s\"", field,
	    value_excerpt(text, excerpt));
}

int
value_validate_text(
    const char *field, struct slice text, size_t max, struct errinfo *ei)
{
	if (text.len == 0)
		return err_set(ei, ERR_INVALID, "%s is empty", field);
	return utf8_validate(field, text, max, ei);
}

int
value_validate_ttl(const char *ttl, const char *mode,
    const struct check_request *request, struct errinfo *ei)
{
	if (request->ttl_s == 0 || request->mode == MODE_RESERVE)
		return 0;
	return err_set(ei, ERR_INVALID,
	    "%s says how long a reservation lasts; it needs %s \"reserve\"", ttl, mode);
}

int
value_wrong_type(
    const char *field, const char *wanted, const json_t *found, struct errinfo *ei)
{
	char text[VALUE_EXCERPT_MAX + 2];

	describe(found, text, sizeof(text));
	return err_set(ei, ERR_INVALID, "%s must be %s, not %s", field, wanted, text);
}

/* What jansson finds wrong, in our words and codes; the last row is for the rest. */
static const struct {
	enum json_error_code found;
	int code;
	const char *text;
} json_faults[] = {
	{ json_error_out_of_memory, ERR_NOMEM, "out of memory" },
	{ json_error_stack_overflow, ERR_TOOBIG, "nested too deeply" },
	{ json_error_invalid_utf8, ERR_SYNTAX, "a byte that is not UTF-8" },
	{ json_error_premature_end_of_input, ERR_SYNTAX, "it ends too early" },
	{ json_error_end_of_input_expected, ERR_SYNTAX,
	    "more text behind the end of the value" },
	{ json_error_duplicate_key, ERR_INVALID, "a key that is given twice" },
	{ json_error_numeric_overflow, ERR_TOOBIG,
	    "a number that a double cannot hold" },
	{ json_error_null_character, ERR_INVALID, "a NUL in a string" },
	{ json_error_null_byte_in_key, ERR_INVALID, "a NUL in a key" },
	{ json_error_unknown, ERR_SYNTAX, "not as JSON is written" },
};

static void
set_json_fault(const char *what, const json_error_t *error, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX] = "";
	const char *near = strstr(error->text, " near '");
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(json_faults) &&
	    json_faults[i].found != json_error_code(error))
		i++;
	/* jansson ends its text with the place, "... near 'abc'". */
	if (near) {
		size_t len = strlen(near + 7);

		value_excerpt(slice_make(near + 7, len ? len - 1 : 0), excerpt);
	}
	err_set(ei, json_faults[i].code,
	    "%s is not valid JSON: line %d, column %d: %s%s%s%s", what, error->line,
	    error->column, json_faults[i].text, excerpt[0] ? ", near \"" : "", excerpt,
	    excerpt[0] ? "\"" : "");
	ei->line = error->line;
	ei->column = error->column;
}

/* What makes a JSON text expensive to parse. */
struct json_size {
	size_t values; /* an upper bound of how many there are */
	size_t depth;
};

/* The text after a string, whose first quote was passed; the end if it has no last one. */
static const char *
skip_string(const char *at, const char *end)
{
	while (at < end && *at != '"')
		at += *at == '\\' && end - at > 1 ? 2 : 1;
	return at < end ? at + 1 : end;
}

/* Counts until a limit is passed. Of the grammar it only knows strings; jansson checks the
 * rest. */
static void
json_measure(struct slice text, struct json_size *size)
{
	const char *at = text.ptr;
	const char *end = text.ptr + text.len;
	size_t depth = 0;

	size->values = 1;
	size->depth = 0;
	while (at < end && size->values <= VALUE_JSON_VALUES_MAX &&
	    size->depth <= VALUE_JSON_DEPTH_MAX) {
		char c = *at++;

		if (c == '"') {
			at = skip_string(at, end);
		} else if (c == '[' || c == '{') {
			size->values++;
			if (++depth > size->depth)
				size->depth = depth;
		} else if (c == ',' || c == ':') {
			size->values++;
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
}

static int
json_check_size(const char *what, struct slice text, struct errinfo *ei)
{
	struct json_size size;

	json_measure(text, &size);
	if (size.depth > VALUE_JSON_DEPTH_MAX)
		return err_set(ei, ERR_TOOBIG, "%s is nested deeper than %d levels",
		    what, VALUE_JSON_DEPTH_MAX);
	if (size.values > VALUE_JSON_VALUES_MAX)
		return err_set(ei, ERR_TOOBIG, "%s has more than %d values", what,
		    VALUE_JSON_VALUES_MAX);
	return 0;
}

static json_t *
load(struct slice text, size_t flags, json_error_t *error)
{
	return json_loadb(text.ptr, text.len,
	    flags | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, error);
}

json_t *
value_parse_json(const char *what, struct slice text, struct errinfo *ei)
{
	json_error_t error;
	json_t *value;

	if (text.len == 0) {
		err_set(ei, ERR_SYNTAX, "%s is empty; it must be a JSON object", what);
		return NULL;
	}
	if (json_check_size(what, text, ei) < 0)
		return NULL;
	value = load(text, 0, &error);
	/* A whole number over 64 bits is one as well: of doubles such a text loses
	 * nothing that a policy could tell apart, since those over 2^53 are all beyond
	 * what it may name. */
	if (!value && json_error_code(&error) == json_error_numeric_overflow)
		value = load(text, JSON_DECODE_INT_AS_REAL, &error);
	if (!value)
		set_json_fault(what, &error, ei);
	return value;
}
