/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of a model folder: which family it is, and each key under GGUF's name. What a config.json may
 * leave out has the value of Transformers' class. */
#include "format/folder.h"
#include "core/core.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Defaults as in Transformers 5.23; 4 has the same. */
const struct plumb_folder_family plumb_folder_families[PLUMB_FOLDER_TYPES] = {
	[PLUMB_FOLDER_QWEN2] = { "qwen2", "qwen2", { "Qwen2ForCausalLM" }, 32, 0, 32768, 1e-6, 1e4, false,
		false },
	[PLUMB_FOLDER_QWEN3] = { "qwen3", "qwen3", { "Qwen3ForCausalLM" }, 32, 128, 32768, 1e-6, 1e4, false,
		false },
	[PLUMB_FOLDER_LLAMA] = { "llama", "llama", { "LlamaForCausalLM" }, 0, 0, 2048, 1e-6, 1e4, false, false },
	[PLUMB_FOLDER_MISTRAL] = { "mistral", "llama", { "MistralForCausalLM" }, 8, 0, 131072, 1e-6, 1e4, false,
		false },
	[PLUMB_FOLDER_SMOLLM3] = { "smollm3", "smollm3", { "SmolLM3ForCausalLM" }, 4, 0, 32768, 1e-6, 2e6, true,
		false },
	[PLUMB_FOLDER_GRANITE] = { "granite", "granite", { "GraniteForCausalLM" }, 0, 0, 2048, 1e-6, 1e4, false,
		false },
	[PLUMB_FOLDER_GEMMA3] = { "gemma3_text", "gemma3",
		{ "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration" }, 4, 256, 131072, 1e-6, 1e6, true, true },
	[PLUMB_FOLDER_PHI3] = { "phi3", "phi3", { "Phi3ForCausalLM" }, 0, 0, 4096, 1e-5, 1e4, false, false },
	[PLUMB_FOLDER_OLMO2] = { "olmo2", "olmo2", { "Olmo2ForCausalLM" }, 0, 0, 2048, 1e-5, 1e4, false, true },
};

/* READ: by code, here or in another file. NUMBER: as `to`, if it is there. HARMLESS: changes no number that
 * plumb computes. OFF: the same as long as it is false, 0 or empty, ONE: as long as it is 1 or true; else, as
 * any key that no row names, it becomes config.json.KEY, of which src/model says whether that can be run. */
