/* SPDX-License-Identifier: Apache-2.0 */
/* RoPE for long contexts: every scaling but the linear one becomes one factor for each pair, by which its
 * frequency is divided. */
#include <math.h>
#include <stdlib.h>
#include "model/family.h"
#include "model/model.h"

static const char *const names[PLUMB_ROPE_SCALINGS] = { "none", "linear", "llama3", "yarn", "longrope",
	"factors" };

const char *plumb_rope_scaling_name(int scaling)
{
	return scaling >= 0 && scaling < PLUMB_ROPE_SCALINGS ? names[scaling] : NULL;
}

const struct plumb_layer_config *plumb_config_layer(const struct plumb_config *c, int64_t layer)
{
	return &c->kind[c->kind_of[layer]];
}

/* The wavelengths of the training's context divided by `high` and by `low` bound a ramp (Llama 3.1). */
static double rope_scaling_llama3(const struct plumb_config *c, double rate)
{
	const double turns = c->rope_original * rate / (2 * M_PI);
	if (turns > c->rope_high)
		return 1;
	if (turns < c->rope_low)
		return c->rope_factor;
	const double smooth = (turns - c->rope_low) / (c->rope_high - c->rope_low);
	return 1 / ((1 - smooth) / c->rope_factor + smooth);
}

/* The pair that turns so often in the training's context, as a real number. */
static double rope_scaling_yarn_pair(const struct plumb_config *c, double base, double turns)
{
	return (double)c->rotated * log(c->rope_original / (turns * 2 * M_PI)) / (2 * log(base));
}

/* A ramp over whole numbers of pairs (Peng et al. 2023, as published). */
static double rope_scaling_yarn(const struct plumb_config *c, double base, int64_t pair)
{
	const double low = fmax(floor(rope_scaling_yarn_pair(c, base, c->rope_high)), 0);
	double high = fmin(ceil(rope_scaling_yarn_pair(c, base, c->rope_low)), (double)(c->rotated - 1));
	if (high == low)
		high += 0.001; /* as everywhere, so that nobody divides by 0 */
	const double ramp = fmin(fmax(((double)pair - low) / (high - low), 0), 1);
	return 1 / (ramp / c->rope_factor + (1 - ramp));
}

static double rope_scaling_factor(const struct plumb_config *c, double base, int64_t pair)
{
	const double rate = pow(base, -2.0 * (double)pair / (double)c->rotated);
	return c->rope_scaling == PLUMB_ROPE_SCALING_LLAMA3 ? rope_scaling_llama3(c, rate)
														: rope_scaling_yarn(c, base, pair);
}

/* --- factors that a file has --- */

static enum plumb_status rope_scaling_read_list(
	const struct plumb_model *m, const struct plumb_meta *list, const char *name, float *value)
{
	const int64_t n = m->config.rotated / 2;
	if (list->kind != PLUMB_META_ARRAY || list->of == PLUMB_META_STRING || list->n != (uint64_t)n)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s must be a list of %lld numbers", name, (long long)n);
	for (int64_t i = 0; i < n; i++)
		value[i] = (float)plumb_meta_float_at(list, (uint64_t)i);
	return PLUMB_OK;
}

static enum plumb_status rope_scaling_read_tensor(
	const struct plumb_model *m, const struct plumb_file_tensor *t, const char *name, float *value)
{
	const int64_t n = m->config.rotated / 2;
	if (t->rank != 1 || t->dim[0] != n || !plumb_type_is_weight(t->type))
		return plumb_fail(PLUMB_E_SHAPE, "the tensor %s must be of %lld numbers", name, (long long)n);
	return plumb_type_to_f32(t->type, t->data, value, n);
}

