/* SPDX-License-Identifier: Apache-2.0 */
/* The library of porting bugs: each computes one value wrongly, on the host, in float64, and the model goes
 * on with that. One row each in the table; what they compute is in fault_rope.c, fault_attention.c and
 * fault_block.c. Where a bug is looked for, and what it is compared with, is not here. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "diag/run/fault_act.h"

/* --- the table --- */

#define ROPE_NEEDS (BIT(Q_PROJ) | BIT(K_PROJ) | BIT(Q_NORM) | BIT(K_NORM))
#define ROPE_AT (BIT(Q_ROPE) | BIT(K_ROPE))
#define ATTN_NEEDS (BIT(Q_ROPE) | BIT(K_ROPE) | BIT(V_PROJ) | BIT(ATTN_SOFTMAX))
#define ATTN_AT (BIT(ATTN_SCORES) | BIT(ATTN_CONTEXT))
#define NORM_NEEDS \
	(BIT(EMBEDDINGS) | BIT(ATTN_RESIDUAL) | BIT(Q_PROJ) | BIT(K_PROJ) | BIT(ATTN_OUT) | BIT(FFN_DOWN))
#define NORM_AT \
	(BIT(INPUT_NORM) | BIT(POST_ATTN_NORM) | BIT(Q_NORM) | BIT(K_NORM) | BIT(ATTN_POST_NORM) | \
		BIT(FFN_POST_NORM))
