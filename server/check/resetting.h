/* SPDX-License-Identifier: ISC */
/*
 * An operator's reset: one counter, or all counters of one scope value, start again at
 * zero. The policy says which counters there can be, so no key has to be searched for.
 *
 * A resetting belongs to whoever started it, from resetting_start() until
 * resetting_release(). It uses its worker's engine, in that worker's thread.
 */
#ifndef CHECK_RESETTING_H
#define CHECK_RESETTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"
#include "check/check.h"
#include "check/request.h"

struct resetting;

/*
 * Starts; the request is copied. `done` runs exactly once, possibly before the return;
 * never after resetting_release(). NULL, and `done` does not run: ERR_INVALID when the
 * scope cannot be parsed, ERR_NOTFOUND when there is no such policy or it has no such
 * counter (ei->text names the ones it has in that scope), ERR_TOOBIG when there would be
 * more than RESET_KEYS_MAX, ERR_NOMEM.
 */
struct resetting *resetting_start(struct check_engine *engine,
    const struct reset_request *request,
    void (*done)(struct resetting *resetting, void *arg), void *arg,
    struct errinfo *ei) MUST_CHECK;

bool resetting_is_done(const struct resetting *resetting);
/* What the store said; valid once done, until the release. `n` counters were reset, of
 * which `held` held something. */
const struct reset *resetting_result(const struct resetting *resetting);
void resetting_release(struct resetting *resetting);

#endif