static enum plumb_status rope_scaling_read(
	const struct plumb_model *m, const char *tensor, const char *key, float *value)
{
	char full[PLUMB_KEY] = "";
	const struct plumb_file_tensor *t = plumb_file_find(m->file, tensor);
	const struct plumb_meta *list = key ? plumb_family_key(m->family, m->file, key, full) : NULL;
	if (!t && !list)
		return plumb_fail(
			PLUMB_E_FORMAT, "the factors of RoPE's scaling, the tensor %s, are missing", tensor);
	PLUMB_TRY(
		t ? rope_scaling_read_tensor(m, t, tensor, value) : rope_scaling_read_list(m, list, full, value));
	for (int64_t i = 0; i < m->config.rotated / 2; i++)
		if (!(value[i] > 0 && value[i] < INFINITY))
			return plumb_fail(PLUMB_E_FORMAT, "factor %lld in %s is %g, must be positive", (long long)i,
				t ? tensor : full, (double)value[i]);
	return PLUMB_OK;
}

/* --- of a model --- */

static enum plumb_status rope_scaling_fill(const struct plumb_model *m, int list, float *value)
{
	const struct plumb_config *c = &m->config;
	switch (c->rope_scaling) {
	case PLUMB_ROPE_SCALING_FACTORS: return rope_scaling_read(m, PLUMB_ROPE_FACTORS_TENSOR, NULL, value);
	case PLUMB_ROPE_SCALING_LONG:
		return list ? rope_scaling_read(m, PLUMB_ROPE_LONG_TENSOR, "rope.scaling.long_factors", value)
					: rope_scaling_read(m, PLUMB_ROPE_SHORT_TENSOR, "rope.scaling.short_factors", value);
	default: break;
	}
	double base = 0;
	for (int i = 0; i < PLUMB_LAYER_KINDS && base == 0; i++)
		base = c->kind[i].rope_scaled ? c->kind[i].rope_base : 0;
	for (int64_t pair = 0; pair < c->rotated / 2; pair++)
		value[pair] = (float)rope_scaling_factor(c, base, pair);
	return PLUMB_OK;
}

enum plumb_status plumb_rope_scaling_make(struct plumb_model *m)
{
	const enum plumb_rope_scaling scaling = m->config.rope_scaling;
	const int64_t n = m->config.rotated / 2;
	if (scaling == PLUMB_ROPE_SCALING_NONE || scaling == PLUMB_ROPE_SCALING_LINEAR)
		return PLUMB_OK;
	float *value = malloc(sizeof *value * (size_t)n);
	if (!value)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld factors of RoPE", (long long)n);
	enum plumb_status s = PLUMB_OK;
	for (int list = 0; !s && list < (scaling == PLUMB_ROPE_SCALING_LONG ? 2 : 1); list++) {
		s = rope_scaling_fill(m, list, value);
		if (!s)
			s = plumb_tensor_new(m->ctx, &m->freqs[list], PLUMB_F32, 1, &n);
		if (!s)
			s = plumb_tensor_write(&m->freqs[list], value, sizeof *value * (size_t)n);
	}
	free(value);
	return s;
}

bool plumb_model_rope(const struct plumb_model *m, int64_t layer, int64_t position, int64_t length,
	struct plumb_rope *rope, const struct plumb_tensor **freqs)
{
	const struct plumb_config *c = &m->config;
	const struct plumb_layer_config *l = plumb_config_layer(c, layer);
	const bool linear = l->rope_scaled && c->rope_scaling == PLUMB_ROPE_SCALING_LINEAR,
			   by_lists = l->rope_scaled && !linear && c->rope_scaling != PLUMB_ROPE_SCALING_NONE,
			   beyond = c->rope_scaling == PLUMB_ROPE_SCALING_LONG && (double)length > c->rope_original;
	*rope = (struct plumb_rope){
		.pos = position,
		.head_dim = c->head_dim,
		.rotated = c->rotated,
		.base = l->rope_base,
		.factor = linear ? c->rope_factor : 1,
		.scale = by_lists ? c->rope_attention : 1,
		.pairs = c->rope_pairs,
	};
	*freqs = by_lists ? &m->freqs[beyond] : NULL;
	return l->rope;
}
