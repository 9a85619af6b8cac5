/* SPDX-License-Identifier: Apache-2.0 */
/* Problems from the operators' cases, their truth, and what each run is checked for: values within the tolerance,
 * guard bands round the output, inputs left alone, aliasing. What this cannot know about an operator is in tests/op. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "op_cases.h"
#include "random.h"

#define GUARD 3 /* rows before and after the output */
#define LEAST 0.3 /* of the mean square that is expected: what a few results must have */

static uint64_t seed;

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
	seed = text ? strtoull(text, NULL, 0) : 20250117;
	rng = (seed ^ (uint64_t)stream << 32) * 2 + 1;
	random_bits();
}

static size_t bytes_of(const struct plumb_case_tensor *t, int64_t *count)
{
	size_t bytes;
	int64_t n;
	ck_assert_int_eq(plumb_shape_check(t->type, t->rank, t->dim, &n, &bytes), PLUMB_OK);
	if (count)
		*count = n;
	return bytes;
}

/* Random blocks: any bits, but scales that are sane numbers. */
static void fill(const struct plumb_case_tensor *t, void *bytes, int64_t index_below)
{
	int64_t n;
	size_t size = bytes_of(t, &n), block = plumb_type_bytes(t->type);
	static const int half_at[PLUMB_TYPE_COUNT][2] = { [PLUMB_Q4_1] = { 0, 2 }, [PLUMB_Q5_1] = { 0, 2 }, [PLUMB_Q4_K] = { 0, 2 },
		[PLUMB_Q5_K] = { 0, 2 }, [PLUMB_Q6_K] = { 208, 208 } };
	if (t->type == PLUMB_I32) {
		for (int64_t i = 0; i < n; i++)
			((int32_t *)bytes)[i] = (int32_t)(random_bits() % (uint32_t)index_below);
	} else if (plumb_type_is_float(t->type)) {
		for (int64_t i = 0; i < n; i++) {
			float f = uniform(2);
			plumb_type_from_f32(t->type, &f, (char *)bytes + block * (size_t)i, 1);
		}
	} else {
		for (size_t i = 0; i < size; i++)
			((unsigned char *)bytes)[i] = (unsigned char)(random_bits() >> 11);
		for (size_t i = 0; i < size; i += block)
			for (int j = 0; j < 2; j++) {
				uint16_t h = plumb_f32_to_f16(uniform(0.05f));
				memcpy((char *)bytes + i + half_at[t->type][j], &h, sizeof h);
			}
	}
}

void need(enum plumb_status s, const char *text)
{
	ck_assert_msg(s == PLUMB_OK, "%s (seed %llu): %s: %s", text, (unsigned long long)seed, plumb_strerror(s), plumb_last_error());
}

/* Tensors of a call. The output lies between guard rows of `whole`. */
struct tensors {
	struct plumb_tensor in[PLUMB_MAX_INPUTS], whole, out;
	struct plumb_call call;
};

static void put(struct plumb_context *ctx, struct plumb_tensor *t, const struct plumb_case_tensor *shape, enum plumb_type type,
	const void *bytes, size_t size, const char *text)
{
	if (type == shape->type) {
		need(plumb_tensor_wrap(ctx, t, type, shape->rank, shape->dim, bytes, size), text);
		return;
	}
	need(plumb_tensor_new(ctx, t, type, shape->rank, shape->dim), text);
	need(plumb_buffer_host(t->buffer), text);
	double *wide = plumb_host(t); /* F32 to F64 */
	for (int64_t i = 0; i < plumb_tensor_count(t); i++)
		wide[i] = ((const float *)bytes)[i];
	plumb_buffer_written(t->buffer, NULL);
}

