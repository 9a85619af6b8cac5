/* SPDX-License-Identifier: Apache-2.0 */
/* The library of porting bugs: each computes one value wrongly, on the host, in float64, and the model goes
 * on with that. One row each in the table. Where a bug is looked for, and what it is compared with, is not
 * here. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diag/run/fault.h"

#define BIT(point) (1u << PLUMB_POINT_##point)
#define NEED(captured, point) \
	const struct plumb_captured *captured = plumb_live_earlier(live, PLUMB_POINT_##point); \
	if (!captured) \
	return plumb_fail( \
		PLUMB_E_ARGUMENT, "%s: no %s was kept", fault->kind->name, plumb_point_name(PLUMB_POINT_##point))

static const struct plumb_config *fault_config_of(const struct plumb_live *live)
{
	return plumb_model_config(live->run->model);
}

/* --- rotary embedding --- */

static void fault_rotate(
	float *y, const float *x, int64_t d, double position, double base, enum plumb_rope_pairs pairs)
{
	for (int64_t j = 0; j < d / 2; j++) {
		int64_t ia = pairs == PLUMB_ROPE_HALF ? j : 2 * j,
				ib = pairs == PLUMB_ROPE_HALF ? j + d / 2 : 2 * j + 1;
		double angle = position * pow(base, -2.0 * (double)j / (double)d), a = x[ia], b = x[ib];
		y[ia] = (float)(a * cos(angle) - b * sin(angle));
		y[ib] = (float)(b * cos(angle) + a * sin(angle));
	}
}

static void fault_rope(struct plumb_live *live, const struct plumb_captured *x, double base, double factor,
	enum plumb_rope_pairs pairs)
{
	int64_t d = fault_config_of(live)->head_dim;
	for (int64_t i = 0; i < live->rows; i++)
		for (int64_t h = 0; h < live->width; h += d)
			fault_rotate(live->v + i * live->width + h, x->v + i * live->width + h, d,
				(double)(live->first + i) / factor, base, pairs);
	live->changed = true;
}

static enum plumb_status fault_wrong_rope(const struct plumb_fault *fault, struct plumb_live *live)
{
	const struct plumb_config *c = fault_config_of(live);
	bool base = fault->value != 0, unscaled = !strcmp(fault->kind->name, "rope_scaling");
	enum plumb_rope_pairs other = c->rope_pairs == PLUMB_ROPE_HALF ? PLUMB_ROPE_INTERLEAVED : PLUMB_ROPE_HALF;
	NEED(q, Q_PROJ);
	NEED(k, K_PROJ);
	fault_rope(live, live->point == PLUMB_POINT_Q_ROPE ? q : k, base ? fault->value : c->rope_base,
		unscaled ? 1 : c->rope_factor, base || unscaled ? c->rope_pairs : other);
	return PLUMB_OK;
}

/* --- biases --- */

static const struct bias {
	const char *fault;
	enum plumb_role role;
	unsigned bit;
} biases[] = {
	{ "q_bias", PLUMB_ROLE_Q_BIAS, PLUMB_BIAS_Q },
	{ "k_bias", PLUMB_ROLE_K_BIAS, PLUMB_BIAS_K },
	{ "v_bias", PLUMB_ROLE_V_BIAS, PLUMB_BIAS_V },
	{ "o_bias", PLUMB_ROLE_ATTN_OUT_BIAS, PLUMB_BIAS_ATTN_OUT },
	{ "gate_bias", PLUMB_ROLE_FFN_GATE_BIAS, PLUMB_BIAS_FFN_GATE },
	{ "up_bias", PLUMB_ROLE_FFN_UP_BIAS, PLUMB_BIAS_FFN_UP },
	{ "down_bias", PLUMB_ROLE_FFN_DOWN_BIAS, PLUMB_BIAS_FFN_DOWN },
	{ "logit_bias", PLUMB_ROLE_OUTPUT_BIAS, PLUMB_BIAS_OUTPUT },
};

static const struct bias *fault_bias_of(const struct plumb_fault_kind *kind)
{
	const struct bias *b = biases;
	while (strcmp(b->fault, kind->name))
		b++;
	return b;
}

