/* SPDX-License-Identifier: Apache-2.0 */
/* What families and layers differ in: scales, RoPE and its scaling, windows. */
#include <math.h>
#include <string.h>
#include "model/config.h"

#define LARGE 1e12

/* --- scales --- */

/* A scale that only some families have a key for; 0 in a file means none. */
static enum plumb_status config_layers_scale(struct plumb_config_reader *r, const char *name, double *value)
{
	const struct plumb_key_row *row = r->family->own;
	while (row && row->name && strcmp(row->name, name))
		row++;
	if (!row || !row->name)
		return PLUMB_OK;
	const double usual = *value;
	PLUMB_TRY(plumb_config_read_float(r, name, usual, 0, LARGE, value));
	if (*value == 0)
		*value = usual;
	return PLUMB_OK;
}

enum plumb_status plumb_config_read_scales(struct plumb_config_reader *r, struct plumb_config *c)
{
	const struct plumb_family *family = r->family;
	const struct plumb_meta *offset = plumb_file_meta_find(r->file, "plumb.norm.offset");
	double divisor = 1;
	c->norms = family->norms;
	c->activation = family->activation;
	c->embedding_scale = c->residual_scale = 1;
	c->score_scale = 1 / sqrt((double)c->head_dim);
	if (family->defaults)
		family->defaults(c);
	const double usual = c->score_scale;
	PLUMB_TRY(plumb_config_read_float(r, "attention.scale", usual, 0, LARGE, &c->score_scale));
	if (c->score_scale == 0)
		c->score_scale = usual;
	PLUMB_TRY(config_layers_scale(r, "embedding_scale", &c->embedding_scale));
	PLUMB_TRY(config_layers_scale(r, "residual_scale", &c->residual_scale));
	PLUMB_TRY(config_layers_scale(r, "logit_scale", &divisor));
	c->logit_scale = 1 / divisor;
	if (offset && (offset->kind != PLUMB_META_FLOAT || !(offset->f >= 0 && offset->f <= 1)))
		return plumb_fail(PLUMB_E_FORMAT, "the key plumb.norm.offset must be a number from 0 to 1");
	c->norm_offset = offset ? offset->f : 0;
	return PLUMB_OK;
}

/* --- RoPE --- */

static enum plumb_status config_layers_pairs(struct plumb_config_reader *r, struct plumb_config *c)
{
	const struct plumb_meta *pairs = plumb_file_meta_find(r->file, "plumb.rope.pairs");
	c->rope_pairs = r->family->pairs;
	if (!pairs)
		return PLUMB_OK;
	if (plumb_family_text_is(pairs, "half"))
		c->rope_pairs = PLUMB_ROPE_HALF;
	else if (plumb_family_text_is(pairs, "interleaved"))
		c->rope_pairs = PLUMB_ROPE_INTERLEAVED;
	else
		return plumb_fail(PLUMB_E_FORMAT, "the key plumb.rope.pairs must be \"half\" or \"interleaved\"");
	return PLUMB_OK;
}

/* Linear scaling is meant by its type, by a factor without a type and by the factor's old name; a factor of 0
 * means none. */
static enum plumb_status config_layers_linear(struct plumb_config_reader *r, struct plumb_config *c)
{
	double *factor = &c->rope_factor;
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.factor", 1, 0, 1e6, factor));
	if (!r->m)
		PLUMB_TRY(plumb_config_read_float(r, "rope.scale_linear", 1, 0, 1e6, factor));
	if (*factor == 0)
		*factor = 1;
	if (*factor < 1e-6)
		return plumb_fail(
			PLUMB_E_FORMAT, "the key %s is %g, must be 0 or from 1e-06 to 1e+06", r->full, *factor);
	c->rope_scaling = *factor == 1 ? PLUMB_ROPE_SCALING_NONE : PLUMB_ROPE_SCALING_LINEAR;
	return PLUMB_OK;
}

