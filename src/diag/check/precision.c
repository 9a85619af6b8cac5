/* SPDX-License-Identifier: Apache-2.0 */
/* In which precision was the reference computed? From the bits of its values; and what that precision lets it
 * see. The floor itself comes from the control run (control run.c, errors.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

static bool precision_said_narrow(const struct plumb_reference *r, enum plumb_stored stored)
{
	const char *const bf[] = { "bf16", "bfloat16", "BF16" }, *const half[] = { "fp16", "float16", "F16" };
	for (int i = 0; i < 3; i++)
		if (strstr(r->dtype, stored == PLUMB_STORED_BF16 ? bf[i] : half[i]))
			return true;
	return false;
}

static double precision_median(double *v, int n) { return n ? plumb_median_double(v, n) : 0; }

/* Per layer output: floor as it accumulates and of the layer alone. over: medians' room, three values for
 * each. */
static void precision_find_floors(
	struct plumb_diag *d, const struct plumb_errors *e, struct plumb_precision_result *p, double *alone)
{
	double *ulps = alone + d->layers, *over = ulps + d->layers;
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_gap *all = plumb_gap_at(e, PLUMB_ACCUMULATED, layer, PLUMB_POINT_OUTPUT);
		const struct plumb_gap *one = plumb_gap_at(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT);
		if (!all || !one)
			continue;
		alone[p->floors] = one->floor;
		over[p->floors] = all->elementwise / plumb_least_floor(e->stored);
		ulps[p->floors] = all->m.mean_ulp;
		p->floor[p->floors++] = (struct plumb_floor){ layer, all->floor, one->floor };
	}
	p->ulp = precision_median(ulps, p->floors);
	p->alone = precision_median(alone, p->floors);
	/* A run in that precision is farther away than one rounding. */
	p->late = p->stored != PLUMB_STORED_FP32 && precision_median(over, p->floors) < 1.2;
}

static void precision_describe(const struct plumb_errors *e, struct plumb_precision_result *p)
{
	const char *as = plumb_stored_name(p->stored);
	bool port = p->compared != p->stored;
	int used = plumb_format(p->text, sizeof p->text, "%sThe reference's values are %s%s%s. ",
		port ? "The port runs in fp16 here (AR_HARDWARE_PRECISION): every value is rounded to it. " : "", as,
		p->widened ? ", written as float32 (the low bits are all zero)" : "",
		p->late
			? "; they were computed more precisely and rounded at the end, so what rounding explains is estimated generously"
			: "");
	plumb_format(p->text + used, sizeof p->text - (size_t)used,
		"Our outputs are %.2g of %s units in the last place away on average. A right port "
		"shows a relative error of about %.1e in one layer; what is smaller than %.1e it cannot tell from its own rounding.",
		p->ulp, port ? "fp16's" : "its", p->alone, p->alone * e->limit);
}

static enum plumb_status precision_find(struct plumb_diag *d, void *result)
{
	struct plumb_precision_result *p = result;
	const struct plumb_errors *e;
	PLUMB_TRY(plumb_diag_errors(d, &e));
	p->stored = e->reference;
	p->compared = e->stored;
	p->limit = e->limit;
	p->widened = p->stored != PLUMB_STORED_FP32 && !precision_said_narrow(d->reference, p->stored);
	double *room = malloc(sizeof *room * 3 * ((size_t)d->layers + 1));
	p->floor = malloc(sizeof *p->floor * ((size_t)d->layers + 1));
	if (room && p->floor)
		precision_find_floors(d, e, p, room);
	free(room);
	if (!room || !p->floor)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the precision");
	precision_describe(e, p);
	return PLUMB_OK;
}

static json_t *precision_emit(struct plumb_diag *d, const void *result)
{
	const struct plumb_precision_result *p = result;
	char name[32];
	json_t *list = json_array();
	for (int i = 0; i < p->floors; i++)
		plumb_diag_add(d, list,
			json_pack("{s:i, s:o, s:o}", "layer", p->floor[i].layer, "rel",
				plumb_json_number(p->floor[i].rel), "isolated", plumb_json_number(p->floor[i].isolated)));
	plumb_format(name, sizeof name, "%s%s", p->widened ? "fp32-from-" : "", plumb_stored_name(p->stored));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:b}", "part", "precision", "stored", name,
		"compared_in", plumb_stored_name(p->compared), "text", p->text, "floor", list, "ulp",
		plumb_json_number(p->ulp), "blind_below", plumb_json_number(p->alone * p->limit), "limit", p->limit,
		"rounded_at_the_end", p->late);
}

static void precision_free(void *result) { free(((struct plumb_precision_result *)result)->floor); }

const struct plumb_check plumb_check_precision = { "precision",
	"In which precision was the reference made, and which errors can it not show?", true,
	sizeof(struct plumb_precision_result), precision_find, precision_emit, precision_free };
