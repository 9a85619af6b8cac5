// SPDX-License-Identifier: Apache-2.0
// y[i] = w[ids[i]] from a matrix in the layout of weights.cl: a work-item per 32 columns of an id. w holds
// rows [first, first + rows) of the whole table; ids elsewhere are left to the launch of their piece.
// variant: @weights
#pragma OPENCL FP_CONTRACT OFF
#include "weights.cl"

inline float lane_of(float8 v, int r)
{
	float lane[8];
	vstore8(v, 0, lane);
	return lane[r];
}

__kernel void embed(__global float *y, int y_at, __global const uchar *w, __global const int *ids, int ids_at,
	int n, int d, int first, int rows)
{
	int i = get_global_id(1), c = (int)get_global_id(0) * 32;
	if (i >= n || c >= d)
		return;
	int id = ids[ids_at + i] - first, r = id & 7;
	if (id < 0 || id >= rows)
		return;
	y += y_at + i * d + c;
#if DENSE
	w += (size_t)(id / 8) * (size_t)d * 8 * (DENSE == 32 ? 4 : 2);
	for (int j = 0; j < 32 && c + j < d; j++)
		y[j] = lane_of(dense_column(w, c + j), r);
#else
	w += ((size_t)(id / 8) * (size_t)(d / 32) + (size_t)(c / 32)) * RECORD;
	float scale = lane_of(record_scale(w, 0), r),
		scale_high = SUB == 2 ? lane_of(record_scale(w, SUB - 1), r) : scale;
	float least = MIN ? lane_of(record_scale(w, MIN ? SUB : 0), r) : 0,
		least_high = MIN && SUB == 2 ? lane_of(record_scale(w, MIN ? 2 * SUB - 1 : 0), r) : least;
#if BITS != 8
	struct high_bits bits;
	record_high(w, &bits);
#endif
	for (int j = 0; j < 16; j++) {
		float8 low, high;
#if BITS == 8
		low = record_byte(w, j);
		high = record_byte(w, j + 16);
#else
		record_pair(w, &bits, j, &low, &high);
#endif
		// Product, then difference, as the format defines it: never one fused operation.
		float a = scale * lane_of(low, r), b = scale_high * lane_of(high, r);
		y[j] = MIN ? a - least : a;
		y[j + 16] = MIN ? b - least_high : b;
	}
#endif
}
