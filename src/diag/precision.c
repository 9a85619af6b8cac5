/* SPDX-License-Identifier: Apache-2.0 */
/* In which precision was the reference computed? From the bits of its values; and what that precision lets it see. The floor itself
 * comes from the twin (twin.c, errors.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/diag.h"

#define BIT(point) (1u << (point))
/* Embeddings are as the weights are stored, attention weights of a single key are 1: neither tells how the run computed. */
#define SILENT (BIT(PLUMB_POINT_EMBEDDINGS) | BIT(PLUMB_POINT_ATTN_SCORES) | BIT(PLUMB_POINT_ATTN_SOFTMAX))
/* Share of the tensors that must be of narrow values: a norm or logits may have been kept in float32. */
#define MOST 0.75

float plumb_round_to(enum plumb_stored stored, float x)
{
	return stored == PLUMB_STORED_BF16 ? plumb_bf16_to_f32(plumb_f32_to_bf16(x)) :
		stored == PLUMB_STORED_FP16 ? plumb_f16_to_f32(plumb_f32_to_f16(x)) : x;
}

static bool all_of(const struct plumb_plane *p, enum plumb_stored stored)
{
	for (int64_t i = 0; i < p->rows * p->width; i++)
		if (isfinite(p->v[i]) && plumb_round_to(stored, p->v[i]) != p->v[i])
			return false;
	return true;
}

static bool most_of(const struct plumb_capture *c, enum plumb_stored stored, unsigned silent)
{
	int layer = -1, point = -1, seen = 0, narrow = 0;
	while (plumb_capture_next(c, &layer, &point))
		if (!(silent & BIT(point))) {
			seen++;
			narrow += all_of(plumb_capture_at(c, layer, point), stored);
		}
	return seen ? narrow >= MOST * seen : silent && most_of(c, stored, 0);
}

/* A bf16 value is not often an fp16 one and the other way round, so the order matters only for tensors of round numbers. */
enum plumb_stored plumb_reference_stored(const struct plumb_reference *r)
{
	return most_of(&r->raw, PLUMB_STORED_BF16, SILENT) ? PLUMB_STORED_BF16 : most_of(&r->raw, PLUMB_STORED_FP16, SILENT) ?
		PLUMB_STORED_FP16 :
		PLUMB_STORED_FP32;
}

enum plumb_stored plumb_diag_stored(const struct plumb_diag *d, enum plumb_stored reference)
{
	bool half = plumb_context_precision(plumb_model_context(d->port)) == PLUMB_FP16;
	return half && reference == PLUMB_STORED_FP32 ? PLUMB_STORED_FP16 : reference;
}

const char *plumb_stored_name(enum plumb_stored stored)
{
	return stored == PLUMB_STORED_BF16 ? "bf16" : stored == PLUMB_STORED_FP16 ? "fp16" : "fp32";
}

/* The deviation of one rounding: of a value uniform within half a step, over all mantissas. float32 gets room for a few. */
double plumb_least_floor(enum plumb_stored stored)
{
	return stored == PLUMB_STORED_FP32 ? 4 * 0x1p-24 : 0.85 * (stored == PLUMB_STORED_BF16 ? 0x1p-9 : 0x1p-12);
}

static bool said_narrow(const struct plumb_reference *r, enum plumb_stored stored)
{
	const char *const bf[] = { "bf16", "bfloat16", "BF16" }, *const half[] = { "fp16", "float16", "F16" };
	for (int i = 0; i < 3; i++)
		if (strstr(r->dtype, stored == PLUMB_STORED_BF16 ? bf[i] : half[i]))
			return true;
	return false;
}

enum plumb_type plumb_stored_type(enum plumb_stored stored)
{
	return stored == PLUMB_STORED_BF16 ? PLUMB_BF16 : stored == PLUMB_STORED_FP16 ? PLUMB_F16 : PLUMB_F32;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, plumb_ascending_double);
	return n ? v[n / 2] : 0;
}

/* Medians over the layers' outputs. */
struct levels { double alone, ulp, over_storage; };

/* Per layer output: floor as it accumulates and of the layer alone. */
static json_t *floors(struct plumb_diag *d, const struct plumb_errors *e, struct levels *levels)
{
	json_t *list = json_array();
	double *alone = malloc(sizeof *alone * 3 * ((size_t)d->layers + 1));
	if (!alone) {
		d->lost = true;
		*levels = (struct levels){ 0, 0, INFINITY };
		return list;
	}
	double *ulps = alone + d->layers + 1, *over = ulps + d->layers + 1;
	int n = 0;
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_gap *all = plumb_gap_at(e, PLUMB_ACCUMULATED, layer, PLUMB_POINT_OUTPUT);
		const struct plumb_gap *one = plumb_gap_at(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT);
		if (!all || !one)
			continue;
		alone[n] = one->floor;
		over[n] = all->even / plumb_least_floor(e->stored);
		ulps[n++] = all->m.mean_ulp;
		plumb_diag_add(d, list, json_pack("{s:i, s:o, s:o}", "layer", layer, "rel", plumb_json_number(all->floor),
			"isolated", plumb_json_number(one->floor)));
	}
	*levels = (struct levels){ median(alone, n), median(ulps, n), median(over, n) };
	free(alone);
	return list;
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	const struct plumb_errors *e;
	struct levels l;
	char name[32], text[768];
	PLUMB_TRY(plumb_diag_errors(d, &e));
	enum plumb_stored stored = e->reference;
	const char *as = plumb_stored_name(stored);
	json_t *list = floors(d, e, &l);
	bool widened = stored != PLUMB_STORED_FP32 && !said_narrow(d->reference, stored);
	bool late = stored != PLUMB_STORED_FP32 && l.over_storage < 1.2; /* a run in that precision is farther away than one rounding */
	plumb_format(name, sizeof name, "%s%s", widened ? "fp32-from-" : "", as);
	int used = plumb_format(text, sizeof text, "%sThe reference's values are %s%s%s. ",
		e->stored != stored ? "The port runs in fp16 here (AR_HARDWARE_PRECISION): every value is rounded to it. " : "", as, widened ?
		", written as float32 (the low bits are all zero)" : "",
		late ? "; they were computed more precisely and rounded at the end, so what rounding explains is estimated generously" : "");
	plumb_format(text + used, sizeof text - (size_t)used, "Our outputs are %.2g of %s units in the last place away on "
		"average. A right port shows a relative error of about %.1e in one "
		"layer; what is smaller than %.1e it cannot tell from its own rounding.", l.ulp, e->stored != stored ? "fp16's" : "its", l.alone, l.alone * e->limit);
	*result = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:b}", "part", "precision", "stored", name, "compared_in", plumb_stored_name(e->stored), "text", text, "floor", list,
		"ulp", plumb_json_number(l.ulp), "blind_below", plumb_json_number(l.alone * e->limit), "limit", e->limit,
		"rounded_at_the_end", late);
	return *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the precision");
}

const struct plumb_diag_row plumb_diag_precision = { "precision",
	"in which precision was the reference computed, and what can it see?", true, run };
