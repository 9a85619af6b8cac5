/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on tensors. Each runs on the first driver of the context that can do it.
 *
 * In all of them "x" and the other activations are F32, or F64 in a context of precision
 * FP64; all activations of one call have one type. Shapes are {outermost, ..., contiguous}.
 * Unless said otherwise the output must not overlap an input. Errors: PLUMB_E_SHAPE or
 * PLUMB_E_TYPE (text names operator, tensor and value) before anything is written;
 * PLUMB_E_ARGUMENT for a scalar out of range; PLUMB_E_DRIVER when no driver of the list takes it.
 *
 * Precision: the truth (driver `ref`, precision FP64) sums everything in float64, in index
 * order, and rounds once to the output's type. Other drivers sum in float32 in an order of
 * their own that never depends on the number of threads; doc/numerics.md derives how far
 * they may be from the truth, plumb_op_tolerance() gives the number. */
#ifndef PLUMB_OP_H
#define PLUMB_OP_H

#include <plumb/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum plumb_op {
#define PLUMB_OP(name, inputs, formula) PLUMB_OP_##name,
#include <plumb/ops.def>
	PLUMB_OP_COUNT
};

/* "matmul" and "y = x w^T + b"; NULL outside the enum. */
PLUMB_API const char *plumb_op_name(int op);
PLUMB_API const char *plumb_op_formula(int op);

/* y[i] = w[ids[i]] as float.  y {n, d}; w {vocab, d}, any type but I32; ids {n} I32.
 * Exact: dequantisation only. PLUMB_E_ARGUMENT: an id outside [0, vocab). */
PLUMB_API enum plumb_status plumb_embed(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *w, const struct plumb_tensor *ids);

/* y[i][j] = sum_k x[i][k] * w[j][k] + b[j].  y {m, n}; x {m, k}; w {n, k}, any type but
 * I32 and F64, dequantised exactly; b {n} F32 or NULL. The bias is added after the sum. */
PLUMB_API enum plumb_status plumb_matmul(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *w, const struct plumb_tensor *b);

/* y[i] = w * x[i] / sqrt(mean_k x[i][k]^2 + eps)  (Zhang and Sennrich 2019).
 * y, x {n, d}; w {d} F32; eps >= 0. y may be x. */
PLUMB_API enum plumb_status plumb_rmsnorm(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *w, double eps);

/* Which elements of a head are rotated together: element j with j + rotated/2, or 2j with 2j + 1. */
enum plumb_rope_pairs { PLUMB_ROPE_HALF, PLUMB_ROPE_INTERLEAVED };

/* How rows are rotated. The first `rotated` elements of a head take part: half pairs are j and
 * j + rotated/2, interleaved ones 2j and 2j + 1. factor is 1, or that of linear scaling ("position
 * interpolation", Chen et al. 2023); cosine and sine are multiplied by scale, which is 1, or what YaRN
 * (Peng et al. 2023) and LongRoPE call the attention factor. */
struct plumb_rope {
	int64_t pos, head_dim, rotated;
	double base, factor, scale;
	enum plumb_rope_pairs pairs;
};

/* Rotary position embedding (Su et al. 2021). Row i is at position pos + i; pair j of each head turns by
 * (pos + i) / (factor * freqs[j]) * base^(-2j/rotated):
 * (a, b) -> scale * (a cos - b sin, b cos + a sin). Elements from `rotated` on are copied.
 * y, x {n, heads * head_dim}; freqs {rotated/2} F32, or NULL: 1 (what Llama 3, YaRN and LongRoPE divide
 * the frequency of a pair by); 2 <= rotated <= head_dim, even; pos >= 0; base, factor and scale positive and
 * finite. y may be x. Angles, cosines and sines are computed in float64 by every driver. */
PLUMB_API enum plumb_status plumb_rope(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *freqs, const struct plumb_rope *r);

/* cache[pos + i] = x[i], rounded to the cache's type (to nearest even). x {n, d};
 * cache {capacity, d} F32, F16 or F64, other rows keep their value; pos + n <= capacity. */
PLUMB_API enum plumb_status plumb_kv_store(
	struct plumb_context *ctx, struct plumb_tensor *cache, const struct plumb_tensor *x, int64_t pos);

/* How queries meet a cache of keys and values: query i is at position pos + i and sees the keys t with
 * t <= pos + i and, where there is a window (not 0), pos + i - t < window: itself and the window - 1 before
 * it. heads is a multiple of kv_heads; query head h uses key and value head h / (heads / kv_heads)  (grouped
 * heads, Ainslie et al. 2023). */
struct plumb_attn {
	int64_t pos, heads, kv_heads;
	double scale;   /* 1 / sqrt(head_dim) as a rule */
	int64_t window; /* >= 0; 0: none, all keys up to the query are seen */
};

/* s[h][i][t] = scale * sum_d q[i][h][d] * k[t][g(h)][d], or -inf where query i does not see key t.
 * s {heads, n, pos + n}; q {n, heads * d}; k {capacity, kv_heads * d} F32, F16 or F64. */
