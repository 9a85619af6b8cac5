/* SPDX-License-Identifier: Apache-2.0 */
/* Norm, the products with gate's and up's weights, and swiglu or geglu of each piece of their results. */
#include "native/matmul_packed.h"

enum plumb_status plumb_native_gate_up(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_native_f32(call));
	float *y = plumb_host(call->out);
	const struct plumb_simd *simd = plumb_native_simd(driver);
	return plumb_native_product(&(struct plumb_product){ .driver = driver,
		.count = 2,
		.tensor = call->in[0],
		.norm = plumb_host(call->in[1]),
		.eps = call->s.eps,
		.of = { { .weight = call->in[2], .y = y }, { .weight = call->in[3], .y = y } },
		.gated = call->s.activation == PLUMB_GELU_TANH ? simd->geglu : simd->swiglu });
}
