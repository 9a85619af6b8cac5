/* SPDX-License-Identifier: Apache-2.0 */
/* What config.json says of single layers: which have a sliding window, and which do not rotate. */
#include "format/folder.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A list of one value for each layer; NULL: there is none. */
static enum plumb_status folder_layers_list(
	const struct plumb_folder *f, const char *key, const json_t **list)
{
	*list = plumb_folder_value(f->config, key);
	if (*list && !json_is_array(*list))
		return plumb_fail(PLUMB_E_FORMAT, "%s is not a list", key);
	if (*list && (int64_t)json_array_size(*list) != f->layers)
		return plumb_fail(PLUMB_E_FORMAT, "%s has %zu values, num_hidden_layers is %" PRId64, key,
			json_array_size(*list), f->layers);
	return PLUMB_OK;
}

/* rotates[i]: 1 where layer i does; Transformers' name for it says the contrary. */
static enum plumb_status folder_layers_rope(struct plumb_folder *f, unsigned char *rotates)
{
	const json_t *list;
	int64_t step;
	PLUMB_TRY(folder_layers_list(f, "no_rope_layers", &list));
	PLUMB_TRY(plumb_folder_whole(f->config, "no_rope_layer_interval", 1, INT32_MAX, 4, &step));
	for (int64_t i = 0; i < f->layers; i++) {
		const json_t *v = json_array_get(list, (size_t)i);
		const json_int_t value = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
		if (list && ((!json_is_integer(v) && !json_is_boolean(v)) || value < 0 || value > 1))
			return plumb_fail(PLUMB_E_FORMAT, "no_rope_layers: value %" PRId64 " is neither 0 nor 1", i);
		rotates[i] = list ? (unsigned char)value : (i + 1) % step != 0;
	}
	plumb_folder_add_flags(f, ".plumb.rope_layers", rotates, f->layers);
	return f->status;
}

/* What a family does where layer_types is missing. */
static enum plumb_status folder_layers_usual(
	const struct plumb_folder *f, const unsigned char *rotates, unsigned char *has)
{
	int64_t first = 0, step = 0;
	if (f->type == PLUMB_FOLDER_QWEN2 || f->type == PLUMB_FOLDER_QWEN3)
		PLUMB_TRY(plumb_folder_whole(f->config, "max_window_layers", 0, INT32_MAX, 28, &first));
	if (f->type == PLUMB_FOLDER_GEMMA3) {
		PLUMB_TRY(plumb_folder_whole(f->config, "_sliding_window_pattern", 1, INT32_MAX, 6, &step));
		PLUMB_TRY(plumb_folder_whole(f->config, "sliding_window_pattern", 1, INT32_MAX, step, &step));
	}
	for (int64_t i = 0; i < f->layers; i++)
		has[i] = i >= first && (step == 0 || (i + 1) % step != 0) && !rotates[i];
	return PLUMB_OK;
}

static enum plumb_status folder_layers_types(const json_t *list, unsigned char *has)
{
	size_t i;
	json_t *v;
	json_array_foreach(list, i, v) {
		const char *name = json_string_value(v);
		char quote[PLUMB_QUOTE];
		if (!name)
			return plumb_fail(PLUMB_E_FORMAT, "layer_types: value %zu is not text", i);
		has[i] = strcmp(name, "sliding_attention") == 0;
		if (!has[i] && strcmp(name, "full_attention") != 0)
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"layer_types: layer %zu is \"%s\"; plumb knows full_attention and sliding_attention", i,
				plumb_quote((struct plumb_span){ name, strlen(name) }, quote));
	}
	return PLUMB_OK;
}

/* Length of the window of the layers that have one; 0: no layer has. */
static enum plumb_status folder_layers_window(const struct plumb_folder *f, int64_t *window)
{
	const bool by_flag = f->type == PLUMB_FOLDER_QWEN2 || f->type == PLUMB_FOLDER_QWEN3 ||
		f->type == PLUMB_FOLDER_SMOLLM3;
	const bool usual = by_flag || f->type == PLUMB_FOLDER_MISTRAL || f->type == PLUMB_FOLDER_GEMMA3;
	const bool ever = usual || f->type == PLUMB_FOLDER_PHI3;
	bool used;
	/* Absent: the class's own; null: none. */
	const bool null = json_is_null(json_object_get(f->config, "sliding_window"));
	PLUMB_TRY(plumb_folder_flag(f->config, "use_sliding_window", !by_flag, &used));
	PLUMB_TRY(plumb_folder_whole(f->config, "sliding_window", 1, INT32_MAX,
		usual && !null && f->type != PLUMB_FOLDER_SMOLLM3 ? 4096 : 0, window));
	if (!ever || (by_flag && !used))
		*window = 0;
	return PLUMB_OK;
}

static enum plumb_status folder_layers_read(
	struct plumb_folder *f, unsigned char *rotates, unsigned char *has)
{
	const json_t *types;
	int64_t window;
	bool any = false;
	if (f->type == PLUMB_FOLDER_SMOLLM3)
		PLUMB_TRY(folder_layers_rope(f, rotates));
	PLUMB_TRY(folder_layers_list(f, "layer_types", &types));
	PLUMB_TRY(folder_layers_window(f, &window));
	PLUMB_TRY(types ? folder_layers_types(types, has) : folder_layers_usual(f, rotates, has));
	for (int64_t i = 0; i < f->layers; i++)
		any |= has[i];
	if (types && any && window == 0 && f->type != PLUMB_FOLDER_GEMMA3)
		return plumb_fail(PLUMB_E_FORMAT,
			"layer_types names layers with sliding_attention, and there is no sliding_window in use");
	/* A window that is never shorter than what a position sees is none, but in Gemma 3 its layers have
	 * another RoPE. */
	if (!any || (f->type != PLUMB_FOLDER_GEMMA3 && (window == 0 || window >= f->context)))
		return PLUMB_OK;
	plumb_folder_add_whole(f, ".attention.sliding_window", window > 0 ? window : f->context);
	plumb_folder_add_flags(f, ".attention.sliding_window_pattern", has, f->layers);
	return f->status;
}

enum plumb_status plumb_folder_layers(struct plumb_folder *f)
{
	/* By f->layers, which config.json may say as it likes, up to a million: bytes. */
	unsigned char *flags = calloc((size_t)f->layers, 2);
	if (!flags)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %" PRId64 " layers", f->layers);
	enum plumb_status s = folder_layers_read(f, flags, flags + f->layers);
	free(flags);
	return s;
}
