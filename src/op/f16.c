/* SPDX-License-Identifier: Apache-2.0 */
/* Precision FP16: what an operator made in float32 is rounded as a port would store it, and what float16
 * cannot hold is noted before it turns into infinity. Both by operators, on the driver that has the numbers.
 */
#include <stdlib.h>
#include "op/op.h"

/* As rows of its last dimension. */
static struct plumb_tensor f16_flat(const struct plumb_tensor *t)
{
	struct plumb_tensor rows;
	int64_t columns = t->dim[t->rank - 1];
	plumb_tensor_view(&rows, t, 0, plumb_tensor_count(t) / columns, columns);
	return rows;
}

/* Which position of the sequence a row is of, where the call tells that. */
static bool f16_position(const struct plumb_call *call, int64_t row, int64_t *at)
{
	bool scores = call->op == PLUMB_OP_attn_scores, mix = call->op == PLUMB_OP_attn_mix,
		 rope = call->op == PLUMB_OP_rope;
	*at = (rope                   ? call->s.rope.pos
				  : scores || mix ? call->s.attn.pos
								  : 0) +
		(scores ? row % call->out->dim[1] : row);
	return scores || mix || rope;
}

static enum plumb_status f16_note(
	struct plumb_context *ctx, const struct plumb_call *call, const struct plumb_tensor *x, const int32_t *at)
{
	struct plumb_f16_note *o = &ctx->f16;
	for (int64_t i = 0; i < x->dim[0]; i++) {
		float value;
		if (at[i] < 0)
			continue;
		if (o->rows++)
			continue;
		PLUMB_TRY(plumb_buffer_read(
			x->buffer, x->offset + sizeof value * (size_t)(i * x->dim[1] + at[i]), &value, sizeof value));
		o->op = plumb_op_name((int)call->op);
		o->value = (double)value;
		o->absolute = f16_position(call, i, &o->row);
	}
	return PLUMB_OK;
}

static enum plumb_status f16_overflow(
	struct plumb_context *ctx, const struct plumb_call *call, struct plumb_tensor *x)
{
	struct plumb_tensor at;
	PLUMB_TRY(plumb_tensor_new(ctx, &at, PLUMB_I32, 1, &x->dim[0]));
	enum plumb_status s = plumb_f16_overflow(ctx, &at, x);
	if (!s)
		s = plumb_buffer_to_host(at.buffer);
	if (!s)
		s = f16_note(ctx, call, x, plumb_host(&at));
	plumb_tensor_free(&at);
	return s;
}

enum plumb_status plumb_op_f16(struct plumb_context *ctx, const struct plumb_call *call)
{
	if (call->out->type != PLUMB_F32 || call->op == PLUMB_OP_f16_round)
		return PLUMB_OK;
	struct plumb_tensor x = f16_flat(call->out);
	PLUMB_TRY(f16_overflow(ctx, call, &x));
	return plumb_f16_round(ctx, &x, &x);
}
