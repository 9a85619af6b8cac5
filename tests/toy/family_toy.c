/* SPDX-License-Identifier: Apache-2.0 */
/* The family toyed, for tests/check_toy.sh: qwen2 by other names, in one file. */
#include <stddef.h>
#include "model/family.h"
#include "model/model.h"

#define LAYER(text, is, field, r, c) \
	{ \
		.name = text, .member = offsetof(struct plumb_layer, field), .rows = PLUMB_SIZE_##r, \
		.columns = PLUMB_SIZE_##c, .kind = PLUMB_WEIGHT_EXACT, .role = PLUMB_ROLE_##is \
	}
#define BIAS(text, field, r, bit) \
	{ \
		.name = text, .member = offsetof(struct plumb_layer, field), .rows = PLUMB_SIZE_##r, \
		.kind = PLUMB_WEIGHT_BIAS, .bias = PLUMB_BIAS_##bit, .role = PLUMB_ROLE_##bit##_BIAS \
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
	{ .name = NULL },
};
#define TOP(text, is, field, r, c) \
	{ \
		.name = text, .member = offsetof(struct plumb_weights, field), .rows = PLUMB_SIZE_##r, \
		.columns = PLUMB_SIZE_##c, .role = PLUMB_ROLE_##is \
	}
static const struct plumb_weight_row top[] = {
	TOP("token_toys.weight", EMBEDDING, embed, V, E),
	TOP("output_norm.weight", OUTPUT_NORM, norm, E, NONE),
	TOP("output.weight", OUTPUT, output, V, E),
	{ .name = NULL },
};
static const struct plumb_left_row left[] = { { "*", PLUMB_USE_REFUSED, "no toy has it" }, { .name = NULL } };

const struct plumb_family plumb_family_toy = {
	.name = "toyed",
	.split = "qwen2",
	.pairs = PLUMB_ROPE_HALF,
	.norms = PLUMB_NORM_BEFORE,
	.keys = plumb_family_keys,
	.layer = layer,
	.top = top,
	.left = left,
	.made = plumb_family_made,
};
