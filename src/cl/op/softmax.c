/* SPDX-License-Identifier: Apache-2.0 */
/* softmax on an OpenCL device. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_softmax(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	int64_t d = call->out->dim[call->out->rank - 1];
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_int(&a, d);
	return plumb_cl_launch_rows(&a, "softmax", "softmax", "", plumb_tensor_count(call->out) / d, 1);
}
