/* SPDX-License-Identifier: ISC */
#include "ops/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/task.h"
#include "net/watch.h"
#include "ops/in_force.h"

#define HASH_SHOWN 12 /* digits in the log */

static const char *const trigger_names[] = {
	[RELOAD_SIGNAL] = "signal",
	[RELOAD_WATCH] = "watch",
};

struct reload {
	struct reload_options options;
	struct watch *watch; /* NULL: not watched */
	struct task *task;
	/* The helper thread's, while the task runs. */
	struct documents found;
	struct errlist errors;

	struct policy_set
	    *handed;      /* a ref'd; until they are in force everywhere, else NULL */
	size_t n_changed; /* how many of them are new or different */
	enum reload_trigger trigger; /* of the reload under way */
	bool again;                  /* another one was requested meanwhile */
	enum reload_trigger again_trigger;
};

/* --- the report -------------------------------------------------------------------- */

static void
add_error(struct json_text *j, const struct errinfo *ei)
{
	json_text_open(j, NULL, '{');
	json_text_string(j, "file", slice_str(ei->file));
	json_text_int(j, "line", ei->line);
	json_text_int(j, "column", ei->column);
	json_text_string(j, "pointer", slice_str(ei->pointer));
	json_text_string(j, "message", slice_str(ei->text));
	json_text_close(j, '}');
}

void
reload_report_format(
    struct json_text *j, const char *key, const struct reload_report *report)
{
	static const char *const results[] = {
		[RELOAD_OK] = "ok",
		[RELOAD_REFUSED] = "refused",
	};
	char when[LOG_TIME_MAX];

	if (!report || report->result == RELOAD_NONE) {
		json_text_null(j, key);
		return;
	}
	log_time(report->time_us, when);
	json_text_open(j, key, '{');
	json_text_string(j, "time", slice_str(when));
	json_text_string(j, "trigger", slice_str(trigger_names[report->trigger]));
	json_text_string(j, "result", slice_str(results[report->result]));
	json_text_bool(j, "changed", report->changed);
	json_text_open(j, "errors", '[');
	for (size_t i = 0; i < report->errors.n; i++)
		add_error(j, &report->errors.items[i]);
	json_text_close(j, ']');
	json_text_int(j, "more_errors", (int64_t)report->errors.more);
	json_text_close(j, '}');
}

void
reload_report_fini(struct reload_report *report)
{
	errlist_fini(&report->errors);
	*report = (struct reload_report){ 0 };
}

static void
note_policies(const struct reload_options *o)
{
	metric_set(o->cells, METRIC_POLICIES,
	    (int64_t)policy_set_count(o->in_force->policies));
}

/* Takes the reload's errors. */
static void
report_end(struct reload *reload, enum reload_result result, bool changed)
{
	const struct reload_options *o = &reload->options;
	bool ok = result == RELOAD_OK;
	struct reload_report report = { .result = result,
		.trigger = reload->trigger,
		.time_us = clock_real_us(),
		.changed = changed,
		.errors = reload->errors };

	in_force_set(o->in_force, reload->handed, &report);
	note_policies(o);
	errlist_init(&reload->errors, NULL);
	metric_add(o->cells, ok ? METRIC_RELOADS_OK : METRIC_RELOADS_REFUSED, 1);
	metric_set(o->cells, METRIC_RELOAD_SUCCESS, ok);
	if (ok)
		metric_set(
		    o->cells, METRIC_RELOAD_SUCCESS_TIME, report.time_us / 1000000);
}

/* --- the outcome ------------------------------------------------------------------- */

static void
log_errors(const struct reload *reload)
{
	const struct errlist *errors = &reload->errors;
	char line[1400];

	for (size_t i = 0; i < errors->n; i++) {
		err_format(&errors->items[i], line, sizeof(line));
		log_error("reload", "%s", line);
	}
	if (errors->more > 0)
		log_error("reload", "and %zu more", errors->more);
	log_error("reload", "refused (%s): %zu fault%s; the old policies stay in force",
	    trigger_names[reload->trigger], errors->n + errors->more,
	    errors->n + errors->more == 1 ? "" : "s");
}

/* Whether a policy of that name with the same document is in force: that policy, or NULL. */
static const struct policy *
same_in(const struct policy_set *set, const struct policy *policy)
{
	const struct policy *old = policy_set_find(set, slice_str(policy_name(policy)));

	return old && strcmp(policy_hash(old), policy_hash(policy)) == 0 ? old : NULL;
}

