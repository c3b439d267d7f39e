/* SPDX-License-Identifier: ISC */
#include "target.h"

#include "report.h"

struct target {
	struct route route;
	bool is_http;
	struct conn *conns[CONNS_MAX];
	size_t n, next;
};

static struct target targets[TARGETS_MAX];
static size_t n_targets;

void
target_add(const char *addresses, bool is_http)
{
	if (n_targets == TARGETS_MAX)
		die("more than %d of --resp and --http", TARGETS_MAX);
	targets[n_targets].is_http = is_http;
	route_set(&targets[n_targets++].route, addresses);
}

size_t
target_count(void)
{
	return n_targets;
}

void
target_aim(size_t target, const char *addresses)
{
	route_set(&targets[target].route, addresses);
}

static struct conn *
add_conn(struct target *target)
{
	struct conn *conn =
	    conn_new(&target->route, target->is_http, (size_t)(target - targets));

	target->conns[target->n++] = conn;
	return conn;
}

void
target_connect(size_t target, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_conn(&targets[target]);
}

/* NULL: as many as there may be are busy. */
static struct conn *
choose(struct target *target, size_t pipeline)
{
	size_t max = target->is_http ? 1 : pipeline;

	for (size_t i = 0; i < target->n; i++) {
		struct conn *conn = target->conns[target->next++ % target->n];

		if (conn_has_room(conn, max))
			return conn;
	}
	return target->n < CONNS_MAX ? add_conn(target) : NULL;
}

void
target_ask(size_t target, size_t call, size_t pipeline)
{
	struct conn *conn = choose(&targets[target], pipeline);

	if (conn)
		conn_ask(conn, call);
	else
		report_check(target, &(struct asked){ now_us(), call },
		    &(struct answer){ 'r', false, "", 0 });
}

void
targets_look_after(int64_t now, int64_t timeout_us)
{
	for (size_t i = 0; i < n_targets; i++)
		for (size_t k = 0; k < targets[i].n; k++)
			conn_look_after(targets[i].conns[k], now, timeout_us);
}
