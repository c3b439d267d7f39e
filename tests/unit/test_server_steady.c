/* SPDX-License-Identifier: ISC */
/*
 * What a check costs once everything is warm: no allocation, and no write of its own
 * where its answer can leave with others. A whole daemon runs in a child, linked with
 * this program, which counts what any library in it allocates and what the rooms send.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#define WATCHDOG_MS 10000
#define CHECKS 4000
/* Of so many checks; what grows a buffer now and then is none of a check. */
#define ALLOCATIONS_MAX (CHECKS / 500)

/* Shared with the daemon; NULL where nothing is counted. */
struct counts {
	_Atomic size_t allocations;
	_Atomic size_t sends;
};

static struct counts *counts;

static void
count_allocation(void)
{
	if (counts)
		atomic_fetch_add(&counts->allocations, 1);
}

#ifdef SANITIZED
int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void *, size_t),
    void (*on_free)(const volatile void *));

static void
on_malloc(const volatile void *ptr, size_t size)
{
	(void)ptr;
	(void)size;
	count_allocation();
}

static void
on_free(const volatile void *ptr)
{
	(void)ptr;
}

static void
count_allocations(void)
{
	assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
}
#else
/* These stand before libc's for the shared libraries, too. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);

void *
malloc(size_t size)
{
	count_allocation();
	return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	count_allocation();
	return __libc_calloc(n, size);
}

void *
realloc(void *ptr, size_t size)
{
	count_allocation();
	return __libc_realloc(ptr, size);
}

static void
count_allocations(void)
{
}
#endif

ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);

ssize_t
__wrap_send(int fd, const void *data, size_t len, int flags)
{
	if (counts)
		atomic_fetch_add(&counts->sends, 1);
	return __real_send(fd, data, len, flags);
}

struct site {
	bool with_redis;
	char dir[64];
	char redis[96]; /* sockets */
	char resp[96];
	char http[96];
	char policy[96];
	pid_t redis_pid;
	pid_t daemon_pid;
	struct counts *counts;
	char got[65536];
	size_t n_got;
};

static struct site site;

static void
pause_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

/* Connects as soon as somebody listens there. */
static int
connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	for (int ms = 0; ms < WATCHDOG_MS; ms += 5) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
			return fd;
		close(fd);
		pause_a_little();
	}
	fail_msg("nobody listens on %s", path);
	return -1;
}

static void
run_redis(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
	    site.redis, "--save", "", "--appendonly", "no", "--dir", site.dir,
	    "--logfile", "/dev/null", (char *)NULL);
	_exit(127);
}

static void
run_daemon(void)
{
	static struct config config;
	static struct errlist errors;
	static struct server server;
	char policy[128], store[128], resp[128], http[128];
	char *argv[] = { (char[]){ "rationd" }, policy, store, resp, http,
		(char[]){ "--deadline-ms=10000" } };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_start(LOG_ERROR, LOG_TEXT);
	snprintf(policy, sizeof(policy), "--policy=%s", site.policy);
	snprintf(store, sizeof(store), "--store=%s%s",
	    site.with_redis ? "redis+unix://" : "memory",
	    site.with_redis ? site.redis : "");
	snprintf(resp, sizeof(resp), "--listen-resp=unix:%s", site.resp);
	snprintf(http, sizeof(http), "--listen-http=unix:%s", site.http);
	if (config_load(&config, ARRAY_LEN(argv), argv, NULL, &errors) != 0 ||
	    server_load(&server, &config, &errors) != 0)
		_exit(EXIT_CODE_CONFIG);
	counts = site.counts;
	count_allocations();
	_exit(server_run(&server));
}

static pid_t
start(void (*run)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run();
	return pid;
}