/* Logs each policy that is new or different; returns how many there are. */
static size_t
log_changes(const struct policy_set *now, const struct policy_set *next)
{
	size_t n = 0;

	for (size_t i = 0; i < policy_set_count(next); i++) {
		const struct policy *p = policy_set_at(next, i);
		const struct policy *was =
		    policy_set_find(now, slice_str(policy_name(p)));

		if (same_in(now, p))
			continue;
		n++;
		log_info("reload",
		    "policy %s: sha256 %.*s, was %.*s; %zu tools, %zu limits",
		    policy_name(p), HASH_SHOWN, policy_hash(p), HASH_SHOWN,
		    was ? policy_hash(was) : "none", policy_tool_count(p),
		    policy_limit_count(p));
	}
	return n;
}

static void
refuse(struct reload *reload)
{
	log_errors(reload);
	report_end(reload, RELOAD_REFUSED, false);
}

static void
accomplish(struct reload *reload)
{
	size_t n = reload->n_changed;

	report_end(reload, RELOAD_OK, n > 0);
	policy_set_unref(reload->handed);
	reload->handed = NULL;
	log_info("reload", "done (%s): %zu %s changed", trigger_names[reload->trigger],
	    n, n == 1 ? "policy" : "policies");
}

/* Hands the documents over. Returns whether they are in force everywhere. */
static bool
hand_over(struct reload *reload)
{
	const struct reload_options *o = &reload->options;

	reload->handed = policy_set_ref(reload->found.policies);
	/* Without the lock, since nobody else writes there. */
	reload->n_changed = log_changes(o->in_force->policies, reload->handed);
	/* Even if no byte of a policy changed: what it depends on may have (a time zone's
	 * rules, the tokens). */
	return o->swap(o->arg, &reload->found);
}

/* --- the work ---------------------------------------------------------------------- */

static void
run(void *arg)
{
	struct reload *reload = arg;

	documents_load(&reload->found, reload->options.config, &reload->errors);
	if (reload->errors.n + reload->errors.more > 0)
		documents_fini(&reload->found);
}

static void
begin(struct reload *reload, enum reload_trigger trigger)
{
	reload->trigger = trigger;
	if (task_start(reload->task) == 0)
		return;
	errlist_add(&reload->errors, ERR_NOMEM, 0, 0, NULL, "no thread can be had");
	refuse(reload);
}

static void
begin_again(struct reload *reload)
{
	if (!reload->again)
		return;
	reload->again = false;
	begin(reload, reload->again_trigger);
}

static void
done(void *arg)
{
	struct reload *reload = arg;

	if (!reload->found.policies) {
		refuse(reload);
		begin_again(reload);
	} else if (hand_over(reload)) {
		reload_taken(reload);
	}
}

void
reload_taken(struct reload *reload)
{
	accomplish(reload);
	begin_again(reload);
}

void
reload_request(struct reload *reload, enum reload_trigger trigger)
{
	if (!task_is_running(reload->task) && !reload->handed) {
		begin(reload, trigger);
		return;
	}
	/* The reading under way may have begun before the change. */
	if (!reload->again || trigger == RELOAD_SIGNAL)
		reload->again_trigger = trigger;
	reload->again = true;
}

/* --- birth and death --------------------------------------------------------------- */

static void
on_changed(void *arg)
{
	reload_request(arg, RELOAD_WATCH);
}

static void
watch_one(struct reload *reload, const char *path)
{
	struct errinfo why;

	if (watch_add(reload->watch, path, &why) < 0)
		log_warn("reload", "%s %s; after a change send SIGHUP", path, why.text);
}

static int
watch_all(struct reload *reload)
{
	const char *file;

	reload->watch = watch_new(reload->options.loop, on_changed, reload);
	if (!reload->watch)
		return ERR_NOMEM;
	for (size_t i = 0; (file = documents_file_at(reload->options.config, i)); i++)
		watch_one(reload, file);
	return 0;
}

struct reload *
reload_new(const struct reload_options *options)
{
	static const struct task_ops ops = { run, done };
	struct reload *reload = calloc(1, sizeof(*reload));

	if (!reload)
		return NULL;
	reload->options = *options;
	errlist_init(&reload->errors, NULL);
	note_policies(options);
	metric_set(options->cells, METRIC_RELOAD_SUCCESS, 1);
	metric_set(
	    options->cells, METRIC_RELOAD_SUCCESS_TIME, clock_real_us() / 1000000);
	reload->task = task_new(options->loop, &ops, reload);
	if (!reload->task || (options->config->watch && watch_all(reload) < 0)) {
		reload_free(reload);
		return NULL;
	}
	if (reload->watch && documents_stamp(options->config) != options->stamp)
		reload_request(reload, RELOAD_WATCH);
	return reload;
}

void
reload_free(struct reload *reload)
{
	if (!reload)
		return;
	watch_free(reload->watch);
	task_free(reload->task);
	policy_set_unref(reload->handed);
	documents_fini(&reload->found);
	errlist_fini(&reload->errors);
	free(reload);
}