static enum plumb_status fault_no_bias(const struct plumb_fault *fault, struct plumb_live *live)
{
	char name[PLUMB_TENSOR_NAME];
	const enum plumb_role role = fault_bias_of(fault->kind)->role;
	const struct plumb_file_tensor *t = plumb_model_tensor(live->run->model, role, live->layer);
	const char *part = plumb_role_part(live->run->model, role);
	if (!t || t->rank != 1 || t->dim[0] != live->width)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: the file has no %s of %lld values", fault->kind->name,
			part ? plumb_tensor_name(live->layer, part, name) : "such bias", (long long)live->width);
	float *bias = malloc(sizeof *bias * (size_t)live->width);
	if (!bias)
		return plumb_fail(
			PLUMB_E_MEMORY, "%s: no memory for %lld values", fault->kind->name, (long long)live->width);
	enum plumb_status s = plumb_weight_row(t, 0, bias);
	for (int64_t i = 0; !s && i < live->rows * live->width; i++)
		live->v[i] = (float)((double)live->v[i] - (double)bias[i % live->width]);
	free(bias);
	live->changed = true;
	return s;
}

/* --- attention: scores and mix with the wrong head, slot or mask --- */

struct view {
	bool interleaved, late, open;
}; /* KV head h % kv; one slot early; later keys seen */

static int64_t fault_kv_head(const struct plumb_config *c, const struct view *w, int64_t h)
{
	return w->interleaved ? h % c->kv_heads : h / (c->heads / c->kv_heads);
}

static int64_t fault_slot(const struct view *w, int64_t t) { return w->late && t ? t - 1 : t; }

/* What the wrong view leaves as it is is not computed anew: a bug that cannot show must not show by its
 * rounding. */
static void fault_score(struct plumb_live *live, const struct plumb_captured *q,
	const struct plumb_captured *k, const struct view *w)
{
	const struct plumb_config *c = fault_config_of(live);
	int64_t n = live->width, d = c->head_dim;
	for (int64_t h = 0; h < c->heads; h++)
		for (int64_t i = 0; i < n; i++)
			for (int64_t t = 0; t < (w->open ? n : i + 1); t++) {
				if (fault_slot(w, t) == t && fault_kv_head(c, w, h) == h / (c->heads / c->kv_heads) && t <= i)
					continue;
				const float *a = q->v + i * q->width + h * d,
							*b = k->v + fault_slot(w, t) * k->width + fault_kv_head(c, w, h) * d;
				double sum = 0;
				for (int64_t j = 0; j < d; j++)
					sum += (double)a[j] * b[j];
				live->v[(h * n + i) * n + t] = (float)(sum / sqrt((double)d));
			}
}

static void fault_mix(struct plumb_live *live, const struct plumb_captured *p, const struct plumb_captured *v,
	const struct view *w)
{
	const struct plumb_config *c = fault_config_of(live);
	int64_t n = live->rows, d = c->value_dim;
	for (int64_t h = 0; h < c->heads; h++)
		for (int64_t i = 0; i < n; i++)
			for (int64_t j = 0; j < d; j++) {
				if ((!w->late || i == 0) && fault_kv_head(c, w, h) == h / (c->heads / c->kv_heads) &&
					(!w->open || i == n - 1))
					continue;
				double sum = 0;
				for (int64_t t = 0; t < (w->open ? n : i + 1); t++)
					sum += (double)p->v[(h * n + i) * n + t] *
						v->v[fault_slot(w, t) * v->width + fault_kv_head(c, w, h) * d + j];
				live->v[i * live->width + h * d + j] = (float)sum;
			}
}

static enum plumb_status fault_wrong_attention(const struct plumb_fault *fault, struct plumb_live *live)
{
	struct view w = { !strcmp(fault->kind->name, "kv_heads"), !strcmp(fault->kind->name, "cache_slot"),
		!strcmp(fault->kind->name, "mask") };
	live->changed = true;
	if (live->point == PLUMB_POINT_ATTN_SCORES) {
		NEED(q, Q_ROPE);
		NEED(k, K_ROPE);
		fault_score(live, q, k, &w);
		return PLUMB_OK;
	}
	NEED(p, ATTN_SOFTMAX);
	NEED(v, V_PROJ);
	fault_mix(live, p, v, &w);
	return PLUMB_OK;
}

