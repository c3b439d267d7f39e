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
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CALLS_MAX 4096
#define TARGETS_MAX 16
#define ADDRESSES_MAX 16
#define CONNS_MAX 2048 /* of one target */
#define FIFO_MAX 8192  /* checks under way on one connection */
#define IN_MAX 65536
#define OUT_MAX (1 << 20)
#define MESSAGES_MAX 512
#define EVENTS_MAX 256
#define RETRY_US 10000 /* after a connection that failed */
#define WATCH_US 10000 /* between two looks at the daemons' processes */
#define CATCH_UP_US 20000
#define WAIT_US 250   /* of a process, since the last look; less is as always */
#define STALL_US 2500 /* between two turns, which are at most 1 ms apart otherwise */

enum { CLOSED, CONNECTING, OPEN };

struct call {
	char *resp, *http; /* the request */
	size_t resp_len, http_len;
};

/* One check that waits for its answer. */
struct asked {
	int64_t start_us;
	int call;
};

struct target;

struct conn {
	struct target *target;
	int fd;
	int state;
	bool last; /* HTTP said "Connection: close" */
	int64_t retry_us;
	struct asked *fifo; /* a ring of FIFO_MAX */
	size_t first, n;
	char *in, *out;
	size_t in_len, out_len;
	bool wants_write;
};

struct target {
	struct sockaddr_in addresses[ADDRESSES_MAX]; /* new connections go round */
	size_t n_addresses, next_address;
	bool is_http;
	size_t index;
	struct conn *conns[CONNS_MAX];
	size_t n, next;
};

/* What an answer says. */
struct answer {
	char kind;
	bool degraded;
	const char *text;
	size_t text_len;
};

/* A process: how long it has waited for a processor in all, as last seen. */
struct watched {
	int fd;
	int64_t wait_us;
};

