/* SPDX-License-Identifier: ISC */
/* The ways in which a store fails, and how metrics and messages name each. */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include "base/metric.h"

/* Why a store could not answer. One row each in the table of fault.c. */
enum store_fault {
	FAULT_NONE,
	FAULT_TIMEOUT,      /* the deadline passed */
	FAULT_DISCONNECTED, /* no connection, or it was lost on the way */
	FAULT_OVERLOAD,     /* too many checks are waiting */
	FAULT_LOADING,      /* LOADING: it is still reading its data set */
	FAULT_READONLY,     /* READONLY: it is a replica */
	FAULT_MASTERDOWN,   /* MASTERDOWN: it is a replica that lost its master */
	FAULT_CLUSTER,      /* CLUSTERDOWN: some slots are served by nobody */
	FAULT_TRYAGAIN, /* TRYAGAIN: only some of the keys of a moving slot are there */
	FAULT_MOVED,    /* MOVED, ASK, CROSSSLOT: another node has the keys */
	FAULT_BUSY,     /* BUSY: it is running a script that does not end */
	FAULT_MEMORY,   /* OOM, or the embedded store is full */
	FAULT_MISCONF,  /* MISCONF: it cannot save, and takes no writes */
	FAULT_NOREPLICAS, /* NOREPLICAS: too few replicas follow it */
	FAULT_MAXCLIENTS, /* it has no room for another connection */
	FAULT_BREAKER,    /* it was not asked, because it keeps failing */
	FAULT_CONFIG,     /* NOAUTH, WRONGPASS, NOPERM, or it is too old */
	FAULT_TLS, /* the handshake failed: trust, names, dates, or no TLS there */
	FAULT_WRONGTYPE, /* a key holds something that is not a count */
	FAULT_OTHER,     /* anything else it answered */
	FAULT_COUNT
};

struct store_fault_desc {
	const char *name;   /* the class in metrics: "timeout" */
	const char *phrase; /* for people: "the store did not answer in time" */
	enum metric metric;
};
extern const struct store_fault_desc store_fault_table[FAULT_COUNT];

#endif
