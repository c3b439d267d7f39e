/* SPDX-License-Identifier: ISC */
/* docs/policy.schema.json against the tables that the parser reads by: an editor must
 * offer what the parser takes, and nothing else. What it says of values is held against
 * the parser in tests/system/test_policy_schema.py. */
#include "policy_fixture.h"

#include <jansson.h>

#include "base/num.h"
#include "limit/window.h"
#include "policy/compiled.h"

#define FILE_NAME "../docs/policy.schema.json"

/* To add a key: nothing here. To add a kind of object: its table. */
static const struct reader_table *const tables[] = { &document_table, &all_tools_table,
	&tool_table, &limit_table, &rate_limit_table, &entry_table, &condition_table };

static json_t *schema;

static int
start(void **state)
{
	struct buf text = { 0 };
	json_error_t error;

	fixture_read(FILE_NAME, &text);
	schema = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &error);
	buf_fini(&text);
	if (!schema)
		print_message(
		    "%s:%d:%d: %s\n", FILE_NAME, error.line, error.column, error.text);
	return schema ? start_hash(state) : -1;
}

static int
end(void **state)
{
	(void)state;
	json_decref(schema);
	return 0;
}

/* By a pointer without escapes, "/$defs/limit/required"; NULL when it is not there. */
static json_t *
at(const char *pointer)
{
	char text[256];
	char *rest = text;
	json_t *node = schema;

	snprintf(text, sizeof(text), "%s", pointer + 1);
	while (node && rest)
		node = json_object_get(node, strsep(&rest, "/"));
	return node;
}

/* The schema of one kind of objects. */
static json_t *
schema_of(const char *kind)
{
	json_t *found = strcmp(kind, "document") == 0
	    ? schema
	    : json_object_get(json_object_get(schema, "$defs"), kind);

	if (!found)
		fail_msg("%s has no $defs/%s", FILE_NAME, kind);
	return found;
}

static bool
has_word(const json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
			return true;
	return false;
}

static unsigned
kinds_of_type(const char *type)
{
	static const struct {
		const char *type;
		unsigned kinds;
	} rows[] = {
		{ "object", KIND_OBJECT },
		{ "array", KIND_ARRAY },
		{ "string", KIND_STRING },
		{ "number", KIND_NUMBER },
		{ "integer", KIND_NUMBER },
		{ "boolean", 1u << JSON_TRUE | 1u << JSON_FALSE },
		{ "null", 1u << JSON_NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].type, type) == 0)
			return rows[i].kinds;
	fail_msg("%s: no type is called \"%s\"", FILE_NAME, type);
	return 0;
}

static unsigned
kinds_of(json_t *node)
{
	json_t *type = json_object_get(node, "type");
	json_t *any = json_object_get(node, "anyOf");
	json_t *words = json_object_get(node, "enum");
	const char *ref = json_string_value(json_object_get(node, "$ref"));
	unsigned kinds = 0;

	if (json_is_string(type))
		return kinds_of_type(json_string_value(type));
	if (ref)
		return kinds_of(at(ref + 1));
	for (size_t i = 0; i < json_array_size(type); i++)
		kinds |= kinds_of_type(json_string_value(json_array_get(type, i)));
	for (size_t i = 0; i < json_array_size(any); i++)
		kinds |= kinds_of(json_array_get(any, i));
	for (size_t i = 0; i < json_array_size(words); i++)
		kinds |= 1u << json_typeof(json_array_get(words, i));
	return kinds;
}

/* The names are the same; what the parser refuses as not supported yet is left out. */
static void
same_keys(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		json_t *object = schema_of(tables[t]->kind);
		json_t *keys = json_object_get(object, "properties");
		size_t n = 0;

		for (size_t i = 0; i < tables[t]->n_keys; i++) {
			const struct reader_key *key = &tables[t]->keys[i];
			bool listed = json_object_get(keys, key->name) != NULL;

			if (listed != (key->read != NULL))
				fail_msg("%s: \"%s\" of the kind \"%s\" is %s",
				    FILE_NAME, key->name, tables[t]->kind,
				    listed ? "there but not supported"
					   : "missing from its properties");
			n += listed;
		}
		assert_int_equal(json_object_size(keys), n);
		assert_true(
		    json_is_false(json_object_get(object, "additionalProperties")));
	}
}

/* No object of the schema without a table here. */
static void
same_objects(void **state)
{
	const char *name;
	json_t *node;
	size_t n = 1; /* the document */

	(void)state;
	json_object_foreach(json_object_get(schema, "$defs"), name, node) n +=
	    json_object_get(node, "properties") != NULL;
	assert_int_equal(n, ARRAY_LEN(tables));
}

static void
same_required(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		json_t *required =
		    json_object_get(schema_of(tables[t]->kind), "required");
		size_t n = 0;

		for (size_t i = 0; i < tables[t]->n_keys; i++) {
			const struct reader_key *key = &tables[t]->keys[i];

			if (key->required != has_word(required, key->name))
				fail_msg("%s: is \"%s\" of the kind \"%s\" required?",
				    FILE_NAME, key->name, tables[t]->kind);
			n += key->required;
		}
		assert_int_equal(json_array_size(required), n);
	}
}

/* A key that the parser gives every kind of value, to say more of what is wrong, may
 * have fewer of them in the schema. */
