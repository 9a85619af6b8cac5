/* SPDX-License-Identifier: Apache-2.0 */
/* What the operators' contracts share: reading and writing an element as float64, and the
 * shape and type checks that every front needs. */
#ifndef PLUMB_OP_PRIVATE_H
#define PLUMB_OP_PRIVATE_H

#include <math.h>
#include <string.h>
#include "core/core.h"

#define PLUMB_U 0x1p-24 /* unit roundoff of float32 */

/* Element i of a float tensor on the host. */
static inline double plumb_get(const struct plumb_tensor *t, int64_t i)
{
	switch (t->type) {
	case PLUMB_F64: return ((const double *)plumb_host(t))[i];
	case PLUMB_F16: return plumb_f16_to_f32(((const uint16_t *)plumb_host(t))[i]);
	default: return ((const float *)plumb_host(t))[i];
	}
}

/* Round once to the tensor's type. F16 goes through float32: its inputs are float32 values
 * already, so that is one rounding too. */
static inline void plumb_put(const struct plumb_tensor *t, int64_t i, double v)
{
	switch (t->type) {
	case PLUMB_F64: ((double *)plumb_host(t))[i] = v; break;
	case PLUMB_F16: ((uint16_t *)plumb_host(t))[i] = plumb_f32_to_f16((float)v); break;
	default: ((float *)plumb_host(t))[i] = (float)v;
	}
}

/* The first key that a query at this position sees, and how many keys those of n queries see together. */
static inline int64_t plumb_attn_first(const struct plumb_attn *a, int64_t position)
{
	return a->window && position >= a->window ? position - a->window + 1 : 0;
}

static inline int64_t plumb_attn_keys(const struct plumb_attn *a, int64_t n)
{
	return a->pos + n - plumb_attn_first(a, a->pos);
}

/* What gate_up ends in. */
static inline enum plumb_op plumb_gated_op(enum plumb_activation activation)
{
	return activation == PLUMB_GELU_TANH ? PLUMB_OP_geglu : PLUMB_OP_swiglu;
}

/* --- checks.c --- */
/* Rank, and every dimension that is not -1. what names the tensor in the error. */
enum plumb_status plumb_need_shape(
	const struct plumb_tensor *t, const char *what, int rank, int64_t d0, int64_t d1, int64_t d2);
/* F32 or F64, and the same as like's type when like is given. */
enum plumb_status plumb_need_activation(
	const struct plumb_tensor *t, const char *what, const struct plumb_tensor *like);
enum plumb_status plumb_need_type(const struct plumb_tensor *t, const char *what, enum plumb_type type);
enum plumb_status plumb_need_cache(const struct plumb_tensor *t, const char *what);
enum plumb_status plumb_need_present(const struct plumb_tensor *t, const char *what);
/* The output must not overlap input t, unless it is exactly the same bytes and may_be_same. */
enum plumb_status plumb_need_apart(
	const struct plumb_tensor *out, const struct plumb_tensor *t, const char *what, bool may_be_same);
/* Attention scalars against q or y {n, heads * d} and a cache {capacity, kv_heads * d}. */
enum plumb_status plumb_need_attn(const struct plumb_attn *a, const struct plumb_tensor *q,
	const struct plumb_tensor *cache, const char *what);

/* x {n, d} of the output's type, a norm's weight {d} F32 apart from the output, and the call's eps. what
 * names the weight. */
enum plumb_status plumb_need_normed(const struct plumb_call *c, const struct plumb_tensor *x,
	const struct plumb_tensor *norm, const char *what);
/* A weight {rows, columns} of a type for matmul, apart from the output; rows -1: any. */
enum plumb_status plumb_need_weight(const struct plumb_call *c, const struct plumb_tensor *w,
	const char *what, int64_t rows, int64_t columns);
enum plumb_status plumb_need_bias(
	const struct plumb_call *c, const struct plumb_tensor *b, const char *what, int64_t count); /* or NULL */