static enum plumb_status config_layers_llama3(struct plumb_config_reader *r, struct plumb_config *c)
{
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.factor", 0, 1e-6, 1e6, &c->rope_factor));
	PLUMB_TRY(
		plumb_config_read_float(r, "rope.scaling.original_context_length", 0, 1, LARGE, &c->rope_original));
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.low_freq_factor", 0, 1e-6, 1e6, &c->rope_low));
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.high_freq_factor", 0, 1e-6, 1e6, &c->rope_high));
	return c->rope_low < c->rope_high
		? PLUMB_OK
		: plumb_fail(PLUMB_E_FORMAT, "RoPE's low_freq_factor of %g is not below its high_freq_factor of %g",
			  c->rope_low, c->rope_high);
}

/* Cosine and sine grow by the logarithm of the factor; a key may scale that. */
static enum plumb_status config_layers_yarn(struct plumb_config_reader *r, struct plumb_config *c)
{
	double scale;
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.factor", 0, 1e-6, 1e6, &c->rope_factor));
	PLUMB_TRY(
		plumb_config_read_float(r, "rope.scaling.original_context_length", 0, 1, LARGE, &c->rope_original));
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.yarn_beta_fast", 32, 1e-6, 1e6, &c->rope_high));
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.yarn_beta_slow", 1, 1e-6, 1e6, &c->rope_low));
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.attn_factor", 1, 0, 1e6, &scale));
	c->rope_attention = (scale == 0 ? 1 : scale) * (c->rope_factor > 1 ? 1 + 0.1 * log(c->rope_factor) : 1);
	return PLUMB_OK;
}

static enum plumb_status config_layers_long(struct plumb_config_reader *r, struct plumb_config *c)
{
	PLUMB_TRY(
		plumb_config_read_float(r, "rope.scaling.original_context_length", 0, 1, LARGE, &c->rope_original));
	PLUMB_TRY(plumb_config_read_float(r, "rope.scaling.attn_factor", 1, 0, 1e6, &c->rope_attention));
	if (c->rope_attention == 0)
		c->rope_attention = 1;
	return PLUMB_OK;
}

static enum plumb_status config_layers_scaling(struct plumb_config_reader *r, struct plumb_config *c)
{
	const bool factors = plumb_file_find(r->file, PLUMB_ROPE_FACTORS_TENSOR) != NULL;
	c->rope_factor = c->rope_attention = 1;
	PLUMB_TRY(plumb_config_look_up(r, "rope.scaling.type"));
	const struct plumb_meta *type = r->m;
	if (type && type->kind != PLUMB_META_STRING)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is no text", r->full);
	if (!type && plumb_file_find(r->file, PLUMB_ROPE_LONG_TENSOR))
		c->rope_scaling = PLUMB_ROPE_SCALING_LONG;
	else if (!type || plumb_family_text_is(type, "linear"))
		PLUMB_TRY(config_layers_linear(r, c));
	else
		for (int i = 0; i < PLUMB_ROPE_SCALINGS; i++)
			if (plumb_family_text_is(type, plumb_rope_scaling_name(i)))
				c->rope_scaling = (enum plumb_rope_scaling)i;
	if (factors && c->rope_scaling != PLUMB_ROPE_SCALING_NONE)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "RoPE is scaled twice, by \"%s\" and by the tensor %s",
			plumb_rope_scaling_name((int)c->rope_scaling), PLUMB_ROPE_FACTORS_TENSOR);
	if (factors)
		c->rope_scaling = PLUMB_ROPE_SCALING_FACTORS;
	switch (c->rope_scaling) {
	case PLUMB_ROPE_SCALING_LLAMA3: return config_layers_llama3(r, c);
	case PLUMB_ROPE_SCALING_YARN: return config_layers_yarn(r, c);
	case PLUMB_ROPE_SCALING_LONG: return config_layers_long(r, c);
	default: return PLUMB_OK;
	}
}

