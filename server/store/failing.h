/* SPDX-License-Identifier: ISC */
/* A store that always fails, for tests of what stands above it. The daemon never uses it. */
#ifndef STORE_FAILING_H
#define STORE_FAILING_H

#include "store/store.h"

/* NULL when out of memory. Every take fails with `fault` before store_take returns. */
struct store *failing_store_new(
    enum store_fault fault, struct metric_cells *cells) MUST_CHECK;

#endif
