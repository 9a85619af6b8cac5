/* SPDX-License-Identifier: Apache-2.0 */
/* RoPE as config.json has it: rope_theta and rope_scaling beside other keys (Transformers 4), or all of it in
 * rope_parameters, where Gemma 3 has an object for each kind of layer (5). */
#include "format/folder.h"
#include "core/core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keys of the objects; others become config.json.rope_scaling.KEY. */
static const char *const known[] = { "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor",
	"original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow",
	"attention_factor", "mscale", "mscale_all_dim", "short_factor", "long_factor", "finetuned" };

static enum plumb_status folder_rope_object(const json_t *from, const char *key, const json_t **object)
{
	*object = plumb_folder_value(from, key);
	return !*object || json_is_object(*object) ? PLUMB_OK
											   : plumb_fail(PLUMB_E_FORMAT, "%s is not an object", key);
}

/* A key that may stand in two places: in both it must say the same. */
static enum plumb_status folder_rope_either(const json_t *a, const json_t *b, const char *key, double low,
	double high, double fallback, double *value)
{
	double other;
	PLUMB_TRY(plumb_folder_number(b, key, low, high, fallback, &other));
	PLUMB_TRY(plumb_folder_number(a, key, low, high, other, value));
	if (plumb_folder_value(a, key) && plumb_folder_value(b, key) && *value != other)
		return plumb_fail(PLUMB_E_FORMAT, "%s is there twice, with different values", key);
	return PLUMB_OK;
}

/* All that the file says of RoPE in layers that see everything, as one object, and in those with a window. */
static enum plumb_status folder_rope_merge(struct plumb_folder *f, json_t *full, const json_t **local)
{
	const json_t *parameters, *scaling, *inner;
	const char *key;
	json_t *value;
	PLUMB_TRY(folder_rope_object(f->config, "rope_parameters", &parameters));
	PLUMB_TRY(folder_rope_object(f->config, "rope_scaling", &scaling));
	PLUMB_TRY(folder_rope_object(parameters, "sliding_attention", local));
	PLUMB_TRY(folder_rope_object(parameters, "full_attention", &inner));
	if ((inner || *local) && f->type != PLUMB_FOLDER_GEMMA3)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "rope_parameters by kind of layer, which only Gemma 3 has");
	if (*local && !inner)
		parameters = NULL;
	json_object_foreach((json_t *)(uintptr_t)(inner ? inner : parameters), key, value)
		if (json_object_set(full, key, value))
			return plumb_fail(PLUMB_E_MEMORY, "no memory for RoPE's parameters");
	json_object_foreach((json_t *)(uintptr_t)scaling, key, value) {
		const json_t *other = plumb_folder_value(full, key);
		if (other && !json_equal(other, value))
			return plumb_fail(PLUMB_E_FORMAT, "%s differs in rope_parameters and rope_scaling", key);
		if (json_object_set(full, key, value))
			return plumb_fail(PLUMB_E_MEMORY, "no memory for RoPE's parameters");
	}
	return PLUMB_OK;
}

static enum plumb_status folder_rope_type(
	const struct plumb_folder *f, const json_t *object, const char **type)
{
	const char *old;
	PLUMB_TRY(plumb_folder_string(object, "type", "default", &old));
	PLUMB_TRY(plumb_folder_string(object, "rope_type", old, type));
	if (plumb_folder_value(object, "type") && strcmp(*type, old) != 0)
		return plumb_fail(PLUMB_E_FORMAT, "rope_type and type of RoPE's scaling differ");
	/* As Transformers takes the names of the first files. */
	if (strcmp(*type, "su") == 0 || (f->type == PLUMB_FOLDER_PHI3 && strcmp(*type, "yarn") == 0))
		*type = "longrope";
	return PLUMB_OK;
}

