/* SPDX-License-Identifier: Apache-2.0 */
/* Every key that files of a transformer's architecture have or could have; the names are llama.cpp's. */
#include <math.h>
#include "model/family.h"
#include "model/model.h"

#define WHOLE(file, name, fallback) plumb_family_whole(family, file, name, fallback)

static int64_t family_keys_head_dim(const struct plumb_family *family, const struct plumb_file *file)
{
	int64_t hidden = WHOLE(file, "embedding_length", 0), heads = WHOLE(file, "attention.head_count", 0);
	return WHOLE(file, "attention.key_length", heads > 0 ? hidden / heads : 0);
}

static enum plumb_use family_keys_harmless_if(bool harmless, const char *reason, const char **why)
{
	if (!harmless)
		return PLUMB_USE_REFUSED;
	*why = reason;
	return PLUMB_USE_HARMLESS;
}

/* The layers that a window is in are told by a pattern or known of the family. A window that is never shorter
 * than what a position sees is none. */
static enum plumb_use family_keys_window(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	char full[PLUMB_KEY];
	if (family->window_step || plumb_family_key(family, file, "attention.sliding_window_pattern", full))
		return PLUMB_USE_READ;
	int64_t context = WHOLE(file, "context_length", INT64_MAX);
	int64_t length = WHOLE(file, "attention.sliding_window", -1);
	if (m->kind == PLUMB_META_INT || m->kind == PLUMB_META_ARRAY)
		return family_keys_harmless_if(length == 0 || length >= context,
			length ? "no shorter than the context: every position is seen" : "no window", why);
	return PLUMB_USE_REFUSED;
}

/* Of no use without a window. */
static enum plumb_use family_keys_of_window(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	char full[PLUMB_KEY];
	(void)m;
	if (plumb_family_key(family, file, "attention.sliding_window", full))
		return PLUMB_USE_READ;
	return family_keys_harmless_if(true, "of sliding windows only", why);
}

/* Heads are as wide in layers with a window. */
static enum plumb_use family_keys_width_in_window(const struct plumb_family *family,
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	char full[PLUMB_KEY];
	const bool same = m->kind == PLUMB_META_INT && m->i == family_keys_head_dim(family, file),
			   none = !plumb_family_key(family, file, "attention.sliding_window", full);
	return family_keys_harmless_if(
		same || none, none ? "of sliding windows only" : "as wide as in other layers", why);
}

static enum plumb_use family_keys_output_width(const struct plumb_family *family,
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)m;
	return family_keys_harmless_if(
		WHOLE(file, "embedding_length_out", -1) == WHOLE(file, "embedding_length", 0), "that of the model",
		why);
}

static enum plumb_use family_keys_causal(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	(void)family;
	(void)file;
	return family_keys_harmless_if(plumb_family_is_neutral(m, PLUMB_NEUTRAL_1), "attention is causal", why);
}

static enum plumb_use family_keys_activation(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	static const char *const names[][3] = {
		[PLUMB_SILU] = { "silu", "swish", "swiglu" },
		[PLUMB_GELU_TANH] = { "gelu_pytorch_tanh", "gelu_new", "gelu_tanh" },
	};
	bool same = false;
	(void)file;
	for (int i = 0; i < 3; i++)
		same |= plumb_family_text_is(m, names[family->activation][i]);
	return family_keys_harmless_if(same, "the family's own", why);
}

static enum plumb_use family_keys_scaling_type(const struct plumb_family *family,
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)family;
	(void)file;
	(void)why;
	for (int i = 0; i < PLUMB_ROPE_SCALINGS; i++)
		if (plumb_family_text_is(m, plumb_rope_scaling_name(i)))
			return PLUMB_USE_READ;
	return m->kind == PLUMB_META_STRING ? PLUMB_USE_REFUSED : PLUMB_USE_READ; /* refused when it is read */
}