enum use { READ, NUMBER, HARMLESS, OFF, ONE };
#define OF(type) (1u << PLUMB_FOLDER_##type)
#define ALL 0u
static const struct {
	const char *key;
	enum use use;
	unsigned types;
	const char *to;
} rows[] = {
	{ "model_type", READ, ALL, NULL },
	{ "architectures", READ, ALL, NULL },
	{ "hidden_size", READ, ALL, NULL },
	{ "intermediate_size", READ, ALL, NULL },
	{ "num_hidden_layers", READ, ALL, NULL },
	{ "num_attention_heads", READ, ALL, NULL },
	{ "num_key_value_heads", READ, ALL, NULL },
	{ "head_dim", READ, ALL, NULL },
	{ "max_position_embeddings", READ, ALL, NULL },
	{ "vocab_size", READ, ALL, NULL },
	{ "rms_norm_eps", READ, ALL, NULL },
	{ "tie_word_embeddings", READ, ALL, NULL },
	{ "attention_bias", READ, ALL, NULL },
	{ "mlp_bias", READ, ALL, NULL },
	{ "lm_head_bias", READ, ALL, NULL },
	{ "bos_token_id", READ, ALL, NULL },
	{ "eos_token_id", READ, ALL, NULL },
	{ "pad_token_id", READ, ALL, NULL },
	{ "hidden_activation", READ, OF(GEMMA3), NULL },
	{ "hidden_act", HARMLESS, OF(GEMMA3), NULL }, /* hidden_activation holds */
	{ "hidden_act", READ, ALL, NULL },
	{ "rope_theta", READ, ALL, NULL },
	{ "rope_scaling", READ, ALL, NULL },
	{ "rope_parameters", READ, ALL, NULL },
	{ "partial_rotary_factor", READ, ALL, NULL },
	{ "original_max_position_embeddings", READ, ALL, NULL },
	{ "rope_local_base_freq", READ, OF(GEMMA3), NULL },
	{ "layer_types", READ, ALL, NULL },
	{ "sliding_window", READ, OF(QWEN2) | OF(QWEN3) | OF(MISTRAL) | OF(SMOLLM3) | OF(GEMMA3) | OF(PHI3),
		NULL },
	{ "use_sliding_window", READ, OF(QWEN2) | OF(QWEN3) | OF(SMOLLM3), NULL },
	{ "max_window_layers", READ, OF(QWEN2) | OF(QWEN3), NULL },
	{ "max_window_layers", HARMLESS, OF(SMOLLM3), NULL }, /* its class has no such thing */
	{ "sliding_window_pattern", READ, OF(GEMMA3), NULL },
	{ "_sliding_window_pattern", READ, OF(GEMMA3), NULL },
	{ "no_rope_layers", READ, OF(SMOLLM3), NULL },
	{ "no_rope_layer_interval", READ, OF(SMOLLM3), NULL },
	{ "query_pre_attn_scalar", READ, OF(GEMMA3), NULL },
	{ "attention_multiplier", READ, OF(GRANITE), NULL },
	{ "embedding_multiplier", NUMBER, OF(GRANITE), ".embedding_scale" },
	{ "residual_multiplier", NUMBER, OF(GRANITE), ".residual_scale" },
	{ "logits_scaling", NUMBER, OF(GRANITE), ".logit_scale" },
	{ "attn_logit_softcapping", NUMBER, OF(GEMMA3), ".attn_logit_softcapping" },
	{ "final_logit_softcapping", NUMBER, OF(GEMMA3), ".final_logit_softcapping" },
	/* What would change the arithmetic. */
	{ "quantization_config", OFF, ALL, NULL },
	{ "compression_config", OFF, ALL, NULL },
	{ "quantization", OFF, ALL, NULL },
	{ "use_bidirectional_attention", OFF, ALL, NULL },
	{ "is_causal", ONE, ALL, NULL },
	{ "is_encoder_decoder", OFF, ALL, NULL },
	{ "add_cross_attention", OFF, ALL, NULL },
	{ "cross_attention_hidden_size", OFF, ALL, NULL },
	{ "clip_qkv", OFF, ALL, NULL },
	{ "use_mrope", OFF, ALL, NULL },
	{ "full_attn_mod", ONE, OF(PHI3), NULL },
	{ "interpolate_factor", ONE, OF(PHI3), NULL },
	{ "chunk_size_feed_forward", HARMLESS, ALL, NULL }, /* the same numbers in parts */
	{ "pretraining_tp", HARMLESS, ALL, NULL },
	{ "pruned_heads", OFF, ALL, NULL },
	{ "adapters", OFF, ALL, NULL },
	/* Of training. */
	{ "attention_dropout", HARMLESS, ALL, NULL },
	{ "attn_pdrop", HARMLESS, ALL, NULL },
	{ "embd_pdrop", HARMLESS, ALL, NULL },
	{ "resid_pdrop", HARMLESS, ALL, NULL },
	{ "hidden_dropout", HARMLESS, ALL, NULL },
	{ "initializer_range", HARMLESS, ALL, NULL },
	{ "problem_type", HARMLESS, ALL, NULL },
	{ "finetuning_task", HARMLESS, ALL, NULL },
	{ "_flash_attn_2_enabled", HARMLESS, ALL, NULL },
	{ "unsloth_fixed", HARMLESS, ALL, NULL },
	{ "unsloth_version", HARMLESS, ALL, NULL },
	/* How Transformers runs it, and where it comes from; the tensors state their own types. */
	{ "dtype", HARMLESS, ALL, NULL },
	{ "torch_dtype", HARMLESS, ALL, NULL },
	{ "transformers_version", HARMLESS, ALL, NULL },
	{ "use_cache", HARMLESS, ALL, NULL },
	{ "cache_implementation", HARMLESS, ALL, NULL },
	{ "auto_map", HARMLESS, ALL, NULL },
	{ "_name_or_path", HARMLESS, ALL, NULL },
	{ "_attn_implementation", HARMLESS, ALL, NULL },
	{ "_attn_implementation_autoset", HARMLESS, ALL, NULL },
	{ "attn_implementation", HARMLESS, ALL, NULL },
	{ "is_decoder", HARMLESS, ALL, NULL },
	{ "is_llama_config", HARMLESS, OF(LLAMA), NULL },
	{ "rope_interleaved", OFF, ALL, NULL },
	{ "output_attentions", HARMLESS, ALL, NULL },
	{ "output_hidden_states", HARMLESS, ALL, NULL },
	{ "return_dict", HARMLESS, ALL, NULL },
	{ "return_dict_in_generate", HARMLESS, ALL, NULL },
	{ "torchscript", HARMLESS, ALL, NULL },
	{ "tf_legacy_loss", HARMLESS, ALL, NULL },
	{ "use_bfloat16", HARMLESS, ALL, NULL },
	{ "id2label", HARMLESS, ALL, NULL },
	{ "label2id", HARMLESS, ALL, NULL },
	{ "num_labels", HARMLESS, ALL, NULL },
	{ "transformers.js_config", HARMLESS, ALL, NULL },
	{ "tokenizer_class", HARMLESS, ALL, NULL },
	{ "prefix", HARMLESS, ALL, NULL },
	{ "sep_token_id", HARMLESS, ALL, NULL },
	{ "decoder_start_token_id", HARMLESS, ALL, NULL },
	{ "task_specific_params", HARMLESS, ALL, NULL },
};

