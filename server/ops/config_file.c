/* SPDX-License-Identifier: ISC */
/* The JSON configuration file: one object, every member a key of the table. */
#include "ops/config_key.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "ops/file.h"
#include "policy/position.h"

#define CONFIG_BYTES_MAX (1u << 20)

struct config_file {
	struct config_reader *r;
	const char *name;
	struct position_index *places;
	const json_t *root;
};

static struct config_place
place_of(const struct config_file *f, const char *pointer)
{
	struct position at = position_find(f->places, pointer);

	return (struct config_place){ f->name, at.line, at.column };
}

/* The value as text, as the table's setters take it; false when its JSON type is not the
 * key's. */
static bool
value_text(const struct config_key *key, const json_t *value, const char **text,
    char number[NUM_TEXT_MAX])
{
	switch (key->type) {
	case CONFIG_NUMBER:
		if (!json_is_integer(value))
			return false;
		num_format(json_integer_value(value), number);
		*text = number;
		return true;
	case CONFIG_DURATION:
		*text = json_string_value(value);
		if (json_is_integer(value)) {
			num_format(json_integer_value(value), number);
			*text = number;
		}
		return *text != NULL;
	case CONFIG_BOOL:
		*text = json_is_true(value) ? "true" : "false";
		return json_is_boolean(value);
	default:
		*text = json_string_value(value);
		return json_is_string(value);
	}
}

static void
read_value(const struct config_file *f, const struct config_key *key,
    const json_t *value, const char *pointer)
{
	static const char *const wanted[] = { "a string", "a whole number",
		"true or false", "a string",
		"a whole number of seconds, or a string such as \"500ms\"", "" };
	struct config_place place = place_of(f, pointer);
	char number[NUM_TEXT_MAX];
	const char *text;

	if (!value_text(key, value, &text, number)) {
		config_fault(f->r, &place, ERR_INVALID, "%s must be %s%s", pointer + 1,
		    wanted[key->type], key->repeat ? ", or a list of them" : "");
		return;
	}
	config_assign(f->r, key, text, &place);
}

static void
read_list(const struct config_file *f, const struct config_key *key, const json_t *list,
    const char *pointer)
{
	struct config_place place = place_of(f, pointer);

	if (json_array_size(list) == 0)
		config_fault(
		    f->r, &place, ERR_INVALID, "%s is an empty list", pointer + 1);
	for (size_t i = 0; i < json_array_size(list); i++) {
		char item[CONFIG_NAME_MAX + 32];

		snprintf(item, sizeof(item), "%s/%zu", pointer, i);
		read_value(f, key, json_array_get(list, i), item);
	}
}

/* As in a file, or as the flag without its dashes: NULL for what is neither. */
static const struct config_key *
find_key(const char *name, char spelt[CONFIG_NAME_MAX])
{
	const struct config_key *key = config_key_find(slice_str(name));

	if (!key)
		return NULL;
	config_key_spell(key->name, CONFIG_AS_FILE, spelt);
	return strcmp(name, spelt) == 0 || strcmp(name, key->name) == 0 ? key : NULL;
}

static void
read_member(const struct config_file *f, const char *name, const json_t *value)
{
	char spelt[CONFIG_NAME_MAX] = "";
	const struct config_key *key = find_key(name, spelt);
	char pointer[CONFIG_NAME_MAX + 1];
	struct config_place place;
	struct buf raw = { 0 };

	position_pointer_add(&raw, slice_str(name));
	place = place_of(f, buf_cstr(&raw) ? buf_cstr(&raw) : "");
	buf_fini(&raw);
	if (!key) {
		config_fault_unknown(
		    f->r, &place, "key", slice_str(name), CONFIG_AS_FILE);
		return;
	}
	if (!(key->where & CONFIG_IN_FILE)) {
		config_fault(f->r, &place, ERR_INVALID,
		    "\"%s\" cannot stand in a file; it is --%s", name, key->name);
		return;
	}
	if (strcmp(name, spelt) != 0 && json_object_get(f->root, spelt)) {
		config_fault(f->r, &place, ERR_INVALID,
		    "%s is given twice, the other time as %s", name, spelt);
		return;
	}
	snprintf(pointer, sizeof(pointer), "/%s", name);
	config_key_clear(key, f->r->config);
	if (key->repeat && json_is_array(value))
		read_list(f, key, value, pointer);
	else
		read_value(f, key, value, pointer);
}

static void
read_document(struct config_file *f, json_t *root)
{
	struct config_place top = place_of(f, "");
	const char *name;
	json_t *value;

	snprintf(f->r->errors->file, sizeof(f->r->errors->file), "%s", f->name);
	position_report_duplicates(f->places, f->r->errors);
	if (!json_is_object(root)) {
		config_fault(f->r, &top, ERR_INVALID,
		    "the file must be a JSON object, such as {\"store\": \"memory\"}");
		return;
	}
	f->root = root;
	json_object_foreach(root, name, value) read_member(f, name, value);
}

void
config_file_read(struct config_reader *r, const char *file)
{
	struct config_file f = { .r = r, .name = file };
	struct config_place place = { file, 0, 0 };
	struct buf text = { 0 };
	struct errinfo ei;
	json_error_t error;
	json_t *root;

	if (file_read(file, CONFIG_BYTES_MAX, &text, &ei) < 0) {
		config_fault(r, &place, ei.code, "%s", ei.text);
		buf_fini(&text);
		return;
	}
	root = json_loadb(text.data ? text.data : "", text.len, 0, &error);
	if (!root) {
		place.line = error.line > 0 ? error.line : 1;
		place.column = error.column > 0 ? error.column : 1;
		config_fault(r, &place, ERR_SYNTAX, "not JSON: %s", error.text);
	} else if ((f.places = position_new(text.data, text.len))) {
		read_document(&f, root);
	} else {
		config_fault(r, &place, ERR_NOMEM, "out of memory");
	}
	position_free(f.places);
	json_decref(root);
	buf_fini(&text);
}
