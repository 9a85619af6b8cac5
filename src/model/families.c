/* SPDX-License-Identifier: Apache-2.0 */
/* The families: what tells each from the others. One forward pass (transformer.c) computes them all. */
#include <math.h>
#include "model/family.h"
#include "model/model.h"

#define READ(key) \
	{ \
		.name = key, .use = PLUMB_USE_READ, .why = "" \
	}

const struct plumb_family plumb_family_qwen2 = {
	.name = "qwen2",
	.split = "qwen2",
	.pairs = PLUMB_ROPE_HALF,
	.norms = PLUMB_NORM_BEFORE,
	PLUMB_FAMILY_USUAL,
};

const struct plumb_family plumb_family_qwen3 = {
	.name = "qwen3",
	.split = "qwen2",
	.pairs = PLUMB_ROPE_HALF,
	.norms = PLUMB_NORM_BEFORE | PLUMB_NORM_HEAD,
	PLUMB_FAMILY_USUAL,
};

/* Llama 2 and 3, SmolLM2, Mistral. Of all layers, where there is a window: Mistral 7B v0.1. */
const struct plumb_family plumb_family_llama = {
	.name = "llama",
	.pairs = PLUMB_ROPE_INTERLEAVED,
	.norms = PLUMB_NORM_BEFORE,
	.window_step = 1,
	PLUMB_FAMILY_USUAL,
};

const struct plumb_family plumb_family_smollm3 = {
	.name = "smollm3",
	.pairs = PLUMB_ROPE_INTERLEAVED,
	.norms = PLUMB_NORM_BEFORE,
	.rope_step = 4, /* no key of its files tells it */
	PLUMB_FAMILY_USUAL,
};

/* Its four scalars; logits are divided by logit_scale. */
static const struct plumb_key_row granite_keys[] = {
	READ("embedding_scale"),
	READ("residual_scale"),
	READ("logit_scale"),
	{ .name = NULL },
};
const struct plumb_family plumb_family_granite = {
	.name = "granite",
	.pairs = PLUMB_ROPE_INTERLEAVED,
	.norms = PLUMB_NORM_BEFORE,
	.own = granite_keys,
	PLUMB_FAMILY_USUAL,
};

/* Of the size with 62 layers the scores are scaled by hidden / heads, which is not the width of a head. */
static void families_gemma3_defaults(struct plumb_config *c)
{
	c->embedding_scale = sqrt((double)c->hidden);
	c->norm_from_one = true;
	if (c->layers == 62)
		c->score_scale = 1 / sqrt((double)c->hidden / (double)c->heads);
}
const struct plumb_family plumb_family_gemma3 = {
	.name = "gemma3",
	.pairs = PLUMB_ROPE_HALF,
	.norms = PLUMB_NORM_BEFORE | PLUMB_NORM_AFTER | PLUMB_NORM_HEAD,
	.activation = PLUMB_GELU_TANH,
	.window_step = 6,
	.window_base = 10000,
	.defaults = families_gemma3_defaults,
	PLUMB_FAMILY_USUAL,
};

/* Phi-3 and Phi-4-mini. */
const struct plumb_family plumb_family_phi3 = {
	.name = "phi3",
	.pairs = PLUMB_ROPE_HALF,
	.norms = PLUMB_NORM_BEFORE,
	.fused = true,
	.window_step = 1,
	PLUMB_FAMILY_USUAL,
};

const struct plumb_family plumb_family_olmo2 = {
	.name = "olmo2",
	.pairs = PLUMB_ROPE_HALF,
	.norms = PLUMB_NORM_AFTER | PLUMB_NORM_WIDTH,
	PLUMB_FAMILY_USUAL,
};

/* --- what is not there --- */

const struct plumb_architecture plumb_architectures_missing[] = {
	{ "qwen35*", "layers of gated DeltaNet, gated attention, rotation by sections" },
	{ "qwen3next", "layers of gated DeltaNet, gated attention, a mixture of experts" },
	{ "qwen2moe", "a mixture of experts" },
	{ "qwen3moe", "a mixture of experts" },
	{ "qwen2vl", "rotation by sections, pictures" },
	{ "qwen3vl*", "rotation by sections, pictures" },
	{ "gemma", "norms and embeddings of the first Gemma" },
	{ "gemma2", "bounds of the attention scores and of the logits" },
	{ "gemma3n", "embeddings of each layer, several residual streams, keys and values shared by layers" },
	{ "gemma4*", "embeddings of each layer, keys and values shared by layers, a norm of the values" },
	{ "lfm2*", "layers of short convolutions" },
	{ "granitemoe", "a mixture of experts" },
	{ "granitehybrid", "recurrent layers (Mamba 2)" },
	{ "mamba*", "recurrent layers (Mamba)" },
	{ "jamba", "recurrent layers (Mamba), a mixture of experts" },
	{ "rwkv*", "recurrent layers (RWKV)" },
	{ "llama4", "a mixture of experts, attention in chunks" },
	{ "deepseek*", "keys and values of low rank, a mixture of experts" },
	{ "olmo", "LayerNorm without weights, bounds of queries, keys and values" },
	{ "olmoe", "a mixture of experts" },
	{ "gpt-oss", "a mixture of experts, attention sinks" },
	{ "gpt_oss", "a mixture of experts, attention sinks" },
	{ "phi2", "LayerNorm, blocks side by side" },
	{ "phimoe", "a mixture of experts" },
	{ "falcon*", "LayerNorm, blocks side by side" },
	{ "gptneox", "LayerNorm, blocks side by side" },
	{ "gpt2", "LayerNorm, learned positions" },
	{ "starcoder*", "LayerNorm, GELU without a gate" },
	{ "stablelm", "LayerNorm" },
	{ "command-r", "LayerNorm, blocks side by side" },
	{ "cohere2", "LayerNorm, blocks side by side" },
	{ "bert", "attention without a causal mask (an encoder)" },
	{ "*-bert*", "attention without a causal mask (an encoder)" },
	{ "t5*", "an encoder and a decoder" },
	{ "clip", "an encoder of pictures" },
	{ NULL, NULL },
};
