/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_text.h"

#define LOG_TEXT_MAX 2048

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static struct {
	enum log_level level;
	enum log_style style;
} sink = { LOG_INFO, LOG_AUTO };

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
		buf_printf(
		    line, "%s %-5s %s: %s\n", when, level_names[level], room, text);
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

static void PRINTF_LIKE(3, 0)
    emit(enum log_level level, const char *room, const char *fmt, va_list ap)
{
	char text[LOG_TEXT_MAX];
	struct buf line = { 0 };

	if (level > sink.level)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	format_line(&line, level, room, text);
	if (!line.failed && write(STDERR_FILENO, line.data, line.len) < 0) {
		/* There is nowhere left to say it. */
	}
	buf_fini(&line);
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
