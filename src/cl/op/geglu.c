/* SPDX-License-Identifier: Apache-2.0 */
/* geglu on an OpenCL device. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_geglu(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_tensor(&a, call->in[1]);
	return plumb_cl_launch_elements(&a, "geglu", "geglu", "", plumb_tensor_count(call->out));
}
