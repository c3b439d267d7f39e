/* SPDX-License-Identifier: ISC */
#include "ops/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define FILE_MODE 0640
/* A buffer that has grown larger than this is freed once it is empty. */
#define BUF_KEPT 262144

struct log_writer {
	char *path; /* NULL: standard output */
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows; never held over a write */
	pthread_cond_t work;
	pthread_cond_t end;
	struct buf waiting;
	bool reopen;
	bool stop;
	bool ended;
	_Atomic int64_t lost;

	/* The thread's own. */
	int fd;
	struct buf writing;
	bool torn;    /* the last line written has no end */
	bool failing; /* writing fails, and that was logged */
	int64_t lost_now;
};

/* --- the thread -------------------------------------------------------------------- */

static int64_t
count_lines(const char *data, size_t len)
{
	int64_t n = 0;

	for (const char *end = data + len; data < end; data++)
		n += *data == '\n';
	return n;
}

/* Writes all of it. Returns how much was written; less than `len`: errno says why. */
static size_t
write_all(int fd, const char *data, size_t len)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	size_t at = 0;

	while (at < len) {
		ssize_t n = write(fd, data + at, len - at);

		if (n >= 0)
			at += (size_t)n;
		else if (errno == EAGAIN) /* somebody else's O_NONBLOCK on our stdout */
			poll(&room, 1, -1);
		else if (errno != EINTR)
			break;
	}
	return at;
}

static void
tell(struct log_writer *w, int64_t lost, int why)
{
	const char *path = w->path ? w->path : "the standard output";

	w->lost_now += lost;
	if (lost > 0 && !w->failing)
		log_warn("ops",
		    "cannot write decisions to %s: %s; they are lost, and counted",
		    path, strerror(why));
	if (lost == 0 && w->failing) {
		log_info("ops", "decisions are written to %s again; %lld were lost",
		    path, (long long)w->lost_now);
		w->lost_now = 0;
	}
	w->failing = lost > 0;
}

static void
write_out(struct log_writer *w)
{
	const struct buf *b = &w->writing;
	int64_t lost = 0;
	size_t at = 0;

	/* The next line must not be appended to one that was cut off. */
	if (w->torn && write_all(w->fd, "\n", 1) == 1)
		w->torn = false;
	if (!w->torn)
		at = write_all(w->fd, b->data, b->len);
	if (at < b->len) {
		int why = errno;

		lost = count_lines(b->data + at, b->len - at);
		atomic_fetch_add(&w->lost, lost);
		if (at > 0)
			w->torn = b->data[at - 1] != '\n';
		tell(w, lost, why);
	} else {
		tell(w, 0, 0);
	}
	if (w->writing.cap > BUF_KEPT)
		buf_fini(&w->writing);
	buf_clear(&w->writing);
}

static int
open_file(const char *path)
{
	/* Without O_NONBLOCK, opening a pipe that nobody reads would wait. */
	int fd = open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    FILE_MODE);

	if (fd >= 0)
		fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

/* Whether the file's last line has no end: an earlier process, or this one before a SIGHUP,
 * may have met a full disk. If the file may not be read, nobody knows. */
static bool
ends_torn(const char *path, int fd)
{
	struct stat st;
	struct stat again;
	char last = '\n';
	int in;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return false;
	in = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (in < 0)
		return false;
	if (fstat(in, &again) < 0 || again.st_ino != st.st_ino ||
	    again.st_dev != st.st_dev || pread(in, &last, 1, st.st_size - 1) != 1)
		last = '\n';
	close(in);
	return last != '\n';
}

static void
reopen(struct log_writer *w)
{
	int fd = w->path ? open_file(w->path) : -1;

	if (!w->path)
		return;
	if (fd < 0) {
		log_warn("ops", "cannot open %s again: %s; the old one is written on",
		    w->path, strerror(errno));
		return;
	}
	close(w->fd);
	w->fd = fd;
	w->torn = ends_torn(w->path, fd);
}

/* Does one piece of work; the lock is held before and after. */
static void
work(struct log_writer *w)
{
	bool again = w->reopen;
	struct buf empty = w->writing;

	w->writing = w->waiting;
	w->waiting = empty;
	w->reopen = false;
	pthread_mutex_unlock(&w->lock);
	if (again)
		reopen(w);
	if (w->writing.len > 0)
		write_out(w);
	pthread_mutex_lock(&w->lock);
}

