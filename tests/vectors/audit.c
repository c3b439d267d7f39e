/* SPDX-License-Identifier: ISC */
#include "audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"

#define GUARD_MS 250 /* of lua/take.lua */

void
audit_init(struct audit *audit)
{
	*audit = (struct audit){ json_object(), json_object() };
}

void
audit_fini(struct audit *audit)
{
	json_decref(audit->windows);
	json_decref(audit->seen);
	*audit = (struct audit){ 0 };
}

void
audit_note(struct audit *audit, const struct take *take, int64_t now_us)
{
	for (size_t i = 0; i < take->n; i++) {
		const struct limit *limit = take->charges[i].limit;
		int64_t start_ms, end_ms;
		json_t *name;

		if (limit->algorithm != ALGORITHM_FIXED)
			continue;
		window_bounds(&limit->window, now_us, &start_ms, &end_ms);
		name = json_of_slice(take->charges[i].key);
		json_object_set_new(audit->windows, json_string_value(name),
		    json_pack(
			"[I, I]", (json_int_t)(end_ms - start_ms), (json_int_t)end_ms));
		json_decref(name);
	}
}

static int64_t
integer_at(json_t *list, size_t i)
{
	return json_integer_value(json_array_get(list, i));
}

/* When a counter expires that was born just now: in the last ms of its window; where that
 * is near, a little past it. */
static bool
ends_well(json_t *window, int64_t expire_ms, int64_t now_ms)
{
	int64_t len_ms = integer_at(window, 0), end_ms = integer_at(window, 1);
	int64_t guard_ms = len_ms / 20 < GUARD_MS ? len_ms / 20 : GUARD_MS;

	if (end_ms - now_ms > guard_ms)
		return expire_ms == end_ms - 1;
	return expire_ms >= end_ms && expire_ms < end_ms + guard_ms;
}

/* Until when the content itself says that it counts, in ms; 0: it does not say. */
static int64_t
counts_until(const char *key, const char *type, const char *content)
{
	size_t len = strlen(key);
	long long first = 0, last = 0;

	if (strcmp(type, "zset") == 0)
		return strtoll(content, NULL, 10);
	if (len > 8 && strcmp(key + len - 8, ".sliding") == 0)
		return strtoll(content, NULL, 10);
	if (len > 7 && strcmp(key + len - 7, ".bucket") == 0)
		return sscanf(content, "%lld %lld", &first, &last) == 2 ? last / 1000
									: first / 1000;
	return 0;
}

static const char *
fault_of(struct audit *audit, const char *key, json_t *value, int64_t now_ms)
{
	const char *type = json_string_value(json_array_get(value, 0));
	const char *content = json_string_value(json_array_get(value, 1));
	int64_t expire_ms = now_ms + integer_at(value, 2);
	json_t *window = json_object_get(audit->windows, key);
	json_t *before = json_object_get(audit->seen, key);

	if (integer_at(value, 2) < 0)
		return "never expires";
	if (expire_ms < counts_until(key, type, content))
		return "expires while it counts";
	if (!window || (before && json_integer_value(before) == expire_ms))
		return NULL;
	return ends_well(window, expire_ms, now_ms) ? NULL
						    : "does not end with its window";
}

bool
audit_keys(struct audit *audit, json_t *keys, int64_t now_us, char *why, size_t size)
{
	int64_t now_ms = now_us / 1000;
	json_t *seen = json_object();
	const char *key, *fault;
	bool fine = true;
	json_t *value;

	json_object_foreach(keys, key, value)
	{
		fault = fault_of(audit, key, value, now_ms);
		json_object_set_new(
		    seen, key, json_integer(now_ms + integer_at(value, 2)));
		if (!fault || !fine)
			continue;
		fine = false;
		snprintf(why, size, "%s %s: \"%s\", %lld ms to live at %lld", key,
		    fault, json_string_value(json_array_get(value, 1)),
		    (long long)integer_at(value, 2), (long long)now_ms);
	}
	json_decref(audit->seen);
	audit->seen = seen;
	return fine;
}
