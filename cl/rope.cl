/* SPDX-License-Identifier: Apache-2.0 */
/* rope: turn each pair of a head by its position's angle, and copy the `rest` elements of the head that are
 * in no pair. turns holds, per position, the cosines of all pairs and then their sines, made by the host in
 * float64. No restrict: the output may be x. */
static void turn(__global float *y, __global const float *x, int first, int second, float c, float s)
{
	float a = x[first], b = x[second];
	y[first] = a * c - b * s;
	y[second] = b * c + a * s;
}

#if PLUMB_CPU
/* One item per row of `heads` heads; pairs are j and j + pairs, or with `interleaved` 2j and 2j + 1. */
__kernel void rope(__global float *y, int y_at, __global const float *x, int x_at,
	__global const float *turns, int pos, int heads, int pairs, int rest, int interleaved)
{
	int row = get_global_id(0), width = 2 * pairs + rest;
	__global const float *c = turns + (size_t)(pos + row) * pairs * 2, *s = c + pairs;
	size_t at = (size_t)row * heads * width;
	y += y_at + at;
	x += x_at + at;
	for (int h = 0; h < heads; h++, x += width, y += width) {
		int j = 0;
		for (; j + 8 <= pairs && !interleaved; j += 8) {
			float8 a = vload8(0, x + j), b = vload8(0, x + pairs + j), cosine = vload8(0, c + j),
				sine = vload8(0, s + j);
			vstore8(a * cosine - b * sine, 0, y + j);
			vstore8(b * cosine + a * sine, 0, y + pairs + j);
		}
		for (; j < pairs; j++)
			turn(y, x, interleaved ? 2 * j : j, interleaved ? 2 * j + 1 : j + pairs, c[j], s[j]);
		for (j = 2 * pairs; j < width; j++)
			y[j] = x[j];
	}
}
#else
/* One item per pair, or element in none: (item of a row, row). */
__kernel void rope(__global float *y, int y_at, __global const float *x, int x_at,
	__global const float *turns, int pos, int heads, int pairs, int rest, int interleaved)
{
	int p = get_global_id(0), row = get_global_id(1), items = pairs + rest;
	if (p < heads * items) {
		__global const float *c = turns + (size_t)(pos + row) * pairs * 2;
		int h = p / items, j = p - h * items; /* not %: clang would freeze p, which Oclgrind cannot */
		size_t at = ((size_t)row * heads + h) * (items + pairs);
		y += y_at + at;
		x += x_at + at;
		if (j < pairs)
			turn(y, x, interleaved ? 2 * j : j, interleaved ? 2 * j + 1 : j + pairs, c[j], c[pairs + j]);
		else
			y[pairs + j] = x[pairs + j];
	}
}
#endif
