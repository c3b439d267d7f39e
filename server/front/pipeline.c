/* SPDX-License-Identifier: ISC */
/*
 * Answers leave in the order of their requests. The usual case costs nothing: when nothing
 * is owed, and the answer is there at once, it is written straight into the connection's
 * output.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "front/front_inner.h"
#include "wire/settlement.h"

static void
release_check(struct exchange *ex)
{
	check_release(ex->work.check);
}

static void
release_throttle(struct exchange *ex)
{
	throttle_release(ex->work.throttle);
}

static void
release_settlement(struct exchange *ex)
{
	settlement_release(ex->work.settlement);
}

/* The reset happens although nobody waits for it, and has to be in the log. */
static void
release_resetting(struct exchange *ex)
{
	if (!ex->ready)
		log_info("front",
		    "reset by %s, which left before the store answered: %.*s",
		    conn_peer(ex->owner->conn), SLICE_ARG(buf_slice(&ex->bytes)));
	resetting_release(ex->work.resetting);
}

static void (*const release[JOB_COUNT])(struct exchange *ex) = {
	[JOB_CHECK] = release_check,
	[JOB_THROTTLE] = release_throttle,
	[JOB_SETTLEMENT] = release_settlement,
	[JOB_RESETTING] = release_resetting,
};

static struct exchange *
exchange_new(struct front_conn *fc)
{
	struct exchange *ex = spares_get(&fc->front->exchanges);

	if (!ex)
		return NULL;
	ex->next = NULL;
	ex->owner = fc;
	ex->job = JOB_NONE;
	ex->ready = false;
	return ex;
}

static void
exchange_end(struct front *front, struct exchange *ex)
{
	if (ex->job != JOB_NONE)
		release[ex->job](ex);
	if (ex->bytes.cap > FRONT_EXCHANGE_BYTES)
		buf_fini(&ex->bytes);
	buf_clear(&ex->bytes);
	spares_put(&front->exchanges, ex);
}

void
front_exchange_free(void *exchange)
{
	struct exchange *ex = exchange;

	buf_fini(&ex->bytes);
	free(ex);
}

static void
owe(struct front_conn *fc, struct exchange *ex)
{
	if (fc->last)
		fc->last->next = ex;
	else
		fc->first = ex;
	fc->last = ex;
	if (fc->n_owed++ == 0)
		conn_set_busy(fc->conn, true);
}

static struct exchange *
pop_owed(struct front_conn *fc)
{
	struct exchange *ex = fc->first;

	fc->first = ex->next;
	if (!fc->first)
		fc->last = NULL;
	fc->n_owed--;
	return ex;
}

void
front_drop_owed(struct front_conn *fc)
{
	while (fc->first)
		exchange_end(fc->front, pop_owed(fc));
	fc->owed_bytes = 0;
}

static bool
is_bytes(const struct exchange *ex)
{
	return ex->job == JOB_NONE;
}

/* Counts what was appended to the last of the owed answers since it was last counted. */
static size_t
uncounted_bytes(const struct front_conn *fc)
{
	return fc->last && is_bytes(fc->last) ? fc->last->bytes.len : 0;
}

static bool
owes_much(const struct front_conn *fc)
{
	return fc->n_owed >= fc->front->options.pending_max ||
	    fc->owed_bytes + uncounted_bytes(fc) >= FRONT_OUT_HIGH;
}

/* Reading only resumes when half of it has left, so that it does not stutter. */
static bool
owes_little(const struct front_conn *fc)
{
	return fc->n_owed <= fc->front->options.pending_max / 2 &&
	    fc->owed_bytes + uncounted_bytes(fc) <= FRONT_OUT_HIGH / 2;
}

bool
front_wants_more(const struct front_conn *fc)
{
	return !fc->over && !fc->finishing &&
	    conn_out_pending(fc->conn) <= FRONT_OUT_HIGH && !owes_much(fc);
}

struct buf *
front_reply(struct front_conn *fc)
{
	struct exchange *ex;

	if (fc->over)
		return NULL;
	if (fc->n_owed == 0)
		return conn_out(fc->conn);
	/* Small answers that follow each other share an exchange. */
	if (is_bytes(fc->last) && fc->last->bytes.len < FRONT_EXCHANGE_BYTES / 2)
		return &fc->last->bytes;
	ex = exchange_new(fc);
	if (!ex) {
		front_conn_close(fc);
		return NULL;
	}
	fc->owed_bytes += uncounted_bytes(fc);
	owe(fc, ex);
	return &ex->bytes;
}

static void
write_answer(struct front_conn *fc, struct exchange *ex)
{
	struct front *front = fc->front;
	struct buf *out = conn_out(fc->conn);

	if (is_bytes(ex)) {
		buf_add_slice(out, buf_slice(&ex->bytes));
		out->failed |= ex->bytes.failed;
		return;
	}
	front->protocol->format[ex->job](fc, ex, out);
	/* Explanations and usage do not count as checks. */
	if (ex->job == JOB_CHECK && !check_explanation(ex->work.check) &&
	    !check_usage(ex->work.check))
		metric_latency(front->options.cells,
		    clock_mono_us() - check_started_us(ex->work.check));
}

static bool
is_ready(const struct exchange *ex)
{
	return ex->ready || is_bytes(ex);
}

static void
write_ready(struct front_conn *fc)
{
	struct exchange *ex;

	while ((ex = fc->first) && is_ready(ex)) {
		/* Its bytes were counted when the next one came after it. */
		if (is_bytes(ex) && ex != fc->last)
			fc->owed_bytes -= ex->bytes.len;
		pop_owed(fc);
		write_answer(fc, ex);
		exchange_end(fc->front, ex);
	}
}

