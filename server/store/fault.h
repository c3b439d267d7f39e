/* SPDX-License-Identifier: ISC */
/* The classes of what goes wrong with a store, and how each is told. */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include "base/metric.h"

/* Why a store could not answer. One row each in the table of fault.c. */
enum store_fault {
	FAULT_NONE,
	FAULT_TIMEOUT,      /* the deadline passed */
	FAULT_DISCONNECTED, /* no connection, or it was lost on the way */
	FAULT_OVERLOAD,     /* too many checks are waiting */
	FAULT_LOADING,      /* LOADING: reading its data set */
	FAULT_READONLY,     /* READONLY: a replica */
	FAULT_MASTERDOWN,   /* MASTERDOWN */
	FAULT_CLUSTER,      /* CLUSTERDOWN */
	FAULT_TRYAGAIN,     /* TRYAGAIN: a slot that moves has only some of the keys */
	FAULT_MOVED,        /* MOVED, ASK, CROSSSLOT: another node's keys */
	FAULT_BUSY,         /* BUSY: a script does not end */
	FAULT_MEMORY,       /* OOM, or the embedded store is full */
	FAULT_MISCONF,      /* MISCONF: it cannot save, and takes no writes */
	FAULT_NOREPLICAS,   /* NOREPLICAS: too few replicas follow */
	FAULT_MAXCLIENTS,   /* it has no room for another connection */
	FAULT_BREAKER,      /* not asked, since it keeps failing */
	FAULT_CONFIG,       /* NOAUTH, WRONGPASS, NOPERM, too old */
	FAULT_TLS,          /* no TLS with it: trust, names, dates, or none spoken */
	FAULT_WRONGTYPE,    /* a key holds something that is not a count */
	FAULT_OTHER,        /* anything else it said */
	FAULT_COUNT
};

struct store_fault_desc {
	const char *name;   /* as in metrics: "timeout" */
	const char *phrase; /* for people: "the store did not answer in time" */
	enum metric metric;
};
extern const struct store_fault_desc store_fault_table[FAULT_COUNT];

#endif
