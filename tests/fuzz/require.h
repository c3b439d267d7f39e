/* SPDX-License-Identifier: ISC */
/* What a fuzzer holds to be true of any bytes, told with its words where it is not. */
#ifndef FUZZ_REQUIRE_H
#define FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

static inline void
require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

#define REQUIRE(x) require((x), #x)

#endif
