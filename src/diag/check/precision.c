/* SPDX-License-Identifier: Apache-2.0 */
/* In which precision was the reference computed? From the bits of its values; and what that precision lets it see. The floor itself
 * comes from the twin (twin.c, errors.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

static bool said_narrow(const struct plumb_reference *r, enum plumb_stored stored)
{
	const char *const bf[] = { "bf16", "bfloat16", "BF16" }, *const half[] = { "fp16", "float16", "F16" };
	for (int i = 0; i < 3; i++)
		if (strstr(r->dtype, stored == PLUMB_STORED_BF16 ? bf[i] : half[i]))
			return true;
	return false;
}

static double median(double *v, int n)
{
	return n ? plumb_median_double(v, n) : 0;
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

const struct plumb_check plumb_check_precision = { "precision",
	"In which precision was the reference made, and which errors can it not show?", true, run };