static const struct plumb_fault_kind kinds[] = {
	{ "rope_base", "a wrong RoPE base", "rope", PLUMB_FAULT_MODEL, ROPE_NEEDS, ROPE_AT, plumb_fault_rope, 1e4,
		false },
	{ "rope_pairs", "the other RoPE pairing (half-split or interleaved)", "rope", PLUMB_FAULT_MODEL,
		ROPE_NEEDS, ROPE_AT, plumb_fault_rope, 0, false },
	{ "q_bias", "a missing Q bias", "q_proj", PLUMB_FAULT_LAYER, 0, BIT(Q_PROJ), plumb_fault_bias, 0, false },
	{ "k_bias", "a missing K bias", "k_proj", PLUMB_FAULT_LAYER, 0, BIT(K_PROJ), plumb_fault_bias, 0, false },
	{ "v_bias", "a missing V bias", "v_proj", PLUMB_FAULT_LAYER, 0, BIT(V_PROJ), plumb_fault_bias, 0, false },
	{ "kv_heads", "a wrong KV head map (h % kv_heads in place of h / group)", "attention", PLUMB_FAULT_MODEL,
		ATTN_NEEDS, ATTN_AT, plumb_fault_attention, 0, false },
	{ "mask", "a missing causal mask", "attention", PLUMB_FAULT_MODEL, ATTN_NEEDS, ATTN_AT,
		plumb_fault_attention, 0, false },
	{ "scale", "scores scaled by 1/head_dim in place of 1/sqrt(head_dim)", "attention", PLUMB_FAULT_MODEL, 0,
		BIT(ATTN_SCORES), plumb_fault_scores, 0, false },
	{ "cache_slot", "a KV cache read one slot too early", "cache", PLUMB_FAULT_MODEL, ATTN_NEEDS, ATTN_AT,
		plumb_fault_attention, 0, false },
	{ "attn_residual", "a residual taken after the norm", "attention", PLUMB_FAULT_MODEL,
		BIT(INPUT_NORM) | BIT(ATTN_OUT) | BIT(ATTN_POST_NORM), BIT(ATTN_RESIDUAL), plumb_fault_residual, 0,
		false },
	{ "eps", "a wrong epsilon in the norms", "norm", PLUMB_FAULT_MODEL, NORM_NEEDS, NORM_AT | BIT(FINAL_NORM),
		plumb_fault_eps, 1e-5, false },
	{ "swiglu_order", "SwiGLU with gate and up exchanged", "ffn", PLUMB_FAULT_MODEL,
		BIT(FFN_GATE) | BIT(FFN_UP), BIT(FFN_ACT), plumb_fault_act_ffn, 0, false },
	{ "activation", "GELU in place of SiLU", "ffn", PLUMB_FAULT_MODEL, BIT(FFN_GATE) | BIT(FFN_UP),
		BIT(FFN_ACT), plumb_fault_act_ffn, 0, false },
	{ "silu", "SiLU in place of GELU", "ffn", PLUMB_FAULT_MODEL, BIT(FFN_GATE) | BIT(FFN_UP), BIT(FFN_ACT),
		plumb_fault_act_ffn, 0, false },
	{ "final_norm", "a missing final norm", "final_norm", PLUMB_FAULT_HEAD, BIT(EMBEDDINGS), BIT(FINAL_NORM),
		plumb_fault_no_norm, 0, false },
	{ "rope_scaling", "a missing scaling of RoPE", "rope", PLUMB_FAULT_MODEL, ROPE_NEEDS, ROPE_AT,
		plumb_fault_rope, 0, false },
	{ "o_bias", "a missing bias of attention's output", "attention", PLUMB_FAULT_LAYER, 0, BIT(ATTN_OUT),
		plumb_fault_bias, 0, false },
	{ "gate_bias", "a missing bias of the FFN's gate", "ffn", PLUMB_FAULT_LAYER, 0, BIT(FFN_GATE),
		plumb_fault_bias, 0, false },
	{ "up_bias", "a missing bias of the FFN's up projection", "ffn", PLUMB_FAULT_LAYER, 0, BIT(FFN_UP),
		plumb_fault_bias, 0, false },
	{ "down_bias", "a missing bias of the FFN's down projection", "ffn", PLUMB_FAULT_LAYER, 0, BIT(FFN_DOWN),
		plumb_fault_bias, 0, false },
	{ "logit_bias", "a missing bias of the logits", "logits", PLUMB_FAULT_HEAD, 0, BIT(LOGITS),
		plumb_fault_bias, 0, false },
	{ "rope_layers", "RoPE in layers that have none", "rope", PLUMB_FAULT_MODEL, ROPE_NEEDS, ROPE_AT,
		plumb_fault_rope, 0, false },
	{ "rope_part", "whole heads rotated, where only a part of each is", "rope", PLUMB_FAULT_MODEL, ROPE_NEEDS,
		ROPE_AT, plumb_fault_rope, 0, false },
	{ "rope_window", "the RoPE base of other layers in those with a window", "rope", PLUMB_FAULT_MODEL,
		ROPE_NEEDS, ROPE_AT, plumb_fault_rope, 0, false },
	{ "window", "a missing sliding window", "attention", PLUMB_FAULT_MODEL, ATTN_NEEDS, ATTN_AT,
		plumb_fault_window, 0, false },
	{ "score_scale", "scores scaled by 1/sqrt(head_dim) in place of the model's own scale", "attention",
		PLUMB_FAULT_MODEL, 0, BIT(ATTN_SCORES), plumb_fault_scores, 0, false },
	{ "qk_norm", "missing norms of queries and keys", "norm", PLUMB_FAULT_MODEL, BIT(Q_PROJ) | BIT(K_PROJ),
		BIT(Q_NORM) | BIT(K_NORM), plumb_fault_no_norm, 0, false },
	{ "post_norm", "missing norms of what blocks add", "norm", PLUMB_FAULT_MODEL,
		BIT(ATTN_OUT) | BIT(FFN_DOWN), BIT(ATTN_POST_NORM) | BIT(FFN_POST_NORM), plumb_fault_no_norm, 0,
		false },
	{ "norm_offset", "norms' weights taken as w in place of 1 + w", "norm", PLUMB_FAULT_MODEL, 0,
		NORM_AT | BIT(FINAL_NORM), plumb_fault_norm_offset, 0, false },
	{ "embedding_scale", "embeddings that are not scaled", "embed", PLUMB_FAULT_MODEL, 0, BIT(EMBEDDINGS),
		plumb_fault_scale, 0, false },
	{ "residual_scale", "blocks' results added without their scale", "residual", PLUMB_FAULT_MODEL,
		BIT(ATTN_OUT) | BIT(FFN_DOWN) | BIT(ATTN_POST_NORM) | BIT(FFN_POST_NORM),
		BIT(ATTN_RESIDUAL) | BIT(OUTPUT), plumb_fault_scale, 0, false },
	{ "logit_scale", "logits that are not scaled", "logits", PLUMB_FAULT_HEAD, 0, BIT(LOGITS),
		plumb_fault_scale, 0, false },
	{ "layer_order", "two neighbouring layers exchanged", "layers", PLUMB_FAULT_LAYER, 0, 0, NULL, 0, true },
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

int plumb_fault_count(void) { return KINDS; }
const struct plumb_fault_kind *plumb_fault_at(int index)
{
	return index >= 0 && index < KINDS ? &kinds[index] : NULL;
}

/* --- making one --- */

/* What some layers of the model have. */
struct traits {
	bool windows, window_bases, without_rope;
};

static struct traits fault_traits(const struct plumb_config *c)
{
	struct traits t = { false, false, false };
	for (int64_t i = 0; i < c->layers; i++) {
		const struct plumb_layer_config *l = plumb_config_layer(c, i);
		t.windows |= l->window != 0;
		t.window_bases |= l->window && l->rope_base != c->kind[0].rope_base;
		t.without_rope |= !l->rope;
	}
	return t;
}

/* Why a model like this cannot have the bug; NULL: it can. */
static const char *fault_foreign(const struct plumb_fault_kind *kind, const struct plumb_config *c)
{
	const struct traits t = fault_traits(c);
	const unsigned bias = plumb_fault_bias_bit(kind);
	const struct {
		const char *name, *why;
		bool can;
	} rows[] = {
		{ "rope_scaling", "this model's RoPE is not scaled", c->rope_scaling != PLUMB_ROPE_SCALING_NONE },
		{ "rope_layers", "RoPE is in all layers of this model", t.without_rope },
		{ "rope_part", "whole heads are rotated in this model", c->rotated != c->head_dim },
		{ "rope_window", "RoPE has one base in this model", t.window_bases },
		{ "window", "no layer of this model has a window", t.windows },
		{ "score_scale", "the scale of this model's scores is the usual one",
			fabs(c->score_scale * sqrt((double)c->head_dim) - 1) > 1e-6 },
		{ "norm_offset", "this model's norms have their weights as they are", c->norm_from_one },
		{ "embedding_scale", "this model's embeddings are not scaled", c->embedding_scale != 1 },
		{ "residual_scale", "this model adds its blocks' results as they are", c->residual_scale != 1 },
		{ "logit_scale", "this model's logits are not scaled", c->logit_scale != 1 },
		{ "activation", "this model's activation is not SiLU", c->activation == PLUMB_SILU },
		{ "silu", "this model's activation is SiLU", c->activation != PLUMB_SILU },
	};
	if (bias)
		return c->biases & bias ? NULL : "this model has no such bias";
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!strcmp(kind->name, rows[i].name))
			return rows[i].can ? NULL : rows[i].why;
	return NULL;
}