enum plumb_status plumb_config_read_rope(struct plumb_config_reader *r, struct plumb_config *c)
{
	PLUMB_TRY(config_layers_pairs(r, c));
	PLUMB_TRY(plumb_config_read_int(r, "rope.dimension_count", c->head_dim, &c->rotated));
	if (c->rotated > c->head_dim || c->rotated % 2)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is %lld, must be even and at most %lld, a head's width",
			r->full, (long long)c->rotated, (long long)c->head_dim);
	return config_layers_scaling(r, c);
}

/* --- layers --- */

/* Element `layer` of a list of yes and no; no list: every `step`-th is no; step 0: all are yes. */
static enum plumb_status config_layers_flag(
	const struct plumb_config_reader *r, const struct plumb_config *c, int64_t step, int64_t layer, bool *yes)
{
	const struct plumb_meta *m = r->m;
	if (!m || m->kind == PLUMB_META_INT) {
		step = m ? m->i : step;
		*yes = step <= 0 || (layer + 1) % step != 0;
		return PLUMB_OK;
	}
	if (m->kind != PLUMB_META_ARRAY || (m->of != PLUMB_META_INT && m->of != PLUMB_META_BOOL) ||
		m->n < (uint64_t)c->layers)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s must be a list of yes and no for each of %lld layers",
			r->full, (long long)c->layers);
	*yes = plumb_meta_int_at(m, (uint64_t)layer) != 0;
	return PLUMB_OK;
}

enum { WINDOW = 1, NO_ROPE = 2 }; /* bits of an index in kind */

/* A window of no length, or one that no pattern places, is none. */
static enum plumb_status config_layers_windows(
	struct plumb_config_reader *r, struct plumb_config *c, int64_t *length)
{
	*length = plumb_family_whole(r->family, r->file, "attention.sliding_window", 0);
	if (*length < 0)
		return plumb_fail(PLUMB_E_FORMAT, "a sliding window of %lld is negative", (long long)*length);
	if (*length >= c->context)
		*length = 0; /* no shorter than what a position sees anyway */
	PLUMB_TRY(plumb_config_look_up(r, "attention.sliding_window"));
	PLUMB_TRY(plumb_config_look_up(r, "attention.sliding_window_pattern"));
	for (int64_t i = 0; *length && i < c->layers; i++) {
		bool windowed = r->family->window_step == 1; /* of all layers */
		if (r->m || r->family->window_step > 1)
			PLUMB_TRY(config_layers_flag(r, c, r->family->window_step, i, &windowed));
		c->kind_of[i] |= windowed ? WINDOW : 0;
	}
	return PLUMB_OK;
}

enum plumb_status plumb_config_read_layers(struct plumb_config_reader *r, struct plumb_config *c)
{
	double base, window_base;
	int64_t window;
	PLUMB_TRY(plumb_config_read_float(r, "rope.freq_base", 10000, 1, LARGE, &base));
	PLUMB_TRY(config_layers_windows(r, c, &window));
	window_base = r->family->window_base > 0 ? r->family->window_base : base;
	PLUMB_TRY(plumb_config_read_float(r, "rope.freq_base_swa", window_base, 1, LARGE, &window_base));
	for (int i = 0; i < PLUMB_LAYER_KINDS; i++)
		c->kind[i] = (struct plumb_layer_config){
			.rope = !(i & NO_ROPE),
			/* where layers with a window have a base of their own, scaling is of the others */
			.rope_scaled = c->rope_scaling != PLUMB_ROPE_SCALING_NONE &&
				!(i & WINDOW && r->family->window_base > 0),
			.rope_base = i & WINDOW ? window_base : base,
			.window = i & WINDOW ? window : 0,
		};
	PLUMB_TRY(plumb_config_look_up(r, "plumb.rope_layers"));
	for (int64_t i = 0; i < c->layers; i++) {
		bool rope = true;
		PLUMB_TRY(config_layers_flag(r, c, r->family->rope_step, i, &rope));
		c->kind_of[i] |= rope ? 0 : NO_ROPE;
	}
	return PLUMB_OK;
}
