/* SPDX-License-Identifier: Apache-2.0 */
/* Problems from the operators' cases, their truth, and what each run is checked for: values within the
 * tolerance, guard bands round the output, inputs left alone, aliasing. What this cannot know about an
 * operator is in tests/op. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/random.h"
#include "op_cases.h"

#define GUARD 3   /* rows before and after the output */
#define LEAST 0.3 /* of the mean square that is expected: what a few results must have */

static uint64_t seed, rng;

/* How much is left out for devices that compile or run slowly: PLUMB_TEST_SMALL, 0 to 2. */
enum { ALL, FEW_SHAPES, FEW_TYPES };

static int smallness(void)
{
	const char *small = getenv("PLUMB_TEST_SMALL");
	return small && *small ? atoi(small) : ALL;
}

void start_random(unsigned stream)
{
	const char *text = getenv("PLUMB_TEST_SEED");
	seed = text ? strtoull(text, NULL, 0) : 20250118;
	rng = seed ^ (uint64_t)stream << 32;
}

void need(enum plumb_status s, const char *text)
{
	ck_assert_msg(s == PLUMB_OK, "%s (seed %llu): %s: %s", text, (unsigned long long)seed, plumb_strerror(s),
		plumb_last_error());
}

/* Tensors of a call. The output lies between guard rows of `whole`. */
struct tensors {
	struct plumb_tensor in[PLUMB_MAX_INPUTS], whole, out;
	struct plumb_call call;
};

/* alias: this input is the output, -1: none. */
static void make_tensors(struct plumb_context *ctx, const struct problem *p, int alias, struct tensors *t)
{
	const struct plumb_tensor *out = &p->args.t[0];
	int64_t dim[PLUMB_MAX_RANK];
	memset(t, 0, sizeof *t);
	t->call = p->args.call;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++) {
		const struct plumb_tensor *in = p->args.call.in[i];
		if (!in || i == alias)
			continue;
		need(plumb_tensor_wrap(
				 ctx, &t->in[i], in->type, in->rank, in->dim, p->in_bytes[i], plumb_tensor_bytes(in)),
			p->text);
		t->call.in[i] = &t->in[i];
	}
	memcpy(dim, out->dim, sizeof dim);
	dim[0] += 2 * GUARD;
	need(plumb_tensor_new(ctx, &t->whole, out->type, out->rank, dim), p->text);
	need(plumb_buffer_host(t->whole.buffer), p->text);
	memset(plumb_host(&t->whole), 0xff,
		plumb_tensor_bytes(&t->whole)); /* NaN: reading what was not written shows */
	need(plumb_tensor_rows(&t->out, &t->whole, GUARD, out->dim[0]), p->text);
	if (alias >= 0 || p->desc->inout)
		memcpy(plumb_host(&t->out), plumb_host(&p->args.t[1 + alias]), plumb_tensor_bytes(out));
	t->call.out = &t->out;
	if (alias >= 0)
		t->call.in[alias] = &t->out;
}

static void free_tensors(struct tensors *t)
{
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		plumb_tensor_free(&t->in[i]);
	plumb_tensor_free(&t->whole);
}

/* Mean square of one output of matmul if its products were independent. */
static double typical_square(const struct problem *p)
{
	const struct plumb_tensor *weight = p->args.call.in[1];
	int64_t n = plumb_tensor_count(weight);
	float *w = malloc(sizeof *w * (size_t)n);
	double square = 0;
	need(plumb_type_to_f32(weight->type, plumb_host(weight), w, n), p->text);
	for (int64_t i = 0; i < n; i++)
		square += (double)w[i] * w[i] * 4 / 3 / (double)weight->dim[0]; /* 4/3: of what a case holds */
	free(w);
	return square;
}

/* Mean square of the truth, which must have no NaN: it would agree with any other. */
static double truth_square(const struct problem *p)
{
	double square = 0;
	for (int64_t i = 0; i < p->count && p->truth.t[0].type != PLUMB_I32; i++) {
		double t = plumb_get(&p->truth.t[0], i);
		ck_assert_msg(!isnan(t), "%s (seed %llu): truth %lld is %g", p->text, (unsigned long long)seed,
			(long long)i, t);
		square += t * t / (double)p->count;
	}
	return square;
}

static void free_args(struct problem *p)
{
	plumb_case_free(&p->args);
	plumb_case_free(&p->truth);
}

