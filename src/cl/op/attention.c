/* SPDX-License-Identifier: Apache-2.0 */
/* Fused attention on an OpenCL device. */
#include <stdio.h>
#include "cl/cl.h"

enum {
	FEWEST_KEYS = 128,    /* of a part: twice a work-group's stride */
	FILLING_GROUPS = 512, /* work-groups that keep 64 to 128 compute units busy */
};

/* Rows of a work-item on a CPU: as many as share its copies of keys and values, unless compute units would idle. */
static int64_t rows_per_item(const struct plumb_cl_state *cl, int64_t rows, int64_t kv_heads)
{
	int64_t fair = rows * kv_heads / (2 * (int64_t)cl->device.info.units);
	return fair < 1 ? 1 : fair > PLUMB_CL_ATTENTION_ROWS ? PLUMB_CL_ATTENTION_ROWS : fair;
}

static void bind_inputs(struct plumb_cl_args *a, const struct plumb_call *call)
{
	for (int i = 0; i < 3; i++)
		plumb_cl_tensor(a, call->in[i]);
	plumb_cl_int(a, call->s.attn.pos);
}

/* Parts of the keys, each a work-group's: what fills a large GPU when there are few queries, and costs a small one little. */
static int64_t parts_of(const struct plumb_call *call)
{
	int64_t n = call->in[0]->dim[0], groups = n * call->s.attn.heads;
	int64_t most = (call->s.attn.pos + n) / FEWEST_KEYS, wanted = (FILLING_GROUPS + groups - 1) / groups;
	return most < 1 ? 1 : most < wanted ? most : wanted;
}

enum plumb_cl_attention_way plumb_cl_attention_way(const struct plumb_cl_state *cl, const struct plumb_call *call)
{
	return cl->only >= 0 ? (enum plumb_cl_attention_way)cl->only : !cl->cpu && parts_of(call) > 1 ? PLUMB_CL_PARTS : PLUMB_CL_WHOLE;
}

static enum plumb_status in_parts(struct plumb_driver *driver, const struct plumb_call *call, const char *options)
{
	struct plumb_cl_args first = PLUMB_CL_ARGS(driver), second = PLUMB_CL_ARGS(driver);
	const struct plumb_attn *attn = &call->s.attn;
	int64_t n = call->in[0]->dim[0], keys = attn->pos + n, parts = parts_of(call), chunk = (keys + parts - 1) / parts;
	chunk = (chunk + PLUMB_CL_GROUP - 1) / PLUMB_CL_GROUP * PLUMB_CL_GROUP;
	parts = (keys + chunk - 1) / chunk;
	cl_mem part;
	PLUMB_TRY(plumb_cl_scratch(driver, 0, (size_t)(n * parts * (call->in[0]->dim[1] + 2 * attn->heads)) * sizeof(cl_float), &part));
	plumb_cl_mem(&first, part);
	bind_inputs(&first, call);
	plumb_cl_int(&first, attn->heads);
	plumb_cl_int(&first, attn->kv_heads);
	plumb_cl_float(&first, attn->scale);
	plumb_cl_int(&first, chunk);
	PLUMB_TRY(plumb_cl_launch(&first, "attention", "attention_part", options, 3,
		(size_t[]){ (size_t)parts * PLUMB_CL_GROUP, (size_t)attn->heads, (size_t)n }, (size_t[]){ PLUMB_CL_GROUP, 1, 1 }));
	plumb_cl_tensor(&second, call->out);
	plumb_cl_mem(&second, part);
	plumb_cl_int(&second, attn->heads);
	plumb_cl_int(&second, parts);
	return plumb_cl_launch_rows(&second, "attention", "attention_join", options, attn->heads, n);
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
	if (plumb_cl_attention_way(cl, call) == PLUMB_CL_PARTS)
		return in_parts(driver, call, options);
	plumb_cl_tensor(&a, call->out);
	bind_inputs(&a, call);
	plumb_cl_int(&a, n);
	plumb_cl_int(&a, attn->heads);
	plumb_cl_int(&a, attn->kv_heads);
	plumb_cl_float(&a, attn->scale);
	plumb_cl_int(&a, rows);
	if (!cl->cpu)
		return plumb_cl_launch_rows(&a, "attention", "attention", options, attn->heads, n);
	return plumb_cl_launch_rows(&a, "attention", "attention", options, (group_rows + rows - 1) / rows, attn->kv_heads);
}
