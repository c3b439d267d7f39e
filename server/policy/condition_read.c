/* SPDX-License-Identifier: ISC */
/* Reads "require" and "deny_if". */
#include "base/num.h"
#include "policy/compiled.h"
#include "policy/condition.h"
#include "policy/position.h"
#include "policy/quote.h"

#define KIND_BOOL ((1u << JSON_TRUE) | (1u << JSON_FALSE))
#define KIND_SCALAR (KIND_STRING | KIND_NUMBER | KIND_BOOL)
#define KIND_ANY (KIND_SCALAR | KIND_OBJECT | KIND_ARRAY | (1u << JSON_NULL))

#define WANT_OP                                                          \
	"one of eq, neq, in, not_in, lt, lte, gt, gte, regex, contains " \
	"and exists"

/* A condition while its keys are read. What its value may be depends on another key, so it
 * is looked at last. */
struct condition_draft {
	struct condition *condition;
	json_t *value;
	struct policy *policy; /* keeps what is compiled */
};

struct entry_draft {
	struct entry *entry;
	struct policy *policy;
};

static void
read_path(struct reader *r, json_t *value, void *into)
{
	struct condition_draft *d = into;

	path_read(r, value, false, &d->condition->path);
}

static void
read_op(struct reader *r, json_t *value, void *into)
{
	struct condition_draft *d = into;

	d->condition->op = condition_op_find(json_string_value(value));
	if (!d->condition->op)
		reader_wrong(r, value);
}

static void
read_value(struct reader *r, json_t *value, void *into)
{
	struct condition_draft *d = into;

	(void)r;
	d->value = value;
}

static const struct reader_key condition_keys[] = {
	{ "path", KIND_STRING, true, "\"args.NAME\" or an attribute's name",
	    read_path },
	{ "op", KIND_STRING, true, WANT_OP, read_op },
	{ "value", KIND_ANY, true, "what the operator compares with", read_value },
};

/* A document's numbers are doubles; beyond this they may differ from what was written. */
static bool
check_number(struct reader *r, const json_t *value)
{
	double number = json_number_value(value);

	if (!json_is_number(value) ||
	    (number >= -(double)NUM_MAX && number <= (double)NUM_MAX))
		return true;
	return reader_fault(r, ERR_INVALID,
	    "a number that is compared must be from -%lld to %lld", (long long)NUM_MAX,
	    (long long)NUM_MAX);
}

/* Moves a scalar into the policy: the document is freed. */
static bool
keep_scalar(struct reader *r, const json_t *value, struct operand *out)
{
	char *copy;

	if (!check_number(r, value))
		return false;
	*out = operand_of(value);
	out->list = NULL;
	if (out->kind != OPERAND_TEXT)
		return true;
	copy = arena_copy(r->arena, out->text);
	out->text.ptr = copy;
	return copy != NULL;
}

static void
read_scalar(struct reader *r, const struct condition_draft *d)
{
	keep_scalar(r, d->value, &d->condition->value);
}

static void
check_twice(struct reader *r, const struct condition *c, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (!operand_eq(&c->values[k], &c->values[i]))
			continue;
		reader_fault(r, ERR_INVALID,
		    "this value is given twice in the list (also at [%zu])", k);
		return;
	}
}

static void
read_element(struct reader *r, struct condition *c, size_t i, const json_t *value)
{
	size_t mark = reader_enter_at(r, i);

	/* Until it is read, it must not equal anything. */
	c->values[i].kind = OPERAND_OBJECT;
	if (!(KIND_SCALAR & (1u << json_typeof(value))))
		reader_wrong_as(r, "a value of the list",
		    "a string, a number, true or false", value);
	else if (keep_scalar(r, value, &c->values[i]))
		check_twice(r, c, i);
	reader_leave(r, mark);
}

