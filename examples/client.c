/* SPDX-License-Identifier: ISC */
/*
 * One check with libration.
 *
 *	cc -o client client.c $(pkg-config --cflags --libs ration)
 *	./client create_connect_token alice-laptop [address]
 */
#include <inttypes.h>
#include <stdio.h>

#include <ration/ration.h>

int
main(int argc, char **argv)
{
	struct ration_request request = RATION_REQUEST_INIT;
	struct ration_answer answer = RATION_ANSWER_INIT;
	struct ration *r;
	char why[256];
	int rc;

	if (argc < 3) {
		fprintf(stderr, "usage: client TOOL GRANT [ADDRESS]\n");
		return 2;
	}
	/* Once per thread, not once per check: the connection is kept. */
	if (ration_connect(&r, argv[3], NULL, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 3;
	}
	request.tool = argv[1];
	request.grant = argv[2];
	request.timeout_ms = 200;
	rc = ration_check(r, &request, &answer);
	if (rc != 0)
		fprintf(stderr, "%s: %s\n", ration_error_text(rc), ration_detail(r));
	else if (answer.verdict == RATION_ALLOW && answer.remaining < 0)
		printf("go ahead, no limit\n");
	else if (answer.verdict == RATION_ALLOW)
		printf("go ahead, %" PRId64 " left\n", answer.remaining);
	else if (answer.retry_after_ms > 0)
		printf("no: %s, again in %" PRId64 " ms\n", answer.message,
		    answer.retry_after_ms);
	else if (answer.retry_after_ms < 0)
		printf("no: %s, never\n", answer.message);
	else /* no limit: the policy, or the store is away */
		printf("no: %s\n", answer.message);
	ration_close(r);
	if (rc != 0)
		return 3;
	return answer.verdict == RATION_ALLOW ? 0 : 1;
}
