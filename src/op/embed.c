/* SPDX-License-Identifier: Apache-2.0 */
/* embed: rows of a table by index. Contract and truth. */
#include <stdlib.h>
#include "op/op.h"

enum plumb_status plumb_embed(struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *w,
	const struct plumb_tensor *ids)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_embed, .out = y, .in = { w, ids } });
}

static enum plumb_status embed_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *w = c->in[0], *ids = c->in[1];
	PLUMB_TRY(plumb_need_present(w, "w"));
	PLUMB_TRY(plumb_need_present(ids, "ids"));
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	if (!plumb_type_is_weight(w->type))
		return plumb_fail(PLUMB_E_TYPE, "w is %s, which is no weight type", plumb_type_name(w->type));
	PLUMB_TRY(plumb_need_type(ids, "ids", PLUMB_I32));
	PLUMB_TRY(plumb_need_shape(w, "w", 2, -1, -1, -1));
	PLUMB_TRY(plumb_need_shape(ids, "ids", 1, -1, -1, -1));
	PLUMB_TRY(plumb_need_shape(y, "y", 2, ids->dim[0], w->dim[1], -1));
	PLUMB_TRY(plumb_buffer_to_host(ids->buffer));
	for (int64_t i = 0; i < ids->dim[0]; i++) {
		int32_t id = ((const int32_t *)plumb_host(ids))[i];
		if (id < 0 || id >= w->dim[0])
			return plumb_fail(PLUMB_E_ARGUMENT, "id %d at %lld is outside the table of %lld rows", id,
				(long long)i, (long long)w->dim[0]);
	}
	return plumb_need_apart(y, w, "w", false);
}

static enum plumb_status embed_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	const struct plumb_tensor *w = c->in[0], *ids = c->in[1];
	int64_t d = w->dim[1];
	size_t row = plumb_tensor_bytes(w) / (size_t)w->dim[0];
	float *x = malloc(sizeof *x * (size_t)d);
	(void)driver;
	if (!x)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld", (long long)d);
	for (int64_t i = 0; i < ids->dim[0]; i++) {
		plumb_type_to_f32(
			w->type, (const char *)plumb_host(w) + row * (size_t)((const int32_t *)plumb_host(ids))[i], x, d);
		for (int64_t j = 0; j < d; j++)
			plumb_put(c->out, i * d + j, x[j]);
	}
	free(x);
	return PLUMB_OK;
}

static double embed_flops(const struct plumb_call *c)
{
	(void)c;
	return 0;
}

static double embed_bytes(const struct plumb_call *c)
{
	return (double)plumb_tensor_bytes(c->out) +
		(double)plumb_tensor_bytes(c->in[0]) / (double)c->in[0]->dim[0] * (double)c->in[1]->dim[0];
}

static double embed_tolerance(const struct plumb_call *c)
{
	(void)c;
	return 0;
}

#define CASE(text, vocab, d, n) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, d } }, .in = { \
			{ PLUMB_F32, 2, { vocab, d } }, \
			{ PLUMB_I32, 1, { n } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 4000, 896, 1),
	CASE("prefill", 1000, 896, 33),
	CASE("k-block", 300, 256, 5),
	CASE("one row of one block", 1, 32, 2),
	CASE("odd width", 7, 5, 3),
};

const struct plumb_op_desc plumb_op_embed = {
	.name = "embed",
	.weights = 1,
	.index = 1,
	.rows = 2,
	.check = embed_check,
	.ref = embed_ref,
	.flops = embed_flops,
	.bytes = embed_bytes,
	.tolerance = embed_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
