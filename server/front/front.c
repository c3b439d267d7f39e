/* SPDX-License-Identifier: ISC */
#include "front/front.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "front/front_inner.h"

static struct front_conn *
front_conn_of(void *arg)
{
	struct front_conn *fc = arg;

	assert(fc->magic == FRONT_MAGIC);
	return fc;
}

const char *
front_fault(enum store_fault fault, const char *detail, char out[FRONT_FAULT_MAX])
{
	snprintf(out, FRONT_FAULT_MAX, "the store is unavailable: %s%s%s%s",
	    store_fault_table[fault].phrase, detail[0] ? " (" : "", detail,
	    detail[0] ? ")" : "");
	return out;
}

/* The connection is closed, or will close by itself. */
static void
front_conn_leave(struct front_conn *fc)
{
	struct front *front = fc->front;

	fc->over = true;
	front_drop_owed(fc);
	front->protocol->close(fc);
	LIST_REMOVE(fc, link);
	front->n_conns--;
	metric_add(front->options.cells, front->protocol->connections, -1);
	if (!fc->in_data)
		free(fc);
}

void
front_conn_close(struct front_conn *fc)
{
	conn_close(fc->conn);
	front_conn_leave(fc);
}

void
front_conn_close_after_write(struct front_conn *fc)
{
	conn_close_after_write(fc->conn);
	front_conn_leave(fc);
}

static int
share_of(size_t n_asked)
{
	size_t share = FRONT_TURN_SHARED / (n_asked ? n_asked : 1);

	if (share < FRONT_TURN_LEAST)
		return FRONT_TURN_LEAST;
	return share < FRONT_TURN_BUDGET ? (int)share : FRONT_TURN_BUDGET;
}

/* Begins a new account if this is the first request of the turn, or of this connection in
 * the turn. */
static void
begin_turn(struct front_conn *fc)
{
	struct front *front = fc->front;
	uint64_t turn = loop_turn(front->loop);

	if (front->turn != turn) {
		front->turn = turn;
		front->share = share_of(front->n_asked);
		front->n_asked = 0;
		front->spent = 0;
	}
	if (fc->turn != turn) {
		fc->turn = turn;
		fc->spent = 0;
		front->n_asked++;
	}
}

/* Once the shared budget is spent, because more connections ask than in the turn before,
 * each gets only the least. */
static bool
has_share(const struct front_conn *fc)
{
	const struct front *front = fc->front;

	return fc->spent <
	    (front->spent < FRONT_TURN_SHARED ? front->share : FRONT_TURN_LEAST);
}

/* Takes one request. Returns the bytes it took; 0: more are needed. */
static size_t
take_one(struct front_conn *fc, const char *data, size_t len)
{
	struct front *front = fc->front;
	int before = fc->spent;
	size_t n;

	fc->spent += FRONT_REQUEST_COST;
	n = front->protocol->take(fc, data, len);
	front->spent += fc->spent - before;
	return n;
}

/* Takes requests while it may. The bytes they took; *halved: the rest is no whole one. */
static size_t
take_many(struct front_conn *fc, const char *data, size_t len, bool *halved)
{
	size_t used = 0;

	while (used < len && front_wants_more(fc)) {
		size_t n;

		if (!has_share(fc)) {
			conn_yield(fc->conn);
			break;
		}
		n = take_one(fc, data + used, len - used);
		*halved = n == 0;
		if (n == 0)
			break;
		used += n;
	}
	return used;
}

/* While it drains nothing is taken that came later, or who never pauses would hold it up
 * until it is cut off. */
static size_t
take_arrived(struct front_conn *fc, const char *data, size_t len, bool *halved)
{
	size_t most = len < fc->arrived ? len : fc->arrived;
	size_t used = take_many(fc, data, most, halved);

	fc->arrived -= used;
	if (!fc->over && (fc->arrived == 0 || (*halved && most == fc->arrived + used)))
		front_finish(fc);
	return used;
}

static size_t
on_data(void *arg, const char *data, size_t len)
{
	struct front_conn *fc = front_conn_of(arg);
	bool halved = false;
	size_t used;

	begin_turn(fc);
	fc->in_data = true;
	used = fc->front->draining ? take_arrived(fc, data, len, &halved)
				   : take_many(fc, data, len, &halved);
	fc->unread = used < len;
	front_settle(fc);
	fc->in_data = false;
	if (fc->over)
		free(fc);
	return used;
}

static void
on_end(void *arg, enum conn_end end, const struct errinfo *why)
{
	static const enum metric reasons[] = {
		[CONN_END_PEER] = METRIC_COUNT,
		[CONN_END_IDLE] = METRIC_CLOSED_IDLE,
		[CONN_END_SLOW] = METRIC_CLOSED_SLOW,
		[CONN_END_FAILED] = METRIC_COUNT,
		[CONN_END_TOOBIG] = METRIC_CLOSED_PROTOCOL,
		[CONN_END_CROWDED] = METRIC_CLOSED_CROWDED,
	};
	struct front_conn *fc = front_conn_of(arg);
	struct front *front = fc->front;

	if (reasons[end] != METRIC_COUNT)
		metric_add(front->options.cells, reasons[end], 1);
	if (why)
		log_debug("front", "a connection ended: %s", why->text);
	/* While answers are owed, a last word would be taken for one of them. */
	if (fc->n_owed == 0 &&
	    (end == CONN_END_SLOW || end == CONN_END_TOOBIG || end == CONN_END_CROWDED))
		front->protocol->farewell(fc, end, conn_out(fc->conn));
	front_conn_leave(fc);
}

static const struct conn_ops conn_ops = { .on_data = on_data, .on_end = on_end };