static enum plumb_status fault_wrong_scale(const struct plumb_fault *fault, struct plumb_live *live)
{
	(void)fault;
	double root = sqrt((double)fault_config_of(live)->head_dim);
	for (int64_t i = 0; i < live->rows * live->width; i++)
		live->v[i] = (float)(live->v[i] / root);
	live->changed = true;
	return PLUMB_OK;
}

static enum plumb_status fault_wrong_residual(const struct plumb_fault *fault, struct plumb_live *live)
{
	NEED(norm, INPUT_NORM);
	NEED(out, ATTN_OUT);
	for (int64_t i = 0; i < live->rows * live->width; i++)
		live->v[i] = norm->v[i] + out->v[i];
	live->changed = true;
	return PLUMB_OK;
}

/* --- norms --- */

/* What a norm is taken of, at the first row of what is seen: the final norm sees the last rows only. */
static enum plumb_status fault_norm_input(
	const struct plumb_fault *fault, const struct plumb_live *live, const float **x)
{
	const struct plumb_captured *in = plumb_live_earlier(
		live, live->point == PLUMB_POINT_POST_ATTN_NORM ? PLUMB_POINT_ATTN_RESIDUAL : PLUMB_POINT_EMBEDDINGS);
	if (!in || in->width != live->width || live->first < in->first ||
		live->first + live->rows > in->first + in->rows)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s: the input of %s was not kept", fault->kind->name,
			plumb_point_name(live->point));
	*x = in->v + (live->first - in->first) * in->width;
	return PLUMB_OK;
}

static enum plumb_status fault_wrong_eps(const struct plumb_fault *fault, struct plumb_live *live)
{
	const float *x;
	if (live->layer < 0 && fault->layer >= 0)
		return PLUMB_OK; /* of one layer only, so not of the final norm */
	PLUMB_TRY(fault_norm_input(fault, live, &x));
	for (int64_t i = 0; i < live->rows; i++) {
		double sum = 0;
		for (int64_t j = 0; j < live->width; j++)
			sum += (double)x[i * live->width + j] * x[i * live->width + j];
		double mean = sum / (double)live->width,
			   by = sqrt((mean + fault_config_of(live)->norm_eps) / (mean + fault->value));
		for (int64_t j = 0; j < live->width; j++)
			live->v[i * live->width + j] = (float)(live->v[i * live->width + j] * by);
	}
	live->changed = true;
	return PLUMB_OK;
}

static enum plumb_status fault_no_final_norm(const struct plumb_fault *fault, struct plumb_live *live)
{
	const float *x;
	PLUMB_TRY(fault_norm_input(fault, live, &x));
	memcpy(live->v, x, sizeof *x * (size_t)(live->rows * live->width));
	live->changed = true;
	return PLUMB_OK;
}

/* --- FFN --- */

static enum plumb_status fault_wrong_act(const struct plumb_fault *fault, struct plumb_live *live)
{
	bool order = !strcmp(fault->kind->name, "swiglu_order");
	NEED(gate, FFN_GATE);
	NEED(up, FFN_UP);
	for (int64_t i = 0; i < live->rows * live->width; i++) {
		double g = gate->v[i], u = up->v[i];
		live->v[i] = (float)(order ? u / (1 + exp(-u)) * g : 0.5 * g * (1 + erf(g / sqrt(2))) * u);
	}
	live->changed = true;
	return PLUMB_OK;
}

/* --- the table --- */

