/* SPDX-License-Identifier: Apache-2.0 */
/* attn_mix on an OpenCL device. */
#include <stdio.h>
#include "cl/op/op.h"

enum plumb_status plumb_cl_attn_mix(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	const struct plumb_tensor *y = call->out, *p = call->in[0], *v = call->in[1];
	const struct plumb_attn *attn = &call->s.attn;
	size_t n = (size_t)y->dim[0], heads = (size_t)attn->heads;
	int64_t head_dim = y->dim[1] / attn->heads;
	char options[64];
	snprintf(options, sizeof options, "-DHD=%d%s", (int)head_dim, v->type == PLUMB_F16 ? " -DKV_F16=1" : "");
	plumb_cl_tensor(&a, y);
	plumb_cl_tensor(&a, p);
	plumb_cl_tensor(&a, v);
	plumb_cl_int(&a, attn->pos);
	plumb_cl_int(&a, plumb_cl_window(attn));
	plumb_cl_int(&a, y->dim[0]);
	plumb_cl_int(&a, attn->heads);
	plumb_cl_int(&a, attn->kv_heads);
	if (plumb_cl_state(driver)->cpu)
		return plumb_cl_launch(
			&a, "attn_mix", "attn_mix", options, 2, (size_t[]){ n, heads }, (size_t[]){ 1, 1 });
	return plumb_cl_launch(&a, "attn_mix", "attn_mix", options, 3, (size_t[]){ (size_t)head_dim, n, heads },
		(size_t[]){ PLUMB_CL_GROUP, 1, 1 });
}