static void
write_policy(void)
{
	static const char text[] =
	    "{ \"version\": \"1\", \"default\": \"deny\", \"tools\": { \"call\": {"
	    "  \"limits\": [ { \"counter\": \"calls\", \"window\": \"30d\","
	    "    \"max\": 1000000000, \"scope\": \"grant\" } ] } } }";
	FILE *f = fopen(site.policy, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static size_t
count_in_answers(const char *words)
{
	size_t n = 0;

	for (const char *at = site.got; (at = strstr(at, words)); at++)
		n++;
	return n;
}

/* Says it all in one go and reads on until the answers have `end` that often. */
static void
ask(int fd, const struct buf *request, const char *end, size_t times)
{
	site.n_got = 0;
	assert_int_equal(
	    send(fd, request->data, request->len, MSG_NOSIGNAL), request->len);
	do {
		ssize_t n = recv(
		    fd, site.got + site.n_got, sizeof(site.got) - site.n_got - 1, 0);

		assert_true(n > 0);
		site.n_got += (size_t)n;
		site.got[site.n_got] = '\0';
	} while (count_in_answers(end) < times);
}

/* A pipeline of checks of ten grants; a PING ends it, as its answer does the answers. */
static void
write_checks(struct buf *out, int pipeline)
{
	for (int i = 0; i < pipeline; i++)
		buf_printf(
		    out, "*3\r\n$5\r\nCHECK\r\n$4\r\ncall\r\n$2\r\ng%d\r\n", i % 10);
	buf_add_str(out, "*1\r\n$4\r\nPING\r\n");
}

static void
run_checks(int fd, const struct buf *request, int pipeline)
{
	ask(fd, request, "+PONG\r\n", 1);
	assert_int_equal(count_in_answers("*8\r\n:1\r\n"), pipeline);
}

/* Until a check is allowed: the store may not be connected yet. */
static void
wait_for_store(int fd)
{
	struct buf one = { 0 };
	bool allowed = false;

	write_checks(&one, 1);
	for (int ms = 0; ms < WATCHDOG_MS && !allowed; ms += 5) {
		ask(fd, &one, "+PONG\r\n", 1);
		allowed = count_in_answers("*8\r\n:1\r\n") == 1;
		if (!allowed)
			pause_a_little();
	}
	buf_fini(&one);
	assert_true(allowed);
}

static int
open_site(bool with_redis)
{
	memset(&site, 0, sizeof(site));
	site.with_redis = with_redis;
	snprintf(site.dir, sizeof(site.dir), "/tmp/ration-steady-XXXXXX");
	assert_non_null(mkdtemp(site.dir));
	snprintf(site.redis, sizeof(site.redis), "%s/redis", site.dir);
	snprintf(site.resp, sizeof(site.resp), "%s/resp", site.dir);
	snprintf(site.http, sizeof(site.http), "%s/http", site.dir);
	snprintf(site.policy, sizeof(site.policy), "%s/policy.json", site.dir);
	write_policy();
	site.counts = mmap(NULL, sizeof(*site.counts), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(site.counts != MAP_FAILED);
	if (with_redis) {
		site.redis_pid = start(run_redis);
		close(connect_to(site.redis));
	}
	site.daemon_pid = start(run_daemon);
	return 0;
}

static int
open_memory(void **state)
{
	(void)state;
	return open_site(false);
}

static int
open_redis(void **state)
{
	(void)state;
	return open_site(true);
}

static int
close_site(void **state)
{
	const char *files[] = { site.redis, site.resp, site.http, site.policy };
	int status = -1;

	(void)state;
	kill(site.daemon_pid, SIGTERM);
	waitpid(site.daemon_pid, &status, 0);
	if (site.redis_pid > 0) {
		kill(site.redis_pid, SIGKILL);
		waitpid(site.redis_pid, NULL, 0);
	}
	munmap(site.counts, sizeof(*site.counts));
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(files[i]);
	rmdir(site.dir);
	return status;
}

static void
check_allocations(int pipeline)
{
	int fd = connect_to(site.resp);
	struct buf request = { 0 };
	size_t before;

	wait_for_store(fd);
	write_checks(&request, pipeline);
	for (int done = 0; done < CHECKS; done += pipeline)
		run_checks(fd, &request, pipeline);
	before = atomic_load(&site.counts->allocations);
	assert_true(before > 0);
	for (int done = 0; done < CHECKS; done += pipeline)
		run_checks(fd, &request, pipeline);
	assert_in_range(
	    atomic_load(&site.counts->allocations) - before, 0, ALLOCATIONS_MAX);
	buf_fini(&request);
	close(fd);
}

static void
test_lone_checks_allocate_nothing(void **state)
{
	(void)state;
	check_allocations(1);
}

static void
test_pipelined_checks_allocate_nothing(void **state)
{
	(void)state;
	check_allocations(16);
}

/* With Redis all checks of the turn go there in one write, too. */
static void
test_resp_answers_leave_in_one_write(void **state)
{
	int fd = connect_to(site.resp);
	struct buf request = { 0 };

	(void)state;
	wait_for_store(fd);
	write_checks(&request, 16);
	for (int i = 0; i < 20; i++) {
		size_t before = atomic_load(&site.counts->sends);

		run_checks(fd, &request, 16);
		assert_int_equal(
		    atomic_load(&site.counts->sends) - before, site.with_redis ? 2 : 1);
	}
	buf_fini(&request);
	close(fd);
}

static void
write_posts(struct buf *out, int pipeline)
{
	for (int i = 0; i < pipeline; i++) {
		char body[64];
		int len = snprintf(body, sizeof(body),
		    "{\"tool\":\"call\",\"grant\":\"g%d\"}", i % 10);

		buf_printf(out,
		    "POST /v1/check HTTP/1.1\r\nHost: h\r\n"
		    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		    len, body);
	}
}

static void
run_posts(int fd, const struct buf *request, int pipeline)
{
	ask(fd, request, "\"reservation\":null}", (size_t)pipeline);
	assert_int_equal(count_in_answers("HTTP/1.1 200 "), pipeline);
}

static void
test_http_answers_leave_in_one_write(void **state)
{
	int resp_fd = connect_to(site.resp);
	int fd = connect_to(site.http);
	struct buf request = { 0 };

	(void)state;
	wait_for_store(resp_fd);
	write_posts(&request, 16);
	for (int i = 0; i < 20; i++) {
		size_t before = atomic_load(&site.counts->sends);

		run_posts(fd, &request, 16);
		assert_int_equal(
		    atomic_load(&site.counts->sends) - before, site.with_redis ? 2 : 1);
	}
	buf_fini(&request);
	close(fd);
	close(resp_fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lone_checks_allocate_nothing),
		cmocka_unit_test(test_pipelined_checks_allocate_nothing),
		cmocka_unit_test(test_resp_answers_leave_in_one_write),
		cmocka_unit_test(test_http_answers_leave_in_one_write),
	};

	return cmocka_run_group_tests_name(
		   "embedded store", tests, open_memory, close_site) +
	    cmocka_run_group_tests_name("Redis", tests, open_redis, close_site);
}
