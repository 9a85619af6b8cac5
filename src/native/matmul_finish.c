/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a packed product: what a tile or a few rows have made gets its second rows, bias, residual or
 * activation, and goes to y. */
#include <string.h>
#include "native/matmul_packed.h"

/* To n results of row i its second row's, then the bias from `first` on. */
static void matmul_finish_row(const struct plumb_product *p, const struct plumb_results *r, const float *out,
	const float *b, int64_t i, int64_t n, float *row)
{
	const struct plumb_simd *simd = plumb_native_simd(p->driver);
	if (p->second[i])
		simd->add(row, row, out + p->second[i] * r->ld, n);
	if (b)
		simd->add(row, row, b + r->first, n);
}

void plumb_native_product_finish(const struct plumb_product *p, int f, const struct plumb_results *r)
{
	const struct plumb_simd *simd = plumb_native_simd(p->driver);
	const struct plumb_factor *of = &p->of[f];
	const int64_t columns = of->w->rows, n = columns - r->first < r->width ? columns - r->first : r->width;
	if (n <= 0 || (r->there && !of->b && p->rows == p->m))
		return;
	for (int64_t i = r->i; i < r->end; i++) {
		float *y = of->y + i * columns + r->first, *row = r->there ? y : r->out + i * r->ld;
		matmul_finish_row(p, r, r->out, of->b, i, n, row);
		if (p->gated) {
			matmul_finish_row(p, r, r->up, NULL, i, n, r->up + i * r->ld);
			p->gated(y, row, r->up + i * r->ld, n);
		} else if (p->r)
			simd->add(y, p->r + i * columns + r->first, row, n);
		else if (!r->there)
			memcpy(y, row, sizeof *y * (size_t)n);
	}
}
