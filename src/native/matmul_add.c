/* SPDX-License-Identifier: Apache-2.0 */
/* y = r + x w^T: the product's results are added to r as they go to y. */
#include "native/matmul_packed.h"

enum plumb_status plumb_native_matmul_add(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_native_f32(call));
	return plumb_native_product(&(struct plumb_product){ .driver = driver,
		.count = 1,
		.tensor = call->in[0],
		.of = { { .weight = call->in[1], .y = plumb_host(call->out) } },
		.r = plumb_host(call->in[2]) });
}