/* wide: bit i: input i as F64; alias: this input is the output, -1: none. */
static void make_tensors(struct plumb_context *ctx, const struct problem *p, unsigned wide, bool wide_out, int alias, struct tensors *t)
{
	memset(t, 0, sizeof *t);
	t->call = p->shape->scalars;
	t->call.op = p->op;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++) {
		if (!p->in[i].rank || i == alias)
			continue;
		put(ctx, &t->in[i], &p->in[i], wide >> i & 1 ? PLUMB_F64 : p->in[i].type, p->in_bytes[i], p->in_size[i], p->text);
		t->call.in[i] = &t->in[i];
	}
	struct plumb_case_tensor whole = p->out;
	whole.dim[0] += 2 * GUARD;
	need(plumb_tensor_new(ctx, &t->whole, wide_out ? PLUMB_F64 : p->out.type, whole.rank, whole.dim), p->text);
	need(plumb_buffer_host(t->whole.buffer), p->text);
	memset(plumb_host(&t->whole), 0xff, plumb_tensor_bytes(&t->whole)); /* NaN: reading what was not written shows */
	need(plumb_tensor_rows(&t->out, &t->whole, GUARD, p->out.dim[0]), p->text);
	const void *start = alias >= 0 ? p->in_bytes[alias] : p->desc->inout ? p->out_bytes : NULL;
	if (start && wide_out)
		for (int64_t i = 0; i < p->count; i++)
			((double *)plumb_host(&t->out))[i] = ((const float *)start)[i];
	else if (start)
		memcpy(plumb_host(&t->out), start, p->out_size);
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

/* The most inputs as F64 that the operator accepts. */
static void make_wide(struct plumb_context *ctx, const struct problem *p, struct tensors *t)
{
	bool wide_out = p->out.type == PLUMB_F32;
	unsigned can = 0;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (p->in[i].rank && p->in[i].type == PLUMB_F32 && !(p->desc->weights >> i & 1))
			can |= 1u << i;
	for (unsigned wide = can;; wide = (wide - 1) & can) {
		make_tensors(ctx, p, wide, wide_out, -1, t);
		if (p->desc->check(&t->call) == PLUMB_OK)
			return;
		free_tensors(t);
		ck_assert_msg(wide, "%s: no mix of f32 and f64 is accepted: %s", p->text, plumb_last_error());
	}
}

/* Mean square of one output of matmul if its products were independent. */
static double typical_square(const struct problem *p)
{
	int64_t n = p->in[1].dim[0] * p->in[1].dim[1];
	float *w = malloc(sizeof *w * (size_t)n);
	double square = 0;
	need(plumb_type_to_f32(p->in[1].type, p->in_bytes[1], w, n), p->text);
	for (int64_t i = 0; i < n; i++)
		square += (double)w[i] * w[i] * 4 / 3 / (double)p->in[1].dim[0]; /* 4/3: of uniform(2) */
	free(w);
	return square;
}

/* Random inputs and their truth. */
static void draw(struct plumb_context *ctx, struct problem *p)
{
	struct tensors t;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (p->in[i].rank) {
			fill(&p->in[i], p->in_bytes[i], p->desc->weights ? p->in[plumb_desc_weight(p->desc)].dim[0] : 1);
			memcpy(p->in_copy[i], p->in_bytes[i], p->in_size[i]);
		}
	fill(&p->out, p->out_bytes, 1);
	make_wide(ctx, p, &t);
	need(p->desc->ref ? p->desc->ref(&ctx->driver[0], &t.call) : p->desc->compose(ctx, &t.call), p->text);
	plumb_buffer_written(t.whole.buffer, &ctx->driver[0]);
	if (p->out.type == PLUMB_I32)
		for (int64_t i = 0; i < p->count; i++)
			p->truth[i] = ((const int32_t *)plumb_host(&t.out))[i];
	else
		need(plumb_tensor_read_f64(&t.out, p->truth, p->count), p->text);
	free_tensors(&t);
}

