/* SPDX-License-Identifier: Apache-2.0 */
/* softmax: along rows of d, shifted by the row's maximum; a row of only -inf becomes NaN. No restrict: the
 * output may be x. */
// variant: -DPLUMB_CPU=1
// variant: -DPLUMB_CPU=0 {|-DPLUMB_SUBGROUPS=1}
#if PLUMB_CPU
/* One item per row. */
__kernel void softmax(__global float *y, int y_at, __global const float *x, int x_at, int d)
{
	size_t row = get_global_id(0) * d;
	float8 most8 = -INFINITY, sums = 0.0f;
	float most = -INFINITY, sum = 0.0f;
	int j = 0;
	y += y_at + row;
	x += x_at + row;
	for (; j + 8 <= d; j += 8)
		most8 = fmax(most8, vload8(0, x + j));
	for (; j < d; j++)
		most = fmax(most, x[j]);
	most = fmax(most, max8(most8));
	for (j = 0; j + 8 <= d; j += 8)
		sums += exp(vload8(0, x + j) - most);
	for (; j < d; j++)
		sum += exp(x[j] - most);
	sum += sum8(sums);
	for (j = 0; j + 8 <= d; j += 8)
		vstore8(exp(vload8(0, x + j) - most) / sum, 0, y + j);
	for (; j < d; j++)
		y[j] = exp(x[j] - most) / sum;
}
#else
/* One work-group per row. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void softmax(__global float *y, int y_at, __global const float *x, int x_at, int d)
{
	__local float scratch[GROUP];
	size_t row = get_group_id(0) * (size_t)d;
	float most = -INFINITY, sum = 0.0f;
	y += y_at + row;
	x += x_at + row;
	for (int j = get_local_id(0); j < d; j += GROUP)
		most = fmax(most, x[j]);
	most = group_max(scratch, most);
	for (int j = get_local_id(0); j < d; j += GROUP)
		sum += exp(x[j] - most);
	sum = group_sum(scratch, sum);
	for (int j = get_local_id(0); j < d; j += GROUP)
		y[j] = exp(x[j] - most) / sum;
}
#endif
