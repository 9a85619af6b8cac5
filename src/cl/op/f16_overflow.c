/* SPDX-License-Identifier: Apache-2.0 */
/* f16_overflow on an OpenCL device. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_f16_overflow(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_int(&a, call->in[0]->dim[1]);
	return plumb_cl_launch_rows(&a, "f16_overflow", "f16_overflow", "", call->in[0]->dim[0], 1);
}
