// SPDX-License-Identifier: Apache-2.0
// Up to three products of one normed row: y = norm(x) w^T + b, each with a matrix y of its own, and weights
// of one type. CPU class: a work-item norms the row for itself, then takes `each` row groups, of w0, then w1,
// then w2. GPU class: a work-group of 64 takes a row group of one of them, and norms x as it reads it. m rows
// of x, one by one; the bits of w are read for each.
// variant: -DPLUMB_CPU=1 @weights
// variant: -DPLUMB_CPU=0 @weights
#define NORM 1
#include "product.cl"

// Rows [8 first, 8 first + n) of w give y from y_at on, {m, n}.
#define PRODUCT(p) __global const uchar *w##p, int first##p, __global const float *b##p, int b_at##p, \
	int n##p, int y_at##p
// Maps row group g of all three products to product p and row group `in` of its weight.
#define CHOOSE \
	int g0 = (n0 + 7) / 8, g01 = g0 + (n1 + 7) / 8, p = g < g0 ? 0 : g < g01 ? 1 : 2; \
	int n = p == 0 ? n0 : p == 1 ? n1 : n2, y_at = p == 0 ? y_at0 : p == 1 ? y_at1 : y_at2, \
		b_at = p == 0 ? b_at0 : p == 1 ? b_at1 : b_at2; \
	int in = g - (p == 0 ? 0 : p == 1 ? g0 : g01), first = p == 0 ? first0 : p == 1 ? first1 : first2; \
	__global const float *b = p == 0 ? b0 : p == 1 ? b1 : b2; \
	__global const uchar *w = (p == 0 ? w0 : p == 1 ? w1 : w2) + (size_t)(first + in) * ROW_GROUP(k);

#if PLUMB_CPU
__kernel void qkv(__global float *y, __global const float *x, int x_at, __global const float *norm,
	int norm_at, float eps, int m, int k, PRODUCT(0), PRODUCT(1), PRODUCT(2), int groups, int each)
{
	int from = each * (int)get_global_id(0), end = min(groups, from + each), i = get_global_id(1);
	float z[SPAN] __attribute__((aligned(64))), sums[SPAN / 16];
	if (i >= m)
		return;
	norm_row(z, x + x_at + i * k, norm + norm_at, k, eps);
	row_sums(sums, z, k);
	for (int g = from; g < end; g++) {
		CHOOSE
		put(y + y_at, i, n, 8 * in, row_group_one(w, z, sums, k), b, b_at, 0);
	}
}
#else
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void qkv(__global float *y, __global const float *x, int x_at, __global const float *norm, int norm_at,
	float eps, int m, int k, PRODUCT(0), PRODUCT(1), PRODUCT(2), int groups, int each)
{
	__local float sums8[GROUP * 9], squared[GROUP];
	int g = get_group_id(0), i = get_group_id(1), me = get_local_id(0), at;
	float squares = 0;
	CHOOSE
	at = 8 * in + me;
	float8 s = row_group_shared(w, x + x_at + i * k, norm + norm_at, &squares, k);
	squared[me] = squares;
	float sum = group_column(sums8, s);
	if (me < 8 && at < n) {
		sum *= norm_scale(squared, k, eps);
		y[y_at + i * n + at] = b_at < 0 ? sum : sum + b[b_at + at];
	}
}
#endif
