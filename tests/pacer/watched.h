/* SPDX-License-Identifier: ISC */
/* Processes beside which pacer runs: how long they stood ready and got no processor. */
#ifndef PACER_WATCHED_H
#define PACER_WATCHED_H

#include <stdint.h>

void watched_add(const char *pid);
/* Tells of what they have waited since the last time, where that is much. */
void watched_report(int64_t now);

#endif
