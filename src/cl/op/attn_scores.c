/* SPDX-License-Identifier: Apache-2.0 */
/* attn_scores on an OpenCL device. */
#include <stdio.h>
#include "cl/op/op.h"

enum plumb_status plumb_cl_attn_scores(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	const struct plumb_tensor *s = call->out, *q = call->in[0], *k = call->in[1];
	const struct plumb_attn *attn = &call->s.attn;
	size_t n = (size_t)q->dim[0], heads = (size_t)attn->heads;
	char options[64];
	snprintf(options, sizeof options, "-DHD=%d%s", (int)(q->dim[1] / attn->heads),
		k->type == PLUMB_F16 ? " -DKV_F16=1" : "");
	plumb_cl_tensor(&a, s);
	plumb_cl_tensor(&a, q);
	plumb_cl_tensor(&a, k);
	plumb_cl_int(&a, attn->pos);
	plumb_cl_int(&a, plumb_cl_window(attn));
	plumb_cl_int(&a, q->dim[0]);
	plumb_cl_int(&a, attn->heads);
	plumb_cl_int(&a, attn->kv_heads);
	plumb_cl_float(&a, attn->scale);
	if (plumb_cl_state(driver)->cpu)
		return plumb_cl_launch(
			&a, "attn_scores", "attn_scores", options, 2, (size_t[]){ n, heads }, (size_t[]){ 1, 1 });
	return plumb_cl_launch(&a, "attn_scores", "attn_scores", options, 3,
		(size_t[]){ (size_t)s->dim[2], n, heads }, (size_t[]){ PLUMB_CL_GROUP, 1, 1 });
}
