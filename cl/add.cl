/* SPDX-License-Identifier: Apache-2.0 */
/* add: y = a + b, elementwise. No restrict: the output may be an input. */
#if PLUMB_CPU
/* One item per block of elements. */
__kernel void add(__global float *y, int y_at, __global const float *a, int a_at, __global const float *b,
	int b_at, int n, int block)
{
	int i = (int)get_global_id(0) * block, end = min(n, i + block);
	y += y_at;
	a += a_at;
	b += b_at;
	for (; i + 8 <= end; i += 8)
		vstore8(vload8(0, a + i) + vload8(0, b + i), 0, y + i);
	for (; i < end; i++)
		y[i] = a[i] + b[i];
}
#else
__kernel void add(__global float *y, int y_at, __global const float *a, int a_at, __global const float *b,
	int b_at, int n, int block)
{
	int i = get_global_id(0);
	if (i < n)
		y[y_at + i] = a[a_at + i] + b[b_at + i];
}
#endif
