/* SPDX-License-Identifier: Apache-2.0 */
/* The family qwen2: every key that files of its architecture have or could have (the names are llama.cpp's),
 * and every tensor. */
#include <math.h>
#include <stddef.h>
#include "model/family.h"
#include "model/model.h"

#define WHOLE(file, name, fallback) plumb_family_whole(&plumb_family_qwen2, file, name, fallback)

static int64_t family_qwen2_head_dim(const struct plumb_file *file)
{
	int64_t hidden = WHOLE(file, "embedding_length", 0), heads = WHOLE(file, "attention.head_count", 0);
	return WHOLE(file, "attention.key_length", heads > 0 ? hidden / heads : 0);
}

static enum plumb_use family_qwen2_harmless_if(bool harmless, const char *reason, const char **why)
{
	if (!harmless)
		return PLUMB_USE_REFUSED;
	*why = reason;
	return PLUMB_USE_HARMLESS;
}

/* A window that is never shorter than what a position sees is none, nor is one that no layer has. */
static enum plumb_use family_qwen2_window(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	char full[PLUMB_KEY];
	const struct plumb_meta *layers = plumb_family_key(
		&plumb_family_qwen2, file, "attention.sliding_window_pattern", full);
	if (layers && layers->kind == PLUMB_META_ARRAY && plumb_family_is_neutral(layers, PLUMB_NEUTRAL_0))
		return family_qwen2_harmless_if(true, "attention.sliding_window_pattern has it in no layer", why);
	int64_t context = WHOLE(file, "context_length", INT64_MAX);
	int64_t length = WHOLE(file, "attention.sliding_window", -1);
	if (m->kind == PLUMB_META_INT || m->kind == PLUMB_META_ARRAY)
		return family_qwen2_harmless_if(length == 0 || length >= context,
			length ? "no shorter than the context: every position is seen" : "no window", why);
	return PLUMB_USE_REFUSED;
}

static enum plumb_use family_qwen2_rotated(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)m;
	return family_qwen2_harmless_if(WHOLE(file, "rope.dimension_count", -1) == family_qwen2_head_dim(file),
		"whole heads are rotated", why);
}

static enum plumb_use family_qwen2_output_width(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)m;
	return family_qwen2_harmless_if(
		WHOLE(file, "embedding_length_out", -1) == WHOLE(file, "embedding_length", 0), "that of the model",
		why);
}

static enum plumb_use family_qwen2_causal(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)file;
	return family_qwen2_harmless_if(plumb_family_is_neutral(m, PLUMB_NEUTRAL_1), "attention is causal", why);
}

static enum plumb_use family_qwen2_score_scale(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	double usual = 1 / sqrt((double)family_qwen2_head_dim(file));
	bool number = m->kind == PLUMB_META_FLOAT || m->kind == PLUMB_META_INT;
	return family_qwen2_harmless_if(number && (m->f == 0 || fabs(m->f / usual - 1) < 1e-6),
		"one over the square root of the head's width, as ever", why);
}

static enum plumb_use family_qwen2_activation(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)file;
	return family_qwen2_harmless_if(plumb_family_text_is(m, "silu") || plumb_family_text_is(m, "swish") ||
			plumb_family_text_is(m, "swiglu"),
		"the usual one", why);
}

static enum plumb_use family_qwen2_scaling_type(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)file;
	if (m->kind != PLUMB_META_STRING || plumb_family_text_is(m, "none") || plumb_family_text_is(m, "linear"))
		return PLUMB_USE_READ; /* what is no text is refused when it is read */
	if (plumb_family_text_is(m, "yarn"))
		*why = "YaRN, which plumb does not compute (linear scaling it does)";
	return PLUMB_USE_REFUSED;
}

static enum plumb_use family_qwen2_old_scale(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	char full[PLUMB_KEY];
	(void)m;
	if (!plumb_family_key(&plumb_family_qwen2, file, "rope.scaling.factor", full))
		return PLUMB_USE_READ;
	*why = "an old name; rope.scaling.factor is there and holds";
	return PLUMB_USE_HARMLESS;
}