static enum plumb_status folder_rope_factors(
	struct plumb_folder *f, const json_t *full, const char *from, const char *to, int64_t rotated)
{
	const json_t *list = plumb_folder_value(full, from), *v;
	const size_t n = json_array_size(list);
	size_t i;
	if (!json_is_array(list) || n != (size_t)rotated / 2)
		return plumb_fail(PLUMB_E_FORMAT, "%s must be a list of %lld numbers, half of what is rotated", from,
			(long long)rotated / 2);
	double *number = calloc(n + 1, sizeof *number);
	if (!number)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu numbers of %s", n, from);
	for (i = 0; i < n && json_is_number(v = json_array_get(list, i)) && json_number_value(v) > 0; i++)
		number[i] = json_number_value(v);
	if (i < n)
		f->status = plumb_fail(PLUMB_E_FORMAT, "%s: value %zu is no positive number", from, i);
	else
		plumb_folder_add_numbers(f, to, number, (int64_t)n);
	free(number);
	return f->status;
}

static enum plumb_status folder_rope_llama3(struct plumb_folder *f, const json_t *full)
{
	double factor, low, high;
	PLUMB_TRY(plumb_folder_number(full, "factor", 1e-6, 1e6, NAN, &factor));
	PLUMB_TRY(plumb_folder_number(full, "low_freq_factor", 1e-6, 1e6, NAN, &low));
	PLUMB_TRY(plumb_folder_number(full, "high_freq_factor", 1e-6, 1e6, NAN, &high));
	if (low >= high)
		return plumb_fail(PLUMB_E_FORMAT, "low_freq_factor is not below high_freq_factor");
	plumb_folder_add_number(f, ".rope.scaling.factor", factor);
	plumb_folder_add_number(f, ".rope.scaling.low_freq_factor", low);
	plumb_folder_add_number(f, ".rope.scaling.high_freq_factor", high);
	return f->status;
}

static double folder_rope_magnitude(double factor, double scale)
{
	return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

/* Cosine and sine are multiplied by attention_factor. GGUF's attn_factor is what YaRN's own, which depends on
 * the factor alone, is multiplied by. */
static enum plumb_status folder_rope_yarn(struct plumb_folder *f, const json_t *full, double original)
{
	double factor, fast, slow, usual, attention, one, all;
	PLUMB_TRY(plumb_folder_number(full, "factor", 1e-6, 1e6, (double)f->context / original, &factor));
	PLUMB_TRY(plumb_folder_number(full, "beta_fast", 0, 1e6, 32, &fast));
	PLUMB_TRY(plumb_folder_number(full, "beta_slow", 0, 1e6, 1, &slow));
	PLUMB_TRY(plumb_folder_number(full, "mscale", 0, 1e6, 0, &one));
	PLUMB_TRY(plumb_folder_number(full, "mscale_all_dim", 0, 1e6, 0, &all));
	usual = folder_rope_magnitude(factor, 1);
	if (one > 0 && all > 0)
		attention = folder_rope_magnitude(factor, one) / folder_rope_magnitude(factor, all);
	else
		attention = usual;
	PLUMB_TRY(plumb_folder_number(full, "attention_factor", 1e-6, 1e6, attention, &attention));
	plumb_folder_add_number(f, ".rope.scaling.factor", factor);
	plumb_folder_add_number(f, ".rope.scaling.yarn_beta_fast", fast > 0 ? fast : 32);
	plumb_folder_add_number(f, ".rope.scaling.yarn_beta_slow", slow > 0 ? slow : 1);
	if (attention != usual)
		plumb_folder_add_number(f, ".rope.scaling.attn_factor", attention / usual);
	return f->status;
}

static enum plumb_status folder_rope_long(
	struct plumb_folder *f, const json_t *full, double original, int64_t rotated)
{
	double factor, attention;
	PLUMB_TRY(plumb_folder_number(full, "factor", 1e-6, 1e6, (double)f->context / original, &factor));
	attention = factor <= 1 || original <= 1 ? 1 : sqrt(1 + log(factor) / log(original));
	PLUMB_TRY(plumb_folder_number(full, "attention_factor", 1e-6, 1e6, attention, &attention));
	PLUMB_TRY(folder_rope_factors(f, full, "short_factor", ".rope.scaling.short_factors", rotated));
	PLUMB_TRY(folder_rope_factors(f, full, "long_factor", ".rope.scaling.long_factors", rotated));
	plumb_folder_add_number(f, ".rope.scaling.attn_factor", attention);
	return f->status;
}

static enum plumb_status folder_rope_scaling(struct plumb_folder *f, const json_t *full, int64_t rotated)
{
	const char *type;
	double original, factor;
	/* The class of phi3 has a number of its own, which holds before the context's. */
	const double usual = f->type == PLUMB_FOLDER_PHI3 ? 4096 : (double)f->context;
	PLUMB_TRY(folder_rope_type(f, full, &type));
	if (strcmp(type, "default") == 0)
		return PLUMB_OK;
	PLUMB_TRY(
		folder_rope_either(full, f->config, "original_max_position_embeddings", 1, 1e12, usual, &original));
	plumb_folder_add_text(f, ".rope.scaling.type", type);
	if (strcmp(type, "linear") == 0) {
		PLUMB_TRY(plumb_folder_number(full, "factor", 1e-6, 1e6, NAN, &factor));
		plumb_folder_add_number(f, ".rope.scaling.factor", factor);
		return f->status;
	}
	plumb_folder_add_whole(f, ".rope.scaling.original_context_length", (int64_t)original);
	if (strcmp(type, "llama3") == 0)
		return folder_rope_llama3(f, full);
	if (strcmp(type, "yarn") == 0)
		return folder_rope_yarn(f, full, original);
	if (strcmp(type, "longrope") == 0)
		return folder_rope_long(f, full, original, rotated);
	return f->status; /* its name alone, by which it is refused */
}

static enum plumb_status folder_rope_local(struct plumb_folder *f, const json_t *local)
{
	const char *type;
	double base;
	/* rope_theta in an object of its own, or under another name beside it. */
	PLUMB_TRY(plumb_folder_number(f->config, "rope_local_base_freq", 1e-6, 1e12, 1e4, &base));
	PLUMB_TRY(plumb_folder_number(local, "rope_theta", 1e-6, 1e12, base, &base));
	PLUMB_TRY(folder_rope_type(f, local, &type));
	if (strcmp(type, "default") != 0)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"rope_parameters: a scaling of RoPE in layers with a window, which plumb does not compute");
	plumb_folder_add_number(f, ".rope.freq_base_swa", base);
	return f->status;
}