static void
on_ready(struct exchange *ex)
{
	struct front_conn *fc = ex->owner;

	ex->ready = true;
	/* While the job is being started the exchange is not owed yet: begin() deals with
	 * an answer that is there at once. */
	if (ex != fc->first)
		return;
	write_ready(fc);
	if (!fc->in_data)
		front_settle(fc);
}

static void
on_check_done(struct check *check, void *arg)
{
	(void)check;
	on_ready(arg);
}

static void
on_throttle_done(struct throttle *throttle, void *arg)
{
	(void)throttle;
	on_ready(arg);
}

static void
on_settlement_done(struct settlement *settlement, void *arg)
{
	(void)settlement;
	on_ready(arg);
}

static void
on_resetting_done(struct resetting *resetting, void *arg)
{
	const struct reset *result = resetting_result(resetting);
	struct exchange *ex = arg;
	const char *peer = conn_peer(ex->owner->conn);

	if (result->fault != FAULT_NONE)
		log_info("front",
		    "reset by %s, and it is not known whether it was done (%s): "
		    "%.*s",
		    peer, store_fault_table[result->fault].phrase,
		    SLICE_ARG(buf_slice(&ex->bytes)));
	else
		log_info("front",
		    "reset by %s: %zu of %zu counters held something: %.*s", peer,
		    result->held, result->n, SLICE_ARG(buf_slice(&ex->bytes)));
	on_ready(ex);
}

/* Called once the job was started, when it may already be done. */
static void
begin(struct front_conn *fc, struct exchange *ex, enum job job)
{
	ex->job = job;
	if (fc->n_owed == 0 && is_ready(ex)) {
		write_answer(fc, ex);
		exchange_end(fc->front, ex);
		return;
	}
	fc->owed_bytes += uncounted_bytes(fc);
	owe(fc, ex);
}

int
front_check(struct front_conn *fc, const struct check_request *request,
    struct answer_style style)
{
	/* What it costs beyond any other request, which is accounted for already. */
	static const int dearer[] = {
		[CHECK_ASK] = FRONT_CHECK_COST - FRONT_REQUEST_COST,
		[CHECK_EXPLAIN] = 0,
		[CHECK_USAGE] = FRONT_POLICY_COST - FRONT_REQUEST_COST,
	};
	struct front *front = fc->front;
	struct exchange *ex = exchange_new(fc);

	if (!ex)
		return ERR_NOMEM;
	ex->style = style;
	ex->work.check = check_start(front->options.engine, request, on_check_done, ex);
	fc->spent += dearer[request->kind];
	if (!ex->work.check) {
		exchange_end(front, ex);
		return fc->over ? 0 : ERR_NOMEM;
	}
	begin(fc, ex, JOB_CHECK);
	return 0;
}

int
front_throttle(
    struct front_conn *fc, const struct throttle_request *request, struct errinfo *ei)
{
	struct front *front = fc->front;
	struct exchange *ex = exchange_new(fc);

	if (!ex)
		return err_set(ei, ERR_NOMEM, "out of memory");
	ex->work.throttle =
	    throttle_start(front->options.throttler, request, on_throttle_done, ex, ei);
	if (!ex->work.throttle) {
		exchange_end(front, ex);
		return ei->code;
	}
	fc->spent -= FRONT_REQUEST_COST - FRONT_CHECK_COST;
	begin(fc, ex, JOB_THROTTLE);
	return 0;
}

int
front_settlement(
    struct front_conn *fc, const struct settlement_request *request, struct errinfo *ei)
{
	struct front *front = fc->front;
	struct exchange *ex = exchange_new(fc);

	if (!ex)
		return err_set(ei, ERR_NOMEM, "out of memory");
	ex->style = (struct answer_style){ 0 };
	buf_add_slice(&ex->bytes, request->reservation);
	ex->work.settlement = settlement_start(
	    front->options.settler, request, on_settlement_done, ex, ei);
	if (!ex->work.settlement) {
		exchange_end(front, ex);
		return ei->code;
	}
	fc->spent -= FRONT_REQUEST_COST - FRONT_CHECK_COST;
	begin(fc, ex, JOB_SETTLEMENT);
	return 0;
}

int
front_resetting(
    struct front_conn *fc, const struct reset_request *request, struct errinfo *ei)
{
	struct front *front = fc->front;
	struct exchange *ex = exchange_new(fc);

	if (!ex)
		return err_set(ei, ERR_NOMEM, "out of memory");
	fc->spent += FRONT_POLICY_COST - FRONT_REQUEST_COST;
	ex->style = (struct answer_style){ 0 };
	reset_json_asked(request, &ex->bytes);
	ex->work.resetting =
	    resetting_start(front->options.engine, request, on_resetting_done, ex, ei);
	if (!ex->work.resetting) {
		exchange_end(front, ex);
		return ei->code;
	}
	begin(fc, ex, JOB_RESETTING);
	return 0;
}

void
front_finish(struct front_conn *fc)
{
	fc->finishing = true;
}

/* Whether the client, all of whose requests are answered, can be sent away without losing
 * one that has arrived since. */
static bool
can_part(const struct front_conn *fc)
{
	return fc->front->parting && !fc->unread && !conn_has_news(fc->conn);
}

void
front_settle(struct front_conn *fc)
{
	if (fc->over)
		return;
	if (fc->n_owed == 0) {
		conn_set_busy(fc->conn, false);
		if (fc->finishing || can_part(fc)) {
			front_conn_close_after_write(fc);
			return;
		}
	}
	if (!fc->paused && (fc->finishing || owes_much(fc))) {
		fc->paused = true;
		conn_pause(fc->conn);
	} else if (fc->paused && !fc->finishing && owes_little(fc)) {
		fc->paused = false;
		conn_resume(fc->conn);
	}
}