static void make_problem(struct problem *p, enum plumb_op op, int index, enum plumb_type weight)
{
	struct plumb_context *ctx;
	const struct plumb_op_desc *desc = plumb_op_table[op];
	memset(p, 0, sizeof *p);
	p->op = op;
	p->desc = desc;
	p->shape = &desc->cases[index];
	p->out = p->shape->out;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++) {
		p->in[i] = p->shape->in[i];
		if (desc->weights >> i & 1)
			p->in[i].type = weight;
		if (!p->in[i].rank)
			continue;
		p->in_size[i] = bytes_of(&p->in[i], NULL);
		p->in_bytes[i] = malloc(p->in_size[i]);
		p->in_copy[i] = malloc(p->in_size[i]);
	}
	p->out_size = bytes_of(&p->out, &p->count);
	p->out_bytes = malloc(p->out_size);
	p->truth = malloc(sizeof *p->truth * (size_t)p->count);
	snprintf(p->text, sizeof p->text, "%s \"%s\"%s%s", desc->name, p->shape->name, desc->weights ? " weight " : "",
		desc->weights ? plumb_type_name(weight) : "");
	need(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .precision = "FP64")), p->text);
	/* A lone sum may cancel by chance, and the tolerance is relative to the result: draw until it did not. */
	double norm;
	do {
		draw(ctx, p);
		norm = 0;
		for (int64_t i = 0; i < p->count && p->out.type == PLUMB_F32; i++)
			norm += p->truth[i] * p->truth[i] / (double)p->count;
	} while (op == PLUMB_OP_matmul && p->count < 8 && norm < LEAST * typical_square(p));
	plumb_close(ctx);
}

static void free_problem(struct problem *p)
{
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++) {
		free(p->in_bytes[i]);
		free(p->in_copy[i]);
	}
	free(p->out_bytes);
	free(p->truth);
}

/* The bound is of a tensor. A few sums are a draw: their error is within 3 of its standard deviations, and they may be small. */
static double allowed(const struct problem *p, const struct plumb_call *call)
{
	return p->desc->tolerance(call) * (p->op == PLUMB_OP_matmul && p->count < 8 ? 3 / sqrt(LEAST) : 1);
}

#define HALF_BORDER 65400 /* from here on what is within the bound may be infinity */

/* One rounding to float16: 2^-11 of a value, or 2^-25 where it is below float16's normal numbers (doc/numerics.md). */
static double half_bound(const struct problem *p, double tolerance, double norm)
{
	return (tolerance + (1 + tolerance) * 0x1p-11) * norm + 0x1p-25 * sqrt((double)p->count);
}

static void compare(const struct problem *p, const struct tensors *t, const char *text)
{
	double error = 0, norm = 0, tolerance = allowed(p, &t->call);
	bool half = t->out.buffer->ctx->precision == PLUMB_FP16 && p->out.type == PLUMB_F32;
	const void *y = plumb_host(&t->out);
	for (int64_t i = 0; i < p->count; i++) {
		double have, want = p->truth[i];
		if (p->out.type == PLUMB_F16)
			have = plumb_f16_to_f32(((const uint16_t *)y)[i]);
		else
			have = p->out.type == PLUMB_I32 ? ((const int32_t *)y)[i] : (double)((const float *)y)[i];
		if (half && !isnan(have) && (float)have != plumb_f16_to_f32(plumb_f32_to_f16((float)have)))
			ck_abort_msg("%s (seed %llu): element %lld is %a, no half", text, (unsigned long long)seed, (long long)i, have);
		if (half && (p->desc->fused || fabs(want) >= HALF_BORDER)) { /* a step of a fused one may overflow */
			if (!p->desc->fused && !(copysign(have, want) == have && fabs(have) >= HALF_BORDER))
				ck_abort_msg("%s (seed %llu): element %lld is %g, truth %g", text, (unsigned long long)seed, (long long)i, have, want);
			continue;
		}
		if (isfinite(want) ? !isfinite(have) : have != want) /* an assertion per element is slow: Check writes each down */
			ck_abort_msg("%s (seed %llu): element %lld is %g, truth %g", text, (unsigned long long)seed, (long long)i, have, want);
		if (!isfinite(want))
			continue;
		if (p->out.type == PLUMB_F32 && tolerance == 0)
			want = (float)want;
		error += (have - want) * (have - want);
		norm += want * want;
	}
	if (half)
		ck_assert_msg(sqrt(error) <= half_bound(p, tolerance, sqrt(norm)), "%s (seed %llu): relative L2 error %.3g, tolerance %.3g",
			text, (unsigned long long)seed, sqrt(error / norm), half_bound(p, tolerance, 1));
	else
		ck_assert_msg(sqrt(error) <= tolerance * sqrt(norm), "%s (seed %llu): relative L2 error %.3g, tolerance %.3g", text,
		(unsigned long long)seed, sqrt(error / norm), tolerance);
}

