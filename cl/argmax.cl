/* SPDX-License-Identifier: Apache-2.0 */
/* argmax: the first index of each row's largest element; NaN never wins, a row of nothing else gives 0. */
#define NONE INT_MAX /* no element seen that is a number */

/* The better of two candidates: the larger value, at the lower index among equals. */
static int better(float v, int at, float best, int best_at)
{
	return at != NONE && (best_at == NONE || v > best || (v == best && at < best_at));
}

#if PLUMB_CPU
/* One item per row. */
__kernel void argmax(__global int *y, int y_at, __global const float *x, int x_at, int d)
{
	int row = get_global_id(0), j = 0, at = NONE;
	float best = -INFINITY;
	float8 best8 = -INFINITY;
	int8 at8 = NONE, j8 = (int8)(0, 1, 2, 3, 4, 5, 6, 7);
	x += x_at + (size_t)row * d;
	for (; j + 8 <= d; j += 8, j8 += 8) {
		float8 v = vload8(0, x + j);
		int8 wins = (v > best8) | ((v == v) & (at8 == NONE));
		best8 = select(best8, v, wins);
		at8 = select(at8, j8, wins);
	}
	for (; j < d; j++)
		if (better(x[j], x[j] == x[j] ? j : NONE, best, at)) {
			best = x[j];
			at = j;
		}
	float values[8];
	int indices[8];
	vstore8(best8, 0, values);
	vstore8(at8, 0, indices);
	for (int i = 0; i < 8; i++)
		if (better(values[i], indices[i], best, at)) {
			best = values[i];
			at = indices[i];
		}
	y[y_at + row] = at == NONE ? 0 : at;
}
#else
/* Candidates of a work-group meet in item 0. */
static void meet(__local float *best, __local int *at)
{
	int i = get_local_id(0);
	for (int step = GROUP / 2; step; step >>= 1) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (i < step && better(best[i + step], at[i + step], best[i], at[i])) {
			best[i] = best[i + step];
			at[i] = at[i + step];
		}
	}
}

/* One work-group per (block, row): the block's best into partial[row][block]. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void argmax_blocks(__global float *partial, __global int *partial_at, __global const float *x, int x_at,
	int d, int block)
{
	__local float best[GROUP];
	__local int at[GROUP];
	int i = get_local_id(0), end = min(d, (int)(get_group_id(0) + 1) * block);
	x += x_at + get_group_id(1) * (size_t)d;
	best[i] = -INFINITY;
	at[i] = NONE;
	for (int j = (int)get_group_id(0) * block + i; j < end; j += GROUP) {
		float v = x[j];
		if (better(v, v == v ? j : NONE, best[i], at[i])) {
			best[i] = v;
			at[i] = j;
		}
	}
	meet(best, at);
	if (i == 0) {
		size_t to = get_group_id(1) * get_num_groups(0) + get_group_id(0);
		partial[to] = best[0];
		partial_at[to] = at[0];
	}
}

/* One work-group per row: the best of its blocks. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void argmax(__global int *y, int y_at, __global const float *partial, __global const int *partial_at,
	int blocks)
{
	__local float best[GROUP];
	__local int at[GROUP];
	int i = get_local_id(0);
	partial += get_group_id(0) * (size_t)blocks;
	partial_at += get_group_id(0) * (size_t)blocks;
	best[i] = -INFINITY;
	at[i] = NONE;
	for (int j = i; j < blocks; j += GROUP)
		if (better(partial[j], partial_at[j], best[i], at[i])) {
			best[i] = partial[j];
			at[i] = partial_at[j];
		}
	meet(best, at);
	if (i == 0)
		y[y_at + get_group_id(0)] = at[0] == NONE ? 0 : at[0];
}
#endif