static void
read_list(struct reader *r, const struct condition_draft *d)
{
	struct condition *c = d->condition;
	size_t n = json_array_size(d->value);

	if (n == 0)
		reader_fault(r, ERR_INVALID,
		    "the list is empty, so \"%s\" would be the same for every call",
		    c->op->name);
	if (n > CONDITION_VALUES_MAX) {
		reader_fault(r, ERR_TOOBIG, "a list holds at most %d values, not %zu",
		    CONDITION_VALUES_MAX, n);
		return;
	}
	c->values = arena_get(r->arena, n * sizeof(*c->values));
	c->n_values = c->values ? n : 0;
	for (size_t i = 0; i < c->n_values; i++)
		read_element(r, c, i, json_array_get(d->value, i));
}

static void
read_pattern(struct reader *r, const struct condition_draft *d)
{
	struct condition *c = d->condition;
	struct errinfo ei;

	read_scalar(r, d);
	c->regex = regex_new(slice_str(json_string_value(d->value)), &ei);
	if (!c->regex)
		reader_fault(r, ei.code, "the pattern cannot be used: %s", ei.text);
	else if (!policy_keep_regex(d->policy, c->regex))
		r->arena->failed = true;
}

/* By enum condition_value. */
static const struct {
	unsigned kinds;
	const char *want;
	void (*read)(struct reader *r, const struct condition_draft *d);
} value_kinds[] = {
	[VALUE_SCALAR] = { KIND_SCALAR, "a string, a number, true or false",
	    read_scalar },
	[VALUE_NUMBER] = { KIND_NUMBER, "a number", read_scalar },
	[VALUE_BOOL] = { KIND_BOOL, "true or false", read_scalar },
	[VALUE_LIST] = { KIND_ARRAY, "a list of strings, numbers, true or false",
	    read_list },
	[VALUE_PATTERN] = { KIND_STRING, "a regular expression", read_pattern },
};

static void
read_value_of(struct reader *r, const struct condition_draft *d)
{
	const struct condition_op *op = d->condition->op;
	size_t mark = reader_enter(r, slice_str("value"));
	char what[64];

	snprintf(what, sizeof(what), "the value of \"%s\"", op->name);
	if (json_is_null(d->value) && op->value != VALUE_BOOL)
		reader_fault(r, ERR_INVALID,
		    "%s must not be null; for what is missing or null there is "
		    "\"exists\": false",
		    what);
	else if (!(value_kinds[op->value].kinds & (1u << json_typeof(d->value))))
		reader_wrong_as(r, what, value_kinds[op->value].want, d->value);
	else
		value_kinds[op->value].read(r, d);
	reader_leave(r, mark);
}

static void
condition_read(
    struct reader *r, json_t *object, struct policy *policy, struct condition *out)
{
	struct condition_draft d = { .condition = out, .policy = policy };

	if (!json_is_object(object)) {
		reader_wrong_as(r, "a condition", "an object", object);
		return;
	}
	reader_object(r, object, condition_keys, ARRAY_LEN(condition_keys), &d);
	if (d.condition->op && d.value)
		read_value_of(r, &d);
}

static void
read_conditions(struct reader *r, json_t *list, void *into)
{
	struct entry_draft *d = into;
	size_t n = json_array_size(list);

	if (n > CONDITION_MAX) {
		reader_fault(r, ERR_TOOBIG,
		    "an entry holds at most %d conditions, not %zu", CONDITION_MAX, n);
		return;
	}
	d->entry->conditions = arena_get(r->arena, n * sizeof(*d->entry->conditions));
	d->entry->n = d->entry->conditions ? n : 0;
	for (size_t i = 0; i < d->entry->n; i++) {
		size_t mark = reader_enter_at(r, i);

		condition_read(
		    r, json_array_get(list, i), d->policy, &d->entry->conditions[i]);
		reader_leave(r, mark);
	}
}

static void
read_on_deny(struct reader *r, json_t *value, void *into)
{
	struct entry_draft *d = into;

	d->entry->message = reader_message(r, value);
}

static const struct reader_key entry_keys[] = {
	{ "conditions", KIND_ARRAY, true, "a list of conditions", read_conditions },
	{ "on_deny", KIND_STRING, false, "a message", read_on_deny },
};

