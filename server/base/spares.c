/* SPDX-License-Identifier: ISC */
#include "base/spares.h"

#include <stdlib.h>

void *
spares_get(struct spares *spares)
{
	struct spare *spare = spares->first;

	if (UNLIKELY(!spare))
		return calloc(1, spares->size);
	spares->first = spare->next;
	spares->n--;
	return spare;
}

void
spares_put(struct spares *spares, void *object)
{
	struct spare *spare = object;

	if (UNLIKELY(spares->n >= spares->max)) {
		spares->free(object);
		return;
	}
	spare->next = spares->first;
	spares->first = spare;
	spares->n++;
}

void
spares_fini(struct spares *spares)
{
	struct spare *spare;

	while ((spare = spares->first)) {
		spares->first = spare->next;
		spares->free(spare);
	}
	spares->n = 0;
}
