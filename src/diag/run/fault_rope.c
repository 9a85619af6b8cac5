/* SPDX-License-Identifier: Apache-2.0 */
/* Porting bugs of RoPE: queries and keys are rotated anew, in float64, with one thing wrong. */
#include <math.h>
#include "diag/run/fault_act.h"

void plumb_rotate_head(
	float *y, const float *x, const struct plumb_rope *r, const float *freqs, int64_t position)
{
	const int64_t half = r->rotated / 2;
	memmove(y, x, sizeof *y * (size_t)r->head_dim);
	for (int64_t j = 0; j < half; j++) {
		int64_t ia = r->pairs == PLUMB_ROPE_HALF ? j : 2 * j,
				ib = r->pairs == PLUMB_ROPE_HALF ? j + half : 2 * j + 1;
		double by = r->factor * (freqs ? (double)freqs[j] : 1),
			   angle = (double)position / by * pow(r->base, -2.0 * (double)j / (double)r->rotated),
			   cosine = cos(angle) * r->scale, sine = sin(angle) * r->scale, a = x[ia], b = x[ib];
		y[ia] = (float)(a * cosine - b * sine);
		y[ib] = (float)(b * cosine + a * sine);
	}
}

/* Change what the layer has, as the bug would; false: the bug changes nothing in this layer. */
static bool fault_rope_change(const struct plumb_fault *fault, const struct plumb_config *c, int64_t layer,
	bool *rope, struct plumb_rope *r, const float **freqs)
{
	const bool scaled = *freqs || r->factor != 1 || r->scale != 1;
	if (plumb_fault_is(fault, "rope_layers")) {
		const bool left_out = !*rope;
		*rope = true;
		return left_out;
	}
	if (!*rope)
		return false;
	if (plumb_fault_is(fault, "rope_base"))
		r->base = fault->value;
	else if (plumb_fault_is(fault, "rope_pairs"))
		r->pairs = r->pairs == PLUMB_ROPE_HALF ? PLUMB_ROPE_INTERLEAVED : PLUMB_ROPE_HALF;
	else if (plumb_fault_is(fault, "rope_part"))
		r->rotated = r->head_dim;
	else if (plumb_fault_is(fault, "rope_window")) {
		const bool other = plumb_config_layer(c, layer)->window && r->base != c->kind[0].rope_base;
		r->base = c->kind[0].rope_base;
		return other;
	} else {
		r->factor = r->scale = 1;
		*freqs = NULL;
		return scaled;
	}
	return true;
}

enum plumb_status plumb_fault_rope(const struct plumb_fault *fault, struct plumb_live *live)
{
	const struct plumb_config *c = plumb_fault_config(live);
	const struct plumb_made *made = plumb_model_made(live->run->model, (int)live->point);
	const struct plumb_captured *x = plumb_live_earlier(live, (enum plumb_point)made->input);
	const struct plumb_tensor *factors;
	struct plumb_rope r;
	if (!x)
		return plumb_fail(
			PLUMB_E_ARGUMENT, "%s: no %s was kept", fault->kind->name, plumb_point_name(made->input));
	bool rope = plumb_model_rope(
		live->run->model, live->layer, live->first, live->first + live->rows, &r, &factors);
	const float *freqs = factors ? plumb_host(factors) : NULL;
	if (!fault_rope_change(fault, c, live->layer, &rope, &r, &freqs))
		return PLUMB_OK;
	if (r.rotated != c->rotated)
		freqs = NULL; /* a list is of the part that is rotated */
	for (int64_t i = 0; i < live->rows; i++)
		for (int64_t h = 0; h < live->width; h += c->head_dim)
			plumb_rotate_head(
				live->v + i * live->width + h, x->v + i * x->width + h, &r, freqs, live->first + i);
	live->changed = true;
	return PLUMB_OK;
}
