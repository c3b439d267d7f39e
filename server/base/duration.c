/* SPDX-License-Identifier: ISC */
#include "base/duration.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

/* "ms" before "m" and "s", of which it is made. */
static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60000 },
	{ "h", 3600000 },
};

int
duration_parse(struct slice text, int64_t *out_ms)
{
	int64_t unit_ms = 1000;
	int64_t n;
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].name);

		if (text.len < len ||
		    memcmp(text.ptr + text.len - len, units[i].name, len) != 0)
			continue;
		unit_ms = units[i].ms;
		text.len -= len;
		break;
	}
	rc = num_parse(text, &n);
	if (rc < 0)
		return rc;
	if (n < 0 || text.ptr[0] == '-')
		return ERR_SYNTAX;
	if (n > NUM_MAX / unit_ms)
		return ERR_TOOBIG;
	*out_ms = n * unit_ms;
	return 0;
}

const char *
duration_format(int64_t ms, char out[DURATION_TEXT_MAX])
{
	size_t i = ms == 0 ? 1 : ARRAY_LEN(units) - 1;

	while (ms % units[i].ms != 0)
		i--;
	snprintf(out, DURATION_TEXT_MAX, "%lld%s", (long long)(ms / units[i].ms),
	    units[i].name);
	return out;
}
