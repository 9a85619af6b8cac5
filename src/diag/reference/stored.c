/* SPDX-License-Identifier: Apache-2.0 */
/* In which precision was a reference computed? From the bits of its values. */
#include <math.h>
#include "diag/reference/reference.h"

#define BIT(point) (1u << (point))
/* Embeddings are as the weights are stored, attention weights of a single key are 1: neither tells how the
 * run computed. */
#define SILENT (BIT(PLUMB_POINT_EMBEDDINGS) | BIT(PLUMB_POINT_ATTN_SCORES) | BIT(PLUMB_POINT_ATTN_SOFTMAX))
/* Share of the tensors that must be of narrow values: a norm or logits may have been kept in float32. */
#define MOST 0.75

float plumb_round_to(enum plumb_stored stored, float x)
{
	return stored == PLUMB_STORED_BF16 ? plumb_bf16_to_f32(plumb_f32_to_bf16(x))
		: stored == PLUMB_STORED_FP16  ? plumb_f16_to_f32(plumb_f32_to_f16(x))
									   : x;
}

static bool stored_all_of(const struct plumb_captured *p, enum plumb_stored stored)
{
	for (int64_t i = 0; i < p->rows * p->width; i++)
		if (isfinite(p->v[i]) && plumb_round_to(stored, p->v[i]) != p->v[i])
			return false;
	return true;
}

static bool stored_most_of(const struct plumb_capture *c, enum plumb_stored stored, unsigned silent)
{
	int layer = -1, point = -1, seen = 0, narrow = 0;
	while (plumb_capture_next(c, &layer, &point))
		if (!(silent & BIT(point))) {
			seen++;
			narrow += stored_all_of(plumb_capture_at(c, layer, point), stored);
		}
	return seen ? narrow >= MOST * seen : silent && stored_most_of(c, stored, 0);
}

/* A bf16 value is not often an fp16 one and the other way round, so the order matters only for tensors of
 * round numbers. */
enum plumb_stored plumb_reference_stored(const struct plumb_reference *r)
{
	return stored_most_of(&r->raw, PLUMB_STORED_BF16, SILENT) ? PLUMB_STORED_BF16
		: stored_most_of(&r->raw, PLUMB_STORED_FP16, SILENT)  ? PLUMB_STORED_FP16
															  : PLUMB_STORED_FP32;
}

const char *plumb_stored_name(enum plumb_stored stored)
{
	return stored == PLUMB_STORED_BF16 ? "bf16" : stored == PLUMB_STORED_FP16 ? "fp16" : "fp32";
}

/* The deviation of one rounding: of a value uniform within half a step, over all mantissas. float32 gets room
 * for a few. */
double plumb_least_floor(enum plumb_stored stored)
{
	return stored == PLUMB_STORED_FP32 ? 4 * 0x1p-24
									   : 0.85 * (stored == PLUMB_STORED_BF16 ? 0x1p-9 : 0x1p-12);
}

enum plumb_type plumb_stored_type(enum plumb_stored stored)
{
	return stored == PLUMB_STORED_BF16 ? PLUMB_BF16 : stored == PLUMB_STORED_FP16 ? PLUMB_F16 : PLUMB_F32;
}