/* "args.amount-gt+args.currency-eq", or the entry's index. */
static void
add_entry_id(struct buf *out, const struct entry *entry, size_t index)
{
	if (entry->n == 0)
		buf_add_int(out, (int64_t)index);
	for (size_t i = 0; i < entry->n; i++)
		buf_printf(out, "%s%s-%s", i ? "+" : "", entry->conditions[i].path.text,
		    entry->conditions[i].op->name);
}

void
condition_add_scalar(const struct operand *value, struct buf *out)
{
	char quoted[QUOTE_MAX];
	char number[NUM_REAL_MAX];

	if (value->kind == OPERAND_TEXT)
		buf_add_str(out, quote_name(quoted, value->text));
	else if (value->kind == OPERAND_NUMBER)
		buf_add_str(out, num_format_real(value->number, number));
	else
		buf_add_str(out, value->truth ? "true" : "false");
}

static void
add_value(struct buf *out, const struct condition *c)
{
	if (c->op->value == VALUE_LIST)
		buf_printf(out, "(%zu values)", c->n_values);
	else
		condition_add_scalar(&c->value, out);
}

static void
add_entry_message(struct buf *out, const struct entry *entry)
{
	if (entry->n == 0) {
		buf_add_str(out, "the policy denies every call of this tool");
		return;
	}
	buf_add_str(out,
	    entry->required ? "the policy requires that "
			    : "the policy denies calls with ");
	for (size_t i = 0; i < entry->n; i++) {
		buf_printf(out, "%s%s %s ", i ? " and " : "",
		    entry->conditions[i].path.text, entry->conditions[i].op->name);
		add_value(out, &entry->conditions[i]);
	}
}

static char *
keep(struct reader *r, struct buf *text)
{
	char *kept = text->failed ? NULL : arena_copy(r->arena, buf_slice(text));

	if (!kept)
		r->arena->failed = true;
	buf_clear(text);
	return kept;
}

/* `list` is the JSON Pointer of the list that the entry is in. */
static void
entry_finish(struct reader *r, struct slice list, struct entry *entry, size_t index)
{
	struct buf text = { 0 };
	struct buf id = { 0 };

	add_entry_id(&id, entry, index);
	buf_add_slice(&text, list);
	position_pointer_add(&text, buf_slice(&id));
	text.failed |= id.failed;
	entry->rule = keep(r, &text);
	if (!entry->message) {
		add_entry_message(&text, entry);
		entry->message = keep(r, &text);
	}
	buf_fini(&text);
	buf_fini(&id);
}

static void
entry_read(struct reader *r, json_t *object, struct policy *policy, struct slice list,
    struct entry *entry, size_t index)
{
	struct entry_draft d = { .entry = entry, .policy = policy };
	size_t mark = reader_enter_at(r, index);
	size_t before = r->faults;

	if (json_is_object(object))
		reader_object(r, object, entry_keys, ARRAY_LEN(entry_keys), &d);
	else
		reader_wrong_as(
		    r, "an entry", "an object {conditions, on_deny}", object);
	if (r->faults == before && !r->arena->failed)
		entry_finish(r, list, entry, index);
	reader_leave(r, mark);
}

void
entry_list_read(struct reader *r, json_t *list, struct policy *policy, bool required,
    struct entry_list *out)
{
	struct buf path = { 0 };
	size_t n = json_array_size(list);

	if (n > CONDITION_ENTRIES_MAX) {
		reader_fault(r, ERR_TOOBIG, "a list holds at most %d entries, not %zu",
		    CONDITION_ENTRIES_MAX, n);
		return;
	}
	buf_add_slice(&path, buf_slice(&r->path));
	out->items = arena_get(r->arena, n * sizeof(*out->items));
	out->n = out->items ? n : 0;
	for (size_t i = 0; i < out->n; i++) {
		out->items[i].required = required;
		entry_read(r, json_array_get(list, i), policy, buf_slice(&path),
		    &out->items[i], i);
	}
	r->arena->failed |= path.failed;
	buf_fini(&path);
}

const struct reader_table entry_table = { "entry", entry_keys, ARRAY_LEN(entry_keys) };
const struct reader_table condition_table = { "condition", condition_keys,
	ARRAY_LEN(condition_keys) };