/* Of a Gemma 3 that reads pictures, beside its text_config. */
static const char *const around_text[] = { "text_config", "vision_config", "boi_token_index",
	"eoi_token_index", "image_token_index", "mm_tokens_per_image", "boi_token_id", "eoi_token_id",
	"image_token_id" };

static bool folder_config_off(const json_t *value)
{
	return json_is_false(value) || (json_is_number(value) && json_number_value(value) == 0) ||
		(json_is_object(value) && json_object_size(value) == 0) ||
		(json_is_array(value) && json_array_size(value) == 0);
}

/* --- which family --- */

static bool folder_config_class_fits(const struct plumb_folder_family *family, const json_t *classes)
{
	const char *name = json_string_value(json_array_get(classes, 0));
	if (!name)
		return true;
	for (int i = 0; i < 2; i++)
		if (family->class[i] && strcmp(name, family->class[i]) == 0)
			return true;
	return false;
}

/* The architecture is model_type's; one that no table knows keeps the name by which it is refused: model_type
 * or the class, where that computes something else than logits. */
static enum plumb_status folder_config_family(struct plumb_folder *f)
{
	const char *type, *inner;
	PLUMB_TRY(plumb_folder_string(f->whole, "model_type", NULL, &type));
	const json_t *classes = plumb_folder_value(f->whole, "architectures");
	json_t *text = json_object_get(f->whole, "text_config");
	f->config = f->whole;
	if (strcmp(type, "gemma3") == 0 && json_is_object(text)) {
		PLUMB_TRY(plumb_folder_string(text, "model_type", "gemma3_text", &inner));
		if (strcmp(inner, "gemma3_text") == 0) {
			type = inner;
			f->config = text;
		}
	}
	const char *name = type;
	for (int i = 0; i < PLUMB_FOLDER_TYPES; i++) {
		const struct plumb_folder_family *family = &plumb_folder_families[i];
		if (strcmp(type, family->type) != 0)
			continue;
		f->family = folder_config_class_fits(family, classes) ? family : NULL;
		f->type = (enum plumb_folder_type)i;
		name = f->family ? family->architecture : json_string_value(json_array_get(classes, 0));
	}
	plumb_format(f->architecture, sizeof f->architecture, "%.60s", name);
	plumb_folder_add_text(f, "general.architecture", f->architecture);
	return f->status;
}