static enum plumb_use family_qwen2_layout(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	(void)file;
	return family_qwen2_harmless_if(plumb_family_text_is(m, "reference"), "the usual one", why);
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
static const struct plumb_key_row keys[] = {
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
	READ("rope.scaling.factor"),
	JUDGED("rope.scaling.type", family_qwen2_scaling_type, "a scaling of RoPE" NOT_COMPUTED),
	JUDGED("rope.scale_linear", family_qwen2_old_scale, ""),
	UNLESS("rope.scaling.attn_factor", 0_OR_1, "a scale of queries and keys" NOT_COMPUTED),
	UNLESS("rope.scaling.yarn_attn_factor", 0_OR_1, "a scale of queries and keys" NOT_COMPUTED),
	UNLESS("rope.scaling.alpha", 0, "a scaling of RoPE's base" NOT_COMPUTED),
	HARMLESS("rope.scaling.original_context_length", "of YaRN only"),
	HARMLESS("rope.scaling.finetuned", "says how the model was trained"),
	HARMLESS("rope.scaling.yarn_*", "of YaRN only"),
	JUDGED("rope.dimension_count", family_qwen2_rotated, "partial rotation" NOT_COMPUTED),
	UNLESS("rope.dimension_sections", 0, "rotation by sections" NOT_COMPUTED),
	HARMLESS("rope.freq_base_swa", "of sliding windows only"),
	HARMLESS("rope.dimension_count_swa", "of sliding windows only"),
	JUDGED("attention.sliding_window", family_qwen2_window,
		"a sliding window, shorter than the context" NOT_COMPUTED),
	HARMLESS("attention.sliding_window_pattern", "of sliding windows only"),
	HARMLESS("attention.key_length_swa", "of sliding windows only"),
	HARMLESS("attention.value_length_swa", "of sliding windows only"),
	JUDGED("attention.causal", family_qwen2_causal,
		"attention without a causal mask (an embedding model)" NOT_COMPUTED),
	JUDGED("attention.scale", family_qwen2_score_scale, "a scale of the attention scores" NOT_COMPUTED),
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
	JUDGED("embedding_length_out", family_qwen2_output_width, "an output of another width" NOT_COMPUTED),
	HARMLESS("vocab_size", "the rows of token_embd.weight are counted"),
	HARMLESS("attention.layer_norm_epsilon", "of LayerNorm only; the norms here are RMSNorm"),
	JUDGED("tensor_data_layout", family_qwen2_layout, "weights in another order" NOT_COMPUTED),
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
	JUDGED("hidden_activation", family_qwen2_activation, "another activation than SiLU" NOT_COMPUTED),
	UNLESS("activation_sparsity_scale", 0, "an activation that keeps the largest values only" NOT_COMPUTED),
	UNLESS("swin_norm", 0, "norms in other places" NOT_COMPUTED),
	UNLESS("rescale_every_n_layers", 0, "a scale of the hidden state between layers" NOT_COMPUTED),
	UNLESS("wkv.*", 0, "recurrent layers" NOT_COMPUTED),
	UNLESS("time_*", 0, "recurrent layers" NOT_COMPUTED),
	UNLESS("token_shift_count", 0, "recurrent layers" NOT_COMPUTED),
	UNLESS("shortconv.*", 0, "layers of short convolutions" NOT_COMPUTED),
	UNLESS("altup.*", 0, "several residual streams" NOT_COMPUTED),
	UNLESS("deepstack_mapping", NONE, "pictures in the residual stream" NOT_COMPUTED),
	HARMLESS("rope.scaling.beta_*", "of YaRN only"),
	UNLESS(
		"rope.scaling.*_freq_factor", 0, "a scaling of RoPE by frequency (as Llama 3 has it)" NOT_COMPUTED),
	UNLESS("rope.scaling.*_factor", 0_OR_1, "a scaling of RoPE" NOT_COMPUTED),
	UNLESS("rope.freq_scale", 0_OR_1, "a scale of RoPE's angles" NOT_COMPUTED),
	UNLESS("rope.partial*", 0_OR_1, "partial rotation" NOT_COMPUTED),
};

#define LAYER(text, is, field, r, c, k) \
	{ \
		text, offsetof(struct plumb_layer, field), PLUMB_SIZE_##r, PLUMB_SIZE_##c, PLUMB_WEIGHT_##k, 0, \
			PLUMB_ROLE_##is, NULL \
	}
#define LAYER_BIAS(text, field, r, bit) \
	{ \
		text, offsetof(struct plumb_layer, field), PLUMB_SIZE_##r, PLUMB_SIZE_NONE, PLUMB_WEIGHT_BIAS, \
			PLUMB_BIAS_##bit, PLUMB_ROLE_##bit##_BIAS, NULL \
	}
static const struct plumb_weight_row layer[] = {
	LAYER("attn_norm.weight", ATTN_NORM, attn_norm, E, NONE, PLAIN),
	LAYER("attn_q.weight", Q, wq, Q, E, EXACT),
	LAYER("attn_k.weight", K, wk, K, E, EXACT),
	LAYER("attn_v.weight", V, wv, W, E, EXACT),
	LAYER_BIAS("attn_q.bias", bq, Q, Q),
	LAYER_BIAS("attn_k.bias", bk, K, K),
	LAYER_BIAS("attn_v.bias", bv, W, V),
	LAYER("attn_output.weight", ATTN_OUT, wo, E, C, PLAIN),
	LAYER_BIAS("attn_output.bias", bo, E, ATTN_OUT),
	LAYER("ffn_norm.weight", FFN_NORM, ffn_norm, E, NONE, PLAIN),
	LAYER("ffn_gate.weight", FFN_GATE, gate, F, E, PLAIN),
	LAYER_BIAS("ffn_gate.bias", gate_bias, F, FFN_GATE),
	LAYER("ffn_up.weight", FFN_UP, up, F, E, PLAIN),
	LAYER_BIAS("ffn_up.bias", up_bias, F, FFN_UP),
	LAYER("ffn_down.weight", FFN_DOWN, down, E, F, PLAIN),
	LAYER_BIAS("ffn_down.bias", down_bias, E, FFN_DOWN),
};
#define TOP(text, is, field, r, c, k, hf) \
	{ \
		text, offsetof(struct plumb_weights, field), PLUMB_SIZE_##r, PLUMB_SIZE_##c, PLUMB_WEIGHT_##k, 0, \
			PLUMB_ROLE_##is, hf \
	}
static const struct plumb_weight_row top[] = {
	TOP("token_embd.weight", EMBEDDING, embed, V, E, PLAIN, "model.embed_tokens.weight"),
	TOP("output_norm.weight", OUTPUT_NORM, norm, E, NONE, PLAIN, "model.norm.weight"),
	TOP("output.weight", OUTPUT, output, V, E, EXACT, NULL),
	{ "output.bias", offsetof(struct plumb_weights, output_bias), PLUMB_SIZE_V, PLUMB_SIZE_NONE,
		PLUMB_WEIGHT_BIAS, PLUMB_BIAS_OUTPUT, PLUMB_ROLE_OUTPUT_BIAS, NULL },
};

/* Any other name is refused, too; these get a reason. */
static const struct plumb_left_row left[] = {
	{ "attn_rot_embd.weight", PLUMB_USE_HARMLESS, "RoPE's angles, which plumb computes" },
	{ "rope_freqs.weight", PLUMB_USE_REFUSED, "factors of RoPE's angles" NOT_COMPUTED },
	{ "rope_factors_*", PLUMB_USE_REFUSED, "factors of RoPE's angles" NOT_COMPUTED },
	{ "attn_q_norm*", PLUMB_USE_REFUSED, "a norm of the queries (as Qwen3 has it)" NOT_COMPUTED },
	{ "attn_k_norm*", PLUMB_USE_REFUSED, "a norm of the keys (as Qwen3 has it)" NOT_COMPUTED },
	{ "*norm.bias", PLUMB_USE_REFUSED, "a norm's bias (LayerNorm)" NOT_COMPUTED },
	{ "attn_qkv*", PLUMB_USE_REFUSED, "queries, keys and values in one matrix" NOT_COMPUTED },
	{ "ffn_gate_inp*", PLUMB_USE_REFUSED, "a mixture of experts" NOT_COMPUTED },
	{ "*_exps.*", PLUMB_USE_REFUSED, "a mixture of experts" NOT_COMPUTED },
	{ "*_shexp.*", PLUMB_USE_REFUSED, "a mixture of experts" NOT_COMPUTED },
	{ "*scale", PLUMB_USE_REFUSED, "a scale beside a weight" NOT_COMPUTED },
	{ "*lora_a", PLUMB_USE_REFUSED, "part of an adapter to another model's weights" },
	{ "*lora_b", PLUMB_USE_REFUSED, "part of an adapter to another model's weights" },
	{ "cls*", PLUMB_USE_REFUSED, "a classifier's output" NOT_COMPUTED },
	{ "nextn.*", PLUMB_USE_REFUSED, "a layer that predicts further tokens" NOT_COMPUTED },
	{ "position_embd.weight", PLUMB_USE_REFUSED, "learned positions" NOT_COMPUTED },
	{ "*", PLUMB_USE_REFUSED, "the family has no such tensor; computing without it could be wrong" },
};

/* How each capture point is made in qwen2.c: by which operator alone and fused, of which weight and bias, of
 * which point. */
#define MADE(point, by, in_one, w, b, of, hidden) \
	[PLUMB_POINT_##point] = { PLUMB_OP_##by, PLUMB_OP_##in_one, PLUMB_ROLE_##w, PLUMB_ROLE_##b, \
		PLUMB_POINT_##of, hidden }
static const struct plumb_made made[PLUMB_POINT_COUNT] = {
	[PLUMB_POINT_EMBEDDINGS] = { PLUMB_OP_embed, PLUMB_OP_embed, PLUMB_ROLE_EMBEDDING, PLUMB_ROLE_NONE, -1,
		false },
	MADE(INPUT_NORM, rmsnorm, rmsnorm, ATTN_NORM, NONE, EMBEDDINGS, true),
	MADE(Q_PROJ, matmul, qkv, Q, Q_BIAS, INPUT_NORM, false),
	MADE(K_PROJ, matmul, qkv, K, K_BIAS, INPUT_NORM, false),
	MADE(V_PROJ, matmul, qkv, V, V_BIAS, INPUT_NORM, false),
	MADE(Q_ROPE, rope, rope, NONE, NONE, Q_PROJ, false),
	MADE(K_ROPE, rope, rope, NONE, NONE, K_PROJ, false),
	MADE(ATTN_SCORES, attn_scores, attention, NONE, NONE, Q_ROPE, true),
	MADE(ATTN_SOFTMAX, softmax, attention, NONE, NONE, ATTN_SCORES, true),
	MADE(ATTN_CONTEXT, attn_mix, attention, NONE, NONE, ATTN_SOFTMAX, false),
	MADE(ATTN_OUT, matmul, matmul_add, ATTN_OUT, ATTN_OUT_BIAS, ATTN_CONTEXT, true),
	MADE(ATTN_RESIDUAL, add, matmul_add, NONE, NONE, ATTN_OUT, false),
	MADE(POST_ATTN_NORM, rmsnorm, gate_up, FFN_NORM, NONE, ATTN_RESIDUAL, true),
	MADE(FFN_GATE, matmul, gate_up, FFN_GATE, FFN_GATE_BIAS, POST_ATTN_NORM, true),
	MADE(FFN_UP, matmul, gate_up, FFN_UP, FFN_UP_BIAS, POST_ATTN_NORM, true),
	MADE(FFN_ACT, swiglu, gate_up, NONE, NONE, FFN_GATE, false),
	MADE(FFN_DOWN, matmul, matmul_add, FFN_DOWN, FFN_DOWN_BIAS, FFN_ACT, true),
	MADE(OUTPUT, add, matmul_add, NONE, NONE, FFN_DOWN, false),
	MADE(FINAL_NORM, rmsnorm, rmsnorm, OUTPUT_NORM, NONE, OUTPUT, false),
	MADE(LOGITS, matmul, matmul, OUTPUT, OUTPUT_BIAS, FINAL_NORM, false),
};

#define COUNT(rows) (int)(sizeof(rows) / sizeof *(rows))
const struct plumb_family plumb_family_qwen2 = {
	.name = "qwen2",
	.split = "qwen2",
	.pairs = PLUMB_ROPE_HALF,
	.keys = keys,
	.key_count = COUNT(keys),
	.layer = layer,
	.layer_count = COUNT(layer),
	.top = top,
	.top_count = COUNT(top),
	.left = left,
	.left_count = COUNT(left),
	.points = PLUMB_POINTS_ALL,
	.made = made,
	.forward = plumb_qwen2_forward,
};
