/* SPDX-License-Identifier: Apache-2.0 */
/* geglu: y = gelu(gate) * up, elementwise; gelu by tanh, as x / (1 + exp(-2 z)): 1 + tanh(z) would lose what
 * is small. No restrict: the output may be an input. */
#define GEGLU(g, u) \
	((g) / (1.0f + exp(-(g) * mad(0.07135481282760024f, (g) * (g), 1.5957691216057308f))) * (u))

#if PLUMB_CPU
/* One item per block of elements. */
__kernel void geglu(__global float *y, int y_at, __global const float *gate, int gate_at,
	__global const float *up, int up_at, int n, int block)
{
	int i = (int)get_global_id(0) * block, end = min(n, i + block);
	y += y_at;
	gate += gate_at;
	up += up_at;
	for (; i + 8 <= end; i += 8) {
		float8 g = vload8(0, gate + i);
		vstore8(GEGLU(g, vload8(0, up + i)), 0, y + i);
	}
	for (; i < end; i++)
		y[i] = GEGLU(gate[i], up[i]);
}
#else
__kernel void geglu(__global float *y, int y_at, __global const float *gate, int gate_at,
	__global const float *up, int up_at, int n, int block)
{
	int i = get_global_id(0);
	if (i < n) {
		float g = gate[gate_at + i];
		y[y_at + i] = GEGLU(g, up[up_at + i]);
	}
}
#endif
