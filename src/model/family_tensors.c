/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a transformer, by the names that llama.cpp gives them: those that are computed with, what
 * any other would mean, and which capture points they make. */
#include <stddef.h>
#include "model/family.h"
#include "model/model.h"

#define NOT_COMPUTED ", which plumb does not compute"
#define LAYER_ROW(text, is, field, r, c, k) \
	.name = text, .member = offsetof(struct plumb_layer, field), .rows = PLUMB_SIZE_##r, \
	.columns = PLUMB_SIZE_##c, .kind = PLUMB_WEIGHT_##k, .role = PLUMB_ROLE_##is
#define LAYER(text, is, field, r, c, k) \
	{ \
		LAYER_ROW(text, is, field, r, c, k) \
	}
/* A part of another where a family keeps several in one: behind so many rows of it. */
#define LAYER_PART(text, is, field, r, c, k, whole, first, second) \
	{ \
		LAYER_ROW(text, is, field, r, c, k), .fused = whole, .before = { \
			PLUMB_SIZE_##first, \
			PLUMB_SIZE_##second \
		} \
	}
#define LAYER_NORM(text, is, field, r, of) \
	{ \
		LAYER_ROW(text, is, field, r, NONE, NORM), .norms = PLUMB_NORM_##of \
	}
#define LAYER_BIAS(text, field, r, bit) \
	{ \
		LAYER_ROW(text, bit##_BIAS, field, r, NONE, BIAS), .bias = PLUMB_BIAS_##bit \
	}
const struct plumb_weight_row plumb_family_layer[] = {
	LAYER_NORM("attn_norm.weight", ATTN_NORM, attn_norm, E, BEFORE),
	LAYER_PART("attn_q.weight", Q, wq, Q, E, EXACT, "attn_qkv.weight", NONE, NONE),
	LAYER_PART("attn_k.weight", K, wk, K, E, EXACT, "attn_qkv.weight", Q, NONE),
	LAYER_PART("attn_v.weight", V, wv, W, E, EXACT, "attn_qkv.weight", Q, K),
	LAYER_BIAS("attn_q.bias", bq, Q, Q),
	LAYER_BIAS("attn_k.bias", bk, K, K),
	LAYER_BIAS("attn_v.bias", bv, W, V),
	LAYER_NORM("attn_q_norm.weight", Q_NORM, q_norm, H, HEAD),
	LAYER_NORM("attn_k_norm.weight", K_NORM, k_norm, H, HEAD),
	LAYER_NORM("attn_q_norm.weight", Q_NORM, q_norm, Q, WIDTH),
	LAYER_NORM("attn_k_norm.weight", K_NORM, k_norm, K, WIDTH),
	LAYER("attn_output.weight", ATTN_OUT, wo, E, C, PLAIN),
	LAYER_BIAS("attn_output.bias", bo, E, ATTN_OUT),
	LAYER_NORM("post_attention_norm.weight", ATTN_POST_NORM, attn_post_norm, E, AFTER),
	LAYER_NORM("ffn_norm.weight", FFN_NORM, ffn_norm, E, BEFORE),
	LAYER_PART("ffn_gate.weight", FFN_GATE, gate, F, E, PLAIN, "ffn_up.weight", NONE, NONE),
	LAYER_BIAS("ffn_gate.bias", gate_bias, F, FFN_GATE),
	LAYER_PART("ffn_up.weight", FFN_UP, up, F, E, PLAIN, "ffn_up.weight", F, NONE),
	LAYER_BIAS("ffn_up.bias", up_bias, F, FFN_UP),
	LAYER("ffn_down.weight", FFN_DOWN, down, E, F, PLAIN),
	LAYER_BIAS("ffn_down.bias", down_bias, E, FFN_DOWN),
	LAYER_NORM("post_ffw_norm.weight", FFN_POST_NORM, ffn_post_norm, E, AFTER),
	{ .name = NULL },
};
#define TOP(text, is, field, r, c, k, huggingface) \
	{ \
		.name = text, .member = offsetof(struct plumb_weights, field), .rows = PLUMB_SIZE_##r, \
		.columns = PLUMB_SIZE_##c, .kind = PLUMB_WEIGHT_##k, .role = PLUMB_ROLE_##is, .hf = huggingface \
	}
const struct plumb_weight_row plumb_family_top[] = {
	TOP("token_embd.weight", EMBEDDING, embed, V, E, PLAIN, "model.embed_tokens.weight"),
	TOP("output_norm.weight", OUTPUT_NORM, norm, E, NONE, NORM, "model.norm.weight"),
	TOP("output.weight", OUTPUT, output, V, E, EXACT, NULL),
	{ .name = "output.bias",
		.member = offsetof(struct plumb_weights, output_bias),
		.rows = PLUMB_SIZE_V,
		.kind = PLUMB_WEIGHT_BIAS,
		.bias = PLUMB_BIAS_OUTPUT,
		.role = PLUMB_ROLE_OUTPUT_BIAS },
	{ .name = NULL },
};

/* Any other name is refused, too; these get a reason. */
const struct plumb_left_row plumb_family_left[] = {
	{ "*vision_tower.*", PLUMB_USE_HARMLESS, "of pictures, which no command takes" },
	{ "*multi_modal_projector.*", PLUMB_USE_HARMLESS, "of pictures, which no command takes" },
	{ "attn_rot_embd.weight", PLUMB_USE_HARMLESS, "RoPE's angles, which plumb computes" },
	{ PLUMB_ROPE_FACTORS_TENSOR, PLUMB_USE_READ, "" },
	{ PLUMB_ROPE_SHORT_TENSOR, PLUMB_USE_READ, "" },
	{ PLUMB_ROPE_LONG_TENSOR, PLUMB_USE_READ, "" },
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
	{ .name = NULL },
};

/* How each capture point is made in transformer.c: by which operator alone and fused, of which weight and
 * bias, of which point. Of a family without that point, it is made of what that point would be made of. */
#define MADE(point, by, in_one, w, b, of, hidden) \
	[PLUMB_POINT_##point] = { PLUMB_OP_##by, PLUMB_OP_##in_one, PLUMB_ROLE_##w, PLUMB_ROLE_##b, \
		PLUMB_POINT_##of, hidden }
const struct plumb_made plumb_family_made[] = {
	[PLUMB_POINT_EMBEDDINGS] = { PLUMB_OP_embed, PLUMB_OP_embed, PLUMB_ROLE_EMBEDDING, PLUMB_ROLE_NONE, -1,
		false },
	MADE(INPUT_NORM, rmsnorm, rmsnorm, ATTN_NORM, NONE, EMBEDDINGS, true),
	MADE(Q_PROJ, matmul, qkv, Q, Q_BIAS, INPUT_NORM, false),
	MADE(K_PROJ, matmul, qkv, K, K_BIAS, INPUT_NORM, false),
	MADE(V_PROJ, matmul, qkv, V, V_BIAS, INPUT_NORM, false),
	MADE(Q_NORM, rmsnorm, rmsnorm, Q_NORM, NONE, Q_PROJ, false),
	MADE(K_NORM, rmsnorm, rmsnorm, K_NORM, NONE, K_PROJ, false),
	MADE(Q_ROPE, rope, rope, NONE, NONE, Q_NORM, false),
	MADE(K_ROPE, rope, rope, NONE, NONE, K_NORM, false),
	MADE(ATTN_SCORES, attn_scores, attention, NONE, NONE, Q_ROPE, true),
	MADE(ATTN_SOFTMAX, softmax, attention, NONE, NONE, ATTN_SCORES, true),
	MADE(ATTN_CONTEXT, attn_mix, attention, NONE, NONE, ATTN_SOFTMAX, false),
	MADE(ATTN_OUT, matmul, matmul_add, ATTN_OUT, ATTN_OUT_BIAS, ATTN_CONTEXT, true),
	MADE(ATTN_POST_NORM, rmsnorm, rmsnorm, ATTN_POST_NORM, NONE, ATTN_OUT, false),
	MADE(ATTN_RESIDUAL, add, matmul_add, NONE, NONE, ATTN_POST_NORM, false),
	MADE(POST_ATTN_NORM, rmsnorm, gate_up, FFN_NORM, NONE, ATTN_RESIDUAL, true),
	MADE(FFN_GATE, matmul, gate_up, FFN_GATE, FFN_GATE_BIAS, POST_ATTN_NORM, true),
	MADE(FFN_UP, matmul, gate_up, FFN_UP, FFN_UP_BIAS, POST_ATTN_NORM, true),
	MADE(FFN_ACT, swiglu, gate_up, NONE, NONE, FFN_GATE, false),
	MADE(FFN_DOWN, matmul, matmul_add, FFN_DOWN, FFN_DOWN_BIAS, FFN_ACT, true),
	MADE(FFN_POST_NORM, rmsnorm, rmsnorm, FFN_POST_NORM, NONE, FFN_DOWN, false),
	MADE(OUTPUT, add, matmul_add, NONE, NONE, FFN_POST_NORM, false),
	MADE(FINAL_NORM, rmsnorm, rmsnorm, OUTPUT_NORM, NONE, OUTPUT, false),
	MADE(LOGITS, matmul, matmul, OUTPUT, OUTPUT_BIAS, FINAL_NORM, false),
};
