/* SPDX-License-Identifier: Apache-2.0 */
/* scale on an OpenCL device. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_scale(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_float(&a, call->s.factor);
	return plumb_cl_launch_elements(&a, "scale", "scale", "", plumb_tensor_count(call->out));
}
