/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that files of every family have: what describes the file, its tokenizer, and other programs' notes. */
#include <string.h>
#include "model/family.h"

static enum plumb_use family_common_file_type(const struct plumb_family *family,
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)family;
	(void)file;
	(void)why;
	return plumb_family_text_is(m, "model") ? PLUMB_USE_HARMLESS : PLUMB_USE_REFUSED;
}

static enum plumb_use family_common_block_version(const struct plumb_family *family,
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)family;
	(void)file;
	if (m->kind != PLUMB_META_INT || m->i != 2)
		return PLUMB_USE_IGNORED;
	*why = "that of the blocks which plumb reads";
	return PLUMB_USE_HARMLESS;
}

static enum plumb_use family_common_off(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	(void)family;
	(void)file;
	if (!plumb_family_is_neutral(m, PLUMB_NEUTRAL_0))
		return PLUMB_USE_IGNORED;
	*why = "switched off";
	return PLUMB_USE_HARMLESS;
}

static enum plumb_use family_common_nothing(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	(void)family;
	(void)file;
	if (m->kind != PLUMB_META_ARRAY || m->n)
		return PLUMB_USE_IGNORED;
	*why = "an empty list";
	return PLUMB_USE_HARMLESS;
}

#define READ(key) \
	{ \
		.name = key, .use = PLUMB_USE_READ, .why = "" \
	}
#define HARMLESS(key, text) \
	{ \
		.name = key, .use = PLUMB_USE_HARMLESS, .why = text \
	}
#define REFUSED(key, text) \
	{ \
		.name = key, .use = PLUMB_USE_REFUSED, .why = text ", which plumb does not compute" \
	}
#define JUDGED(key, function, text) \
	{ \
		.name = key, .why = text, .judge = function \
	}
const struct plumb_key_row plumb_family_common[] = {
	READ("general.architecture"),
	READ("general.name"),
	READ("general.alignment"),
	JUDGED("general.type", family_common_file_type, "only a file of the type \"model\" can be run"),
	HARMLESS("general.file_type", "each tensor states its own type"),
	JUDGED("general.quantization_version", family_common_block_version,
		"plumb reads blocks of version 2; others would be read wrongly"),
	HARMLESS("general.sampling.*", "advice on sampling; the values are those of the command line"),
	{ .name = "general.tensor_extra.*",
		.use = PLUMB_USE_IGNORED,
		.why = "plumb takes no notes on single tensors" },
	HARMLESS("general.*", "says where the file comes from"),
	READ("tokenizer.ggml.model"),
	READ("tokenizer.ggml.pre"),
	READ("tokenizer.ggml.tokens"),
	READ("tokenizer.ggml.token_type"),
	READ("tokenizer.ggml.merges"),
	READ("tokenizer.ggml.bos_token_id"),
	READ("tokenizer.ggml.eos_token_id"),
	READ("tokenizer.ggml.padding_token_id"),
	READ("tokenizer.ggml.add_bos_token"),
	READ("tokenizer.chat_template"),
	HARMLESS("tokenizer.chat_template.*", "a further template; tokenizer.chat_template is the one in use"),
	HARMLESS(
		"tokenizer.chat_templates", "names of further templates; tokenizer.chat_template is the one in use"),
	READ("tokenizer.ggml.add_eos_token"),
	JUDGED("tokenizer.ggml.add_sep_token", family_common_off, "plumb appends no separator to a text"),
	READ("tokenizer.ggml.eot_token_id"),
	READ("tokenizer.ggml.eom_token_id"),
	READ("tokenizer.ggml.eog_token_ids"),
	JUDGED(
		"tokenizer.ggml.normalizer.lowercase", family_common_off, "plumb does not change a text's letters"),
	JUDGED("tokenizer.ggml.normalizer.strip_accents", family_common_off,
		"plumb does not change a text's letters"),
	JUDGED("tokenizer.ggml.suppress_tokens", family_common_nothing, "plumb may sample these tokens"),
	READ("tokenizer.ggml.scores"),
	HARMLESS("tokenizer.ggml.token_type_count", "of encoders only"),
	READ("tokenizer.ggml.unknown_token_id"),
	HARMLESS("tokenizer.ggml.seperator_token_id", "of encoders only"),
	HARMLESS("tokenizer.ggml.cls_token_id", "of encoders only"),
	HARMLESS("tokenizer.ggml.mask_token_id", "of encoders only"),
	READ("tokenizer.ggml.add_space_prefix"),
	READ("tokenizer.ggml.remove_extra_whitespaces"),
	HARMLESS("tokenizer.ggml.precompiled_charsmap", "of the model t5 only"),
	HARMLESS("tokenizer.ggml.fim_*", "for filling in the middle, which no command does"),
	HARMLESS("tokenizer.ggml.prefix_token_id", "for filling in the middle, which no command does"),
	HARMLESS("tokenizer.ggml.suffix_token_id", "for filling in the middle, which no command does"),
	HARMLESS("tokenizer.ggml.middle_token_id", "for filling in the middle, which no command does"),
	HARMLESS("tokenizer.huggingface.json", "read where there is no tokenizer.ggml.model"),
	{ .name = "tokenizer.*",
		.use = PLUMB_USE_IGNORED,
		.why = "plumb does not know it; if it changes how text is split, the tokens are wrong" },
	READ("split.*"),
	{ .name = "adapter.*",
		.use = PLUMB_USE_REFUSED,
		.why = "the file is an adapter to another model's weights" },
	{ .name = "clip.*", .use = PLUMB_USE_REFUSED, .why = "the file is an encoder of pictures or sound" },
	{ .name = "xielu.*", .use = PLUMB_USE_REFUSED, .why = "an activation that plumb does not compute" },
	HARMLESS("quantize.*", "says how the file was made"),
	/* What of a folder's config.json has no other name (format/folder_config.c). */
	REFUSED("config.json.quantization*", "weights quantised as GPTQ, AWQ, bitsandbytes or others do"),
	REFUSED("config.json.compression_config", "compressed weights"),
	REFUSED(
		"config.json.use_bidirectional_attention", "attention without a causal mask (an embedding model)"),
	REFUSED("config.json.is_causal", "attention without a causal mask (an embedding model)"),
	REFUSED("config.json.is_encoder_decoder", "an encoder and a decoder"),
	REFUSED("config.json.*cross_attention*", "attention to another model's output"),
	REFUSED("config.json.clip_qkv", "bounds of queries, keys and values"),
	REFUSED("config.json.use_mrope", "RoPE by sections"),
	REFUSED("config.json.full_attn_mod", "layers of sparse attention"),
	REFUSED("config.json.interpolate_factor", "a scaling of positions"),
	REFUSED("config.json.pruned_heads", "heads that are left out"),
	REFUSED("config.json.adapters", "an adapter"),
	REFUSED("config.json.rope_interleaved", "RoPE of neighbouring elements in a folder"),
	REFUSED("config.json.rope_scaling.*", "a parameter of RoPE's scaling"),
	{ .name = "config.json.*",
		.use = PLUMB_USE_IGNORED,
		.why = "plumb does not know it; if it changes the model, the results are wrong" },
	READ("plumb.rope.pairs"),
	READ("plumb.norm.offset"),
	{ .name = "plumb.*",
		.use = PLUMB_USE_REFUSED,
		.why = "a convention that this version of plumb does not know" },
	HARMLESS("*", "outside the names that describe a model"),
	{ .name = NULL },
};