static bool family_keys_scaled_by(
	const struct plumb_family *family, const struct plumb_file *file, enum plumb_rope_scaling scaling)
{
	char full[PLUMB_KEY];
	const struct plumb_meta *type = plumb_family_key(family, file, "rope.scaling.type", full);
	return type && plumb_family_text_is(type, plumb_rope_scaling_name((int)scaling));
}

static enum plumb_use family_keys_of_yarn(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	(void)m;
	if (family_keys_scaled_by(family, file, PLUMB_ROPE_SCALING_YARN))
		return PLUMB_USE_READ;
	return family_keys_harmless_if(true, "of YaRN only", why);
}

static enum plumb_use family_keys_of_llama3(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	if (family_keys_scaled_by(family, file, PLUMB_ROPE_SCALING_LLAMA3))
		return PLUMB_USE_READ;
	return family_keys_harmless_if(
		plumb_family_is_neutral(m, PLUMB_NEUTRAL_0), "a value that changes nothing", why);
}

/* YaRN and LongRoPE scale cosine and sine; others do not. */
static enum plumb_use family_keys_rope_attention(const struct plumb_family *family,
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	if (family_keys_scaled_by(family, file, PLUMB_ROPE_SCALING_YARN) ||
		family_keys_scaled_by(family, file, PLUMB_ROPE_SCALING_LONG) ||
		plumb_file_find(file, PLUMB_ROPE_LONG_TENSOR))
		return PLUMB_USE_READ;
	return family_keys_harmless_if(
		plumb_family_is_neutral(m, PLUMB_NEUTRAL_0_OR_1), "a value that changes nothing", why);
}

static enum plumb_use family_keys_original(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	char full[PLUMB_KEY];
	(void)m;
	if (plumb_family_key(family, file, "rope.scaling.type", full) ||
		plumb_file_find(file, PLUMB_ROPE_LONG_TENSOR))
		return PLUMB_USE_READ;
	return family_keys_harmless_if(true, "of scaled RoPE only", why);
}

static enum plumb_use family_keys_old_scale(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	char full[PLUMB_KEY];
	(void)m;
	if (!plumb_family_key(family, file, "rope.scaling.factor", full))
		return PLUMB_USE_READ;
	*why = "an old name; rope.scaling.factor is there and holds";
	return PLUMB_USE_HARMLESS;
}

static enum plumb_use family_keys_layout(const struct plumb_family *family, const struct plumb_file *file,
	const struct plumb_meta *m, const char **why)
{
	(void)family;
	(void)file;
	return family_keys_harmless_if(plumb_family_text_is(m, "reference"), "the usual one", why);
}

#define READ(key) \
	{ \
		.name = key, .use = PLUMB_USE_READ, .why = "" \
	}
#define HARMLESS(key, text) \
	{ \
		.name = key, .use = PLUMB_USE_HARMLESS, .why = text \
	}
#define UNLESS(key, values, text) \
	{ \
		.name = key, .use = PLUMB_USE_REFUSED, .why = text, .neutral = PLUMB_NEUTRAL_##values \
	}
#define JUDGED(key, function, text) \
	{ \
		.name = key, .use = PLUMB_USE_REFUSED, .why = text, .judge = function \
	}
