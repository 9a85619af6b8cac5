/* SPDX-License-Identifier: Apache-2.0 */
/* One operator of one driver against its float64 truth, on random numbers that are the same every time: for the doctor
 * and for the first use of a kernel. Says how far off it is; what follows from that is the caller's business. */
#include <stdlib.h>
#include "core/random.h"
#include "op/op.h"

#define MOST_WORK 2e6 /* operations or bytes of a case; the larger ones are for tests */

static uint32_t random_bits(uint64_t *state) { return (uint32_t)(plumb_random(state) >> 32); }

static float uniform(uint64_t *state, float most)
{
	return ((float)(random_bits(state) >> 8) * 0x1p-23f - 1) * most;
}

/* Random content: block types get any bits, but scales that are sane numbers. */
static void verify_fill(const struct plumb_tensor *t, uint64_t *state, int64_t index_below)
{
	static const int half_at[PLUMB_TYPE_COUNT][2] = { [PLUMB_Q4_1] = { 0, 2 }, [PLUMB_Q5_1] = { 0, 2 }, [PLUMB_Q4_K] = { 0, 2 },
		[PLUMB_Q5_K] = { 0, 2 }, [PLUMB_Q6_K] = { 208, 208 } };
	size_t size = plumb_tensor_bytes(t), block = plumb_type_bytes(t->type);
	unsigned char *bytes = plumb_host(t);
	if (t->type == PLUMB_I32) {
		for (size_t i = 0; i < size / 4; i++)
			((int32_t *)plumb_host(t))[i] = (int32_t)(random_bits(state) % (uint64_t)index_below);
	} else if (plumb_type_is_float(t->type)) {
		for (size_t i = 0; i < size; i += block) {
			float f = uniform(state, 2);
			plumb_type_from_f32(t->type, &f, bytes + i, 1);
		}
	} else {
		for (size_t i = 0; i < size; i++)
			bytes[i] = (unsigned char)(random_bits(state) >> 11);
		for (size_t i = 0; i < size; i += block)
			for (int j = 0; j < 2; j++) {
				uint16_t h = plumb_f32_to_f16(uniform(state, 0.05f));
				memcpy(bytes + i + half_at[t->type][j], &h, sizeof h);
			}
	}
}

/* Tensors of a call: out, then the inputs. */
struct side {
	struct plumb_tensor t[1 + PLUMB_MAX_INPUTS];
	struct plumb_call call;
};

/* wide: activations as F64, for the truth. Every value is one that float32 holds, so both sides get the same numbers. */
static enum plumb_status make(struct plumb_context *ctx, int op, const struct plumb_case *shape, enum plumb_type weight, bool wide, struct side *s)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	uint64_t state = 20250117;
	memset(s, 0, sizeof *s);
	s->call = shape->scalars;
	s->call.op = (enum plumb_op)op;
	for (int i = 0; i <= PLUMB_MAX_INPUTS; i++) {
		const struct plumb_case_tensor *c = i ? &shape->in[i - 1] : &shape->out;
		if (!c->rank)
			continue;
		bool is_weight = i > 0 && desc->weights >> (i - 1) & 1;
		enum plumb_type type = is_weight ? weight : wide && c->type == PLUMB_F32 ? PLUMB_F64 : c->type;
		PLUMB_TRY(plumb_tensor_new(ctx, &s->t[i], type, c->rank, c->dim));
		PLUMB_TRY(plumb_buffer_host(s->t[i].buffer));
		verify_fill(&s->t[i], &state, desc->weights ? shape->in[plumb_desc_weight(desc)].dim[0] : 1);
		plumb_buffer_written(s->t[i].buffer, NULL);
		if (i)
			s->call.in[i - 1] = &s->t[i];
	}
	s->call.out = &s->t[0];
	return PLUMB_OK;
}

