/* SPDX-License-Identifier: Apache-2.0 */
/* The control run: a run of the trusted model that makes the rounding errors of a run in the reference's
 * precision. Its distance from the trusted run is what a right port shows against such a reference: a jump
 * that the control run shows, too, is attributed to rounding. */
#include <math.h>
#include <string.h>
#include "core/random.h"
#include "diag/run/run.h"

#define BIT(point) (1u << (point))

struct perturb {
	enum plumb_stored stored;
	unsigned points; /* where such a run rounds */
	unsigned kept;   /* goes to out */
	double unit;
	uint64_t state; /* of the noise */
	struct plumb_capture *out;
};

/* Mean 0, deviation 1: a sum of four uniform numbers, near enough to a gaussian and the same on every
 * machine. */
static double rounded_noise(uint64_t *state)
{
	uint64_t z = plumb_random(state);
	double sum = (double)(z & 0xffff) + (double)(z >> 16 & 0xffff) + (double)(z >> 32 & 0xffff) +
		(double)(z >> 48);
	return ((sum + 2) / 65536 - 2) * 1.7320508075688772;
}

/* Relative deviations at a point, in units of the precision (2^-24 of fp32; 0.85 * 2^-9 of bf16, 0.85 * 2^-12
 * of fp16: rounding, uniform within half a step, over all mantissas); derived in doc/numerics.md,
 * "Diagnosis". made: of the value itself, besides its rounding to the precision. passed: of what the next
 * operator takes for it, which stands for the rounding of that operator's weights and sums: an error relative
 * to the terms of a sum, however they cancel. */
static void rounded_deviations(
	const struct perturb *b, const struct plumb_live *live, int64_t position, double *made, double *passed)
{
	const unsigned norms = BIT(PLUMB_POINT_INPUT_NORM) | BIT(PLUMB_POINT_POST_ATTN_NORM) |
		BIT(PLUMB_POINT_FINAL_NORM);
	const unsigned ropes = BIT(PLUMB_POINT_Q_ROPE) | BIT(PLUMB_POINT_K_ROPE);
	const unsigned into_weights = norms | BIT(PLUMB_POINT_ATTN_CONTEXT) | BIT(PLUMB_POINT_FFN_ACT);
	bool fp32 = b->stored == PLUMB_STORED_FP32;
	unsigned at = BIT(live->point);
	*made = *passed = 0;
	if (at & into_weights)
		*passed = fp32 ? 4 : 1;
	if (fp32) {
		*made = at & BIT(PLUMB_POINT_EMBEDDINGS) ? 0
			: at & norms                         ? 4
			: at & ropes                         ? 2 + 0.3 * (double)position
												 : 1; /* angles in float32 */
		if (at & (BIT(PLUMB_POINT_Q_ROPE) | BIT(PLUMB_POINT_V_PROJ)))
			*passed = 2;
	} else
		*made = at & (norms | ropes)        ? 1.4
			: at & BIT(PLUMB_POINT_FFN_ACT) ? 1
											: 0; /* two more roundings; one more */
	*made *= b->unit;
	*passed *= b->unit;
}

/* Beyond the range of fp16 only the mantissa is rounded: a control run that overflows would say nothing more.
 */
static float rounded(enum plumb_stored stored, float x)
{
	if (stored == PLUMB_STORED_FP16 && isfinite(x) && fabsf(x) > 65504)
		return ldexpf(plumb_round_to(stored, ldexpf(x, -113)), 113);
	return plumb_round_to(stored, x);
}

static void rounded_disturb(struct perturb *b, float *v, int64_t n, double s)
{
	for (int64_t i = 0; i < n && s > 0; i++)
		if (isfinite(v[i]))
			v[i] = (float)(v[i] + rounded_noise(&b->state) * s * v[i]);
}

static enum plumb_status rounded_perturb_value(void *user, struct plumb_live *live)
{
	struct perturb *b = user;
	struct plumb_captured *captured;
	int64_t n = live->rows * live->width;
	double made, passed;
	bool square = plumb_point_square((int)live->point);
	if (b->points & BIT(live->point))
		for (int64_t r = 0; r < live->rows; r++) {
			float *v = live->v + r * live->width;
			rounded_deviations(b, live, square ? 0 : live->first + r, &made, &passed);
			rounded_disturb(b, v, live->width, made);
			for (int64_t i = 0; i < live->width; i++)
				v[i] = rounded(b->stored, v[i]);
		}
	if (b->kept & BIT(live->point)) {
		PLUMB_TRY(plumb_capture_put(
			b->out, live->layer, (int)live->point, live->rows, live->width, live->first, &captured));
		memcpy(captured->v, live->v, sizeof *captured->v * (size_t)n);
	}
	if (b->points & BIT(live->point)) {
		rounded_deviations(b, live, 0, &made, &passed);
		rounded_disturb(b, live->v, n, passed);
		live->changed = true;
	}
	return PLUMB_OK;
}

enum plumb_status plumb_run_blurred(
	struct plumb_run *run, enum plumb_stored stored, unsigned points, uint64_t seed)
{
	struct perturb b = {
		.stored = stored, .points = points, .kept = run->points, .state = seed, .out = run->out
	};
	b.unit = stored == PLUMB_STORED_FP32 ? 0x1p-24 : plumb_least_floor(stored);
	PLUMB_TRY(plumb_capture_new(b.out, (int)plumb_model_config(run->model)->layers));
	run->out = NULL; /* it would see the values before they are rounded */
	run->hook[run->hooks++] = (struct plumb_hook){ points | b.kept, rounded_perturb_value, &b };
	enum plumb_status s = plumb_run_watched(run);
	if (s)
		plumb_capture_free(b.out);
	return s;
}

/* Values that were right and then rounded when they were written: no error is passed on. */
void plumb_perturb_stored(float *v, int64_t n, enum plumb_stored stored, uint64_t seed)
{
	struct perturb b = { .state = seed };
	if (stored == PLUMB_STORED_FP32)
		rounded_disturb(&b, v, n,
			0.6 * 0x1p-24); /* the trusted run is itself of float32: rounding it again would change nothing */
	for (int64_t i = 0; i < n; i++)
		v[i] = rounded(stored, v[i]);
}