static void *
run(void *arg)
{
	struct log_writer *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->stop || w->waiting.len > 0) {
		if (w->waiting.len > 0 || w->reopen)
			work(w);
		else
			pthread_cond_wait(&w->work, &w->lock);
	}
	w->ended = true;
	pthread_cond_signal(&w->end);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- the contract ------------------------------------------------------------------ */

static void
writer_free(struct log_writer *w)
{
	if (w->path && w->fd >= 0)
		close(w->fd);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->end);
	buf_fini(&w->waiting);
	buf_fini(&w->writing);
	free(w->path);
	free(w);
}

static struct log_writer *
writer_new(const char *path)
{
	struct log_writer *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, NULL);
	pthread_cond_init(&w->end, &attr);
	pthread_condattr_destroy(&attr);
	w->fd = STDOUT_FILENO;
	if (strcmp(path, "-") != 0 && !(w->path = strdup(path))) {
		writer_free(w);
		return NULL;
	}
	return w;
}

static int
start(struct log_writer *w)
{
	sigset_t all;
	sigset_t before;
	int rc;

	/* Signals are for the loop's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0 ? 0 : ERR_NOMEM;
}

/* Whether a file that does not exist can be created; if not, errno says why. */
static bool
may_make(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	bool may = dir && faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0;

	free(dir);
	return may;
}

int
log_writer_check(const char *path, struct errinfo *ei)
{
	struct stat st;
	bool may;

	if (strcmp(path, "-") == 0)
		return 0;
	/* Opening a pipe just to close it again would make its reader see the end. */
	if (stat(path, &st) == 0) {
		may = !S_ISDIR(st.st_mode) &&
		    faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
		errno = S_ISDIR(st.st_mode) ? EISDIR : errno;
	} else {
		may = errno == ENOENT && may_make(path);
	}
	return may ? 0
		   : err_set(ei, ERR_IO, "cannot open %s: %s", path, strerror(errno));
}

struct log_writer *
log_writer_open(const char *path, struct errinfo *ei)
{
	struct log_writer *w = writer_new(path);

	if (!w) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	if (w->path && (w->fd = open_file(w->path)) < 0) {
		err_set(ei, ERR_IO, "cannot open %s: %s", path,
		    errno == ENXIO ? "nobody reads this pipe" : strerror(errno));
		writer_free(w);
		return NULL;
	}
	w->torn = w->path && ends_torn(w->path, w->fd);
	if (start(w) < 0)
		err_set(ei, ERR_NOMEM, "no thread can be had");
	else
		return w;
	writer_free(w);
	return NULL;
}

void
log_writer_close(struct log_writer *w)
{
	struct timespec until;
	bool ended;

	if (!w)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOG_WRITER_CLOSE_US / 1000000;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->work);
	while (!w->ended)
		if (pthread_cond_timedwait(&w->end, &w->lock, &until) != 0)
			break;
	ended = w->ended;
	pthread_mutex_unlock(&w->lock);
	if (ended) {
		pthread_join(w->thread, NULL);
		writer_free(w);
		return;
	}
	/* The thread is stuck in a write. It ends with the process, which is about to end;
	 * until then its memory stays. */
	pthread_detach(w->thread);
	log_warn("ops", "the last decisions could not be written in time");
}

bool
log_writer_put(struct log_writer *w, struct buf *lines)
{
	bool taken = true;

	pthread_mutex_lock(&w->lock);
	if (w->waiting.len == 0) {
		struct buf empty = w->waiting;

		w->waiting = *lines;
		*lines = empty;
	} else if (w->waiting.len + lines->len > LOG_WRITER_MAX) {
		taken = false;
	} else {
		buf_add_slice(&w->waiting, buf_slice(lines));
		/* Out of memory: none of these lines was added. */
		taken = !w->waiting.failed;
		w->waiting.failed = false;
	}
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	buf_clear(lines);
	return taken;
}

int64_t
log_writer_take_lost(struct log_writer *w)
{
	return atomic_load_explicit(&w->lost, memory_order_relaxed) == 0
	    ? 0
	    : atomic_exchange(&w->lost, 0);
}

void
log_writer_reopen(struct log_writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->reopen = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}
