/* SPDX-License-Identifier: Apache-2.0 */
/* f16_overflow: the first index in each row of what is finite and rounds to infinity in float16; -1: none. */
#define F16_ENDS 65520.0f
#define NONE INT_MAX

static int place(float v, int j) { return fabs(v) >= F16_ENDS && fabs(v) < INFINITY ? j : NONE; }

#if PLUMB_CPU
/* One item per row. */
__kernel void f16_overflow(__global int *y, int y_at, __global const float *x, int x_at, int d)
{
	int row = get_global_id(0), at = NONE;
	x += x_at + (size_t)row * d;
	for (int j = 0; j < d; j++)
		at = min(at, place(x[j], j));
	y[y_at + row] = at == NONE ? -1 : at;
}
#else
/* One work-group per row. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void f16_overflow(__global int *y, int y_at, __global const float *x, int x_at, int d)
{
	__local int at[GROUP];
	int i = get_local_id(0);
	x += x_at + get_group_id(0) * (size_t)d;
	at[i] = NONE;
	for (int j = i; j < d; j += GROUP)
		at[i] = min(at[i], place(x[j], j));
	for (int step = GROUP / 2; step; step >>= 1) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (i < step)
			at[i] = min(at[i], at[i + step]);
	}
	if (i == 0)
		y[y_at + get_group_id(0)] = at[0] == NONE ? -1 : at[0];
}
#endif
