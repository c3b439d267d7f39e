/* SPDX-License-Identifier: ISC */
#include "bench_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "../endpoint.h"
#include "../sock.h"
#include "base/hash.h"
#include "base/utf8.h"

#define OTHER_FILES 32 /* descriptors besides those of connections and threads */

/* Raises the limit of open files as far as needed, and as the system allows. */
static int
make_files(const struct bench_plan *plan)
{
	rlim_t wanted = (rlim_t)(plan->connections + 2 * plan->threads + OTHER_FILES);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return 0;
	if (limit.rlim_max < wanted)
		return cli_usage(plan->daemon.command,
		    "--connections: no more than %llu files may be open here",
		    (unsigned long long)limit.rlim_max);
	limit.rlim_cur = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return cli_usage(plan->daemon.command,
		    "--connections: the limit of open files cannot be raised");
	return 0;
}

static void
set_unix(struct bench_plan *plan, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memcpy(un.sun_path, path, strlen(path) + 1);
	memcpy(&plan->to, &un, sizeof(un));
	plan->to_len = sizeof(un);
}

/* A host may have several addresses: all connections use the first that answers. */
static int
make_address(struct bench_plan *plan)
{
	int64_t until_us =
	    ration_sock_clock_us() + plan->daemon.timeout_ms * INT64_C(1000);
	struct failure why = { 0 };
	struct endpoint to;
	int fd;

	if (ration_endpoint_parse(plan->address, &to, &why) != 0) {
		cli_error("%s", why.text);
		return CLI_USAGE;
	}
	fd = ration_sock_connect(&to, until_us, &why);
	if (fd < 0) {
		cli_error("%s", why.text);
		return CLI_NO_ANSWER;
	}
	plan->to_len = sizeof(plan->to);
	if (to.path[0])
		set_unix(plan, to.path);
	else if (getpeername(fd, (struct sockaddr *)&plan->to, &plan->to_len) != 0)
		plan->to_len = 0;
	close(fd);
	if (plan->to_len > 0)
		return 0;
	cli_error("%s: the connection was closed at once", plan->address);
	return CLI_NO_ANSWER;
}

/* Checks the words that go into requests as they are. */
static bool
is_line(const char *text)
{
	return !text || (!strpbrk(text, "\r\n") && utf8_valid(text, strlen(text)));
}

static int
make_request(struct bench_plan *plan)
{
	struct request_words words = {
		.tool = plan->tool,
		.policy = plan->policy,
		.cost = plan->cost,
		.grant_prefix = plan->grant_prefix,
		.host =
		    strncmp(plan->address, "unix:", 5) ? plan->address : "localhost",
		.token = plan->token,
	};

	if (!is_line(plan->token))
		return cli_usage(plan->daemon.command, "the token is not one line");
	if (plan->command)
		return bench_request_command(
		    &plan->request, plan->command, plan->grant_prefix);
	return plan->http ? bench_request_http(&plan->request, &words)
			  : bench_request_check(&plan->request, &words);
}

int
bench_plan_make(struct bench_plan *plan, const char *token)
{
	int rc;

	plan->token = token;
	if (plan->seed < 0)
		plan->seed = (int64_t)hash_random(UINT32_MAX);
	rc = make_request(plan);
	if (rc == 0 && token && !plan->http)
		rc = bench_request_auth(&plan->greeting, token);
	if (rc == ERR_INVALID)
		return cli_usage(plan->daemon.command,
		    "--command: has no word, or more than %d times " REQUEST_GRANT,
		    REQUEST_PLACES_MAX);
	if (rc < 0) {
		cli_error("out of memory");
		return CLI_USAGE;
	}
	if (rc == 0)
		rc = make_files(plan);
	return rc != 0 ? rc : make_address(plan);
}

void
bench_plan_fini(struct bench_plan *plan)
{
	bench_request_fini(&plan->request);
	bench_request_fini(&plan->greeting);
}
