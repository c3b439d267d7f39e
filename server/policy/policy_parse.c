/* SPDX-License-Identifier: ISC */
/* The keys of a document and of its tools. To add a key: a row here (or in
 * policy_limit.c), its function, docs/policy.md, and documents in tests/policies/. */
#include <stdlib.h>

#include "base/hash.h"
#include "limit/key.h"
#include "policy/compiled.h"
#include "policy/document.h"
#include "policy/quote.h"

/* What the values of a tool's keys are read into. */
struct tool_draft {
	struct policy *policy;
	struct policy_tool *tool;
};

static void
read_limits(struct reader *r, json_t *value, void *into)
{
	struct policy *policy = into;

	limit_list_read(r, value, policy, &policy->all_tools);
}

static const struct reader_key all_tools_keys[] = {
	{ "limits", KIND_ARRAY, false, "a list of limits", read_limits },
};

static void
read_action(struct reader *r, json_t *value, void *into)
{
	static const struct reader_choice choices[] = {
		{ "allow", VERDICT_ALLOW },
		{ "deny", VERDICT_DENY },
		{ "require_approval", VERDICT_APPROVAL },
	};
	struct tool_draft *d = into;
	int action = VERDICT_DENY;

	reader_choose(r, value, choices, ARRAY_LEN(choices), &action);
	d->tool->action = (enum verdict)action;
}

static void
read_reason(struct reader *r, json_t *value, void *into)
{
	struct tool_draft *d = into;

	d->tool->reason = reader_message(r, value);
}

static void
read_tool_limits(struct reader *r, json_t *value, void *into)
{
	struct tool_draft *d = into;

	limit_list_read(r, value, d->policy, &d->tool->limits);
}

static void
read_rate_limit(struct reader *r, json_t *value, void *into)
{
	struct tool_draft *d = into;

	d->tool->rate = rate_limit_read(r, value, d->policy, d->tool->name);
}

static void
read_require(struct reader *r, json_t *value, void *into)
{
	struct tool_draft *d = into;

	entry_list_read(r, value, d->policy, true, &d->tool->require);
}

static void
read_deny_if(struct reader *r, json_t *value, void *into)
{
	struct tool_draft *d = into;

	entry_list_read(r, value, d->policy, false, &d->tool->deny_if);
}

static const struct reader_key tool_keys[] = {
	{ "action", KIND_STRING, false, "\"allow\", \"deny\" or \"require_approval\"",
	    read_action },
	{ "reason", KIND_STRING, false, "a message", read_reason },
	{ "limits", KIND_ARRAY, false, "a list of limits", read_tool_limits },
	{ "rate_limit", KIND_OBJECT, false, "an object {max, window}",
	    read_rate_limit },
	{ "require", KIND_ARRAY, false, "a list of entries {conditions, on_deny}",
	    read_require },
	{ "deny_if", KIND_ARRAY, false, "a list of entries {conditions, on_deny}",
	    read_deny_if },
};

static void
read_version(struct reader *r, json_t *value, void *into)
{
	(void)into;
	if (strcmp(json_string_value(value), "1") != 0)
		reader_wrong(r, value);
}

static void
read_description(struct reader *r, json_t *value, void *into)
{
	struct policy *policy = into;

	policy->description = arena_copy(r->arena, slice_str(json_string_value(value)));
}

static void
read_default(struct reader *r, json_t *value, void *into)
{
	static const struct reader_choice choices[] = {
		{ "allow", true },
		{ "deny", false },
	};
	struct policy *policy = into;
	int allow = false;

	reader_choose(r, value, choices, ARRAY_LEN(choices), &allow);
	policy->default_allow = allow;
}

static void
read_on_store_failure(struct reader *r, json_t *value, void *into)
{
	struct policy *policy = into;

	store_failure_read(r, value, &policy->on_store_failure);
}

static void
read_hidden(struct reader *r, json_t *value, struct policy *policy)
{
	char quoted[QUOTE_MAX];
	char *name;

	if (!json_is_string(value)) {
		reader_wrong_as(r, "a hidden tool's name", "a string", value);
		return;
	}
	name = reader_name(r, "a hidden tool's name", value);
	if (!name)
		return;
	if (map_get(&policy->by_tool, slice_str(name)))
		reader_fault(r, ERR_INVALID, "%s is given twice in this list",
		    quote_name(quoted, slice_str(name)));
	else if (map_set(&policy->by_tool, slice_str(name), &policy->hidden) < 0)
		r->arena->failed = true;
	if (strcmp(name, "*") == 0)
		policy->hide_all = true;
}

static void
read_hide(struct reader *r, json_t *value, void *into)
{
	for (size_t i = 0; i < json_array_size(value); i++) {
		size_t mark = reader_enter_at(r, i);

		read_hidden(r, json_array_get(value, i), into);
		reader_leave(r, mark);
	}
}

