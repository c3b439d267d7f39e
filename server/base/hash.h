/* SPDX-License-Identifier: ISC */
/*
 * What the program uses of libsodium: a keyed hash for tables (SipHash-2-4, so that
 * choosing names is not enough to choose collisions), SHA-256, comparison in constant
 * time, randomness. Call hash_start() before anything else here.
 *
 * Threads: all functions but hash_start() in any.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* Draws the process's hash key. 0 or ERR_UNAVAILABLE. May be called again. */
int hash_start(void) MUST_CHECK;

/* The keyed hash; the same bytes hash differently in another process. */
uint64_t hash_bytes(const void *data, size_t len);
/* The same with 128 bits, so that equal hashes may be taken for equal bytes. */
void hash_bytes_wide(const void *data, size_t len, uint64_t out[2]);

/* The SHA-256 of `data` as lower-case hex: the first `digits` (<= 64) and a NUL. */
void hash_sha256_hex(struct slice data, char *out, size_t digits);

/* Whether the bytes are equal; takes the same time wherever they differ. */
bool hash_equal_constant(const void *a, const void *b, size_t len);

/* `digits` (<= 64, even) random lower-case hex digits and a NUL, fit for secrets. */
void hash_random_hex(char *out, size_t digits);

/* Uniform in 0 ... bound - 1; bound > 0. For jitter, not for secrets. */
uint32_t hash_random(uint32_t bound);

#endif
