// SPDX-License-Identifier: Apache-2.0
// y = silu(g) * u, or gelu(g) * u where GELU is 1, with g = x gate^T and u = x up^T, which never go to
// memory. gate_up: one row of x, which is normed first, or m such rows one by one. CPU class: a work-item
// norms the row for itself, then takes `each` row groups of gate, then the same of up: memory is read best in
// one stream. GPU class: a work-group of 64 takes a row group of both. gate_up_block (CPU class): up to BLOCK
// rows of x, normed before, and a row group of both. With gelu checks compile one type of weights.
// variant: -DPLUMB_CPU=1 @weights -DMT={1|8} {|-DGELU=*}
// variant: -DPLUMB_CPU=1 @weights -DMT=8 -DAT_ONCE=8 {|-DGELU=*}
// variant: -DPLUMB_CPU=0 @weights -DMT=1 {|-DGELU=*}
// variant: -DDENSE=32 -DMT=1 -DGELU=1
#ifndef MT
#define MT 1
#endif
#if MT == 1
#define NORM 1
#endif
#include "product.cl"

#if GELU
#define GATED(g, u) \
	((g) / (1.0f + exp(-(g) * mad(0.07135481282760024f, (g) * (g), 1.5957691216057308f))) * (u)) // geglu.cl
#else
#define GATED(g, u) ((g) / (1.0f + exp(-(g))) * (u)) // swiglu.cl
#endif

#if MT == 1 && PLUMB_CPU
// Rows of gate and up from 8 first on give the columns of y.
__kernel void gate_up(__global float *y, int y_at, __global const float *x, int x_at,
	__global const float *norm, int norm_at, float eps, __global const uchar *gate, int first_gate,
	__global const uchar *up, int first_up, int m, int n, int k, int each)
{
	int from = each * (int)get_global_id(0), end = min((n + 7) / 8, from + each), i = get_global_id(1);
	float z[SPAN] __attribute__((aligned(64))), sums[SPAN / 16];
	float8 gates[PLUMB_CL_MOST_GROUPS];
	if (i >= m)
		return;
	norm_row(z, x + x_at + i * k, norm + norm_at, k, eps);
	row_sums(sums, z, k);
	for (int h = 0; h < 2; h++) {
		__global const uchar *w = (h ? up : gate) + (size_t)(h ? first_up : first_gate) * ROW_GROUP(k);
		for (int g = from; g < end; g++) {
			float8 s = row_group_one(w + (size_t)g * ROW_GROUP(k), z, sums, k);
			if (h)
				put(y + y_at, i, n, 8 * g, GATED(gates[g - from], s), y, -1, 0);
			else
				gates[g - from] = s;
		}
	}
}
#elif MT == 1
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void gate_up(__global float *y, int y_at, __global const float *x, int x_at, __global const float *norm,
	int norm_at, float eps, __global const uchar *gate, int first_gate, __global const uchar *up,
	int first_up, int m, int n, int k, int each)
{
	__local float sums8[GROUP * 9], squared[GROUP];
	int g = get_group_id(0), i = get_group_id(1), me = get_local_id(0), at = 8 * g + me;
	float gates = 0, ups = 0;
	for (int h = 0; h < 2; h++) {
		float squares = 0;
		__global const uchar *w = (h ? up : gate) + (size_t)((h ? first_up : first_gate) + g) * ROW_GROUP(k);
		float8 s = row_group_shared(w, x + x_at + i * k, norm + norm_at, &squares, k);
		squared[me] = squares; // the same both times
		gates = ups;
		ups = group_column(sums8, s);
	}
	if (me < 8 && at < n) {
		float scale = norm_scale(squared, k, eps);
		y[y_at + i * n + at] = GATED(gates * scale, ups * scale);
	}
}
#endif

#if MT == 8 && PLUMB_CPU
__kernel void gate_up_block(__global float *y, int y_at, __global const float *x, int x_at,
	__global const uchar *gate, int first_gate, __global const uchar *up, int first_up, int m, int n, int k,
	int block)
{
	int g = get_global_id(0), i = (int)get_global_id(1) * block, rows = min(block, m - i);
	if (8 * g >= n || i >= m)
		return;
	float8 sum[2 * (BLOCK + AT_ONCE)] __attribute__((aligned(64)));
	block_sums(sum, gate + (size_t)(first_gate + g) * ROW_GROUP(k),
		up + (size_t)(first_up + g) * ROW_GROUP(k), x + x_at + i * k, rows, k);
	for (int t = 0; t < rows; t++)
		put(y + y_at, i + t, n, 8 * g, GATED(sum[2 * t], sum[2 * t + 1]), y, -1, 0);
}
#endif
