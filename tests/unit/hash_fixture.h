/* SPDX-License-Identifier: ISC */
#ifndef HASH_FIXTURE_H
#define HASH_FIXTURE_H

#include "base/hash.h"

/* cmocka's group setup of all that has a map in it. */
static inline int
start_hash(void **state)
{
	(void)state;
	return hash_start();
}

#endif
