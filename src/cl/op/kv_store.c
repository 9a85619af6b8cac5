/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store on an OpenCL device. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_kv_store(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_int(&a, call->s.pos * call->out->dim[1]);
	return plumb_cl_launch_elements(&a, "kv_store", "kv_store",
		call->out->type == PLUMB_F16 ? "-DKV_F16=1" : "", plumb_tensor_count(call->in[0]));
}
