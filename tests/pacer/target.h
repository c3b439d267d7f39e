/* SPDX-License-Identifier: ISC */
/* Who is asked: the connections to it, of which there are as many as are wanted. */
#ifndef PACER_TARGET_H
#define PACER_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "route.h"

#define TARGETS_MAX 16
#define CONNS_MAX 2048 /* of one target */

/* `addresses` as route_set() wants them. */
void target_add(const char *addresses, bool is_http);
size_t target_count(void);
/* Where its new connections go from now on. */
void target_aim(size_t target, const char *addresses);
void target_connect(size_t target, size_t n);
/* Puts one call to it, on the next connection on which less than `pipeline` wait; over
 * HTTP none. Tells so when none can be had. */
void target_ask(size_t target, size_t call, size_t pipeline);
void targets_look_after(int64_t now, int64_t timeout_us);

#endif