enum plumb_status plumb_fault_make(
	struct plumb_fault *fault, const struct plumb_fault_kind *kind, int layer, const struct plumb_config *c)
{
	const char *name = kind->name, *why = fault_foreign(kind, c);
	*fault = (struct plumb_fault){ kind, kind->scope == PLUMB_FAULT_HEAD ? -1 : layer, kind->value };
	if (why)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: %s", name, why);
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
	if (kind->act == plumb_fault_rope && kind->value != 0 && c->kind[0].rope_base == kind->value)
		fault->value = 1e6;
	if (kind->act == plumb_fault_eps && fabs(c->norm_eps / kind->value - 1) < 1e-3)
		fault->value = 1e-6;
	return PLUMB_OK;
}

/* Norms that families have or lack: a bug of all norms is one of those that there are. */
#define OWN_NORMS (BIT(Q_NORM) | BIT(K_NORM) | BIT(ATTN_POST_NORM) | BIT(FFN_POST_NORM))
#define NORMS (OWN_NORMS | BIT(INPUT_NORM) | BIT(POST_ATTN_NORM))

enum plumb_status plumb_fault_fits(const struct plumb_fault_kind *kind, const struct plumb_model *model)
{
	const unsigned asked = (kind->needs & ~OWN_NORMS) | (kind->points & ~NORMS);
	int missing = -1;
	bool anywhere = !kind->points;
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		const bool there = plumb_model_made(model, point) != NULL;
		anywhere |= there && kind->points >> point & 1;
		if (!there && (asked >> point & 1 || (missing < 0 && kind->points >> point & 1)))
			missing = point;
		if (!there && asked >> point & 1)
			break;
	}
	return anywhere && (missing < 0 || !(asked >> missing & 1))
		? PLUMB_OK
		: plumb_fail(PLUMB_E_UNSUPPORTED, "%s: this model family shows no %s", kind->name,
			  plumb_point_name(missing));
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