/* Random inputs and their truth. A lone sum may cancel by chance, and the tolerance is relative to the
 * result: draw until it did not. */
static void draw(struct problem *p)
{
	bool may_cancel, again = false;
	do {
		if (again)
			free_args(p);
		p->seed = plumb_random(&rng);
		need(plumb_case_make(p->ctx, (int)p->op, p->shape, p->weight, 0, p->seed, &p->args), p->text);
		need(plumb_case_reference(p->ctx, (int)p->op, p->shape, p->weight, p->seed, &p->truth), p->text);
		p->count = plumb_tensor_count(&p->args.t[0]);
		may_cancel = p->op == PLUMB_OP_matmul && p->count < 8;
		again = truth_square(p) < (may_cancel ? LEAST * typical_square(p) : 0);
	} while (again);
}

static void make_problem(struct problem *p, enum plumb_op op, int index, enum plumb_type weight)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	memset(p, 0, sizeof *p);
	p->op = op;
	p->desc = desc;
	p->shape = &desc->cases[index];
	p->weight = weight;
	snprintf(p->text, sizeof p->text, "%s \"%s\"%s%s", desc->name, p->shape->name,
		desc->weights ? " weight " : "", desc->weights ? plumb_type_name(weight) : "");
	need(plumb_open(&p->ctx, PLUMB_OPTIONS(.driver = "native", .precision = "FP64")), p->text);
	draw(p);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (p->args.call.in[i]) {
			size_t size = plumb_tensor_bytes(p->args.call.in[i]);
			p->in_bytes[i] = malloc(size);
			memcpy(p->in_bytes[i], plumb_host(p->args.call.in[i]), size);
		}
}

static void free_problem(struct problem *p)
{
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		free(p->in_bytes[i]);
	free_args(p);
	plumb_close(p->ctx);
}

/* The bound is of a tensor. A few sums are a draw: their error is within 3 of its standard deviations, and
 * they may be small. */
static double allowed(const struct problem *p, const struct plumb_call *call)
{
	return p->desc->tolerance(call) * (p->op == PLUMB_OP_matmul && p->count < 8 ? 3 / sqrt(LEAST) : 1);
}

#define HALF_BORDER 65400 /* from here on what is within the bound may be infinity */

/* One rounding to float16: 2^-11 of a value, or 2^-25 where it is below float16's normal numbers
 * (doc/numerics.md). */
static double half_bound(const struct problem *p, double tolerance, double norm)
{
	return (tolerance + (1 + tolerance) * 0x1p-11) * norm + 0x1p-25 * sqrt((double)p->count);
}

static void is_halves(const struct plumb_tensor *t, const char *text)
{
	for (int64_t i = 0; i < plumb_tensor_count(t); i++) {
		float have = (float)plumb_get(t, i);
		if (!isnan(have) && have != plumb_f16_to_f32(plumb_f32_to_f16(have)))
			ck_abort_msg("%s (seed %llu): element %lld is %a, no half", text, (unsigned long long)seed,
				(long long)i, have);
	}
}

static void compare(const struct problem *p, const struct tensors *t, const char *text)
{
	double tolerance = allowed(p, &t->call);
	bool half = t->out.buffer->ctx->precision == PLUMB_FP16 && t->out.type == PLUMB_F32;
	if (half)
		is_halves(&t->out, text);
	if (half && p->desc->fused) /* a step may overflow */
		return;
	struct plumb_case_error e = plumb_case_compare(
		&t->out, &p->truth.t[0], tolerance == 0, half ? HALF_BORDER : INFINITY);
	ck_assert_msg(e.wrong < 0, "%s (seed %llu): element %lld is %g, truth %g", text, (unsigned long long)seed,
		(long long)e.wrong, e.have, e.want);
	bool good = half ? sqrt(e.error) <= half_bound(p, tolerance, sqrt(e.norm))
					 : plumb_case_relative(&e) <= tolerance;
	ck_assert_msg(good, "%s (seed %llu): relative L2 error %.3g, tolerance %.3g", text,
		(unsigned long long)seed, plumb_case_relative(&e), half ? half_bound(p, tolerance, 1) : tolerance);
}