PLUMB_API enum plumb_status plumb_attn_scores(struct plumb_context *ctx, struct plumb_tensor *s,
	const struct plumb_tensor *q, const struct plumb_tensor *k, const struct plumb_attn *a);

/* Softmax along the last dimension, shifted by the row's maximum. y and x of one shape, any
 * rank; -inf gives 0; a row of only -inf gives NaN. y may be x. */
PLUMB_API enum plumb_status plumb_softmax(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x);

/* y[i][h][d] = sum_t p[h][i][t] * v[t][g(h)][d] over the keys t that query i sees.
 * y {n, heads * d}; p {heads, n, pos + n}; v {capacity, kv_heads * d} F32, F16 or F64. */
PLUMB_API enum plumb_status plumb_attn_mix(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *p, const struct plumb_tensor *v, const struct plumb_attn *a);

/* y = gate * sigmoid(gate) * up  (Shazeer 2020). y, gate, up of one shape. y may be gate or up. */
PLUMB_API enum plumb_status plumb_swiglu(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *gate, const struct plumb_tensor *up);

/* y = gelu(gate) * up with gelu(x) = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))  (Hendrycks and
 * Gimpel 2016; the approximation by tanh). y, gate, up of one shape. y may be gate or up. */
PLUMB_API enum plumb_status plumb_geglu(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *gate, const struct plumb_tensor *up);

/* y = factor * x. x, y {n, d} of one type. y may be x. The factor is finite; it is rounded to float32
 * first, whatever the tensors' type, so that every driver and precision multiplies by the same number; the
 * product is rounded once. */
PLUMB_API enum plumb_status plumb_scale(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x, double factor);

/* y = a + b, of one shape. y may be a or b. Exact up to one rounding. */
PLUMB_API enum plumb_status plumb_add(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *a, const struct plumb_tensor *b);

/* y[i] = lowest index j with the largest x[i][j]; NaN never wins (a row of nothing else gives 0). x {n, d}; y
 * {n} I32. Exact. */
PLUMB_API enum plumb_status plumb_argmax(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x);

/* y[i] = lowest index j of a finite x[i][j] that rounds to infinity in float16 (65520 and more in size), -1
 * where there is none. x {n, d}; y {n} I32. Exact. */
PLUMB_API enum plumb_status plumb_f16_overflow(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x);

/* y = x rounded to the nearest value of float16, ties to even (IEEE 754), and kept in x's type: infinity from
 * 65520 on; a NaN stays one. x, y {n, d} of one type. y may be x. Exact. In precision FP16 every other
 * operator's F32 output passes through this. */
PLUMB_API enum plumb_status plumb_f16_round(
	struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x);

/* Fused: y = attn_mix(softmax(attn_scores(q, k)), v) without storing the scores.
 * Shapes as in those operators. Composed from them where a driver has no kernel of its own. With a window the
 * work is that of the window, not of the context. */
PLUMB_API enum plumb_status plumb_attention(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *q, const struct plumb_tensor *k, const struct plumb_tensor *v,
	const struct plumb_attn *a);

/* Fused: rmsnorm of x, then norm(x) w^T + b with three weights, one whole matrix after the other: the
 * values of y {n, dq + dk + dv} are those of {n, dq}, then of {n, dk}, then of {n, dv}.  x {n, d};
 * norm {d} F32; w[0] {dq, d}, w[1] {dk, d}, w[2] {dv, d}, each of any type as for matmul;
 * b[i] F32, or NULL: none. Composed from rmsnorm and matmul where a driver has no kernel. */
PLUMB_API enum plumb_status plumb_qkv(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *norm, double eps,
	const struct plumb_tensor *const w[3], const struct plumb_tensor *const b[3]);

/* What a gate goes through before it meets the other product: as in swiglu, or as in geglu. */
enum plumb_activation { PLUMB_SILU, PLUMB_GELU_TANH };

/* Fused: y = swiglu or geglu of g = norm(x) gate^T and u = norm(x) up^T.  y {n, f}; x {n, d};
 * norm {d} F32; gate and up {f, d}. Composed from rmsnorm, matmul and swiglu or geglu. */
PLUMB_API enum plumb_status plumb_gate_up(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *norm, double eps,
	const struct plumb_tensor *gate, const struct plumb_tensor *up, enum plumb_activation activation);

/* Fused: y = r + x w^T, the sum rounded before r is added.  y, r {m, n}; x {m, k}; w {n, k}.
 * y may be r. Composed from matmul and add. */
PLUMB_API enum plumb_status plumb_matmul_add(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *w, const struct plumb_tensor *r);

/* Ask the drivers to lay a weight out for matmul (repack, upload). Optional: matmul works
 * without. The values stay those of w. Released with the tensor. */
PLUMB_API enum plumb_status plumb_prepare(struct plumb_context *ctx, struct plumb_tensor *w);

#ifdef __cplusplus
}
#endif
#endif
