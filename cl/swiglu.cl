/* SPDX-License-Identifier: Apache-2.0 */
/* swiglu: y = gate * sigmoid(gate) * up, elementwise. No restrict: the output may be an input. */
#if PLUMB_CPU
/* One item per block of elements. */
__kernel void swiglu(__global float *y, int y_at, __global const float *gate, int gate_at,
	__global const float *up, int up_at, int n, int block)
{
	int i = (int)get_global_id(0) * block, end = min(n, i + block);
	y += y_at;
	gate += gate_at;
	up += up_at;
	for (; i + 8 <= end; i += 8) {
		float8 g = vload8(0, gate + i);
		vstore8(g / (1.0f + exp(-g)) * vload8(0, up + i), 0, y + i);
	}
	for (; i < end; i++)
		y[i] = gate[i] / (1.0f + exp(-gate[i])) * up[i];
}
#else
__kernel void swiglu(__global float *y, int y_at, __global const float *gate, int gate_at,
	__global const float *up, int up_at, int n, int block)
{
	int i = get_global_id(0);
	if (i < n) {
		float g = gate[gate_at + i];
		y[y_at + i] = g / (1.0f + exp(-g)) * up[up_at + i];
	}
}
#endif