static void
same_kinds(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		json_t *keys =
		    json_object_get(schema_of(tables[t]->kind), "properties");

		for (size_t i = 0; i < tables[t]->n_keys; i++) {
			const struct reader_key *key = &tables[t]->keys[i];
			unsigned kinds = kinds_of(json_object_get(keys, key->name));

			if (!key->read)
				continue;
			if (key->kinds & 1u << JSON_NULL)
				kinds = kinds ? key->kinds : 0;
			if (kinds != key->kinds)
				fail_msg("%s: the type of \"%s\" of the kind \"%s\"",
				    FILE_NAME, key->name, tables[t]->kind);
		}
	}
}

/* Whether a value may be this word: what the parser's table tells people has it in
 * quotes, or it is an operator's name. */
static bool
is_value(const struct reader_key *key, const char *word, bool quoted)
{
	return strcmp(key->name, "op") == 0 ? condition_op_find(word) != NULL : quoted;
}

/* Each word that the table tells is in the schema, and there are no others. */
static void
check_words(const struct reader_key *key, const json_t *words)
{
	char *copy = strdup(key->want);
	char *rest = copy;
	size_t n = 0;

	assert_non_null(copy);
	while (rest) {
		bool quoted = rest > copy && key->want[rest - copy - 1] == '"';
		char *word = strsep(&rest, " ,\"");

		if (*word == '\0' || !is_value(key, word, quoted))
			continue;
		n++;
		if (!has_word(words, word))
			fail_msg("%s: \"%s\" lacks \"%s\"", FILE_NAME, key->name, word);
	}
	if (json_array_size(words) != n)
		fail_msg("%s: \"%s\" has a word that the parser does not tell",
		    FILE_NAME, key->name);
	free(copy);
}

static void
same_words(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		json_t *keys =
		    json_object_get(schema_of(tables[t]->kind), "properties");

		for (size_t i = 0; i < tables[t]->n_keys; i++) {
			const struct reader_key *key = &tables[t]->keys[i];
			json_t *property = json_object_get(keys, key->name);
			json_t *words = json_object_get(property, "enum");

			if (key->read && words) {
				check_words(key, words);
				n++;
			}
		}
	}
	assert_true(n >= 5);
}

static bool
window_loads(const char *window)
{
	struct errlist errors;
	struct policy *policy;
	char text[256];

	snprintf(text, sizeof(text),
	    "{\"version\": \"1\", \"default\": \"deny\", \"all_tools\": {\"limits\": "
	    "[{\"counter\": \"c\", \"max\": 1, \"window\": \"%s\"}]}}",
	    window);
	policy = policy_parse("p", "test.json", text, strlen(text), NULL, &errors);
	errlist_fini(&errors);
	policy_free(policy);
	return policy != NULL;
}

static void
same_windows(void **state)
{
	static const char *const names[] = { "second", "minute", "hour", "day", "week",
		"month", "year" };
	json_t *words = at("/$defs/window_name/enum");
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (window_loads(names[i]) != has_word(words, names[i]))
			fail_msg("%s: the window \"%s\"", FILE_NAME, names[i]);
		n += has_word(words, names[i]);
	}
	assert_int_equal(json_array_size(words), n);
}

static void
same_bounds(void **state)
{
	static const struct {
		const char *pointer;
		int64_t value;
	} rows[] = {
		{ "/$defs/limits/maxItems", POLICY_LIMITS_MAX },
		{ "/$defs/entries/maxItems", CONDITION_ENTRIES_MAX },
		{ "/$defs/entry/properties/conditions/maxItems", CONDITION_MAX },
		{ "/$defs/name/maxLength", CALL_NAME_MAX },
		{ "/$defs/argument_path/maxLength", CALL_NAME_MAX },
		{ "/$defs/count/minimum", 0 },
		{ "/$defs/count/maximum", NUM_MAX },
		{ "/$defs/number/minimum", -NUM_MAX },
		{ "/$defs/number/maximum", NUM_MAX },
		{ "/$defs/window_seconds/minimum", 1 },
		{ "/$defs/window_seconds/maximum", WINDOW_SECONDS_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *value = at(rows[i].pointer);

		if (!json_is_integer(value) ||
		    json_integer_value(value) != rows[i].value)
			fail_msg("%s: %s must be %lld", FILE_NAME, rows[i].pointer,
			    (long long)rows[i].value);
	}
}

/* Whoever hovers over a key is told what it does, in sentences. */
static void
descriptions(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		json_t *keys =
		    json_object_get(schema_of(tables[t]->kind), "properties");
		const char *name;
		json_t *property;

		json_object_foreach(keys, name, property)
		{
			const char *text =
			    json_string_value(json_object_get(property, "description"));

			if (!text || strlen(text) < 16 || text[strlen(text) - 1] != '.')
				fail_msg(
				    "%s: the description of \"%s\"", FILE_NAME, name);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_keys),
		cmocka_unit_test(same_objects),
		cmocka_unit_test(same_required),
		cmocka_unit_test(same_kinds),
		cmocka_unit_test(same_words),
		cmocka_unit_test(same_windows),
		cmocka_unit_test(same_bounds),
		cmocka_unit_test(descriptions),
	};

	return cmocka_run_group_tests(tests, start, end);
}