#define NOT_COMPUTED ", which plumb does not compute"
const struct plumb_key_row plumb_family_keys[] = {
	READ("block_count"),
	READ("context_length"),
	READ("embedding_length"),
	READ("feed_forward_length"),
	READ("attention.head_count"),
	READ("attention.head_count_kv"),
	READ("attention.key_length"),
	READ("attention.value_length"),
	READ("attention.layer_norm_rms_epsilon"),
	READ("rope.freq_base"),
	READ("rope.dimension_count"),
	JUDGED("rope.scaling.type", family_keys_scaling_type, "a scaling of RoPE" NOT_COMPUTED),
	READ("rope.scaling.factor"),
	JUDGED("rope.scale_linear", family_keys_old_scale, ""),
	JUDGED(
		"rope.scaling.attn_factor", family_keys_rope_attention, "a scale of queries and keys" NOT_COMPUTED),
	UNLESS("rope.scaling.yarn_attn_factor", 0_OR_1, "a scale of queries and keys" NOT_COMPUTED),
	UNLESS("rope.scaling.yarn_ext_factor", 0_OR_1, "another part of YaRN's ramp" NOT_COMPUTED),
	UNLESS("rope.scaling.yarn_log_multiplier", 0, "a scale of queries and keys" NOT_COMPUTED),
	JUDGED("rope.scaling.yarn_beta_fast", family_keys_of_yarn, ""),
	JUDGED("rope.scaling.yarn_beta_slow", family_keys_of_yarn, ""),
	HARMLESS("rope.scaling.yarn_orig_ctx_len", "an older name; rope.scaling.original_context_length is read"),
	JUDGED("rope.scaling.low_freq_factor", family_keys_of_llama3,
		"a scaling of RoPE by frequency, without its type \"llama3\""),
	JUDGED("rope.scaling.high_freq_factor", family_keys_of_llama3,
		"a scaling of RoPE by frequency, without its type \"llama3\""),
	READ("rope.scaling.short_factors"),
	READ("rope.scaling.long_factors"),
	JUDGED("rope.scaling.original_context_length", family_keys_original, ""),
	UNLESS("rope.scaling.alpha", 0, "a scaling of RoPE's base" NOT_COMPUTED),
	HARMLESS("rope.scaling.finetuned", "says how the model was trained"),
	READ("plumb.rope_layers"),
	UNLESS("rope.dimension_sections", 0, "rotation by sections" NOT_COMPUTED),
	JUDGED("rope.freq_base_swa", family_keys_of_window, ""),
	UNLESS("rope.dimension_count_swa", NONE, "another partial rotation in layers with a window" NOT_COMPUTED),
	JUDGED("attention.sliding_window", family_keys_window,
		"a sliding window, shorter than the context, and nothing says in which layers" NOT_COMPUTED),
	JUDGED("attention.sliding_window_pattern", family_keys_of_window, ""),
	JUDGED("attention.key_length_swa", family_keys_width_in_window,
		"another width of heads in layers with a window" NOT_COMPUTED),
	JUDGED("attention.value_length_swa", family_keys_width_in_window,
		"another width of heads in layers with a window" NOT_COMPUTED),
	JUDGED("attention.causal", family_keys_causal,
		"attention without a causal mask (an embedding model)" NOT_COMPUTED),
	READ("attention.scale"),
	UNLESS("attention.output_scale", 0_OR_1, "a scale of attention's output" NOT_COMPUTED),
	UNLESS("attention.value_scale", 0_OR_1, "a scale of attention's values" NOT_COMPUTED),
	UNLESS("attention.temperature_*", 0, "a scale of the attention scores by position" NOT_COMPUTED),
	UNLESS("attention.max_alibi_bias", 0, "a bias of the attention scores by distance" NOT_COMPUTED),
	UNLESS("attention.clamp_kqv", 0, "bounds of queries, keys and values" NOT_COMPUTED),
	UNLESS("attn_logit_softcapping", 0, "a bound of the attention scores" NOT_COMPUTED),
	UNLESS("final_logit_softcapping", 0, "a bound of the logits" NOT_COMPUTED),
	UNLESS("router_logit_softcapping", 0, "a bound of the router's scores" NOT_COMPUTED),
	UNLESS("logit_scale", 0_OR_1, "a scale of the logits" NOT_COMPUTED),
	UNLESS("embedding_scale", 0_OR_1, "a scale of the embeddings" NOT_COMPUTED),
	UNLESS("residual_scale", 0_OR_1, "a scale of each branch's result" NOT_COMPUTED),
	UNLESS("pooling_type", 0, "pooling of the outputs (an embedding model)" NOT_COMPUTED),
	JUDGED("embedding_length_out", family_keys_output_width, "an output of another width" NOT_COMPUTED),
	HARMLESS("vocab_size", "the rows of token_embd.weight are counted"),
	HARMLESS("attention.layer_norm_epsilon", "of LayerNorm only; the norms here are RMSNorm"),
	JUDGED("tensor_data_layout", family_keys_layout, "weights in another order" NOT_COMPUTED),
	{ .name = "use_parallel_residual",
		.use = PLUMB_USE_IGNORED,
		.neutral = PLUMB_NEUTRAL_0,
		.why = "early converters wrote it for all families; this one has its blocks in a row" },
	UNLESS("nextn_predict_layers", 0, "layers that predict further tokens" NOT_COMPUTED),
	UNLESS("expert*", 0, "a mixture of experts" NOT_COMPUTED),
	UNLESS("moe*", 0, "a mixture of experts" NOT_COMPUTED),
	UNLESS("interleave_moe_layer_step", 0, "a mixture of experts" NOT_COMPUTED),
	UNLESS("leading_dense_block_count", 0, "a mixture of experts" NOT_COMPUTED),
	UNLESS("swiglu_clamp*", 0, "bounds in the feed-forward block" NOT_COMPUTED),
	UNLESS("activation.*", NONE, "another activation than SiLU" NOT_COMPUTED),
	UNLESS("ssm.*", 0, "recurrent layers" NOT_COMPUTED),
	UNLESS("full_attention_interval", 0_OR_1, "layers without attention" NOT_COMPUTED),
	UNLESS("n_deepstack_layers", 0, "pictures in the residual stream" NOT_COMPUTED),
	UNLESS("embedding_length_per_layer_input", 0, "embeddings of each layer" NOT_COMPUTED),
	UNLESS("attention.*lora_rank", 0, "keys and values of low rank" NOT_COMPUTED),
	UNLESS("attention.*_mla", 0, "keys and values of low rank" NOT_COMPUTED),
	UNLESS("attention.indexer.*", 0, "attention to chosen positions only" NOT_COMPUTED),
	UNLESS("attention.shared_kv_layers", 0, "keys and values shared by layers" NOT_COMPUTED),
	UNLESS("attention.relative_buckets_count", 0, "a bias of the attention scores by distance" NOT_COMPUTED),
	UNLESS("attention.rope_pattern", NONE, "layers without rotation" NOT_COMPUTED),
	UNLESS("attention.group_norm*", 0, "norms of groups" NOT_COMPUTED),
	UNLESS("classifier.*", NONE, "a classifier's output" NOT_COMPUTED),
	UNLESS("decoder_*", NONE, "an encoder and a decoder" NOT_COMPUTED),
	UNLESS("dense_*", NONE, "further matrices behind the output (an embedding model)" NOT_COMPUTED),
	JUDGED("hidden_activation", family_keys_activation, "another activation than the family's" NOT_COMPUTED),
	UNLESS("activation_sparsity_scale", 0, "an activation that keeps the largest values only" NOT_COMPUTED),
	UNLESS("swin_norm", 0, "norms in other places" NOT_COMPUTED),
	UNLESS("rescale_every_n_layers", 0, "a scale of the hidden state between layers" NOT_COMPUTED),
	UNLESS("wkv.*", 0, "recurrent layers" NOT_COMPUTED),
	UNLESS("time_*", 0, "recurrent layers" NOT_COMPUTED),
	UNLESS("token_shift_count", 0, "recurrent layers" NOT_COMPUTED),
	UNLESS("shortconv.*", 0, "layers of short convolutions" NOT_COMPUTED),
	UNLESS("altup.*", 0, "several residual streams" NOT_COMPUTED),
	UNLESS("deepstack_mapping", NONE, "pictures in the residual stream" NOT_COMPUTED),
	UNLESS("rope.scaling.beta_*", NONE, "YaRN's ramp under names" NOT_COMPUTED),
	UNLESS("rope.scaling.*_factor", 0_OR_1, "a scaling of RoPE" NOT_COMPUTED),
	UNLESS("rope.freq_scale", 0_OR_1, "a scale of RoPE's angles" NOT_COMPUTED),
	UNLESS("rope.partial*", 0_OR_1, "partial rotation" NOT_COMPUTED),
	{ .name = NULL },
};
