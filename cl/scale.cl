/* SPDX-License-Identifier: Apache-2.0 */
/* scale: y = factor * x, elementwise. No restrict: the output may be x. */
#if PLUMB_CPU
/* One item per block of elements. */
__kernel void scale(__global float *y, int y_at, __global const float *x, int x_at, float factor, int n,
	int block)
{
	int i = (int)get_global_id(0) * block, end = min(n, i + block);
	y += y_at;
	x += x_at;
	for (; i + 8 <= end; i += 8)
		vstore8(vload8(0, x + i) * factor, 0, y + i);
	for (; i < end; i++)
		y[i] = x[i] * factor;
}
#else
__kernel void scale(__global float *y, int y_at, __global const float *x, int x_at, float factor, int n,
	int block)
{
	int i = get_global_id(0);
	if (i < n)
		y[y_at + i] = x[x_at + i] * factor;
}
#endif
