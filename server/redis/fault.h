/* SPDX-License-Identifier: ISC */
/* What Redis says when it fails, as a store fault. Pure. */
#ifndef REDIS_FAULT_H
#define REDIS_FAULT_H

#include <stdbool.h>

#include "base/slice.h"
#include "store/store.h"

/* By the code word at the beginning of an error, or anywhere in it, because errors of
 * older versions' scripts begin with where they happened; FAULT_OTHER when it has none of
 * the known ones. */
enum store_fault redis_fault_of(struct slice text);

/* Whether a script call was refused before it ran because the script is not loaded. */
bool redis_fault_is_noscript(struct slice text);

/* Whether a server that says so serves nobody for now, whatever it is asked for. */
bool redis_fault_is_general(enum store_fault fault);

#endif
