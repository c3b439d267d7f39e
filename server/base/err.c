/* SPDX-License-Identifier: ISC */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "base/visible.h"

static void PRINTF_LIKE(2, 0) fill_text(struct errinfo *ei, const char *fmt, va_list ap)
{
	int n = vsnprintf(ei->text, sizeof(ei->text), fmt, ap);

	if (n >= (int)sizeof(ei->text))
		ei->text[utf8_cut(ei->text, sizeof(ei->text) - 1)] = '\0';
}

int
err_set(struct errinfo *ei, int code, const char *fmt, ...)
{
	va_list ap;

	if (!ei)
		return code;
	ei->code = code;
	ei->line = ei->column = 0;
	ei->file[0] = ei->pointer[0] = '\0';
	va_start(ap, fmt);
	fill_text(ei, fmt, ap);
	va_end(ap);
	return code;
}

/* All three may contain what a user wrote; one fault is still one line. */
void
err_format(const struct errinfo *ei, char *out, size_t size)
{
	char file[sizeof(ei->file) * 2];
	char pointer[sizeof(ei->pointer) * 2];
	char text[sizeof(ei->text) * 2];
	char place[sizeof(file) + 32] = "";

	visible_format(slice_str(ei->file), file, sizeof(file));
	visible_format(slice_str(ei->pointer), pointer, sizeof(pointer));
	visible_format(slice_str(ei->text), text, sizeof(text));
	if (file[0] && ei->line && !ei->column)
		snprintf(place, sizeof(place), "%s:%d: ", file, ei->line);
	else if (file[0] && ei->line)
		snprintf(
		    place, sizeof(place), "%s:%d:%d: ", file, ei->line, ei->column);
	else if (file[0])
		snprintf(place, sizeof(place), "%s: ", file);
	if (pointer[0])
		snprintf(out, size, "%s%s (%s)", place, text, pointer);
	else
		snprintf(out, size, "%s%s", place, text);
}

void
errlist_init(struct errlist *list, const char *file)
{
	memset(list, 0, sizeof(*list));
	if (file)
		snprintf(list->file, sizeof(list->file), "%s", file);
}

void
errlist_fini(struct errlist *list)
{
	free(list->items);
	memset(list, 0, sizeof(*list));
}

static struct errinfo *
errlist_slot(struct errlist *list)
{
	size_t cap = list->cap ? list->cap * 2 : 8;
	struct errinfo *items;

	if (list->n == ERRLIST_MAX)
		return NULL;
	if (list->n < list->cap)
		return &list->items[list->n++];
	items = realloc(list->items, cap * sizeof(*items));
	if (!items)
		return NULL;
	list->items = items;
	list->cap = cap;
	return &list->items[list->n++];
}

int
errlist_add(struct errlist *list, int code, int line, int column, const char *pointer,
    const char *fmt, ...)
{
	struct errinfo *ei = errlist_slot(list);
	va_list ap;

	if (!ei) {
		list->more++;
		return code;
	}
	ei->code = code;
	ei->line = line;
	ei->column = column;
	memcpy(ei->file, list->file, sizeof(ei->file));
	snprintf(ei->pointer, sizeof(ei->pointer), "%s", pointer ? pointer : "");
	ei->pointer[utf8_cut(ei->pointer, strlen(ei->pointer))] = '\0';
	va_start(ap, fmt);
	fill_text(ei, fmt, ap);
	va_end(ap);
	return code;
}

void
errlist_add_info(struct errlist *list, const char *file, const struct errinfo *ei)
{
	snprintf(list->file, sizeof(list->file), "%s", file);
	errlist_add(list, ei->code, ei->line, ei->column, ei->pointer, "%s", ei->text);
}

void
errlist_sort(struct errlist *list)
{
	/* Insertion sort: stable, and the list is short and nearly sorted. */
	for (size_t i = 1; i < list->n; i++) {
		struct errinfo one = list->items[i];
		size_t k = i;

		for (; k > 0; k--) {
			const struct errinfo *before = &list->items[k - 1];

			if (before->line < one.line ||
			    (before->line == one.line && before->column <= one.column))
				break;
			list->items[k] = *before;
		}
		list->items[k] = one;
	}
}
