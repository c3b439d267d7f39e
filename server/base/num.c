/* SPDX-License-Identifier: ISC */
#include "base/num.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

int
num_parse(struct slice text, int64_t *out)
{
	bool negative = text.len > 0 && text.ptr[0] == '-';
	size_t i = negative ? 1 : 0;
	uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
	uint64_t value = 0;

	if (i == text.len)
		return ERR_SYNTAX;
	for (size_t k = i; k < text.len; k++)
		if (text.ptr[k] < '0' || text.ptr[k] > '9')
			return ERR_SYNTAX;
	for (; i < text.len; i++) {
		uint64_t digit = (uint64_t)(text.ptr[i] - '0');

		if (value > (limit - digit) / 10)
			return ERR_TOOBIG;
		value = value * 10 + digit;
	}
	*out = negative ? (int64_t)(~value + 1) : (int64_t)value;
	return 0;
}

size_t
num_format(int64_t value, char *out)
{
	char digits[NUM_TEXT_MAX];
	uint64_t rest = value < 0 ? ~(uint64_t)value + 1 : (uint64_t)value;
	size_t n = 0;
	size_t len = 0;

	do {
		digits[n++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		out[len++] = '-';
	while (n > 0)
		out[len++] = digits[--n];
	out[len] = '\0';
	return len;
}

const char *
num_format_real(double value, char out[NUM_REAL_MAX])
{
	bool plain = value > -1e17 && value < 1e17 && value == (double)(int64_t)value;
	int digits = plain ? 17 : 15; /* whole numbers get no exponent */

	do
		snprintf(out, NUM_REAL_MAX, "%.*g", digits++, value);
	while (digits <= 17 && strtod(out, NULL) != value);
	return out;
}
