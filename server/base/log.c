/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/utf8.h"
#include "base/visible.h"

#define LOG_TEXT_MAX 2048
_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line would wait on a full pipe");

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static struct {
	enum log_level level;
	enum log_style style;
} sink = { LOG_INFO, LOG_AUTO };

/* Poll and write are one step, so that no thread uses up the room that another one saw. */
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t dropped;
static uint64_t dropped_told; /* under the lock */

void
log_start(enum log_level level, enum log_style style)
{
	if (style == LOG_AUTO)
		style = isatty(STDERR_FILENO) ? LOG_TEXT : LOG_JSON;
	sink.level = level;
	sink.style = style;
}

void
log_time(int64_t real_us, char out[LOG_TIME_MAX])
{
	time_t seconds = (time_t)(real_us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(out, LOG_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, LOG_TIME_MAX - n, ".%03dZ", (int)(real_us / 1000 % 1000));
}

static void
format_line(struct buf *line, enum log_level level, const char *room, const char *text)
{
	char when[LOG_TIME_MAX];
	struct json_text j;

	log_time(clock_real_us(), when);
	if (sink.style == LOG_TEXT) {
		buf_printf(line, "%s %-5s %s: ", when, level_names[level], room);
		visible_add(line, slice_str(text));
		buf_add_char(line, '\n');
		return;
	}
	json_text_init(&j, line);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "time", slice_str(when));
	json_text_string(&j, "level", slice_str(level_names[level]));
	json_text_string(&j, "room", slice_str(room));
	json_text_string(&j, "message", slice_str(text));
	json_text_close(&j, '}');
	buf_add_char(line, '\n');
}

/* Whether stderr took the line without waiting. */
static bool
write_line(const struct buf *line)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n =
	    send(STDERR_FILENO, line->data, line->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	/* A socket that is ready may have less room than a line needs; a pipe has it. */
	if (n < 0 && errno == ENOTSOCK && poll(&ready, 1, 0) == 1 &&
	    (ready.revents & POLLOUT))
		n = write(STDERR_FILENO, line->data, line->len);
	return n > 0;
}

/* `text` is cut until its line is no longer than LOG_LINE_MAX. */
static bool
put(enum log_level level, const char *room, char *text)
{
	struct buf line = { 0 };
	bool taken;

	format_line(&line, level, room, text);
	while (line.len > LOG_LINE_MAX) {
		text[utf8_cut(text, strlen(text) * 3 / 4)] = '\0';
		buf_clear(&line);
		format_line(&line, level, room, text);
	}
	taken = !line.failed && write_line(&line);
	buf_fini(&line);
	return taken;
}

static void
tell_dropped(void)
{
	uint64_t now = atomic_load(&dropped);
	char text[128];

	if (now == dropped_told)
		return;
	snprintf(text, sizeof(text),
	    "%llu lines were lost: nothing was read from stderr",
	    (unsigned long long)(now - dropped_told));
	if (put(LOG_WARN, "log", text))
		dropped_told = now;
}

static void PRINTF_LIKE(3, 0)
    emit(enum log_level level, const char *room, const char *fmt, va_list ap)
{
	int saved = errno;
	char text[LOG_TEXT_MAX];
	int n;

	if (level > sink.level)
		return;
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n >= (int)sizeof(text))
		text[utf8_cut(text, sizeof(text) - 1)] = '\0';
	pthread_mutex_lock(&sink_lock);
	tell_dropped();
	if (!put(level, room, text))
		atomic_fetch_add(&dropped, 1);
	pthread_mutex_unlock(&sink_lock);
	errno = saved;
}

uint64_t
log_dropped(void)
{
	return atomic_load(&dropped);
}

void
log_error(const char *room, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_ERROR, room, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *room, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_WARN, room, fmt, ap);
	va_end(ap);
}

void
log_info(const char *room, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_INFO, room, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *room, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_DEBUG, room, fmt, ap);
	va_end(ap);
}
