/* SPDX-License-Identifier: ISC */
/*
 * Checks at a steady rate, whatever becomes of them: an open loop, so that a daemon that
 * stalls finds the checks of that time waiting, and each of them is timed. Written in C
 * since a test in Python is itself late by what is to be judged.
 *
 *	pacer [--rate N] [--timeout-ms N] [--pipeline N] [--conns N]
 *	      [--watch PID]... [--resp ADDRESSES]... [--http ADDRESSES]... --call "TOOL GRANT"...
 *
 * The calls go round, and so do the targets, which are as many as there are --resp and
 * --http. A target is one or more HOST:PORT, parted by commas: each new connection goes
 * to the next. A line "INDEX ADDRESSES" on the standard input gives a target others; its
 * connections stay where they are. HTTP has one check under way on a
 * connection, RESP at most --pipeline; where all --conns of an address are busy more are
 * opened. A connection that the other side has closed is not used again (as pools of
 * clients do, it is looked at before). Ends when its standard input does and every check
 * is answered or given up. On its output, all times in µs of CLOCK_MONOTONIC:
 *
 *	m INDEX TEXT                              a message that is new
 *	c START TOOK KIND DEGRADED CALL TARGET MESSAGE
 *	n START TOOK                              pacer itself did not run
 *	w START TOOK                              a process of --watch PID waited for a
 *	                                          processor (its first thread)
 *
 * KIND: a allow, d deny, p approval, e another answer (MESSAGE is its first line);
 * without an answer: l the connection ended, r no connection could be had, t in
 * --timeout-ms.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "call.h"
#include "conn.h"
#include "report.h"
#include "target.h"
#include "watched.h"

#define EVENTS_MAX 256
#define WATCH_US 10000 /* between two looks at the daemons' processes */
#define CATCH_UP_US 20000

static int64_t rate = 1000, timeout_us = 5000000, pipeline = 64, conns_wanted = 4;

/* Lines "INDEX ADDRESSES" on the standard input. False: it has ended. */
static bool
read_orders(void)
{
	static char kept[4096];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, kept + len, sizeof(kept) - 1 - len);
	char *line = kept;
	char *end;

	if (n <= 0)
		return false;
	len += (size_t)n;
	kept[len] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		size_t index = strtoul(line, &line, 10);

		*end = '\0';
		if (index >= target_count() || *line != ' ')
			die("an order is INDEX ADDRESSES");
		target_aim(index, line + 1);
	}
	len = (size_t)(kept + len - line);
	memmove(kept, line, len);
	return true;
}

/* False: the standard input has ended. */
static bool
wait_for_events(void)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(conns_epoll(), events, EVENTS_MAX, 1);
	bool goes_on = true;

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			conn_on_event(events[i].data.ptr, events[i].events);
		else
			goes_on = read_orders();
	}
	return goes_on;
}

/* The calls go round, and so do the targets. */
static void
ask(size_t turn)
{
	size_t n = target_count();

	target_ask(turn % n, turn / n % call_count(), (size_t)pipeline);
}

static void
run(void)
{
	struct epoll_event input = { .events = EPOLLIN };
	int64_t next_us = now_us();
	int64_t turn_us = next_us;
	int64_t watched_us = 0;
	size_t turn = 0;
	bool asking = true;

	if (epoll_ctl(conns_epoll(), EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
		die("the standard input must be a pipe");
	while (asking || conns_under_way() > 0) {
		if (!wait_for_events() && asking) {
			asking = false;
			epoll_ctl(conns_epoll(), EPOLL_CTL_DEL, STDIN_FILENO, NULL);
		}
		report_stall(turn_us);
		turn_us = now_us();
		if (turn_us - watched_us > WATCH_US) {
			watched_report(turn_us);
			watched_us = turn_us;
		}
		/* What it did not ask while it did not run is left out: nobody made it
		 * wait but the machine, and all at once it would be another load. */
		if (next_us < turn_us - CATCH_UP_US)
			next_us = turn_us - CATCH_UP_US;
		for (; asking && next_us <= turn_us; next_us += 1000000 / rate)
			ask(turn++);
		targets_look_after(turn_us, timeout_us);
		fflush(stdout);
	}
}

/* --- the command line -------------------------------------------------------------- */

static int64_t
number(const char *text)
{
	int64_t n = strtoll(text, NULL, 10);

	if (n < 1)
		die("%s is not a number from 1", text);
	return n;
}

static void
set_option(const char *name, const char *value)
{
	if (strcmp(name, "--resp") == 0 || strcmp(name, "--http") == 0)
		target_add(value, name[2] == 'h');
	else if (strcmp(name, "--watch") == 0)
		watched_add(value);
	else if (strcmp(name, "--call") == 0)
		call_add(value);
	else if (strcmp(name, "--rate") == 0)
		rate = number(value);
	else if (strcmp(name, "--timeout-ms") == 0)
		timeout_us = number(value) * 1000;
	else if (strcmp(name, "--pipeline") == 0)
		pipeline = number(value);
	else if (strcmp(name, "--conns") == 0)
		conns_wanted = number(value);
	else
		die("%s is not an option", name);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			die("%s needs a value", argv[i]);
		set_option(argv[i], argv[i + 1]);
	}
	if (call_count() == 0 || target_count() == 0)
		die("nothing to ask, or nobody");
	if (pipeline > FIFO_MAX || conns_wanted > CONNS_MAX)
		die("--pipeline has at most %d, --conns %d", FIFO_MAX, CONNS_MAX);
	report_open();
	for (size_t i = 0; i < target_count(); i++)
		target_connect(i, (size_t)conns_wanted);
	run();
	return 0;
}
