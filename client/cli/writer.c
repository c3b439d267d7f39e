/* SPDX-License-Identifier: ISC */
#include "writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "text.h"

static void
add_clean(struct buf *out, const char *before, const char *text)
{
	buf_add_str(out, before);
	text_add_clean(out, slice_str(text));
}

static void
add_room(struct buf *out, const struct ration_answer *a)
{
	if (a->remaining < 0) {
		buf_add_str(out, ": no limit");
		return;
	}
	buf_printf(out, ": %" PRId64 " left", a->remaining);
	if (a->reset_ms >= 0) {
		buf_add_str(out, ", resets in ");
		text_add_span(out, a->reset_ms);
	}
}

static void
add_reason(struct buf *out, const struct ration_answer *a)
{
	if (a->rule[0] == '(') { /* one of three words, not a place in the policy */
		add_clean(out, " ", a->rule);
	} else if (a->rule[0]) {
		add_clean(out, " (rule ", a->rule);
		buf_add_char(out, ')');
	}
	if (a->message[0])
		add_clean(out, ": ", a->message);
	if (a->retry_after_ms > 0) {
		buf_add_str(out, "; retry in ");
		text_add_span(out, a->retry_after_ms);
	} else if (a->retry_after_ms < 0) {
		buf_add_str(out, "; a retry will not help");
	}
}

static void
text_answer(
    struct writer *w, const struct ration_request *q, const struct ration_answer *a)
{
	static const char *const words[] = {
		[RATION_DENY] = "deny",
		[RATION_ALLOW] = "allow",
		[RATION_APPROVAL] = "approval",
	};

	buf_printf(&w->out, "%s  ", words[a->verdict]);
	add_clean(&w->out, "", q->tool);
	add_clean(&w->out, " for ", q->grant);
	if (a->verdict == RATION_ALLOW)
		add_room(&w->out, a);
	else
		add_reason(&w->out, a);
	if (q->mode == RATION_PEEK)
		buf_add_str(&w->out, " [peek]");
	if (a->degraded)
		buf_add_str(&w->out, " [degraded]");
	if (a->replayed)
		buf_add_str(&w->out, " [replayed]");
	/* On a line of its own, for scripts. */
	if (a->reservation[0])
		add_clean(&w->out, "\nreservation ", a->reservation);
	buf_add_char(&w->out, '\n');
}

static void
text_lint_begin(struct writer *w)
{
	(void)w;
}

/* "file:line:column: text (pointer)", as rationd says it. */
static void
text_fault(const struct errinfo *ei)
{
	char text[1400];
	struct buf line = { 0 };

	err_format(ei, text, sizeof(text));
	text_add_clean(&line, slice_str(text));
	fprintf(stderr, "%.*s\n", SLICE_ARG(buf_slice(&line)));
	buf_fini(&line);
}

static void
text_more(const struct lint_result *result)
{
	struct buf line = { 0 };

	add_clean(&line, "", result->file);
	fprintf(stderr, "%.*s: and %zu more\n", SLICE_ARG(buf_slice(&line)),
	    result->errors->more);
	buf_fini(&line);
}

/* Faults go to stderr at once, so what stands before them on stdout goes first. */
static void
text_lint_file(struct writer *w, const struct lint_result *result)
{
	const struct errlist *errors = result->errors;

	if (result->failure) {
		cli_error("%s: %s", result->file, result->failure);
		return;
	}
	if (errors->n == 0 && errors->more == 0) {
		add_clean(&w->out, "", result->file);
		buf_printf(&w->out, ": ok (%zu tool%s, %zu limit%s)\n", result->tools,
		    result->tools == 1 ? "" : "s", result->limits,
		    result->limits == 1 ? "" : "s");
		return;
	}
	if (w->out.len > 0)
		fwrite(w->out.data, 1, w->out.len, stdout);
	fflush(stdout);
	buf_clear(&w->out);
	for (size_t i = 0; i < errors->n; i++)
		text_fault(&errors->items[i]);
	if (errors->more > 0)
		text_more(result);
}