/* The folder's own name; of one in Hugging Face's cache (models--OWNER--NAME/snapshots/HASH) the model's. */
static void folder_config_name(struct plumb_folder *f)
{
	char *path = realpath(f->path, NULL), *name = NULL, *end;
	if (!path && errno == ENOMEM && !f->status)
		f->status = plumb_fail(PLUMB_E_MEMORY, "no memory for the folder's name");
	if (!path)
		return; /* a name is not needed */
	if ((end = strrchr(path, '/'))) {
		name = end + 1;
		*end = 0;
	}
	if (name && (end = strrchr(path, '/')) && strcmp(end, "/snapshots") == 0) {
		*end = 0;
		end = strstr(path, "models--");
		name = end && !strchr(end, '/') ? end + 8 : name;
		if ((end = strstr(name, "--"))) {
			*end = '/';
			memmove(end + 1, end + 2, strlen(end + 2) + 1);
		}
	}
	if (name && *name)
		plumb_folder_add_text(f, "general.name", name);
	free(path);
}

/* --- numbers --- */

#define MOST INT32_MAX
static enum plumb_status folder_config_sizes(struct plumb_folder *f)
{
	const struct plumb_folder_family *family = f->family;
	const bool gemma = f->type == PLUMB_FOLDER_GEMMA3; /* whose files leave out what is as in the class */
	const json_t *c = f->config;
	int64_t ffn, kv, vocab;
	PLUMB_TRY(plumb_folder_whole(c, "num_hidden_layers", 1, 1000000, gemma ? 26 : -1, &f->layers));
	PLUMB_TRY(plumb_folder_whole(c, "hidden_size", 1, MOST, gemma ? 2304 : -1, &f->hidden));
	PLUMB_TRY(plumb_folder_whole(c, "intermediate_size", 1, MOST, gemma ? 9216 : -1, &ffn));
	PLUMB_TRY(plumb_folder_whole(c, "num_attention_heads", 1, MOST, gemma ? 8 : -1, &f->heads));
	/* null is "as many as heads" even where the class has another number for an absent key. */
	const int64_t other = json_object_get(c, "num_key_value_heads") || !family->kv_heads ? f->heads
																						 : family->kv_heads;
	PLUMB_TRY(plumb_folder_whole(c, "num_key_value_heads", 1, MOST, other, &kv));
	PLUMB_TRY(plumb_folder_whole(c, "head_dim", 1, MOST, family->head_dim, &f->head_dim));
	if (f->head_dim == 0 && f->hidden % f->heads != 0)
		return plumb_fail(PLUMB_E_FORMAT,
			"hidden_size, %lld, is no multiple of num_attention_heads, %lld, and head_dim is missing",
			(long long)f->hidden, (long long)f->heads);
	f->head_dim = f->head_dim > 0 ? f->head_dim : f->hidden / f->heads;
	PLUMB_TRY(plumb_folder_whole(c, "max_position_embeddings", 1, MOST, family->context, &f->context));
	PLUMB_TRY(plumb_folder_whole(c, "vocab_size", 1, MOST, 0, &vocab));
	plumb_folder_add_whole(f, ".block_count", f->layers);
	plumb_folder_add_whole(f, ".context_length", f->context);
	plumb_folder_add_whole(f, ".embedding_length", f->hidden);
	plumb_folder_add_whole(f, ".feed_forward_length", ffn);
	plumb_folder_add_whole(f, ".attention.head_count", f->heads);
	plumb_folder_add_whole(f, ".attention.head_count_kv", kv);
	plumb_folder_add_whole(f, ".attention.key_length", f->head_dim);
	plumb_folder_add_whole(f, ".attention.value_length", f->head_dim);
	if (vocab > 0)
		plumb_folder_add_whole(f, ".vocab_size", vocab);
	return f->status;
}

