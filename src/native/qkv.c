/* SPDX-License-Identifier: Apache-2.0 */
/* Norm and the products with Q's, K's and V's weights: one row of integers for all three, one run of the
 * pool. */
#include "native/matmul_packed.h"

enum plumb_status plumb_native_qkv(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_native_f32(call));
	struct plumb_product p = { .driver = driver,
		.count = 3,
		.tensor = call->in[0],
		.norm = plumb_host(call->in[1]),
		.eps = call->s.eps };
	float *y = plumb_host(call->out);
	for (int f = 0; f < 3; f++) {
		const struct plumb_tensor *w = call->in[2 + f], *b = call->in[5 + f];
		p.of[f] = (struct plumb_factor){ .weight = w, .b = b ? plumb_host(b) : NULL, .y = y };
		y += p.tensor->dim[0] * w->dim[0];
	}
	return plumb_native_product(&p);
}
