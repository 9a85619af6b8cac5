/* SPDX-License-Identifier: Apache-2.0 */
/* rmsnorm on an OpenCL device. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_rmsnorm(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_tensor(&a, call->in[1]);
	plumb_cl_int(&a, call->out->dim[1]);
	plumb_cl_float(&a, call->s.eps);
	return plumb_cl_launch_rows(&a, "rmsnorm", "rmsnorm", "", call->out->dim[0], 1);
}
