/* SPDX-License-Identifier: ISC */
#include "policy/suggest.h"

#include <ctype.h>
#include <stdbool.h>

#define NAME_MAX_LEN 40
#define PREFIX_MIN 3

static int
fold(char c)
{
	return c == '-' ? '_' : tolower((unsigned char)c);
}

static int
least(int a, int b)
{
	return a < b ? a : b;
}

/* Whether the shorter of the two begins the longer ("desc", "maximum"). */
static bool
is_prefix(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++)
		if (fold(a.ptr[i]) != fold(b.ptr[i]))
			return false;
	return n >= PREFIX_MIN;
}

/* The usual table of edit distances, of which three rows are kept. */
static int
edits(struct slice a, struct slice b)
{
	int rows[3][NAME_MAX_LEN + 1];

	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = (int)j;
	for (size_t i = 1; i <= a.len; i++) {
		const int *before = rows[(i + 1) % 3];
		const int *above = rows[(i + 2) % 3];
		int *row = rows[i % 3];

		row[0] = (int)i;
		for (size_t j = 1; j <= b.len; j++) {
			int x = fold(a.ptr[i - 1]);
			int y = fold(b.ptr[j - 1]);

			row[j] = above[j - 1] + (x != y);
			row[j] = least(row[j], least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == fold(b.ptr[j - 2]) &&
			    y == fold(a.ptr[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

int
suggest_distance(struct slice typed, const char *known)
{
	struct slice name = slice_str(known);
	size_t longer = typed.len > name.len ? typed.len : name.len;
	int n;

	if (typed.len == 0 || longer > NAME_MAX_LEN)
		return SUGGEST_FAR;
	n = edits(typed, name);
	if (n * 3 <= (int)longer || is_prefix(typed, name))
		return n;
	return SUGGEST_FAR;
}
