/* SPDX-License-Identifier: ISC */
/* From bytes to a JSON tree: finds what is wrong with the text as JSON, before anybody
 * looks at its keys. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include "policy/reader.h"

/*
 * Returns the tree, an object, owned by the caller; NULL after a fault. Duplicate keys
 * are faults too, but then the tree (with the last of them) is returned all the same, so
 * that the rest can be checked.
 */
json_t *document_load(struct reader *r) MUST_CHECK;

#endif
