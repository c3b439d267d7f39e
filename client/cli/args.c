/* SPDX-License-Identifier: ISC */
#include "args.h"

#include <stdlib.h>
#include <string.h>

/* As the daemon reads it: a whole number over 64 bits is a number, too. */
static json_t *
load(const char *text, size_t flags, json_error_t *error)
{
	json_t *value;

	flags |= JSON_REJECT_DUPLICATES;
	value = json_loads(text, flags, error);
	if (!value && json_error_code(error) == json_error_numeric_overflow)
		value = json_loads(text, flags | JSON_DECODE_INT_AS_REAL, error);
	return value;
}

json_t *
args_parse_object(const char *text, struct errinfo *ei)
{
	json_error_t error;
	json_t *object = load(text, 0, &error);

	if (!object) {
		err_set(ei, ERR_SYNTAX, "--args: not JSON: %s at column %d", error.text,
		    error.column);
		return NULL;
	}
	if (!json_is_object(object)) {
		err_set(ei, ERR_INVALID, "--args: has to be a JSON object");
		json_decref(object);
		return NULL;
	}
	return object;
}

/* Returns owned; NULL: the value is invalid, or out of memory. */
static json_t *
parse_value(const char *text, struct errinfo *ei)
{
	json_error_t error;
	json_t *value = load(text, JSON_DECODE_ANY, &error);

	if (value && !json_is_string(value))
		return value;
	json_decref(value);
	/* A number that JSON can write but a double cannot hold must not become a string,
	 * for which every comparison in a policy is false. */
	if (!value && json_error_code(&error) == json_error_numeric_overflow) {
		err_set(ei, ERR_INVALID, "--arg: %.60s is out of range", text);
		return NULL;
	}
	value = json_string(text);
	if (!value)
		err_set(ei, ERR_INVALID, "--arg: the value is not UTF-8");
	return value;
}

int
args_add_pair(json_t *object, const char *pair, struct errinfo *ei)
{
	const char *equals = strchr(pair, '=');
	json_t *value;
	char *key;
	int rc = 0;

	if (!equals || equals == pair)
		return err_set(ei, ERR_INVALID, "--arg: %.60s is not KEY=VALUE", pair);
	key = strndup(pair, (size_t)(equals - pair));
	if (!key)
		return err_set(ei, ERR_NOMEM, "out of memory");
	value = parse_value(equals + 1, ei);
	if (!value)
		rc = ERR_INVALID;
	else if (json_object_get(object, key))
		rc = err_set(ei, ERR_INVALID, "--arg: %.60s is given twice", key);
	else if (json_object_set(object, key, value) != 0)
		rc = err_set(ei, ERR_INVALID, "--arg: the key is not UTF-8");
	json_decref(value);
	free(key);
	return rc;
}
