/* SPDX-License-Identifier: ISC */
/* "did you mean ...?": the nearest of a few known names. Pure. */
#ifndef POLICY_SUGGEST_H
#define POLICY_SUGGEST_H

#include <stddef.h>

#include "base/slice.h"

/* How far a known name is from what was typed: edits (a swap of neighbours is one;
 * letter case, '-' and '_' do not count), or SUGGEST_FAR when too far to be meant. */
#define SUGGEST_FAR 1000

int suggest_distance(struct slice typed, const char *known);

#endif