/* Says why before it closes, so that the client need not guess. */
static void
turn_away(struct front *front, int fd)
{
	struct conn *conn;

	metric_add(front->options.cells, METRIC_CONNECTIONS_REFUSED, 1);
	conn = conn_accept(front->loop, fd, &front->conn_options, &conn_ops, NULL);
	if (!conn)
		return;
	front->protocol->refuse(front, conn_out(conn));
	conn_close_after_write(conn);
}

/* But not for a crowd: whoever is told so holds a descriptor until it has read that. */
static void
refuse(struct front *front, int fd)
{
	size_t told_max = front->options.quota->max + FRONT_REFUSED_MAX;

	if (loop_group_clients(front->loop) < told_max) {
		turn_away(front, fd);
		return;
	}
	metric_add(front->options.cells, METRIC_CONNECTIONS_REFUSED, 1);
	close(fd);
}

void
front_admit(struct front *front, int fd, bool local)
{
	struct front_conn *fc = calloc(1, sizeof(*fc));

	if (!fc) {
		turn_away(front, fd);
		return;
	}
	fc->conn = conn_accept(front->loop, fd, &front->conn_options, &conn_ops, fc);
	if (!fc->conn) {
		free(fc);
		return;
	}
	fc->magic = FRONT_MAGIC;
	fc->front = front;
	fc->authorized = !front->options.tokens || local;
	front->protocol->open(fc);
	LIST_INSERT_HEAD(&front->conns, fc, link);
	front->n_conns++;
	metric_add(front->options.cells, front->protocol->connections, 1);
}

/* Only one loop of a group listens, so nobody else can take the room that is found here. */
static void
on_accept(void *arg, int fd)
{
	struct front_listener *fl = arg;
	const struct front_options *o = &fl->front->options;
	bool local = listener_is_local(fl->listener);

	if (loop_group_clients(fl->front->loop) >= o->quota->max)
		refuse(fl->front, fd);
	else if (!o->pass || !o->pass(o->pass_arg, fd, local))
		front_admit(fl->front, fd, local);
}

struct front *
front_new(struct loop *loop, const struct front_protocol *protocol,
    const struct front_options *options)
{
	struct front *front = calloc(1, sizeof(*front));

	if (!front)
		return NULL;
	front->loop = loop;
	front->share = FRONT_TURN_BUDGET;
	front->protocol = protocol;
	front->options = *options;
	front->conn_options = (struct conn_options){
		.in_max = protocol->in_max(options->request_max),
		.out_high = FRONT_OUT_HIGH,
		.idle_ms = options->idle_ms,
		.message_ms = options->message_ms,
		.write_ms = options->write_ms,
	};
	front->exchanges = (struct spares){ .size = sizeof(struct exchange),
		.max = FRONT_SPARE_EXCHANGES,
		.free = front_exchange_free };
	LIST_INIT(&front->conns);
	return front;
}

int
front_listen(struct front *front, const struct address *address, struct errinfo *ei)
{
	size_t n = front->n_listeners;
	struct front_listener *fl = calloc(1, sizeof(*fl));
	struct front_listener **more =
	    fl ? realloc(front->listeners, (n + 1) * sizeof(*more)) : NULL;

	if (!more) {
		free(fl);
		return err_set(ei, ERR_NOMEM, "out of memory");
	}
	front->listeners = more;
	fl->front = front;
	fl->listener = listener_open(front->loop, address, on_accept, fl, ei);
	if (!fl->listener) {
		free(fl);
		return ei->code;
	}
	more[n] = fl;
	front->n_listeners++;
	return 0;
}

const char *
front_address(const struct front *front, size_t i)
{
	return i < front->n_listeners ? listener_address(front->listeners[i]->listener)
				      : NULL;
}

static void
stop_accepting(struct front *front)
{
	while (front->n_listeners > 0) {
		struct front_listener *fl = front->listeners[--front->n_listeners];

		listener_close(fl->listener);
		free(fl);
	}
}

void
front_set_tokens(struct front *front, const struct token_set *tokens)
{
	front->options.tokens = tokens;
}

void
front_accept_waiting(struct front *front)
{
	for (size_t i = 0; i < front->n_listeners; i++)
		listener_accept_waiting(front->listeners[i]->listener);
}

void
front_part(struct front *front)
{
	front->parting = true;
}

/* Everybody who has asked already is answered: first the clients in the listeners' queues
 * are accepted, then all requests that have arrived are taken. A conn that is read or
 * settled may end, and others with it, so each is first moved to another list. */
void
front_drain(struct front *front)
{
	struct front_conn_list heard = LIST_HEAD_INITIALIZER(heard);
	struct front_conn *fc;

	front->draining = front->parting = true;
	front_accept_waiting(front);
	stop_accepting(front);
	while ((fc = LIST_FIRST(&front->conns))) {
		LIST_REMOVE(fc, link);
		LIST_INSERT_HEAD(&heard, fc, link);
		fc->arrived = conn_arrived(fc->conn);
		conn_read_now(fc->conn);
	}
	while ((fc = LIST_FIRST(&heard))) {
		LIST_REMOVE(fc, link);
		LIST_INSERT_HEAD(&front->conns, fc, link);
		/* What is more than its share of this turn is taken in the next ones. */
		if (fc->arrived == 0 || !conn_shows_again(fc->conn))
			front_finish(fc);
		front_settle(fc);
	}
}

size_t
front_connections(const struct front *front)
{
	return front->n_conns;
}

void
front_free(struct front *front)
{
	if (!front)
		return;
	stop_accepting(front);
	while (!LIST_EMPTY(&front->conns))
		front_conn_close(LIST_FIRST(&front->conns));
	spares_fini(&front->exchanges);
	http_response_fini(&front->response);
	buf_fini(&front->body);
	free(front->listeners);
	free(front);
}
