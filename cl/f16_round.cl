/* SPDX-License-Identifier: Apache-2.0 */
/* f16_round: y = x rounded to float16 and back. No restrict: the output may be the input. Halves are stored
 * and loaded through private memory, which every device can; arithmetic in them needs cl_khr_fp16. */
static float rounded(float x)
{
	ushort h;
	vstore_half_rte(x, 0, (__private half *)&h);
	return vload_half(0, (__private half *)&h);
}

#if PLUMB_CPU
/* One item per block of elements. */
__kernel void f16_round(__global float *y, int y_at, __global const float *x, int x_at, int n, int block)
{
	int i = (int)get_global_id(0) * block, end = min(n, i + block);
	y += y_at;
	x += x_at;
	for (; i + 8 <= end; i += 8) {
		ushort8 h;
		vstore_half8_rte(vload8(0, x + i), 0, (__private half *)&h);
		vstore8(vload_half8(0, (__private half *)&h), 0, y + i);
	}
	for (; i < end; i++)
		y[i] = rounded(x[i]);
}
#else
__kernel void f16_round(__global float *y, int y_at, __global const float *x, int x_at, int n, int block)
{
	int i = get_global_id(0);
	if (i < n)
		y[y_at + i] = rounded(x[x_at + i]);
}
#endif
