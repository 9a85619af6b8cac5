/* SPDX-License-Identifier: Apache-2.0 */
/* Fused attention on an OpenCL device. */
#include <stdio.h>
#include "cl/cl.h"

#define MOST_ROWS 8 /* ROWS of cl/attention.cl */

/* Rows of a work-item on a CPU: as many as share its copies of keys and values, unless compute units would idle. */
static int64_t rows_per_item(const struct plumb_cl_state *cl, int64_t rows, int64_t kv_heads)
{
	int64_t fair = rows * kv_heads / (2 * (int64_t)cl->device.info.units);
	return fair < 1 ? 1 : fair > MOST_ROWS ? MOST_ROWS : fair;
}

enum plumb_status plumb_cl_attention(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_ARGS(driver);
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *q = call->in[0], *k = call->in[1], *v = call->in[2];
	const struct plumb_attn *attn = &call->s.attn;
	int64_t n = q->dim[0], group_rows = n * (attn->heads / attn->kv_heads);
	int64_t rows = rows_per_item(cl, group_rows, attn->kv_heads);
	char options[64];
	if (k->type != v->type)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "keys are %s and values %s", plumb_type_name(k->type), plumb_type_name(v->type));
	snprintf(options, sizeof options, "-DHD=%d%s", (int)(q->dim[1] / attn->heads), k->type == PLUMB_F16 ? " -DKV_F16=1" : "");
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, q);
	plumb_cl_tensor(&a, k);
	plumb_cl_tensor(&a, v);
	plumb_cl_int(&a, attn->pos);
	plumb_cl_int(&a, n);
	plumb_cl_int(&a, attn->heads);
	plumb_cl_int(&a, attn->kv_heads);
	plumb_cl_float(&a, attn->scale);
	plumb_cl_int(&a, rows);
	if (!cl->cpu)
		return plumb_cl_launch_rows(&a, "attention", "attention", options, attn->heads, n);
	return plumb_cl_launch_rows(&a, "attention", "attention", options, (group_rows + rows - 1) / rows, attn->kv_heads);
}