static void check_surroundings(const struct problem *p, const struct tensors *t, int alias, const char *text)
{
	const unsigned char *whole = plumb_host(&t->whole);
	size_t all = plumb_tensor_bytes(&t->whole), before = t->out.offset;
	for (size_t i = 0; i < all; i++)
		if ((i < before || i >= before + p->out_size) && whole[i] != 0xff)
			ck_abort_msg("%s (seed %llu): wrote outside the output, %lld bytes from its start", text, (unsigned long long)seed,
				(long long)i - (long long)before);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (p->in[i].rank && i != alias)
			ck_assert_msg(!memcmp(p->in_copy[i], p->in_bytes[i], p->in_size[i]), "%s (seed %llu): input %d changed", text,
				(unsigned long long)seed, i);
}

/* One call; the output's bytes must be those at `same` unless that is NULL. Returns them. */
static void *run(struct plumb_context *ctx, const struct problem *p, int alias, bool composed, const void *same, const char *text)
{
	struct tensors t;
	uint64_t before = plumb_placement(ctx, (int)p->op, 0);
	make_tensors(ctx, p, 0, false, alias, &t);
	if (composed)
		need(p->desc->compose(ctx, &t.call), text);
	else {
		need(plumb_dispatch(ctx, &t.call), text);
		ck_assert_msg(p->desc->fused || plumb_placement(ctx, (int)p->op, 0) == before + 1, "%s: the driver did not run it", text);
	}
	need(plumb_buffer_to_host(t.whole.buffer), text);
	compare(p, &t, text);
	check_surroundings(p, &t, alias, text);
	void *bytes = malloc(p->out_size);
	memcpy(bytes, plumb_host(&t.out), p->out_size);
	ck_assert_msg(!same || !memcmp(same, bytes, p->out_size), "%s (seed %llu): other bits than with 1 thread and no aliasing", text,
		(unsigned long long)seed);
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

void check_refuses_f64(struct plumb_context *ctx, const struct problem *p)
{
	struct tensors t;
	make_wide(ctx, p, &t);
	ck_assert_msg(plumb_dispatch(ctx, &t.call) == PLUMB_E_DRIVER, "%s: f64 was not refused", p->text);
	free_tensors(&t);
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

/* What is the same code for every weight type but for unpacking: one type dense, one with minima, one with two scales a block will do
 * where one takes seconds to compile. Elsewhere that is so of what is fused with products, which meet every type in matmul. */
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

/* Rows between which drivers choose another kernel; that many rows make several blocks has nothing to do with types. */
enum { SEVERAL_BLOCKS = 4 };
static int class_of_rows(int64_t m)
{
	return m == 1 ? 0 : m <= 4 ? 1 : m <= 8 ? 2 : m <= 96 ? 3 : SEVERAL_BLOCKS;
}

static bool has_whole_blocks(const struct plumb_op_desc *desc, const struct plumb_case *c, int type)
{
	return c->in[plumb_desc_weight(desc)].dim[1] % plumb_type_block((enum plumb_type)type) == 0;
}

/* Shapes are F32's business. Every other type meets each class of rows once, in the cheapest case that fits it. */
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
		if (class_of_rows(desc->cases[i].out.dim[0]) == class_of_rows(c->out.dim[0]) && has_whole_blocks(desc, &desc->cases[i], type) &&
			(other < mine || (other == mine && i < at)))
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
			if (!desc->weights ? type > 0 : !plumb_type_is_weight((enum plumb_type)type) || !has_whole_blocks(desc, &desc->cases[c], type))
				continue;
			if (is_too_large(desc, &desc->cases[c]) || is_spared_type(desc, type) || is_spared_shape(desc, c, type))
				continue;
			make_problem(&p, op, c, (enum plumb_type)type);
			fn(user, &p);
			free_problem(&p);
			count++;
		}
	return count;
}
