/* SPDX-License-Identifier: ISC */
#include "policy/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define CHUNK_BYTES ((size_t)32 << 10)
#define ALIGN alignof(max_align_t)

struct arena_chunk {
	struct arena_chunk *older;
	size_t size; /* of data, which is handed out from its end to its beginning */
	alignas(max_align_t) char data[];
};

void
arena_fini(struct arena *a)
{
	struct arena_chunk *chunk = a->newest;

	while (chunk) {
		struct arena_chunk *older = chunk->older;

		free(chunk);
		chunk = older;
	}
	memset(a, 0, sizeof(*a));
}

static bool
arena_grow(struct arena *a, size_t len)
{
	size_t size = len > CHUNK_BYTES ? len : CHUNK_BYTES;
	struct arena_chunk *chunk = NULL;

	if (size <= SIZE_MAX / 2)
		chunk = calloc(1, sizeof(*chunk) + size);
	if (!chunk) {
		a->failed = true;
		return false;
	}
	chunk->older = a->newest;
	chunk->size = size;
	a->newest = chunk;
	a->left = size;
	return true;
}

void *
arena_get(struct arena *a, size_t len)
{
	size_t rounded = (len + ALIGN - 1) / ALIGN * ALIGN;

	if (rounded < len) {
		a->failed = true;
		return NULL;
	}
	if (a->left < rounded && !arena_grow(a, rounded))
		return NULL;
	a->left -= rounded;
	/* Only 0 bytes get here without a chunk; any address will do. */
	return a->newest ? a->newest->data + a->left : (void *)a;
}

char *
arena_copy(struct arena *a, struct slice text)
{
	char *copy = arena_get(a, text.len + 1);

	if (copy && text.len > 0)
		memcpy(copy, text.ptr, text.len);
	return copy;
}
