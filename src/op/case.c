/* SPDX-License-Identifier: Apache-2.0 */
/* A case of an operator with numbers in its arguments, and how far a result is from the reference: what
 * verify.c and the tests share. */
#include "core/random.h"
#include "op/op.h"

static uint32_t case_bits(uint64_t *state) { return (uint32_t)(plumb_random(state) >> 32); }

static float case_uniform(uint64_t *state, float most)
{
	return ((float)(case_bits(state) >> 8) * 0x1p-23f - 1) * most;
}

/* Random content: block types get any bits, but scales that are sane numbers. */
static void case_fill(const struct plumb_tensor *t, uint64_t *state, int64_t index_below)
{
	size_t size = plumb_tensor_bytes(t), block = plumb_type_bytes(t->type);
	unsigned char *bytes = plumb_host(t);
	if (t->type == PLUMB_I32) {
		for (size_t i = 0; i < size / 4; i++)
			((int32_t *)plumb_host(t))[i] = (int32_t)(case_bits(state) % (uint64_t)index_below);
	} else if (plumb_type_is_float(t->type)) {
		for (size_t i = 0; i < size; i += block) {
			float f = case_uniform(state, 2);
			plumb_type_from_f32(t->type, &f, bytes + i, 1);
		}
	} else {
		for (size_t i = 0; i < size; i++)
			bytes[i] = (unsigned char)(case_bits(state) >> 11);
		for (size_t i = 0; i < size; i += block) {
			float scale[2];
			scale[0] = case_uniform(state, 0.05f);
			scale[1] = case_uniform(state, 0.05f);
			plumb_type_put_scales(t->type, bytes + i, scale);
		}
	}
}

static enum plumb_status case_argument(struct plumb_context *ctx, struct plumb_tensor *t,
	const struct plumb_case_tensor *shape, enum plumb_type type, uint64_t *state, int64_t index_below)
{
	PLUMB_TRY(plumb_tensor_new(ctx, t, type, shape->rank, shape->dim));
	PLUMB_TRY(plumb_buffer_host(t->buffer));
	case_fill(t, state, index_below);
	plumb_buffer_written(t->buffer, NULL);
	return PLUMB_OK;
}

enum plumb_status plumb_case_make(struct plumb_context *ctx, int op, const struct plumb_case *shape,
	enum plumb_type weight, unsigned wide, uint64_t seed, struct plumb_case_args *a)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	memset(a, 0, sizeof *a);
	a->call = shape->scalars;
	a->call.op = (enum plumb_op)op;
	a->call.out = &a->t[0];
	for (int i = 0; i <= PLUMB_MAX_INPUTS; i++) {
		const struct plumb_case_tensor *c = i ? &shape->in[i - 1] : &shape->out;
		bool is_weight = i > 0 && desc->weights >> (i - 1) & 1;
		enum plumb_type type = is_weight            ? weight
			: wide >> i & 1 && c->type == PLUMB_F32 ? PLUMB_F64
													: c->type;
		int64_t index_below = desc->weights ? shape->in[plumb_desc_weight(desc)].dim[0] : 1;
		enum plumb_status s = c->rank ? case_argument(ctx, &a->t[i], c, type, &seed, index_below) : PLUMB_OK;
		if (s) {
			plumb_case_free(a);
			return s;
		}
		if (i && c->rank)
			a->call.in[i - 1] = &a->t[i];
	}
	return PLUMB_OK;
}

void plumb_case_free(struct plumb_case_args *a)
{
	for (int i = 0; i <= PLUMB_MAX_INPUTS; i++)
		plumb_tensor_free(&a->t[i]);
}

enum plumb_status plumb_case_reference(struct plumb_context *truth, int op, const struct plumb_case *shape,
	enum plumb_type weight, uint64_t seed, struct plumb_case_args *a)
{
	PLUMB_TRY(plumb_case_make(truth, op, shape, weight, PLUMB_CASE_WIDE, seed, a));
	enum plumb_status s = plumb_op_table[op]->ref(&truth->driver[0], &a->call);
	if (s)
		plumb_case_free(a);
	return s;
}

static double case_element(const struct plumb_tensor *t, int64_t i)
{
	return t->type == PLUMB_I32 ? ((const int32_t *)plumb_host(t))[i] : plumb_get(t, i);
}

struct plumb_case_error plumb_case_compare(
	const struct plumb_tensor *have, const struct plumb_tensor *truth, bool exact, double border)
{
	struct plumb_case_error e = { .wrong = -1 };
	for (int64_t i = 0; i < plumb_tensor_count(have) && e.wrong < 0; i++) {
		double h = case_element(have, i), t = case_element(truth, i);
		if (exact && have->type == PLUMB_F32)
			t = (float)t;
		if (isnan(t) || isnan(h))
			e.wrong = isnan(t) && isnan(h) ? -1 : i;
		else if (fabs(t) >= border)
			e.wrong = copysign(h, t) == h && fabs(h) >= border ? -1 : i;
		else if (isinf(h))
			e.wrong = i;
		else {
			e.error += (h - t) * (h - t);
			e.norm += t * t;
		}
		if (e.wrong >= 0) {
			e.have = h;
			e.want = t;
		}
	}
	return e;
}

double plumb_case_relative(const struct plumb_case_error *e)
{
	if (e->wrong >= 0)
		return INFINITY;
	return e->error == 0 ? 0 : e->norm > 0 ? sqrt(e->error / e->norm) : INFINITY;
}
