/* SPDX-License-Identifier: ISC */
/*
 * Asks one backend through the parts of check/, one question after another, and reports the
 * answers in the words of README.md. The programs that run against the backends share it.
 */
#ifndef VECTORS_ASKER_H
#define VECTORS_ASKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "audit.h"
#include "backend.h"
#include "check/check.h"
#include "check/settlement.h"

#define ASKER_DEDUP_TTL_MS 600000

struct asker {
	const struct backend_ops *ops;
	struct store *store; /* of the backend */
	struct check_engine *engine;
	struct settler *settler;
	struct store recorder; /* between the two above and the store, notes the keys */
	json_t *keys;          /* that the last question charged or looked at */
	json_t *reservations;  /* their ids by the names that steps gave them */
	int64_t now_us;        /* the backend's clock */
	struct audit audit;
};

/* Opens the backend. Whether that went well; asker_close() in any case. */
bool asker_open(struct asker *asker, const struct backend_ops *ops);
void asker_close(struct asker *asker);

/* From empty counters on, under these policies; asker_stop() in any case. */
bool asker_start(struct asker *asker, struct policy_set *policies, int64_t dedup_ms);
void asker_stop(struct asker *asker);

void asker_set_time(struct asker *asker, int64_t now_us);

/* Whether all keys that there are now live as long as they must; else what is wrong is
 * in `why`. Always so where a backend has none. To be asked after each question. */
bool asker_audit(struct asker *asker, char *why, size_t size);

/* All of them return owned answers. "as" names the reservation, where there is one;
 * NULL: nobody will ask for it. */
json_t *asker_check(struct asker *asker, json_t *check, const char *as);
/* `n` identical checks that are under way together. */
void asker_checks(struct asker *asker, json_t *check, size_t n, json_t **answers);
/* n (up to ASKER_CROWD_MAX) different ones that are under way together; order[] tells
 * which was answered first, second ... That is the order in which a store took them. */
#define ASKER_CROWD_MAX 64
void asker_crowd(struct asker *asker, json_t *const *checks, size_t n, json_t **answers,
    size_t *order);
/* A "reservation" that is no name is taken for an id. */
json_t *asker_settle(struct asker *asker, enum settle_action action, json_t *from);
json_t *asker_reset(struct asker *asker, json_t *from);
/* {counter: used} of what the grant has in a policy. */
json_t *asker_used(struct asker *asker, json_t *grant, json_t *policy);

#endif