static struct watched watched[TARGETS_MAX];
static size_t n_watched;
static struct call calls[CALLS_MAX];
static struct target targets[TARGETS_MAX];
static size_t n_calls, n_targets;
static int64_t rate = 1000, timeout_us = 5000000, pipeline = 64, conns_wanted = 4;
static char *messages[MESSAGES_MAX];
static size_t n_messages;
static size_t n_under_way;
static int epoll_fd;

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("pacer: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static void *
need(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

/* --- what is told ------------------------------------------------------------------ */

/* The index of a message, which is told when it is new; the table full, the last one. */
static size_t
message_index(const char *text, size_t len)
{
	for (size_t i = 0; i < n_messages; i++)
		if (strlen(messages[i]) == len && memcmp(messages[i], text, len) == 0)
			return i;
	if (n_messages == MESSAGES_MAX)
		return n_messages - 1;
	messages[n_messages] = need(strndup(text, len));
	printf("m %zu %s\n", n_messages, messages[n_messages]);
	return n_messages++;
}

static void
tell(const struct target *target, const struct asked *a, const struct answer *answer)
{
	size_t message = message_index(answer->text, answer->text_len);

	printf("c %lld %lld %c %d %d %zu %zu\n", (long long)a->start_us,
	    (long long)(now_us() - a->start_us), answer->kind, answer->degraded,
	    a->call, target->index, message);
}

static struct asked
pop(struct conn *conn)
{
	struct asked a = conn->fifo[conn->first];

	conn->first = (conn->first + 1) % FIFO_MAX;
	conn->n--;
	n_under_way--;
	return a;
}

/* None of those that wait here will be answered. */
static void
give_up(struct conn *conn, char kind, const char *why)
{
	struct answer answer = { kind, false, why, strlen(why) };

	while (conn->n > 0) {
		struct asked a = pop(conn);

		tell(conn->target, &a, &answer);
	}
}

/* --- connections ------------------------------------------------------------------- */

static void
drop(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->state = CLOSED;
	conn->in_len = conn->out_len = 0;
	conn->last = conn->wants_write = false;
}

static void
watch(struct conn *conn, int op, bool writes)
{
	struct epoll_event ev = { .events = EPOLLIN | (writes ? EPOLLOUT : 0),
		.data.ptr = conn };

	if (epoll_ctl(epoll_fd, op, conn->fd, &ev) < 0)
		die("epoll: %s", strerror(errno));
	conn->wants_write = writes;
}

static const struct sockaddr_in *
next_address(struct target *target)
{
	return &target->addresses[target->next_address++ % target->n_addresses];
}

static void
open_conn(struct conn *conn)
{
	const struct sockaddr_in *to = next_address(conn->target);
	int one = 1;

	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(conn->fd, (const struct sockaddr *)to, sizeof(*to)) < 0 &&
	    errno != EINPROGRESS) {
		drop(conn);
		conn->retry_us = now_us() + RETRY_US;
		return;
	}
	conn->state = CONNECTING;
	watch(conn, EPOLL_CTL_ADD, true);
}

static struct conn *
add_conn(struct target *target)
{
	struct conn *conn = need(calloc(1, sizeof(*conn)));

	conn->target = target;
	conn->fd = -1;
	conn->fifo = need(malloc(FIFO_MAX * sizeof(*conn->fifo)));
	conn->in = need(malloc(IN_MAX));
	conn->out = need(malloc(OUT_MAX));
	target->conns[target->n++] = conn;
	open_conn(conn);
	return conn;
}

/* Puts the requests of those that wait into the output once more: the connection before
 * never came to be. */
static void
put_request(struct conn *conn, int call)
{
	const struct call *c = &calls[call];
	bool http = conn->target->is_http;
	size_t len = http ? c->http_len : c->resp_len;

	if (conn->out_len + len > OUT_MAX)
		die("the output of a connection is full");
	memcpy(conn->out + conn->out_len, http ? c->http : c->resp, len);
	conn->out_len += len;
}

static void
flush(struct conn *conn)
{
	ssize_t n;

	if (conn->state != OPEN || conn->out_len == 0)
		return;
	n = send(conn->fd, conn->out, conn->out_len, MSG_NOSIGNAL);
	if (n > 0) {
		memmove(conn->out, conn->out + n, conn->out_len - (size_t)n);
		conn->out_len -= (size_t)n;
	}
	/* A broken connection is found by reading, behind the answers that came. */
	if ((conn->out_len > 0 && (n > 0 || errno == EAGAIN)) != conn->wants_write)
		watch(conn, EPOLL_CTL_MOD, !conn->wants_write);
}

static void
on_connected(struct conn *conn)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		drop(conn);
		conn->retry_us = now_us() + RETRY_US;
		return;
	}
	conn->state = OPEN;
	conn->out_len = 0;
	for (size_t i = 0; i < conn->n; i++)
		put_request(conn, conn->fifo[(conn->first + i) % FIFO_MAX].call);
	watch(conn, EPOLL_CTL_MOD, false);
	flush(conn);
}

/* --- answers ----------------------------------------------------------------------- */

/* The length of the first line of `in`, its end included; 0: it is not whole. */
static size_t
line_len(const char *in, size_t len)
{
	const char *end = memchr(in, '\n', len);

	return end ? (size_t)(end - in) + 1 : 0;
}

/* One element of an array: its text. The bytes it took; 0: it is not whole. */
static size_t
resp_element(const char *in, size_t len, const char **text, size_t *text_len)
{
	size_t line = line_len(in, len);
	size_t body;

	if (line == 0)
		return 0;
	*text = in + 1;
	*text_len = line - 3;
	if (in[0] != '$')
		return line;
	body = (size_t)strtoul(in + 1, NULL, 10);
	*text = in + line;
	*text_len = body;
	return len >= line + body + 2 ? line + body + 2 : 0;
}