/* x {n, d} and y of its shape and of its type; whether they may overlap is the operator's to say. */
enum plumb_status plumb_need_same(const struct plumb_call *c);
/* x {n, d} and y {n} of indices in its rows, apart. */
enum plumb_status plumb_need_row_index(const struct plumb_call *c);
/* Two inputs of the output's shape and type, each of which the output may be. */
enum plumb_status plumb_need_alike(const struct plumb_call *c, const char *first, const char *second);

/* --- verify.c --- */
/* Run the call as dispatch does, on this driver and no other, and bring the output to the host. */
enum plumb_status plumb_op_run_alone(struct plumb_driver *driver, const struct plumb_call *call);

/* --- case.c --- */
/* A call of a case: the output's tensor, then the inputs'. Not to be copied: the call points at the tensors.
 */
struct plumb_case_args {
	struct plumb_tensor t[1 + PLUMB_MAX_INPUTS];
	struct plumb_call call;
};
#define PLUMB_CASE_WIDE (~0u)
/* Tensors with random numbers that depend on the seed alone; also the output, of which some operators keep
 * what they do not write. Bit i of wide: tensor i is F64 where the case says F32. Every number is one that
 * float32 holds, so it is the same in both types. */
enum plumb_status plumb_case_make(struct plumb_context *ctx, int op, const struct plumb_case *shape,
	enum plumb_type weight, unsigned wide, uint64_t seed, struct plumb_case_args *a);
void plumb_case_free(struct plumb_case_args *a);
/* The same with all activations in F64, and the output as the operator's reference makes it. truth: a context
 * of precision FP64. */
enum plumb_status plumb_case_reference(struct plumb_context *truth, int op, const struct plumb_case *shape,
	enum plumb_type weight, uint64_t seed, struct plumb_case_args *a);
/* How far a result is from the truth. */
struct plumb_case_error {
	double error,
		norm;      /* sums of squares of the differences and of the truth, where both are below the border */
	int64_t wrong; /* the first element that no tolerance allows: one is not a number, or one is beyond the
					  border; -1: none */
	double have, want; /* of that element */
};
/* exact: the truth is rounded to float32 first. border: of two numbers at or above it the sign alone must
 * agree; INFINITY is where infinity begins. */
struct plumb_case_error plumb_case_compare(
	const struct plumb_tensor *have, const struct plumb_tensor *truth, bool exact, double border);
double plumb_case_relative(
	const struct plumb_case_error *e); /* relative L2 error; infinite where an element is wrong */

/* --- checks.c --- */
double plumb_bytes_all(const struct plumb_call *call); /* each tensor once */
/* The same for those that read a cache {capacity, ...}, input 1 (and 2 when both): `rows` rows are read,
 * whatever it has room for. */
double plumb_bytes_cache(const struct plumb_call *call, int64_t rows);

/* --- rmsnorm.c --- */
double plumb_norm_tolerance(const struct plumb_tensor *x);

/* --- matmul.c --- */
/* Rounding of a product with this weight, relative to it: of the activations where the mode lets a driver
 * round them, and of sums. */
double plumb_product_tolerance(const struct plumb_call *call, const struct plumb_tensor *w);

/* --- steps.c: a fused operator as basic ones --- */
#define PLUMB_MOST_TEMPS 3
struct plumb_steps {
	struct plumb_context *ctx;
	struct plumb_driver *ref; /* not NULL: the float64 truth of each step; else each goes through dispatch */
	struct plumb_tensor temp[PLUMB_MOST_TEMPS];
	int temps;
	enum plumb_status status; /* of the first step that failed; no step runs after it */
};
/* A matrix for results between steps: of the type of the call's output, and F64 for the truth. */
struct plumb_tensor *plumb_steps_temp(
	struct plumb_steps *s, const struct plumb_call *call, int64_t rows, int64_t columns);
void plumb_step(struct plumb_steps *s, const struct plumb_call *call);
/* Free the matrices; the status. */
enum plumb_status plumb_steps_end(struct plumb_steps *s);

#endif
