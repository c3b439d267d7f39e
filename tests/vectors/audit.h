/* SPDX-License-Identifier: ISC */
/*
 * What must hold for every key in a Redis, whatever was asked: it expires, but not before
 * what it counts is over; a fixed window's counter ends with its window, as the head of
 * lua/take.lua says.
 */
#ifndef VECTORS_AUDIT_H
#define VECTORS_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "store/store.h"

struct audit {
	json_t *windows; /* of the fixed counters, by key: [length, end] in ms */
	json_t *seen;    /* when the keys expired that were there the last time */
};

/* From an empty store on. audit_fini() of what is all zero does nothing. */
void audit_init(struct audit *audit);
void audit_fini(struct audit *audit);

/* A take is about to happen at now_us. */
void audit_note(struct audit *audit, const struct take *take, int64_t now_us);

/* `keys`: what there is at now_us, {key: [type, content, ms that it lives, -1: for ever]};
 * of a sorted set the content is its last score. Whether it is as it must be; else what
 * is wrong is in `why`. The clock has not moved since what was noted last. */
bool audit_keys(
    struct audit *audit, json_t *keys, int64_t now_us, char *why, size_t size);

#endif
