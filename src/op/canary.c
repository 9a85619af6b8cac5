/* SPDX-License-Identifier: Apache-2.0 */
/* A few rows of a real call, on a driver and on the float64 truth: tells a wrong kernel by the
 * numbers that the user is about to get. Runs before the driver's first real use of a kernel. */
#include "op/op.h"

#define ROWS 4     /* of activations */
#define OUTPUTS 24 /* rows of a weight: three times eight lanes */
#define ALLOWED 1e-3 /* massive activations amplify float32 rounding to 1e-5 and more; a wrong lane gives 1e-1 */

/* Inputs whose rows go with the output's. attn_mix has them in the middle of its shape: it is taken whole. */
static const unsigned row_inputs[PLUMB_OP_COUNT] = {
	[PLUMB_OP_embed] = 2, [PLUMB_OP_matmul] = 1, [PLUMB_OP_rmsnorm] = 1, [PLUMB_OP_rope] = 1, [PLUMB_OP_kv_store] = 1,
	[PLUMB_OP_attn_scores] = 1, [PLUMB_OP_softmax] = 1, [PLUMB_OP_swiglu] = 3, [PLUMB_OP_add] = 3, [PLUMB_OP_argmax] = 1,
	[PLUMB_OP_attention] = 1, [PLUMB_OP_qkv] = 1, [PLUMB_OP_gate_up] = 1, [PLUMB_OP_matmul_add] = 1 | 4,
};
/* Inputs of which a few rows give a few columns of the output. A residual cannot be cut by columns, so its weight stays whole. */
static const unsigned column_inputs[PLUMB_OP_COUNT] = { [PLUMB_OP_matmul] = 2 | 4, [PLUMB_OP_qkv] = 0xfc, [PLUMB_OP_gate_up] = 4 | 8 };

struct slice { struct plumb_call call; struct plumb_tensor in[PLUMB_MAX_INPUTS]; int rank; int64_t out[PLUMB_MAX_RANK]; };

static enum plumb_status cut(struct slice *s, int i, int64_t most)
{
	const struct plumb_tensor *t = s->call.in[i];
	if (!t)
		return PLUMB_OK;
	s->call.in[i] = &s->in[i];
	return plumb_tensor_rows(&s->in[i], t, 0, t->dim[0] < most ? t->dim[0] : most);
}

static enum plumb_status make_slice(const struct plumb_call *call, struct slice *s)
{
	int64_t rows = 0, columns = 0;
	s->call = *call;
	s->rank = call->out->rank;
	memcpy(s->out, call->out->dim, sizeof s->out);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (row_inputs[call->op] >> i & 1) {
			PLUMB_TRY(cut(s, i, ROWS));
			rows = s->in[i].dim[0];
		}
	if (rows)
		s->out[0] = rows;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (column_inputs[call->op] >> i & 1) {
			PLUMB_TRY(cut(s, i, OUTPUTS));
			if (plumb_op_table[call->op]->weights >> i & 1)
				columns += s->in[i].dim[0];
		}
	if (columns)
		s->out[1] = call->op == PLUMB_OP_gate_up ? columns / 2 : columns; /* two weights make one column */
	if (call->op == PLUMB_OP_kv_store)
		s->call.s.pos = 0;
	if (call->op == PLUMB_OP_attn_scores) {
		s->out[0] = call->s.attn.heads;
		s->out[1] = rows;
		s->out[2] = call->s.attn.pos + rows;
	}
	return PLUMB_OK;
}

static enum plumb_status run(struct plumb_driver *driver, struct slice *s, struct plumb_tensor *ours, struct plumb_tensor *truth)
{
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (s->call.in[i])
			PLUMB_TRY(plumb_buffer_to_host(s->call.in[i]->buffer));
	PLUMB_TRY(plumb_buffer_host(truth->buffer));
	s->call.out = truth;
	PLUMB_TRY(plumb_op_table[s->call.op]->ref(driver, &s->call));
	s->call.out = ours;
	return plumb_op_run_alone(driver, &s->call);
}

enum plumb_status plumb_op_canary(struct plumb_driver *driver, const struct plumb_call *call, double *error, double *allowed)
{
	struct slice s;
	struct plumb_tensor ours, truth = { .buffer = NULL };
	PLUMB_TRY(make_slice(call, &s));
	PLUMB_TRY(plumb_tensor_new(driver->ctx, &ours, call->out->type, s.rank, s.out));
	enum plumb_status status = plumb_tensor_new(driver->ctx, &truth, call->out->type, s.rank, s.out);
	if (!status)
		status = run(driver, &s, &ours, &truth);
	if (!status) {
		*allowed = plumb_op_table[call->op]->tolerance(&s.call) > 0 ? ALLOWED : 0;
		*error = plumb_op_distance(&ours, &truth, false);
	}
	plumb_tensor_free(&ours);
	plumb_tensor_free(&truth);
	return status;
}
