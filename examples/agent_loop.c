/* SPDX-License-Identifier: ISC */
/*
 * An agent that works through a list of tasks within its quota, with libration: for each
 * task it reserves, waits where it has to, works, then commits or rolls back.
 *
 *	cc -o agent_loop agent_loop.c $(pkg-config --cflags --libs ration)
 *	printf 'echo one\nfalse\necho three\n' | ./agent_loop create_connect_token alice-laptop
 *
 * A task is a line of standard input, run by the shell. One that fails costs nothing: what
 * it had reserved is given back. The daemon may be killed and started again, or the
 * connection cut: a reservation that is sent again with its request id is charged once.
 */
#define _DEFAULT_SOURCE /* getentropy() */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ration/ration.h>

#define TRIES 8  /* with growing pauses: 3.6 seconds for a daemon to come back */
#define TTL_S 60 /* how long a task may take; longer ones would renew */

struct agent {
	struct ration *quota;
	const char *tool;
	const char *grant;
	char run[33]; /* of this run of the program, for request ids */
	char reservation[RATION_RESERVATION_MAX];
};

static void
wait_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Drawn at random: a process id and the time are the same in two containers that start
 * together, and the second one's calls would pass for repeats of the first one's. */
static int
draw_run(char out[33])
{
	unsigned char bytes[16];

	if (getentropy(bytes, sizeof(bytes)) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* Asks until there is an answer. 0 and *answer, or an enum ration_error. */
static int
reserve_once(struct agent *agent, const char *id, struct ration_answer *answer)
{
	struct ration_request request = RATION_REQUEST_INIT;
	int rc = 0;

	request.tool = agent->tool;
	request.grant = agent->grant;
	request.request_id = id;
	request.ttl_s = TTL_S;
	for (int try = 1; try <= TRIES; try++) {
		rc = ration_reserve(agent->quota, &request, answer);
		if (rc == 0 || rc == RATION_ERR_ARGUMENT || rc == RATION_ERR_REFUSED)
			break;
		fprintf(stderr, "no answer (%s), again\n", ration_error_text(rc));
		wait_ms(100 * try);
	}
	return rc;
}

/* Waits for room. Whether the task may go ahead. */
static bool
reserve(struct agent *agent, int task)
{
	struct ration_answer answer = RATION_ANSWER_INIT;
	char id[64];
	int rc;

	/* New for every task, the same for each try of it. */
	snprintf(id, sizeof(id), "%s-%d", agent->run, task);
	for (;;) {
		rc = reserve_once(agent, id, &answer);
		if (rc != 0) {
			fprintf(stderr, "%s: %s\n", ration_error_text(rc),
			    ration_detail(agent->quota));
			return false;
		}
		if (answer.verdict == RATION_ALLOW)
			break;
		if (answer.retry_after_ms <= 0) {
			fprintf(stderr, "task %d is denied: %s\n", task, answer.message);
			return false;
		}
		fprintf(stderr, "task %d has to wait: %s\n", task, answer.message);
		wait_ms(answer.retry_after_ms);
	}
	snprintf(
	    agent->reservation, sizeof(agent->reservation), "%s", answer.reservation);
	return true;
}

/* Left alone, the charge would stand, and a slot be free, when the TTL is over. */
static void
settle(struct agent *agent, bool worked)
{
	int rc = RATION_ERR_NOMEM;

	if (!agent->reservation[0]) /* the daemon decided without its store */
		return;
	for (int try = 1; try <= TRIES && rc != 0; try++) {
		rc = worked
		    ? ration_commit(agent->quota, agent->reservation, NULL, NULL)
		    : ration_rollback(agent->quota, agent->reservation, NULL, NULL);
		if (rc == RATION_ERR_NOTFOUND || rc == RATION_ERR_REFUSED)
			break;
		if (rc != 0)
			wait_ms(100 * try);
	}
	if (rc != 0)
		fprintf(stderr, "not settled: %s: %s\n", ration_error_text(rc),
		    ration_detail(agent->quota));
}

int
main(int argc, char **argv)
{
	struct agent agent = { 0 };
	char line[4096];
	char why[256];
	int failed = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: agent_loop TOOL GRANT [ADDRESS] <TASKS\n");
		return 2;
	}
	if (draw_run(agent.run) != 0) {
		perror("getentropy");
		return 3;
	}
	agent.tool = argv[1];
	agent.grant = argv[2];
	if (ration_connect(&agent.quota, argv[3], NULL, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 3;
	}
	for (int task = 1; fgets(line, sizeof(line), stdin); task++) {
		bool worked = false;

		if (reserve(&agent, task)) {
			worked = system(line) == 0;
			settle(&agent, worked);
		}
		failed += !worked;
	}
	ration_close(agent.quota);
	return failed ? 1 : 0;
}