#define ROPE_NEEDS (BIT(Q_PROJ) | BIT(K_PROJ))
#define ROPE_AT (BIT(Q_ROPE) | BIT(K_ROPE))
#define ATTN_NEEDS (BIT(Q_ROPE) | BIT(K_ROPE) | BIT(V_PROJ) | BIT(ATTN_SOFTMAX))
#define ATTN_AT (BIT(ATTN_SCORES) | BIT(ATTN_CONTEXT))
static const struct plumb_fault_kind kinds[] = {
	{ "rope_base", "a wrong RoPE base", "rope", PLUMB_FAULT_MODEL, ROPE_NEEDS, ROPE_AT, fault_wrong_rope, 1e4,
		false },
	{ "rope_pairs", "the other RoPE pairing (half-split or interleaved)", "rope", PLUMB_FAULT_MODEL,
		ROPE_NEEDS, ROPE_AT, fault_wrong_rope, 0, false },
	{ "q_bias", "a missing Q bias", "q_proj", PLUMB_FAULT_LAYER, 0, BIT(Q_PROJ), fault_no_bias, 0, false },
	{ "k_bias", "a missing K bias", "k_proj", PLUMB_FAULT_LAYER, 0, BIT(K_PROJ), fault_no_bias, 0, false },
	{ "v_bias", "a missing V bias", "v_proj", PLUMB_FAULT_LAYER, 0, BIT(V_PROJ), fault_no_bias, 0, false },
	{ "kv_heads", "a wrong KV head map (h % kv_heads in place of h / group)", "attention", PLUMB_FAULT_MODEL,
		ATTN_NEEDS, ATTN_AT, fault_wrong_attention, 0, false },
	{ "mask", "a missing causal mask", "attention", PLUMB_FAULT_MODEL, ATTN_NEEDS, ATTN_AT,
		fault_wrong_attention, 0, false },
	{ "scale", "scores scaled by 1/head_dim in place of 1/sqrt(head_dim)", "attention", PLUMB_FAULT_MODEL, 0,
		BIT(ATTN_SCORES), fault_wrong_scale, 0, false },
	{ "cache_slot", "a KV cache read one slot too early", "cache", PLUMB_FAULT_MODEL, ATTN_NEEDS, ATTN_AT,
		fault_wrong_attention, 0, false },
	{ "attn_residual", "a residual taken after the norm", "attention", PLUMB_FAULT_MODEL,
		BIT(INPUT_NORM) | BIT(ATTN_OUT), BIT(ATTN_RESIDUAL), fault_wrong_residual, 0, false },
	{ "eps", "a wrong epsilon in the norms", "norm", PLUMB_FAULT_MODEL, BIT(EMBEDDINGS) | BIT(ATTN_RESIDUAL),
		BIT(INPUT_NORM) | BIT(POST_ATTN_NORM) | BIT(FINAL_NORM), fault_wrong_eps, 1e-5, false },
	{ "swiglu_order", "SwiGLU with gate and up exchanged", "ffn", PLUMB_FAULT_MODEL,
		BIT(FFN_GATE) | BIT(FFN_UP), BIT(FFN_ACT), fault_wrong_act, 0, false },
	{ "activation", "GELU in place of SiLU", "ffn", PLUMB_FAULT_MODEL, BIT(FFN_GATE) | BIT(FFN_UP),
		BIT(FFN_ACT), fault_wrong_act, 0, false },
	{ "final_norm", "a missing final norm", "final_norm", PLUMB_FAULT_HEAD, BIT(EMBEDDINGS), BIT(FINAL_NORM),
		fault_no_final_norm, 0, false },
	{ "rope_scaling", "a missing linear scaling of RoPE", "rope", PLUMB_FAULT_MODEL, ROPE_NEEDS, ROPE_AT,
		fault_wrong_rope, 0, false },
	{ "o_bias", "a missing bias of attention's output", "attention", PLUMB_FAULT_LAYER, 0, BIT(ATTN_OUT),
		fault_no_bias, 0, false },
	{ "gate_bias", "a missing bias of the FFN's gate", "ffn", PLUMB_FAULT_LAYER, 0, BIT(FFN_GATE),
		fault_no_bias, 0, false },
	{ "up_bias", "a missing bias of the FFN's up projection", "ffn", PLUMB_FAULT_LAYER, 0, BIT(FFN_UP),
		fault_no_bias, 0, false },
	{ "down_bias", "a missing bias of the FFN's down projection", "ffn", PLUMB_FAULT_LAYER, 0, BIT(FFN_DOWN),
		fault_no_bias, 0, false },
	{ "logit_bias", "a missing bias of the logits", "logits", PLUMB_FAULT_HEAD, 0, BIT(LOGITS), fault_no_bias,
		0, false },
	{ "layer_order", "two neighbouring layers exchanged", "layers", PLUMB_FAULT_LAYER, 0, 0, NULL, 0, true },
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

int plumb_fault_count(void) { return KINDS; }
const struct plumb_fault_kind *plumb_fault_at(int index)
{
	return index >= 0 && index < KINDS ? &kinds[index] : NULL;
}

/* --- making one --- */

enum plumb_status plumb_fault_make(
	struct plumb_fault *fault, const struct plumb_fault_kind *kind, int layer, const struct plumb_config *c)
{
	const char *name = kind->name;
	*fault = (struct plumb_fault){ kind, kind->scope == PLUMB_FAULT_HEAD ? -1 : layer, kind->value };
	if (kind->act == fault_no_bias && !(c->biases & fault_bias_of(kind)->bit))
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: this model has no such bias", name);
	if (!strcmp(name, "rope_scaling") && c->rope_factor == 1)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: this model's RoPE is not scaled", name);
	if (!strcmp(name, "kv_heads") && (c->kv_heads == 1 || c->kv_heads == c->heads))
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: with %lld heads and %lld KV heads both maps are the same",
			name, (long long)c->heads, (long long)c->kv_heads);
	if (kind->exchange && c->layers < 2)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: the model has one layer", name);
	if (kind->exchange && fault->layer < 0)
		fault->layer = (int)(c->layers / 2 - (c->layers == 2));
	if (kind->exchange && fault->layer + 1 >= c->layers)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s: layer %d has no successor", name, fault->layer);
	/* A model that has the usual wrong value gets the other usual one. */
	if (kind->act == fault_wrong_rope && kind->value != 0 && c->rope_base == kind->value)
		fault->value = 1e6;
	if (kind->act == fault_wrong_eps && fabs(c->norm_eps / kind->value - 1) < 1e-3)
		fault->value = 1e-6;
	return PLUMB_OK;
}

