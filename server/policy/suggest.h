/* SPDX-License-Identifier: ISC */
/* "did you mean ...?": the nearest of a few known names. Pure. */
#ifndef POLICY_SUGGEST_H
#define POLICY_SUGGEST_H

#include <stddef.h>

#include "base/slice.h"

/* How far a known name is from what was typed, in edits (swapping two neighbours is one;
 * letter case, '-' and '_' do not count); SUGGEST_FAR when it cannot have been meant. */
#define SUGGEST_FAR 1000

int suggest_distance(struct slice typed, const char *known);

#endif
