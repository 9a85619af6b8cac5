/* SPDX-License-Identifier: Apache-2.0 */
/* One call's product of activations with packed weights, as matmul and the fused operators describe it.
 * Private to matmul_packed.c, matmul_small_batch.c, matmul_large_batch.c and matmul_finish.c but for
 * plumb_native_product. */
#ifndef PLUMB_MATMUL_PACKED_H
#define PLUMB_MATMUL_PACKED_H

#include "native/native.h"

#define PLUMB_LARGE_BATCH 33 /* rows of x from which on unpacking panels pays */

/* One weight, its bias (NULL: none), and where its results {m, rows of the weight} go. */
struct plumb_factor {
	const struct plumb_tensor *weight;
	const float *b;
	float *y;
	struct plumb_packed *w;
};

/* What the caller sets: driver, count, of (all but w), tensor, and what it wants of norm, r and gated. */
struct plumb_product {
	struct plumb_driver *driver;
	int count;
	struct plumb_factor of[3];
	const struct plumb_tensor *tensor; /* of x */
	const float *norm;                 /* NULL: x as it is; else rmsnorm of it with this weight and eps */
	double eps;
	const float *r;       /* NULL, or what is added to the results of the one weight; may be its y */
	plumb_gated_fn gated; /* NULL, or swiglu or geglu: of two weights only that of their results goes to y */

	const struct plumb_packed_kernels *kernels;
	const float *x;
	int64_t m, k, rows; /* rows: m, and second rows after them */
	int64_t block;      /* rows that a panel meets before it makes room for the next */
	float limit;
	bool bytes; /* the fast mode: x and panels in bytes */
	struct plumb_x16 x16;
	int32_t *second; /* row of x: its second row, 0: none */
	int32_t *owner;  /* second row - m: row of x */
};

/* PLUMB_E_UNSUPPORTED, with nothing written, where a weight has no packed form or only some are marked exact.
 */
enum plumb_status plumb_native_product(struct plumb_product *p);

/* Columns [first, first + width) of rows [i, end): out {rows, ld} holds factor f's results of x as first and
 * second rows; of a gated pair, up those of the other. Completes them and puts them to y. there: the first
 * rows are in y already. */
struct plumb_results {
	float *out, *up;
	int64_t ld, i, end, first, width;
	bool there;
};
void plumb_native_product_finish(const struct plumb_product *p, int f, const struct plumb_results *r);

void plumb_native_matmul_small_batch(struct plumb_product *p);
void plumb_native_matmul_large_batch(struct plumb_product *p);
size_t plumb_native_matmul_scratch(
	const struct plumb_product *p); /* floats that a thread needs for many rows */

#endif
