// SPDX-License-Identifier: GPL-2.0
/* circllhist bins by integer arithmetic (layout: abi/series.h; format: OpenHistogram). */
#ifndef UM_LIB_HISTOGRAM_H
#define UM_LIB_HISTOGRAM_H

#include "lib/kernel.h"
#include "abi/series.h"

/* Lower edge of decade k + 1, and the width of a bin in decade k. */
static const u64 um_decade_end[UM_BIN_DECADES] = {
	10000ULL,     100000ULL,     1000000ULL,     10000000ULL,
	100000000ULL, 1000000000ULL, 10000000000ULL, 100000000000ULL,
};

static __always_inline u32 um_bin(u64 ns)
{
	u64 width = 100;
	u32 base = 1;

	if (ns < 1000)
		return 0;
#pragma unroll
	for (int k = 0; k < UM_BIN_DECADES; k++) {
		if (ns < um_decade_end[k])
			return base + (u32)(ns / width) - 10;
		width *= 10;
		base += UM_BINS_PER_DECADE;
	}
	return UM_BINS - 1;
}

#endif