enum plumb_status plumb_fault_fits(const struct plumb_fault_kind *kind, const struct plumb_model *model)
{
	const unsigned points = kind->needs | kind->points;
	for (int point = 0; point < PLUMB_POINT_COUNT; point++)
		if (points >> point & 1 && !plumb_model_made(model, point))
			return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: this model family shows no %s", kind->name,
				plumb_point_name(point));
	return PLUMB_OK;
}

static enum plumb_status fault_unknown(const char *text, size_t n)
{
	char names[512] = "";
	for (int i = 0; i < KINDS; i++)
		plumb_append(names, sizeof names, "%s%s", i ? ", " : "", kinds[i].name);
	return plumb_fail(
		PLUMB_E_ARGUMENT, "\"%.*s\" is no fault; there are: %s", (int)(n > 64 ? 64 : n), text, names);
}

enum plumb_status plumb_fault_parse(
	struct plumb_fault *fault, const char *text, const struct plumb_config *config)
{
	size_t n = strcspn(text, "@=");
	const char *at = text[n] == '@' ? text + n + 1 : NULL, *equals = strchr(text, '=');
	const struct plumb_fault_kind *kind = NULL;
	char *end;
	int layer = -1;
	for (int i = 0; i < KINDS; i++)
		if (strlen(kinds[i].name) == n && !strncmp(kinds[i].name, text, n))
			kind = &kinds[i];
	if (!kind)
		return fault_unknown(text, n);
	if (at) {
		errno = 0;
		long l = strtol(at, &end, 10);
		if (errno || end == at || (*end && end != equals) || l < 0 || l >= config->layers)
			return plumb_fail(PLUMB_E_ARGUMENT, "%s: the layer after @ must be from 0 to %lld", text,
				(long long)config->layers - 1);
		if (kind->scope == PLUMB_FAULT_HEAD)
			return plumb_fail(PLUMB_E_ARGUMENT, "%s: %s is not in a layer", text, kind->name);
		layer = (int)l;
	}
	enum plumb_status s = plumb_fault_make(fault, kind, layer, config);
	if (s || !equals)
		return s ? PLUMB_E_ARGUMENT : PLUMB_OK;
	double value = plumb_number(equals + 1, &end);
	if (!kind->value)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s: %s takes no value", text, kind->name);
	if (end == equals + 1 || *end || !isfinite(value) || value <= 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s: the value after = must be a number above 0", text);
	fault->value = value;
	return PLUMB_OK;
}