/* The bytes of one answer; 0: it is not whole. */
static size_t
take_resp(struct conn *conn, struct answer *answer)
{
	static const char kinds[] = "dap";
	const char *in = conn->in;
	size_t at = line_len(in, conn->in_len);
	const char *text[8];
	size_t len[8];

	if (at == 0)
		return 0;
	*answer = (struct answer){ 'e', false, in, at - 2 };
	if (strncmp(in, "*8\r\n", 4) != 0)
		return at;
	for (size_t i = 0; i < 8; i++) {
		size_t n = resp_element(in + at, conn->in_len - at, &text[i], &len[i]);

		if (n == 0)
			return 0;
		at += n;
	}
	*answer = (struct answer){ kinds[(text[0][0] - '0') % 3],
		(text[7][0] - '0') & 1, text[2], len[2] };
	return at;
}

/* Behind `name` in a body or head that ends with NUL; NULL: it is not there. */
static const char *
behind(const char *text, const char *name)
{
	const char *at = strcasestr(text, name);

	return at ? at + strlen(name) : NULL;
}

static void
read_body(const char *body, struct answer *answer)
{
	const char *verdict = behind(body, "\"verdict\":\"");
	const char *message = behind(body, "\"message\":\"");

	if (!verdict)
		return;
	answer->kind = verdict[0] == 'r' ? 'p' : verdict[0];
	answer->degraded = behind(body, "\"degraded\":true") != NULL;
	answer->text = message ? message : "";
	answer->text_len = strcspn(answer->text, "\"");
}

static size_t
take_http(struct conn *conn, struct answer *answer)
{
	char *in = conn->in;
	char *head_end = memmem(in, conn->in_len, "\r\n\r\n", 4);
	const char *length;
	size_t head, body;
	char kept;

	if (!head_end)
		return 0;
	head = (size_t)(head_end - in) + 4;
	head_end[2] = '\0';
	length = behind(in, "\r\ncontent-length:");
	body = length ? (size_t)strtoul(length, NULL, 10) : 0;
	conn->last = behind(in, "\r\nconnection: close") != NULL;
	head_end[2] = '\r';
	if (conn->in_len < head + body)
		return 0;
	*answer = (struct answer){ 'e', false, in, line_len(in, head) - 2 };
	kept = in[head + body];
	in[head + body] = '\0';
	read_body(in + head, answer);
	/* The answer's text is told before anything is moved. */
	in[head + body] = kept;
	return head + body;
}

static void
take_answers(struct conn *conn)
{
	struct answer answer;
	size_t n;

	while (conn->n > 0 &&
	    (n = conn->target->is_http ? take_http(conn, &answer)
				       : take_resp(conn, &answer)) > 0) {
		struct asked a = pop(conn);

		tell(conn->target, &a, &answer);
		memmove(conn->in, conn->in + n, conn->in_len - n);
		conn->in_len -= n;
	}
}

static void
on_readable(struct conn *conn)
{
	/* A byte is left for the NUL behind a body. */
	size_t room = IN_MAX - 1 - conn->in_len;
	ssize_t n = recv(conn->fd, conn->in + conn->in_len, room, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		conn->in_len += (size_t)n;
		take_answers(conn);
		if (conn->last && conn->n == 0)
			drop(conn);
		return;
	}
	give_up(conn, 'l', n == 0 ? "closed" : strerror(errno));
	drop(conn);
}

/* --- asking ------------------------------------------------------------------------ */

