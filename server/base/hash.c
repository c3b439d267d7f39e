/* SPDX-License-Identifier: ISC */
#include "base/hash.h"

#include <sodium.h>
#include <string.h>

#include "base/err.h"

_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "one word");
_Static_assert(crypto_shorthash_siphashx24_BYTES == 2 * sizeof(uint64_t) &&
	crypto_shorthash_siphashx24_KEYBYTES == crypto_shorthash_KEYBYTES,
    "two words of the same key");

static unsigned char hash_key[crypto_shorthash_KEYBYTES];

int
hash_start(void)
{
	int rc = sodium_init();

	if (rc < 0)
		return ERR_UNAVAILABLE;
	if (rc == 0)
		crypto_shorthash_keygen(hash_key);
	return 0;
}

uint64_t
hash_bytes(const void *data, size_t len)
{
	uint64_t out;

	crypto_shorthash((unsigned char *)&out, data, len, hash_key);
	return out;
}

void
hash_bytes_wide(const void *data, size_t len, uint64_t out[2])
{
	crypto_shorthash_siphashx24((unsigned char *)out, data, len, hash_key);
}

void
hash_sha256_hex(struct slice data, char *out, size_t digits)
{
	unsigned char sum[crypto_hash_sha256_BYTES];
	char hex[crypto_hash_sha256_BYTES * 2 + 1];

	crypto_hash_sha256(sum, (const unsigned char *)data.ptr, data.len);
	sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	memcpy(out, hex, digits);
	out[digits] = '\0';
}

bool
hash_equal_constant(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void
hash_random_hex(char *out, size_t digits)
{
	unsigned char bytes[32];
	char hex[sizeof(bytes) * 2 + 1];

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2hex(hex, sizeof(hex), bytes, sizeof(bytes));
	memcpy(out, hex, digits);
	out[digits] = '\0';
}

uint32_t
hash_random(uint32_t bound)
{
	return randombytes_uniform(bound);
}
