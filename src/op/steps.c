/* SPDX-License-Identifier: Apache-2.0 */
/* A fused operator as steps of basic ones: through the context's dispatch where a driver has no kernel for
 * it, or each step's float64 truth, which is then the fused one's. */
#include "op/op.h"

struct plumb_tensor *plumb_steps_temp(
	struct plumb_steps *s, const struct plumb_call *call, int64_t rows, int64_t columns)
{
	struct plumb_tensor *t = &s->temp[s->temps];
	if (s->status)
		return t;
	s->status = plumb_tensor_new(
		s->ctx, t, s->ref ? PLUMB_F64 : call->out->type, 2, (int64_t[]){ rows, columns });
	if (s->status)
		return t;
	s->temps++;
	if (s->ref)
		s->status = plumb_buffer_host(t->buffer);
	return t;
}

void plumb_step(struct plumb_steps *s, const struct plumb_call *call)
{
	if (s->status)
		return;
	if (!s->ref) {
		s->status = plumb_dispatch(s->ctx, call);
		return;
	}
	s->status = s->ctx->operators[call->op]->ref(s->ref, call);
	plumb_buffer_written(call->out->buffer, NULL);
}

enum plumb_status plumb_steps_end(struct plumb_steps *s)
{
	while (s->temps)
		plumb_tensor_free(&s->temp[--s->temps]);
	return s->status;
}