/* Whether the other side has closed it, and it can go. */
static bool
is_stale(const struct conn *conn)
{
	char byte;
	ssize_t n;

	if (conn->state != OPEN || conn->n > 0)
		return false;
	n = recv(conn->fd, &byte, 1, MSG_PEEK);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* NULL: as many as there may be are busy. */
static struct conn *
choose(struct target *target)
{
	size_t max = target->is_http ? 1 : (size_t)pipeline;

	for (size_t i = 0; i < target->n; i++) {
		struct conn *conn = target->conns[target->next++ % target->n];

		if (is_stale(conn))
			drop(conn);
		if (conn->n < max && !conn->last)
			return conn;
	}
	return target->n < CONNS_MAX ? add_conn(target) : NULL;
}

static void
ask(size_t turn)
{
	struct target *target = &targets[turn % n_targets];
	struct conn *conn = choose(target);
	int call = (int)(turn / n_targets % n_calls);

	if (!conn) {
		struct answer answer = { 'r', false, "", 0 };

		tell(target, &(struct asked){ now_us(), call }, &answer);
		return;
	}
	conn->fifo[(conn->first + conn->n++) % FIFO_MAX] =
	    (struct asked){ now_us(), call };
	n_under_way++;
	if (conn->state == CLOSED && now_us() >= conn->retry_us)
		open_conn(conn);
	if (conn->state == OPEN) {
		put_request(conn, call);
		flush(conn);
	}
}

/* Those whose oldest check waits for too long, and those to connect again. */
static void
look_after(struct conn *conn, int64_t now)
{
	if (conn->n > 0 && now - conn->fifo[conn->first].start_us > timeout_us) {
		give_up(conn, conn->state == OPEN ? 't' : 'r', "");
		drop(conn);
	}
	if (conn->state == CLOSED && now >= conn->retry_us && conn->n > 0)
		open_conn(conn);
}

static void
look_after_all(int64_t now)
{
	for (size_t i = 0; i < n_targets; i++)
		for (size_t k = 0; k < targets[i].n; k++)
			look_after(targets[i].conns[k], now);
}

/* --- where to ---------------------------------------------------------------------- */

static void
read_address(const char *text, size_t len, struct sockaddr_in *out)
{
	char host[64];
	char *colon;

	if (len >= sizeof(host))
		die("%s is not HOST:PORT", text);
	memcpy(host, text, len);
	host[len] = '\0';
	colon = strrchr(host, ':');
	if (!colon)
		die("%s is not HOST:PORT", host);
	*colon = '\0';
	out->sin_family = AF_INET;
	out->sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &out->sin_addr) != 1)
		die("%s is not an address", host);
}

/* "HOST:PORT,HOST:PORT": where new connections go from now on. */
static void
aim(struct target *target, const char *text)
{
	target->n_addresses = 0;
	while (*text) {
		size_t len = strcspn(text, ",");

		if (target->n_addresses == ADDRESSES_MAX)
			die("more than %d addresses", ADDRESSES_MAX);
		read_address(text, len, &target->addresses[target->n_addresses++]);
		text += len + strspn(text + len, ",");
	}
	if (target->n_addresses == 0)
		die("no address");
}

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
		if (index >= n_targets || *line != ' ')
			die("an order is INDEX ADDRESSES");
		aim(&targets[index], line + 1);
	}
	len = (size_t)(kept + len - line);
	memmove(kept, line, len);
	return true;
}

/* --- the run ----------------------------------------------------------------------- */

static void
on_event(struct conn *conn, uint32_t what)
{
	if (conn->state == CONNECTING)
		on_connected(conn);
	else if (conn->state == OPEN && (what & EPOLLOUT))
		flush(conn);
	if (conn->state == OPEN && (what & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		on_readable(conn);
}

/* False: the standard input has ended. */
static bool
wait_for_events(void)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(epoll_fd, events, EVENTS_MAX, 1);
	bool goes_on = true;

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			on_event(events[i].data.ptr, events[i].events);
		else
			goes_on = read_orders();
	}
	return goes_on;
}

/* How long the processes of the daemons stood ready and got no processor: the machine had
 * other things to do, and that is no fault of theirs. */