static enum plumb_status folder_rope_read(struct plumb_folder *f, json_t *full)
{
	const json_t *local;
	const char *key;
	double base, part;
	json_t *value;
	PLUMB_TRY(folder_rope_merge(f, full, &local));
	PLUMB_TRY(folder_rope_either(full, f->config, "rope_theta", 1e-6, 1e12, f->family->base, &base));
	PLUMB_TRY(folder_rope_either(full, f->config, "partial_rotary_factor", 0, 1, 1, &part));
	const int64_t rotated = (int64_t)((double)f->head_dim * part);
	if (rotated < 2 || rotated % 2 != 0)
		return plumb_fail(PLUMB_E_FORMAT,
			"%lld elements of a head of %lld are rotated, expected an even number of at least 2",
			(long long)rotated, (long long)f->head_dim);
	plumb_folder_add_number(f, ".rope.freq_base", base);
	plumb_folder_add_whole(f, ".rope.dimension_count", rotated);
	PLUMB_TRY(folder_rope_scaling(f, full, rotated));
	if (f->type == PLUMB_FOLDER_GEMMA3)
		PLUMB_TRY(folder_rope_local(f, local));
	json_object_foreach(full, key, value) {
		bool is_known = json_is_null(value);
		for (size_t i = 0; i < sizeof known / sizeof *known && !is_known; i++)
			is_known = strcmp(key, known[i]) == 0;
		if (!is_known)
			plumb_folder_add_unknown(f, "config.json.rope_scaling", key, value);
	}
	return f->status;
}

enum plumb_status plumb_folder_rope(struct plumb_folder *f)
{
	json_t *full = json_object();
	enum plumb_status s = full ? folder_rope_read(f, full)
							   : plumb_fail(PLUMB_E_MEMORY, "no memory for RoPE's parameters");
	json_decref(full);
	return s;
}
