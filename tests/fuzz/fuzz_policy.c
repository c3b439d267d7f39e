/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a policy document and, behind a byte 0xFF, the arguments of a call, or the
 * scope of a reset. What loads is asked about each of its tools, and must give keys that
 * the contract allows; what does not must say where.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/num.h"
#include "base/utf8.h"
#include "policy/explain.h"
#include "policy/policy.h"
#include "policy/regex.h"
#include "policy/reset_keys.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_faults(const struct errlist *errors)
{
	REQUIRE(errors->n > 0);
	for (size_t i = 0; i < errors->n; i++) {
		const struct errinfo *ei = &errors->items[i];

		REQUIRE(ei->code < 0 && ei->line >= 1 && ei->column >= 1);
		REQUIRE(ei->text[0] != '\0');
		REQUIRE(utf8_valid(ei->text, strlen(ei->text)));
		REQUIRE(i == 0 || ei[-1].line <= ei->line);
	}
}

/* "ration:fuzz:{SCOPE}:COUNTER:WINDOW", with nothing that reaches out of a part. */
static void
check_key(struct slice key)
{
	const char *open = memchr(key.ptr, '{', key.len);
	const char *close = memchr(key.ptr, '}', key.len);
	size_t colons = 0;

	REQUIRE(key.len > 13 && memcmp(key.ptr, "ration:fuzz:{", 13) == 0);
	REQUIRE(open == key.ptr + 12 && close && close[1] == ':');
	for (size_t i = 0; i < key.len; i++) {
		unsigned char c = (unsigned char)key.ptr[i];

		REQUIRE(c > ' ' && c < 0x7f);
		colons += c == ':';
		REQUIRE(c != '{' || i == 12);
		REQUIRE(c != '}' || key.ptr + i == close);
	}
	REQUIRE(colons == 4);
}

static void
charge_all(const struct ruling *ruling, const struct call *call)
{
	struct buf keys[POLICY_CHARGES_MAX] = { 0 };
	struct policy_charge charge;
	struct errinfo ei;

	REQUIRE(ruling->n_limits <= POLICY_CHARGES_MAX);
	for (size_t i = 0; i < ruling->n_limits; i++) {
		const struct policy_limit *limit = ruling->limits[i];
		int rc = policy_charge(limit, call, &keys[i], &charge, &ei);

		REQUIRE(rc == 0 || rc == ERR_NOTFOUND || rc == ERR_INVALID);
		REQUIRE(limit->rule[0] == '/' && limit->message[0] != '\0');
		if (rc < 0)
			continue;
		REQUIRE(charge.limit->rule == limit->rule);
		REQUIRE(charge.limit->message[0] != '\0');
		REQUIRE(charge.cost >= 0 && charge.cost <= NUM_MAX);
		check_key(buf_slice(&keys[i]));
		for (size_t k = 0; k < i; k++)
			REQUIRE(!slice_eq(buf_slice(&keys[k]), buf_slice(&keys[i])));
	}
	for (size_t i = 0; i < ruling->n_limits; i++)
		buf_fini(&keys[i]);
}

static void
ask(const struct policy *policy, const char *tool, const json_t *args)
{
	static struct regex_scratch *scratch;
	struct call_attribute attributes[] = { { slice_str("org"),
	    slice_str("a:{b}") } };
	struct call call = { .tool = slice_str(tool),
		.grant = slice_str("g=&%"),
		.attributes = attributes,
		.n_attributes = 1,
		.args = args,
		.cost = 1 };
	struct policy_explanation ex;
	struct ruling ruling;

	if (!scratch)
		scratch = regex_scratch_new();
	REQUIRE(scratch != NULL);
	for (int i = 0; i < 2; i++) {
		policy_rule(policy, &call, scratch, &ruling);
		REQUIRE((ruling.verdict == VERDICT_ALLOW) == (ruling.rule[0] == '\0'));
		REQUIRE(ruling.verdict == VERDICT_ALLOW || ruling.n_limits == 0);
		REQUIRE(policy_explain(policy, &call, scratch, &ex) == 0);
		REQUIRE(
		    (ex.decided == STEP_LIMITS) == (ruling.verdict == VERDICT_ALLOW));
		REQUIRE(ex.n_limits == ruling.n_limits);
		policy_explanation_fini(&ex);
		charge_all(&ruling, &call);
		call.session = slice_str("s");
	}
}

static void
ask_all(const struct policy *policy, const char *text, size_t len, const json_t *args)
{
	json_t *root = json_loadb(text, len, 0, NULL);
	const char *tool;
	json_t *entry;

	REQUIRE(root != NULL);
	json_object_foreach(json_object_get(root, "tools"), tool, entry)
	    ask(policy, tool, args);
	ask(policy, "a tool that is not listed", args);
	json_decref(root);
}

/* What stands behind the document, as the scope of a reset. */
static void
reset_all(const struct policy *policy, const char *text, size_t len)
{
	const struct reset_wanted wanted = { .scope = slice_make(text, len) };
	struct reset_keys keys;
	struct errinfo ei;
	int rc = reset_keys_find(policy, &wanted, 1000, &keys, &ei);

	REQUIRE(rc == 0 || rc == ERR_INVALID || rc == ERR_NOTFOUND || rc == ERR_TOOBIG);
	REQUIRE(rc == 0 || (ei.code == rc && ei.text[0] != '\0'));
	REQUIRE((rc == 0) == (keys.n > 0) || rc == ERR_TOOBIG);
	for (size_t i = 0; rc == 0 && i < keys.n; i++) {
		check_key(keys.items[i]);
		for (size_t k = 0; k < i; k++)
			REQUIRE(!slice_eq(keys.items[k], keys.items[i]));
	}
	reset_keys_fini(&keys);
}

/* What stands behind the document, or something for the usual paths; an object. */
static json_t *
read_args(const char *text, size_t len)
{
	static const char usual[] =
	    "{\"a\": {\"b\": {\"c\": [false, 1, null]}}, \"s\": \"a-a\", \"n\": 4.5,"
	    " \"b\": true, \"amount\": 10.5, \"reason\": \"aaaaaaaaaaaaaaaaaaaaaaaa\"}";
	json_t *args = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(args))
		return args;
	json_decref(args);
	return json_loads(usual, 0, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size ? memchr(data, 0xFF, size) : NULL;
	size_t len = cut ? (size_t)(cut - data) : size;
	size_t rest = size - len - (cut ? 1 : 0);
	json_t *args;
	char *text = malloc(size ? size : 1);
	struct errlist errors;
	struct policy *policy;

	REQUIRE(text && hash_start() == 0);
	memcpy(text, data, size);
	policy = policy_parse("fuzz", "fuzz.json", text, len, NULL, &errors);
	args = read_args(text + size - rest, rest);
	if (policy) {
		ask_all(policy, text, len, args);
		reset_all(policy, text + size - rest, rest);
	} else {
		check_faults(&errors);
	}
	policy_free(policy);
	errlist_fini(&errors);
	json_decref(args);
	free(text);
	return 0;
}
