/* SPDX-License-Identifier: Apache-2.0 */
/* embed on OpenCL, from the same layout as matmul, so that tied weights are there once. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_embed(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *y = call->out, *ids = call->in[1];
	const struct plumb_cl_weight *w;
	int64_t first, d = y->dim[1];
	if (y->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_weight_of(driver, call->in[0], &w, &first));
	for (int i = 0; i < w->slices; i++) {
		struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
		if (i)
			a.bytes = 0; /* counted with the first slice */
		plumb_cl_tensor(&a, y);
		plumb_cl_mem(&a, w->buffer[i]);
		plumb_cl_tensor(&a, ids);
		plumb_cl_int(&a, ids->dim[0]);
		plumb_cl_int(&a, d);
		plumb_cl_int(&a, i * w->slice_rows - first);
		plumb_cl_int(&a, w->slice_rows);
		size_t global[2] = { (size_t)(d + 31) / 32, (size_t)ids->dim[0] };
		PLUMB_TRY(plumb_cl_launch(&a, "embed", "embed", plumb_cl_pack_options(w->type), 2, global, NULL));
	}
	return PLUMB_OK;
}
