/* SPDX-License-Identifier: Apache-2.0 */
/* The family toyed, for tests/check_toy.sh: qwen2 by other names, in one file. */
#include <stddef.h>
#include "model/family.h"
#include "model/model.h"

#define READ(key) \
	{ \
		.name = key, .use = PLUMB_USE_READ, .why = "" \
	}
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
	READ("rope.scaling.type"),
	READ("rope.scaling.factor"),
	READ("rope.scale_linear"),
};

#define LAYER(text, is, field, r, c) \
	{ \
		text, offsetof(struct plumb_layer, field), PLUMB_SIZE_##r, PLUMB_SIZE_##c, PLUMB_WEIGHT_EXACT, 0, \
			PLUMB_ROLE_##is, NULL \
	}
#define BIAS(text, field, r, bit) \
	{ \
		text, offsetof(struct plumb_layer, field), PLUMB_SIZE_##r, PLUMB_SIZE_NONE, PLUMB_WEIGHT_BIAS, \
			PLUMB_BIAS_##bit, PLUMB_ROLE_##bit##_BIAS, NULL \
	}
static const struct plumb_weight_row layer[] = {
	LAYER("attn_norm.weight", ATTN_NORM, attn_norm, E, NONE),
	LAYER("attn_a.weight", Q, wq, Q, E),
	LAYER("attn_b.weight", K, wk, K, E),
	LAYER("attn_c.weight", V, wv, W, E),
	BIAS("attn_a.bias", bq, Q, Q),
	BIAS("attn_b.bias", bk, K, K),
	BIAS("attn_c.bias", bv, W, V),
	LAYER("attn_output.weight", ATTN_OUT, wo, E, C),
	LAYER("ffn_norm.weight", FFN_NORM, ffn_norm, E, NONE),
	LAYER("ffn_gate.weight", FFN_GATE, gate, F, E),
	LAYER("ffn_up.weight", FFN_UP, up, F, E),
	LAYER("ffn_back.weight", FFN_DOWN, down, E, F),
};
#define TOP(text, is, field, r, c) \
	{ \
		text, offsetof(struct plumb_weights, field), PLUMB_SIZE_##r, PLUMB_SIZE_##c, PLUMB_WEIGHT_PLAIN, 0, \
			PLUMB_ROLE_##is, NULL \
	}
static const struct plumb_weight_row top[] = {
	TOP("token_toys.weight", EMBEDDING, embed, V, E),
	TOP("output_norm.weight", OUTPUT_NORM, norm, E, NONE),
	TOP("output.weight", OUTPUT, output, V, E),
};
static const struct plumb_left_row left[] = { { "*", PLUMB_USE_REFUSED, "no toy has it" } };

#define MADE(point, by, w, of) \
	[PLUMB_POINT_## \
		point] = { PLUMB_OP_##by, PLUMB_OP_##by, PLUMB_ROLE_##w, PLUMB_ROLE_NONE, PLUMB_POINT_##of, false }
static const struct plumb_made made[PLUMB_POINT_COUNT] = {
	[PLUMB_POINT_EMBEDDINGS] = { PLUMB_OP_embed, PLUMB_OP_embed, PLUMB_ROLE_EMBEDDING, PLUMB_ROLE_NONE, -1,
		false },
	MADE(INPUT_NORM, rmsnorm, ATTN_NORM, EMBEDDINGS),
	MADE(Q_PROJ, matmul, Q, INPUT_NORM),
	MADE(K_PROJ, matmul, K, INPUT_NORM),
	MADE(V_PROJ, matmul, V, INPUT_NORM),
	MADE(Q_ROPE, rope, NONE, Q_PROJ),
	MADE(K_ROPE, rope, NONE, K_PROJ),
	MADE(ATTN_SCORES, attn_scores, NONE, Q_ROPE),
	MADE(ATTN_SOFTMAX, softmax, NONE, ATTN_SCORES),
	MADE(ATTN_CONTEXT, attn_mix, NONE, ATTN_SOFTMAX),
	MADE(ATTN_OUT, matmul, ATTN_OUT, ATTN_CONTEXT),
	MADE(ATTN_RESIDUAL, add, NONE, ATTN_OUT),
	MADE(POST_ATTN_NORM, rmsnorm, FFN_NORM, ATTN_RESIDUAL),
	MADE(FFN_GATE, matmul, FFN_GATE, POST_ATTN_NORM),
	MADE(FFN_UP, matmul, FFN_UP, POST_ATTN_NORM),
	MADE(FFN_ACT, swiglu, NONE, FFN_GATE),
	MADE(FFN_DOWN, matmul, FFN_DOWN, FFN_ACT),
	MADE(OUTPUT, add, NONE, FFN_DOWN),
	MADE(FINAL_NORM, rmsnorm, OUTPUT_NORM, OUTPUT),
	MADE(LOGITS, matmul, OUTPUT, FINAL_NORM),
};

#define COUNT(rows) (int)(sizeof(rows) / sizeof *(rows))
const struct plumb_family plumb_family_toy = {
	.name = "toyed",
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
