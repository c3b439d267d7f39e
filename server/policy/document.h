/* SPDX-License-Identifier: ISC */
/* From bytes to a JSON tree: what can be wrong with a text before its keys are looked
 * at. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include "policy/reader.h"

/*
 * Returns the tree, an object, owned by the caller; NULL after a fault. Keys that
 * stand twice are faults too, but the tree (with the last of them) is returned, so
 * that the rest can be read.
 */
json_t *document_load(struct reader *r) MUST_CHECK;

#endif
