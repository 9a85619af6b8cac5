/* SPDX-License-Identifier: Apache-2.0 */
/* Fused attention on an OpenCL device. */
#include <stdio.h>
#include "cl/op/op.h"

/* Rows of a work-item on a CPU: as many as share its copies of keys and values, unless compute units would
 * idle. */
static int64_t attention_rows(const struct plumb_cl_state *cl, int64_t rows, int64_t kv_heads)
{
	int64_t fair = rows * kv_heads / (2 * (int64_t)cl->device.info.units);
	return fair < 1 ? 1 : fair > PLUMB_CL_ATTENTION_ROWS ? PLUMB_CL_ATTENTION_ROWS : fair;
}

int64_t plumb_cl_window(const struct plumb_attn *a)
{
	return a->window && a->window < INT32_MAX ? a->window : INT32_MAX;
}

static void attention_bind(struct plumb_cl_args *a, const struct plumb_call *call)
{
	for (int i = 0; i < 3; i++)
		plumb_cl_tensor(a, call->in[i]);
	plumb_cl_int(a, call->s.attn.pos);
	plumb_cl_int(a, plumb_cl_window(&call->s.attn));
}

/* The keys are split among work-groups, each a whole number of strides; a second kernel joins what they made.
 */
static enum plumb_status attention_split(
	struct plumb_driver *driver, const struct plumb_call *call, const char *options)
{
	struct plumb_cl_args first = PLUMB_CL_FIRST_ARGS(driver, call), second = PLUMB_CL_ARGS(driver);
	const struct plumb_attn *attn = &call->s.attn;
	int64_t n = call->in[0]->dim[0], keys = plumb_attn_keys(attn, n), splits = plumb_cl_variant_splits(call),
			each = (keys + splits - 1) / splits;
	each = (each + PLUMB_CL_GROUP - 1) / PLUMB_CL_GROUP * PLUMB_CL_GROUP;
	splits = (keys + each - 1) / each;
	cl_mem partial;
	PLUMB_TRY(plumb_cl_scratch(driver, PLUMB_CL_SCRATCH_A,
		(size_t)(n * splits * (call->in[0]->dim[1] + 2 * attn->heads)) * sizeof(cl_float), &partial));
	plumb_cl_mem(&first, partial);
	attention_bind(&first, call);
	plumb_cl_int(&first, attn->heads);
	plumb_cl_int(&first, attn->kv_heads);
	plumb_cl_float(&first, attn->scale);
	plumb_cl_int(&first, plumb_attn_first(attn, attn->pos));
	plumb_cl_int(&first, each);
	PLUMB_TRY(plumb_cl_launch(&first, "attention", "attention_split", options, 3,
		(size_t[]){ (size_t)splits * PLUMB_CL_GROUP, (size_t)attn->heads, (size_t)n },
		(size_t[]){ PLUMB_CL_GROUP, 1, 1 }));
	plumb_cl_tensor(&second, call->out);
	plumb_cl_mem(&second, partial);
	plumb_cl_int(&second, attn->heads);
	plumb_cl_int(&second, splits);
	return plumb_cl_launch_rows(&second, "attention", "attention_join", options, attn->heads, n);
}

enum plumb_status plumb_cl_attention(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *q = call->in[0], *k = call->in[1], *v = call->in[2];
	const struct plumb_attn *attn = &call->s.attn;
	int64_t n = q->dim[0], group_rows = n * (attn->heads / attn->kv_heads);
	int64_t rows = attention_rows(cl, group_rows, attn->kv_heads);
	char options[64];
	if (k->type != v->type)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "keys are %s and values %s", plumb_type_name(k->type),
			plumb_type_name(v->type));
	snprintf(options, sizeof options, "-DHD=%d%s", (int)(q->dim[1] / attn->heads),
		k->type == PLUMB_F16 ? " -DKV_F16=1" : "");
	if (plumb_cl_choice_attention(cl, call) == PLUMB_CL_SPLIT)
		return attention_split(driver, call, options);
	plumb_cl_tensor(&a, call->out);
	attention_bind(&a, call);
	plumb_cl_int(&a, n);
	plumb_cl_int(&a, attn->heads);
	plumb_cl_int(&a, attn->kv_heads);
	plumb_cl_float(&a, attn->scale);
	plumb_cl_int(&a, rows);
	if (!cl->cpu)
		return plumb_cl_launch_rows(&a, "attention", "attention", options, attn->heads, n);
	return plumb_cl_launch_rows(
		&a, "attention", "attention", options, (group_rows + rows - 1) / rows, attn->kv_heads);
}