static void verify_release(struct side *s)
{
	for (int i = 0; i <= PLUMB_MAX_INPUTS; i++)
		plumb_tensor_free(&s->t[i]);
}

enum plumb_status plumb_op_run_alone(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_dispatch_on(driver, call, false));
	return plumb_buffer_to_host(call->out->buffer);
}

double plumb_op_distance(const struct plumb_tensor *have, const struct plumb_tensor *truth, bool exact)
{
	double error = 0, norm = 0;
	for (int64_t i = 0; i < plumb_tensor_count(have); i++) {
		bool whole = have->type == PLUMB_I32;
		double h = whole ? ((const int32_t *)plumb_host(have))[i] : plumb_get(have, i);
		double t = whole ? ((const int32_t *)plumb_host(truth))[i] : plumb_get(truth, i);
		if (exact && have->type == PLUMB_F32)
			t = (float)t;
		if (isfinite(t) ? !isfinite(h) : h != t && !(isnan(h) && isnan(t)))
			return INFINITY;
		if (isfinite(t)) {
			error += (h - t) * (h - t);
			norm += t * t;
		}
	}
	return error == 0 ? 0 : norm > 0 ? sqrt(error / norm) : INFINITY;
}

static enum plumb_status verify_case(struct plumb_driver *driver, struct plumb_context *truth, int op, const struct plumb_case *shape,
	enum plumb_type weight, double *error, double *tolerance)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	struct side ours = { .call.out = NULL }, theirs = { .call.out = NULL };
	enum plumb_status s = make(driver->ctx, op, shape, weight, false, &ours);
	if (!s)
		s = make(truth, op, shape, weight, true, &theirs);
	if (!s)
		s = plumb_op_run_alone(driver, &ours.call);
	if (!s)
		s = desc->ref ? desc->ref(&truth->driver[0], &theirs.call) : desc->compose(truth, &theirs.call);
	if (!s) {
		*tolerance = desc->tolerance(&ours.call);
		*error = plumb_op_distance(&ours.t[0], &theirs.t[0], *tolerance == 0);
	}
	verify_release(&ours);
	verify_release(&theirs);
	return s ? plumb_fail_in(s, "%s \"%s\"", desc->name, shape->name) : PLUMB_OK;
}

static bool verify_fits(const struct plumb_op_desc *desc, const struct plumb_case *shape, enum plumb_type weight)
{
	double outs = 1, work = 0;
	for (int i = 0; i < shape->out.rank; i++)
		outs *= (double)shape->out.dim[i];
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++) {
		double n = shape->in[i].rank ? 2 : 0; /* of a sum of products: a multiplication and an addition */
		for (int k = 0; k < shape->in[i].rank; k++)
			n *= (double)shape->in[i].dim[k];
		work = fmax(work, n * (desc->weights >> i & 1 ? (double)shape->out.dim[0] : 1));
	}
	/* A lone sum may cancel by chance, and the error is relative to it. */
	return work <= MOST_WORK && (!desc->weights || (outs >= 8 && shape->in[plumb_desc_weight(desc)].dim[1] % plumb_type_block(weight) == 0));
}

/* Past its tolerance by how much: to find the worst case. */
static double excess(double error, double tolerance)
{
	return error == 0 ? 0 : tolerance == 0 ? INFINITY : error / tolerance;
}

enum plumb_status plumb_op_verify(struct plumb_driver *driver, struct plumb_context *truth, int op, enum plumb_type weight, double *error, double *tolerance)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	*error = *tolerance = 0;
	enum plumb_status s = PLUMB_OK;
	for (int i = 0; i < desc->case_count && !s; i++) {
		double e = 0, t = 0;
		if (!verify_fits(desc, &desc->cases[i], weight))
			continue;
		s = verify_case(driver, truth, op, &desc->cases[i], weight, &e, &t);
		if (!s && excess(e, t) >= excess(*error, *tolerance)) {
			*error = e;
			*tolerance = t;
		}
	}
	return s;
}