static void check_surroundings(const struct problem *p, const struct tensors *t, int alias, const char *text)
{
	const unsigned char *whole = plumb_host(&t->whole);
	size_t all = plumb_tensor_bytes(&t->whole), before = t->out.offset, size = plumb_tensor_bytes(&t->out);
	for (size_t i = 0; i < all; i++)
		if ((i < before || i >= before + size) && whole[i] != 0xff)
			ck_abort_msg("%s (seed %llu): wrote outside the output, %lld bytes from its start", text,
				(unsigned long long)seed, (long long)i - (long long)before);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++) {
		const struct plumb_tensor *in = p->args.call.in[i];
		if (in && i != alias)
			ck_assert_msg(!memcmp(plumb_host(in), p->in_bytes[i], plumb_tensor_bytes(in)),
				"%s (seed %llu): input %d changed", text, (unsigned long long)seed, i);
	}
}

/* One call; the output's bytes must be those at `same` unless that is NULL. Returns them. */
static void *run(struct plumb_context *ctx, const struct problem *p, int alias, bool composed,
	const void *same, const char *text)
{
	struct tensors t;
	uint64_t before = plumb_placement(ctx, (int)p->op, 0);
	make_tensors(ctx, p, alias, &t);
	if (composed)
		need(p->desc->compose(ctx, &t.call), text);
	else {
		need(plumb_dispatch(ctx, &t.call), text);
		ck_assert_msg(p->desc->fused || plumb_placement(ctx, (int)p->op, 0) == before + 1,
			"%s: the driver did not run it", text);
	}
	need(plumb_buffer_to_host(t.whole.buffer), text);
	compare(p, &t, text);
	check_surroundings(p, &t, alias, text);
	size_t size = plumb_tensor_bytes(&t.out);
	void *bytes = malloc(size);
	memcpy(bytes, plumb_host(&t.out), size);
	ck_assert_msg(!same || !memcmp(same, bytes, size),
		"%s (seed %llu): other bits than with 1 thread and no aliasing", text, (unsigned long long)seed);
	free_tensors(&t);
	return bytes;
}

void check_half(struct plumb_context *ctx, const struct problem *p)
{
	char text[512];
	snprintf(text, sizeof text, "%s on %s, FP16", p->text, plumb_driver_note(ctx, 0));
	free(run(ctx, p, -1, false, NULL, text));
	ck_assert_msg(!p->desc->fused || plumb_placement(ctx, (int)p->op, 0) == 0, "%s: not composed", text);
}

/* In place of a tensor, one of F64; what it holds is not read. */
static void make_wide(struct plumb_context *ctx, struct plumb_tensor *t, const char *text)
{
	struct plumb_tensor old = *t;
	need(plumb_tensor_new(ctx, t, PLUMB_F64, old.rank, old.dim), text);
	plumb_tensor_free(&old);
}

/* The most inputs as F64 that the operator accepts. */
void check_refuses_f64(struct plumb_context *ctx, const struct problem *p)
{
	unsigned can = 0;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (p->shape->in[i].rank && p->shape->in[i].type == PLUMB_F32 && !(p->desc->weights >> i & 1))
			can |= 1u << i;
	for (unsigned wide = can;; wide = (wide - 1) & can) {
		struct tensors t;
		make_tensors(ctx, p, -1, &t);
		for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
			if (wide >> i & 1)
				make_wide(ctx, &t.in[i], p->text);
		if (t.out.type == PLUMB_F32) {
			make_wide(ctx, &t.whole, p->text);
			need(plumb_tensor_rows(&t.out, &t.whole, GUARD, t.out.dim[0]), p->text);
		}
		bool accepted = p->desc->check(&t.call) == PLUMB_OK;
		ck_assert_msg(
			accepted || wide, "%s: no mix of f32 and f64 is accepted: %s", p->text, plumb_last_error());
		ck_assert_msg(
			!accepted || plumb_dispatch(ctx, &t.call) == PLUMB_E_DRIVER, "%s: f64 was not refused", p->text);
		free_tensors(&t);
		if (accepted)
			return;
	}
}

void check_context(struct plumb_context *ctx, const struct problem *p, void **first)
{
	char text[512];
	size_t n = (size_t)snprintf(text, sizeof text, "%s on %s", p->text, plumb_driver_note(ctx, 0));
	void *bytes = run(ctx, p, -1, false, *first, text);
	if (*first)
		free(bytes);
	else
		*first = bytes;
	for (int a = 0; a < PLUMB_MAX_INPUTS; a++)
		if (p->desc->alias >> a & 1) {
			snprintf(text + n, sizeof text - n, ", output = input %d", a);
			free(run(ctx, p, a, false, *first, text));
		}
	snprintf(text + n, sizeof text - n, ", composed");
	if (p->desc->fused && !smallness()) /* each of its operators has met its own truth */
		free(run(ctx, p, -1, true, NULL, text));
}