static void
tell_waits(int64_t now)
{
	for (size_t i = 0; i < n_watched; i++) {
		struct watched *w = &watched[i];
		char text[128];
		ssize_t n = pread(w->fd, text, sizeof(text) - 1, 0);
		int64_t wait_us;
		char *second;

		if (n <= 0)
			continue;
		text[n] = '\0';
		second = strchr(text, ' ');
		wait_us = second ? strtoll(second, NULL, 10) / 1000 : 0;
		if (wait_us - w->wait_us < WAIT_US)
			continue; /* it adds up */
		if (w->wait_us > 0)
			printf("w %lld %lld\n",
			    (long long)(now - (wait_us - w->wait_us)),
			    (long long)(wait_us - w->wait_us));
		w->wait_us = wait_us;
	}
}

/* A turn that came late: what it finds has waited here, not there. */
static void
tell_stall(int64_t before)
{
	int64_t took = now_us() - before;

	if (took > STALL_US)
		printf("n %lld %lld\n", (long long)before, (long long)took);
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

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
		die("the standard input must be a pipe");
	while (asking || n_under_way > 0) {
		if (!wait_for_events() && asking) {
			asking = false;
			epoll_ctl(epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
		}
		tell_stall(turn_us);
		turn_us = now_us();
		if (turn_us - watched_us > WATCH_US) {
			tell_waits(turn_us);
			watched_us = turn_us;
		}
		/* What it did not ask while it did not run is left out: nobody made it
		 * wait but the machine, and all at once it would be another load. */
		if (next_us < turn_us - CATCH_UP_US)
			next_us = turn_us - CATCH_UP_US;
		for (; asking && next_us <= turn_us; next_us += 1000000 / rate)
			ask(turn++);
		look_after_all(turn_us);
		fflush(stdout);
	}
}

/* --- the command line -------------------------------------------------------------- */

static void
add_target(const char *text, bool is_http)
{
	struct target *target = &targets[n_targets];

	if (n_targets == TARGETS_MAX)
		die("more than %d of --resp and --http", TARGETS_MAX);
	target->is_http = is_http;
	target->index = n_targets++;
	aim(target, text);
}

static size_t __attribute__((format(printf, 2, 3)))
format(char **out, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(out, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("out of memory");
	return (size_t)n;
}

static void
add_call(const char *text)
{
	struct call *c = &calls[n_calls];
	const char *space = strchr(text, ' ');
	int tool_len = space ? (int)(space - text) : 0;
	char *body;
	size_t len;

	if (n_calls++ == CALLS_MAX || !space)
		die("%s: TOOL GRANT, at most %d of them", text, CALLS_MAX);
	c->resp_len =
	    format(&c->resp, "*3\r\n$5\r\nCHECK\r\n$%d\r\n%.*s\r\n$%zu\r\n%s\r\n",
		tool_len, tool_len, text, strlen(space + 1), space + 1);
	len = format(
	    &body, "{\"tool\":\"%.*s\",\"grant\":\"%s\"}", tool_len, text, space + 1);
	c->http_len = format(&c->http,
	    "POST /v1/check HTTP/1.1\r\nHost: pacer\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    len, body);
	free(body);
}

/* Without the file, which not every kernel has, nothing is told. */
static void
watch_process(const char *pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
	watched[n_watched].fd = open(path, O_RDONLY | O_CLOEXEC);
	if (watched[n_watched].fd >= 0 && n_watched < TARGETS_MAX - 1)
		n_watched++;
}

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
		add_target(value, name[2] == 'h');
	else if (strcmp(name, "--watch") == 0)
		watch_process(value);
	else if (strcmp(name, "--call") == 0)
		add_call(value);
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
	if (n_calls == 0 || n_targets == 0)
		die("nothing to ask, or nobody");
	if (pipeline > FIFO_MAX || conns_wanted > CONNS_MAX)
		die("--pipeline has at most %d, --conns %d", FIFO_MAX, CONNS_MAX);
	message_index("", 0);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < n_targets; i++)
		for (int64_t k = 0; k < conns_wanted; k++)
			add_conn(&targets[i]);
	run();
	return 0;
}
