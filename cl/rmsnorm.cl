/* SPDX-License-Identifier: Apache-2.0 */
/* rmsnorm: y = w * x / sqrt(mean x^2 + eps), row by row. No restrict: the output may be x. */
// variant: -DPLUMB_CPU=1
// variant: -DPLUMB_CPU=0 {|-DPLUMB_SUBGROUPS=1}
#if PLUMB_CPU
/* One item per row. */
__kernel void rmsnorm(__global float *y, int y_at, __global const float *x, int x_at, __global const float *w,
	int w_at, int d, float eps)
{
	size_t row = get_global_id(0) * d;
	float8 sum0 = 0.0f, sum1 = 0.0f;
	float sum = 0.0f;
	int j = 0;
	y += y_at + row;
	x += x_at + row;
	w += w_at;
	for (; j + 16 <= d; j += 16) {
		float8 a = vload8(0, x + j), b = vload8(0, x + j + 8);
		sum0 = mad(a, a, sum0);
		sum1 = mad(b, b, sum1);
	}
	for (; j < d; j++)
		sum = mad(x[j], x[j], sum);
	float scale = 1.0f / sqrt((sum + sum8(sum0 + sum1)) / d + eps);
	for (j = 0; j + 8 <= d; j += 8)
		vstore8(vload8(0, x + j) * scale * vload8(0, w + j), 0, y + j);
	for (; j < d; j++)
		y[j] = x[j] * scale * w[j];
}
#else
/* One work-group per row. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void rmsnorm(__global float *y, int y_at, __global const float *x, int x_at, __global const float *w,
	int w_at, int d, float eps)
{
	__local float scratch[GROUP];
	size_t row = get_group_id(0) * (size_t)d;
	float sum = 0.0f;
	y += y_at + row;
	x += x_at + row;
	w += w_at;
	for (int j = get_local_id(0); j < d; j += GROUP)
		sum = mad(x[j], x[j], sum);
	float scale = 1.0f / sqrt(group_sum(scratch, sum) / d + eps);
	for (int j = get_local_id(0); j < d; j += GROUP)
		y[j] = x[j] * scale * w[j];
}
#endif
