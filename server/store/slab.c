/* SPDX-License-Identifier: ISC */
#include "store/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Under AddressSanitizer memory that is not handed out is poisoned, as malloc's is. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONED
#endif
#ifdef SLAB_POISONED
#include <sanitizer/asan_interface.h>
#define hide(at, bytes) __asan_poison_memory_region(at, bytes)
#define show(at, bytes) __asan_unpoison_memory_region(at, bytes)
#else
#define hide(at, bytes) ((void)(at), (void)(bytes))
#define show(at, bytes) ((void)(at), (void)(bytes))
#endif

/* How much of the spare slab that is kept stays resident. */
#define KEPT_BYTES 4096

struct unused {
	struct unused *next;
};

/* At the beginning of its SLAB_BYTES, which are aligned to their own size. */
struct slab {
	struct slab *prev, *next; /* among the open ones of its size */
	struct unused *unused;    /* things that were put back */
	uint32_t size;            /* bytes of a thing */
	uint32_t used;            /* how many things are handed out */
	uint32_t fresh;           /* offset of those that were never handed out */
};

_Static_assert(sizeof(struct slab) % SLAB_GRAIN == 0, "things are aligned");

void *
pages_get(size_t bytes)
{
	void *p = mmap(
	    NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void
pages_put(void *pages, size_t bytes)
{
	if (!pages)
		return;
	/* Somebody else may get these addresses, for whom they must not be poisoned. */
	show(pages, bytes);
	/* munmap fails when the process has too many mappings; then it only keeps the
	 * addresses. */
	if (munmap(pages, bytes) < 0)
		madvise(pages, bytes, MADV_DONTNEED);
}

/* Twice as much contains an aligned one; the ends go back. */
static char *
aligned_pages(void)
{
	char *pages = pages_get(2 * (size_t)SLAB_BYTES);
	size_t before;

	if (!pages)
		return NULL;
	before = -(uintptr_t)pages % SLAB_BYTES;
	if (before > 0)
		pages_put(pages, before);
	pages_put(pages + before + SLAB_BYTES, SLAB_BYTES - before);
	return pages + before;
}

static struct slab **
open_list(struct slabs *slabs, size_t size)
{
	return &slabs->open[size / SLAB_GRAIN - 1];
}

static void
link_open(struct slabs *slabs, struct slab *slab)
{
	struct slab **list = open_list(slabs, slab->size);

	slab->prev = NULL;
	slab->next = *list;
	if (*list)
		(*list)->prev = slab;
	*list = slab;
}

static void
unlink_open(struct slabs *slabs, struct slab *slab)
{
	if (slab->prev)
		slab->prev->next = slab->next;
	else
		*open_list(slabs, slab->size) = slab->next;
	if (slab->next)
		slab->next->prev = slab->prev;
}

static struct slab *
slab_new(struct slabs *slabs, size_t size)
{
	struct slab *slab = slabs->spare;

	if (slab) {
		slabs->spare = slab->next;
		slabs->n_spare--;
	} else {
		slab = (struct slab *)(void *)aligned_pages();
	}
	if (!slab)
		return NULL;
	slab->unused = NULL;
	slab->used = 0;
	slab->size = (uint32_t)size;
	slab->fresh = sizeof(*slab);
	hide(slab + 1, SLAB_BYTES - sizeof(*slab));
	link_open(slabs, slab);
	return slab;
}

static bool
slab_is_full(const struct slab *slab)
{
	return !slab->unused && slab->fresh + slab->size > SLAB_BYTES;
}

static size_t
grains(size_t bytes)
{
	return (bytes + SLAB_GRAIN - 1) / SLAB_GRAIN * SLAB_GRAIN;
}

void *
slab_get(struct slabs *slabs, size_t bytes)
{
	size_t size = grains(bytes);
	struct slab *slab;
	void *thing;

	if (size == 0 || size > SLAB_THING_MAX)
		return malloc(bytes);
	slab = *open_list(slabs, size);
	if (!slab && !(slab = slab_new(slabs, size)))
		return NULL;
	thing = slab->unused;
	if (thing) {
		show(thing, size);
		slab->unused = slab->unused->next;
	} else {
		thing = (char *)slab + slab->fresh;
		show(thing, size);
		slab->fresh += slab->size;
	}
	slab->used++;
	if (slab_is_full(slab))
		unlink_open(slabs, slab);
	return thing;
}

void
slab_put(struct slabs *slabs, void *thing, size_t bytes)
{
	size_t size = grains(bytes);
	struct unused *unused = thing;
	struct slab *slab;

	if (size == 0 || size > SLAB_THING_MAX) {
		free(thing);
		return;
	}
	slab = (struct slab *)(void *)((char *)thing - (uintptr_t)thing % SLAB_BYTES);
	if (slab_is_full(slab))
		link_open(slabs, slab);
	unused->next = slab->unused;
	slab->unused = unused;
	hide(thing, size);
	if (--slab->used > 0)
		return;
	unlink_open(slabs, slab);
	slab->next = slabs->spare;
	slabs->spare = slab;
	slabs->n_spare++;
}

size_t
slabs_trim(struct slabs *slabs, size_t most)
{
	struct slab *slab;
	size_t n = 0;

	for (; n < most && slabs->n_spare > 1; n++) {
		slab = slabs->spare;
		slabs->spare = slab->next;
		slabs->n_spare--;
		pages_put(slab, SLAB_BYTES);
	}
	slab = slabs->spare;
	if (slab && !slab->next && slab->fresh > KEPT_BYTES) {
		madvise(
		    (char *)slab + KEPT_BYTES, SLAB_BYTES - KEPT_BYTES, MADV_DONTNEED);
		slab->fresh = KEPT_BYTES;
	}
	return n;
}

void
slabs_fini(struct slabs *slabs)
{
	slabs_trim(slabs, slabs->n_spare);
	pages_put(slabs->spare, SLAB_BYTES);
	slabs->spare = NULL;
	slabs->n_spare = 0;
}