static void
text_lint_end(struct writer *w, const struct lint_total *total)
{
	buf_printf(&w->out, "%zu file%s, %zu error%s", total->files,
	    total->files == 1 ? "" : "s", total->errors, total->errors == 1 ? "" : "s");
	if (total->unreadable > 0)
		buf_printf(&w->out, ", %zu unreadable", total->unreadable);
	buf_add_char(&w->out, '\n');
}

static void
json_answer(
    struct writer *w, const struct ration_request *q, const struct ration_answer *a)
{
	static const char *const words[] = {
		[RATION_DENY] = "deny",
		[RATION_ALLOW] = "allow",
		[RATION_APPROVAL] = "require_approval",
	};
	struct json_text *j = &w->json;

	(void)q;
	json_text_open(j, NULL, '{');
	json_text_string(j, "verdict", slice_str(words[a->verdict]));
	json_text_string(j, "rule", slice_str(a->rule));
	json_text_string(j, "message", slice_str(a->message));
	json_text_int(j, "remaining", a->remaining);
	json_text_int(j, "reset_ms", a->reset_ms);
	json_text_int(j, "retry_after_ms", a->retry_after_ms);
	if (a->reservation[0])
		json_text_string(j, "reservation", slice_str(a->reservation));
	else
		json_text_null(j, "reservation");
	json_text_bool(j, "degraded", a->degraded);
	json_text_bool(j, "replayed", a->replayed);
	json_text_close(j, '}');
	buf_add_char(&w->out, '\n');
}

static void
json_lint_begin(struct writer *w)
{
	json_text_open(&w->json, NULL, '{');
	json_text_open(&w->json, "files", '[');
}

static void
json_fault(struct json_text *j, const struct errinfo *ei)
{
	json_text_open(j, NULL, '{');
	json_text_int(j, "line", ei->line);
	json_text_int(j, "column", ei->column);
	json_text_string(j, "pointer", slice_str(ei->pointer));
	json_text_string(j, "text", slice_str(ei->text));
	json_text_close(j, '}');
}

static void
json_lint_file(struct writer *w, const struct lint_result *result)
{
	const struct errlist *errors = result->errors;
	struct json_text *j = &w->json;

	json_text_open(j, NULL, '{');
	json_text_string(j, "file", slice_str(result->file));
	if (result->failure) {
		json_text_bool(j, "ok", false);
		json_text_string(j, "unreadable", slice_str(result->failure));
		json_text_close(j, '}');
		return;
	}
	json_text_bool(j, "ok", errors->n == 0 && errors->more == 0);
	json_text_int(j, "tools", (int64_t)result->tools);
	json_text_int(j, "limits", (int64_t)result->limits);
	json_text_open(j, "errors", '[');
	for (size_t i = 0; i < errors->n; i++)
		json_fault(j, &errors->items[i]);
	json_text_close(j, ']');
	json_text_int(j, "more", (int64_t)errors->more);
	json_text_close(j, '}');
}

static void
json_lint_end(struct writer *w, const struct lint_total *total)
{
	json_text_close(&w->json, ']');
	json_text_int(&w->json, "errors", (int64_t)total->errors);
	json_text_int(&w->json, "unreadable", (int64_t)total->unreadable);
	json_text_close(&w->json, '}');
	buf_add_char(&w->out, '\n');
}

static const struct writer_ops text_ops = {
	.answer = text_answer,
	.lint_begin = text_lint_begin,
	.lint_file = text_lint_file,
	.lint_end = text_lint_end,
};

static const struct writer_ops json_ops = {
	.answer = json_answer,
	.lint_begin = json_lint_begin,
	.lint_file = json_lint_file,
	.lint_end = json_lint_end,
};

void
writer_init(struct writer *w, bool json)
{
	w->ops = json ? &json_ops : &text_ops;
	buf_init(&w->out);
	json_text_init(&w->json, &w->out);
}

bool
writer_end(struct writer *w)
{
	bool whole = !w->out.failed;

	if (!whole) {
		cli_error("out of memory");
	} else {
		if (w->out.len > 0)
			fwrite(w->out.data, 1, w->out.len, stdout);
		if (fflush(stdout) != 0 || ferror(stdout)) {
			cli_error("cannot write the result: %s", strerror(errno));
			whole = false;
		}
	}
	buf_fini(&w->out);
	return whole;
}