/* Numbers that have no row because their default is a family's, or their value another's function. */
static enum plumb_status folder_config_numbers(struct plumb_folder *f)
{
	const json_t *c = f->config;
	const char *activation;
	double eps, scale;
	PLUMB_TRY(plumb_folder_number(c, "rms_norm_eps", 0, 1, f->family->eps, &eps));
	plumb_folder_add_number(f, ".attention.layer_norm_rms_epsilon", eps);
	if (f->type == PLUMB_FOLDER_GEMMA3) {
		PLUMB_TRY(plumb_folder_number(c, "query_pre_attn_scalar", 1e-6, 1e9, 256, &scale));
		PLUMB_TRY(plumb_folder_string(c, "hidden_activation", "gelu_pytorch_tanh", &activation));
		plumb_folder_add_number(f, ".attention.scale", 1 / sqrt(scale));
		plumb_folder_add_number(f, "plumb.norm.offset", 1);
	} else {
		PLUMB_TRY(plumb_folder_string(c, "hidden_act", "silu", &activation));
	}
	if (f->type == PLUMB_FOLDER_GRANITE) {
		PLUMB_TRY(plumb_folder_number(c, "attention_multiplier", 1e-9, 1e9, 1, &scale));
		plumb_folder_add_number(f, ".attention.scale", scale);
	}
	plumb_folder_add_text(f, ".hidden_activation", activation);
	plumb_folder_add_text(f, "plumb.rope.pairs", "half");
	return f->status;
}

/* --- all keys --- */

static enum plumb_status folder_config_key(struct plumb_folder *f, const char *key, const json_t *value)
{
	double number;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (strcmp(key, rows[i].key) != 0 || (rows[i].types && !(rows[i].types & (1u << f->type))))
			continue;
		if ((rows[i].use == OFF && !folder_config_off(value)) ||
			(rows[i].use == ONE && json_number_value(value) != 1 && !json_is_true(value)))
			break;
		if (rows[i].use == NUMBER) {
			PLUMB_TRY(plumb_folder_number(f->config, key, -1e30, 1e30, 0, &number));
			plumb_folder_add_number(f, rows[i].to, number);
		}
		return f->status;
	}
	plumb_folder_add_unknown(f, "config.json", key, value);
	return f->status;
}

static bool folder_config_is_around(const char *key)
{
	for (size_t i = 0; i < sizeof around_text / sizeof *around_text; i++)
		if (strcmp(key, around_text[i]) == 0)
			return true;
	return false;
}

static enum plumb_status folder_config_keys(struct plumb_folder *f)
{
	const char *key;
	json_t *value;
	json_object_foreach(f->config, key, value)
		if (!json_is_null(value))
			PLUMB_TRY(folder_config_key(f, key, value));
	if (f->whole == f->config)
		return PLUMB_OK;
	json_object_foreach(f->whole, key, value)
		if (!json_is_null(value) && !folder_config_is_around(key) && !json_object_get(f->config, key))
			PLUMB_TRY(folder_config_key(f, key, value));
	return PLUMB_OK;
}

enum plumb_status plumb_folder_config(struct plumb_folder *f)
{
	PLUMB_TRY(folder_config_family(f));
	folder_config_name(f);
	if (!f->family)
		return f->status;
	PLUMB_TRY(folder_config_sizes(f));
	PLUMB_TRY(folder_config_numbers(f));
	PLUMB_TRY(plumb_folder_rope(f));
	PLUMB_TRY(plumb_folder_layers(f));
	return folder_config_keys(f);
}
