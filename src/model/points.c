/* SPDX-License-Identifier: Apache-2.0 */
/* Capture points: their names and widths, and what the family's table says of how they are made. */
#include "model/family.h"
#include "model/model.h"

static const char *const points[PLUMB_POINT_COUNT] = {
	"embeddings",
	"input_norm",
	"q_proj",
	"k_proj",
	"v_proj",
	"q_norm",
	"k_norm",
	"q_rope",
	"k_rope",
	"attn_scores",
	"attn_softmax",
	"attn_context",
	"attn_out",
	"attn_post_norm",
	"attn_residual",
	"post_attn_norm",
	"ffn_gate",
	"ffn_up",
	"ffn_act",
	"ffn_down",
	"ffn_post_norm",
	"output",
	"final_norm",
	"logits",
};

const char *plumb_point_name(int point)
{
	return point >= 0 && point < PLUMB_POINT_COUNT ? points[point] : NULL;
}

bool plumb_point_in_layer(int point)
{
	return point != PLUMB_POINT_EMBEDDINGS && point < PLUMB_POINT_FINAL_NORM && point >= 0;
}

int64_t plumb_point_width(const struct plumb_config *c, int point)
{
	switch (point) {
	case PLUMB_POINT_Q_PROJ:
	case PLUMB_POINT_Q_NORM:
	case PLUMB_POINT_Q_ROPE: return c->heads * c->head_dim;
	case PLUMB_POINT_K_PROJ:
	case PLUMB_POINT_K_NORM:
	case PLUMB_POINT_K_ROPE: return c->kv_heads * c->head_dim;
	case PLUMB_POINT_V_PROJ: return c->kv_heads * c->value_dim;
	case PLUMB_POINT_ATTN_CONTEXT: return c->heads * c->value_dim;
	case PLUMB_POINT_ATTN_SCORES:
	case PLUMB_POINT_ATTN_SOFTMAX: return 0;
	case PLUMB_POINT_FFN_GATE:
	case PLUMB_POINT_FFN_UP:
	case PLUMB_POINT_FFN_ACT: return c->ffn;
	case PLUMB_POINT_LOGITS: return c->vocab;
	default: return c->hidden;
	}
}

static unsigned points_of(unsigned norms)
{
	unsigned mask = PLUMB_POINTS_ALL;
	if (!(norms & PLUMB_NORM_BEFORE))
		mask &= ~(1u << PLUMB_POINT_INPUT_NORM | 1u << PLUMB_POINT_POST_ATTN_NORM);
	if (!(norms & PLUMB_NORM_AFTER))
		mask &= ~(1u << PLUMB_POINT_ATTN_POST_NORM | 1u << PLUMB_POINT_FFN_POST_NORM);
	if (!(norms & (PLUMB_NORM_HEAD | PLUMB_NORM_WIDTH)))
		mask &= ~(1u << PLUMB_POINT_Q_NORM | 1u << PLUMB_POINT_K_NORM);
	return mask;
}

void plumb_points_of_model(struct plumb_model *m)
{
	m->points = points_of(m->config.norms);
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		struct plumb_made *made = &m->made[point];
		*made = m->family->made[point];
		while (made->input >= 0 && !(m->points >> made->input & 1))
			made->input = m->family->made[made->input].input;
	}
	if (m->config.activation == PLUMB_GELU_TANH)
		m->made[PLUMB_POINT_FFN_ACT].op = PLUMB_OP_geglu;
}

const struct plumb_made *plumb_model_made(const struct plumb_model *m, int point)
{
	return point >= 0 && point < PLUMB_POINT_COUNT && m->points >> point & 1 ? &m->made[point] : NULL;
}

bool plumb_model_one_by_one(const struct plumb_model *m)
{
	return m->ctx->mode == PLUMB_MODE_EXACT || m->ctx->precision == PLUMB_FP16;
}

unsigned plumb_model_inside(const struct plumb_model *m)
{
	unsigned inside = 0;
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		const struct plumb_made *made = plumb_model_made(m, point);
		if (made && made->inside && (made->fused == PLUMB_OP_attention || !plumb_model_one_by_one(m)))
			inside |= 1u << point;
	}
	return inside;
}