static void
read_all_tools(struct reader *r, json_t *value, void *into)
{
	reader_object(r, value, all_tools_keys, ARRAY_LEN(all_tools_keys), into);
}

static void
read_tool(struct reader *r, const char *name, json_t *value, struct tool_draft *d)
{
	if (!reader_check_name(r, "a tool's name", slice_str(name)))
		return;
	if (strcmp(name, "*") == 0)
		reader_fault(r, ERR_INVALID,
		    "\"*\" is no tool's name; limits of every "
		    "tool stand in all_tools, the verdict of others in default");
	d->tool->name = arena_copy(r->arena, slice_str(name));
	if (!json_is_object(value))
		reader_wrong_as(r, "a tool's entry", "an object", value);
	else if (d->tool->name)
		reader_object(r, value, tool_keys, ARRAY_LEN(tool_keys), d);
}

static void
read_tools(struct reader *r, json_t *value, void *into)
{
	struct tool_draft d = { .policy = into };
	size_t n = json_object_size(value);
	const char *name;
	json_t *entry;

	d.policy->tools = arena_get(r->arena, n * sizeof(*d.policy->tools));
	if (!d.policy->tools)
		return;
	json_object_foreach(value, name, entry)
	{
		size_t mark = reader_enter(r, slice_str(name));

		d.tool = &d.policy->tools[d.policy->n_tools++];
		d.tool->action = VERDICT_ALLOW;
		read_tool(r, name, entry, &d);
		reader_leave(r, mark);
	}
}

static const struct reader_key document_keys[] = {
	{ "version", KIND_STRING, true, "the string \"1\"", read_version },
	{ "description", KIND_STRING, false, "a string", read_description },
	{ "default", KIND_STRING, true, "\"allow\" or \"deny\"", read_default },
	{ "hide", KIND_ARRAY, false, "a list of tool names", read_hide },
	{ "all_tools", KIND_OBJECT, false, "an object {limits}", read_all_tools },
	{ "tools", KIND_OBJECT, false, "an object with one key for each tool",
	    read_tools },
	{ "on_store_failure", KIND_STRING, false, WANT_STORE_FAILURE,
	    read_on_store_failure },
};

static void
set_names(struct reader *r, struct policy *policy, const char *name,
    const struct policy_options *options)
{
	const char *prefix =
	    options && options->key_prefix ? options->key_prefix : "ration";
	struct buf head = { 0 };
	struct errinfo ei;

	if (call_validate_name("the policy's name", slice_str(name), &ei) < 0)
		reader_fault(r, ei.code, "%s", ei.text);
	policy->name = arena_copy(r->arena, slice_str(name));
	policy->description = arena_copy(r->arena, slice_str(""));
	hash_sha256_hex(slice_make(r->text, r->len), policy->hash, 64);
	buf_add_str(&head, prefix);
	buf_add_char(&head, ':');
	key_add_part(&head, slice_str(name));
	buf_add_str(&head, ":{");
	policy->key_head = arena_copy(r->arena, buf_slice(&head));
	r->arena->failed |= head.failed;
	buf_fini(&head);
}

/* Whether the policy may be used. */
static bool
read_policy(struct reader *r, struct policy *policy, const char *name,
    const struct policy_options *options)
{
	json_t *root = document_load(r);

	if (!root)
		return false;
	policy->options = options;
	set_names(r, policy, name, options);
	reader_object(r, root, document_keys, ARRAY_LEN(document_keys), policy);
	if (!policy_join(r, policy) || r->arena->failed || r->path.failed)
		reader_fault(r, ERR_NOMEM, "out of memory");
	json_decref(root);
	policy->options = NULL;
	return r->faults == 0;
}

struct policy *
policy_parse(const char *name, const char *file, const char *text, size_t len,
    const struct policy_options *options, struct errlist *errors)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	struct reader r;
	bool good;

	errlist_init(errors, file);
	if (!policy) {
		errlist_add(errors, ERR_NOMEM, 0, 0, "", "out of memory");
		return NULL;
	}
	reader_init(&r, text, len, &policy->arena, errors);
	good = read_policy(&r, policy, name, options);
	reader_fini(&r);
	errlist_sort(errors);
	if (good)
		return policy;
	policy_free(policy);
	return NULL;
}

const struct reader_table document_table = { "document", document_keys,
	ARRAY_LEN(document_keys) };
const struct reader_table all_tools_table = { "all_tools", all_tools_keys,
	ARRAY_LEN(all_tools_keys) };
const struct reader_table tool_table = { "tool", tool_keys, ARRAY_LEN(tool_keys) };