/* What is the same code for every weight type but for unpacking: one type dense, one with minima, one with
 * two scales a block will do where one takes seconds to compile. Elsewhere that is so of what is fused with
 * products, which meet every type in matmul. */
static bool is_spared_type(const struct plumb_op_desc *desc, int type)
{
	bool few = smallness() >= FEW_TYPES || (smallness() >= FEW_SHAPES && desc->fused);
	return few && desc->weights && type != PLUMB_F32 && type != PLUMB_Q4_1 && type != PLUMB_Q6_K;
}

static double flops_of(const struct plumb_op_desc *desc, const struct plumb_case *c, double *elements)
{
	struct plumb_tensor t[1 + PLUMB_MAX_INPUTS] = { 0 };
	struct plumb_call call = c->scalars;
	*elements = 0;
	for (int i = 0; i <= PLUMB_MAX_INPUTS; i++) { /* shapes alone */
		const struct plumb_case_tensor *from = i ? &c->in[i - 1] : &c->out;
		t[i] = (struct plumb_tensor){ .type = from->type, .rank = from->rank, .dim = { 1, 1, 1, 1 } };
		memcpy(t[i].dim, from->dim, sizeof *from->dim * (size_t)from->rank);
		if (i && from->rank)
			call.in[i - 1] = &t[i];
		*elements += from->rank ? (double)plumb_tensor_count(&t[i]) : 0;
	}
	call.out = &t[0];
	return desc->flops(&call);
}

/* An interpreter does some million operations a second. */
static bool is_too_large(const struct plumb_op_desc *desc, const struct plumb_case *c)
{
	double elements, flops = flops_of(desc, c, &elements);
	return smallness() && (flops > 1e6 || elements > 1e6);
}

/* Rows between which drivers choose another kernel; that many rows make several blocks has nothing to do with
 * types. */
enum { SEVERAL_BLOCKS = 4 };
static int class_of_rows(int64_t m)
{
	return m == 1 ? 0 : m <= 4 ? 1 : m <= 8 ? 2 : m <= 96 ? 3 : SEVERAL_BLOCKS;
}

static bool has_whole_blocks(const struct plumb_op_desc *desc, const struct plumb_case *c, int type)
{
	return c->in[plumb_desc_weight(desc)].dim[1] % plumb_type_block((enum plumb_type)type) == 0;
}

/* Shapes are F32's business. Every other type meets each class of rows once, in the cheapest case that fits
 * it. */
static bool is_spared_shape(const struct plumb_op_desc *desc, int at, int type)
{
	const struct plumb_case *c = &desc->cases[at];
	double n, mine = flops_of(desc, c, &n);
	if (!smallness() || !desc->weights || type == PLUMB_F32)
		return false;
	if (class_of_rows(c->out.dim[0]) == SEVERAL_BLOCKS)
		return true;
	for (int i = 0; i < desc->case_count; i++) {
		double other = flops_of(desc, &desc->cases[i], &n);
		if (class_of_rows(desc->cases[i].out.dim[0]) == class_of_rows(c->out.dim[0]) &&
			has_whole_blocks(desc, &desc->cases[i], type) && (other < mine || (other == mine && i < at)))
			return true;
	}
	return false;
}

int each_problem(enum plumb_op op, void (*fn)(void *user, const struct problem *p), void *user)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	int count = 0;
	for (int c = 0; c < desc->case_count; c++)
		for (int type = 0; type < PLUMB_TYPE_COUNT; type++) {
			struct problem p;
			if (!desc->weights ? type > 0
							   : !plumb_type_is_weight((enum plumb_type)type) ||
						!has_whole_blocks(desc, &desc->cases[c], type))
				continue;
			if (is_too_large(desc, &desc->cases[c]) || is_spared_type(desc, type) ||
				is_spared_shape(desc, c, type))
				continue;
			make_problem(&p, op, c, (enum plumb_type)type);
			fn(user, &p);
			free_problem(&p);
			count++;
		}
	return count;
}
