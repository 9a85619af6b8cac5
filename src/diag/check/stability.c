/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges, what is not finite, and room below fp16 and bf16, of every value and every sum of one run; the
 * first value that is not finite, with its operator and the reason. The numbers come from ranges.c and
 * sums.c, the plan that follows from them from narrow.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"
#include "core/string.h"

struct stability {
	struct plumb_values v;
	const struct plumb_range *bad; /* the first that is not finite; NULL: none */
	const char *op, *what;         /* of its first such value: the operator that made it, NaN or infinity */
	int64_t row, column;
	struct plumb_string cause, text;
	struct plumb_plan fp16, bf16;
};

/* Index of the first value of a row that is not finite, -1: all are. */
static int64_t stability_first(const struct plumb_file_tensor *t, int64_t row, float *v)
{
	int64_t n = t->dim[t->rank - 1];
	if (plumb_weight_row(t, row, v))
		return -1;
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(v[i]))
			return i;
	return -1;
}

/* Is it the weight? row: the token of embeddings, the output's column of products, 0 of norms and biases. */
static void stability_weight(struct plumb_diag *d, struct stability *r, enum plumb_role role, int64_t row)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(d->port, role, r->bad->layer);
	if (r->cause.text || !t || (t->rank == 2 && row >= t->dim[0]))
		return;
	float *v = malloc(sizeof *v * (size_t)t->dim[t->rank - 1]);
	int64_t at = v ? stability_first(t, t->rank == 2 ? row : 0, v) : -1;
	if (at >= 0 && t->rank == 1)
		at = r->column < t->dim[0] && !isfinite(v[r->column]) ? r->column : -1;
	if (at >= 0) {
		plumb_string_format(&r->cause, "the weight %.*s holds %s at [", (int)t->name.n, t->name.p,
			isnan(v[at]) ? "NaN" : "infinity");
		if (t->rank == 2)
			plumb_string_format(&r->cause, "%lld, ", (long long)row);
		plumb_string_format(&r->cause, "%lld]", (long long)at);
	}
	free(v);
}

/* The values before it were all finite, since it is the first. */
static void stability_offender(struct plumb_diag *d, struct stability *r)
{
	for (int i = 0; i < r->v.ranges && !r->bad; i++)
		r->bad = r->v.range[i].bad >= 0 ? &r->v.range[i] : NULL;
	if (!r->bad)
		return;
	const struct plumb_made *m = plumb_model_made(d->port, r->bad->point);
	const struct plumb_captured *p = plumb_capture_at(r->v.c, r->bad->layer, r->bad->point);
	float x = p->v[r->bad->bad];
	r->op = plumb_op_name((int)m->op);
	r->what = isnan(x) ? "NaN" : x > 0 ? "infinity" : "-infinity";
	r->row = p->first + r->bad->bad / p->width;
	r->column = r->bad->bad % p->width;
	stability_weight(
		d, r, m->weight, r->bad->point == PLUMB_POINT_EMBEDDINGS ? d->tokens[r->row] : r->column);
	stability_weight(d, r, m->bias, 0);
	if (!r->cause.text)
		plumb_string_format(&r->cause, "its inputs and weights are finite: the %s",
			isnan(x) ? "operator itself made it"
					 : "result or a sum on the way is too large for float32, or the operator is wrong");
}

static const char *stability_place(int layer, int point, char text[64])
{
	plumb_format(text, 64, layer >= 0 ? "layer %2$d's %1$s" : "%s", plumb_point_name(point), layer);
	return text;
}

static void stability_tell_plan(struct plumb_string *f, const struct plumb_plan *plan, const char *name)
{
	int n = 0;
	for (const struct plumb_plan_row *row = plan->row; row < plan->row + plan->rows; row++)
		if (row->stay)
			plumb_string_format(f,
				n++ ? "; %s %s (%s)" : "\nIn %4$s these must stay float32: %1$s %2$s (%3$s)",
				plumb_op_name((int)row->op), plumb_point_name(row->point), row->why, name);
	if (!n)
		plumb_string_format(f, "\nIn %s every operator could run", name);
	plumb_string_put(f, ".");
}

static void stability_tell(struct stability *r)
{
	char where[64];
	const struct plumb_range *largest = NULL;
	const struct plumb_sum *sum = NULL;
	int64_t denormal = 0;
	struct plumb_string *f = &r->text;
	double size = 0;
	for (int i = 0; i < r->v.ranges; i++) {
		const struct plumb_range *one = &r->v.range[i];
		double this = fmax(fabs(one->min), fabs(one->max));
		if (!isnan(one->rms) && (!largest || this > size)) {
			largest = one;
			size = this;
		}
		denormal += one->denormal;
	}
	for (const struct plumb_sum *one = r->v.sum; one < r->v.sum + r->v.sums; one++)
		sum = one->worst > 0 && (!sum || one->worst > sum->worst) ? one : sum;
	if (!r->bad)
		plumb_string_put(f, "Every value is finite.");
	else
		plumb_string_format(f,
			"The first value that is not finite: %s at [%lld, %lld] of layer %d's %s (operator %s); %s.",
			r->what, (long long)r->row, (long long)r->column, r->bad->layer, plumb_point_name(r->bad->point),
			r->op, r->cause.text);
	if (largest)
		plumb_string_format(f, " The largest is %.4g at %s, %.1f bits below the end of fp16 (65504).", size,
			stability_place(largest->layer, largest->point, where), plumb_narrow_bits(size, false));
	if (sum)
		plumb_string_format(f, " The largest sum inside an operator may reach %.4g, in %s.", sum->worst,
			stability_place(sum->layer, sum->point, where));
	if (denormal)
		plumb_string_format(f, " %lld values are denormal.", (long long)denormal);
	stability_tell_plan(f, &r->fp16, "fp16");
	stability_tell_plan(f, &r->bf16, "bf16");
	plumb_string_put(f, " Sums of products are taken to be in float32 there.");
}

static enum plumb_status stability_find(struct plumb_diag *d, void *result)
{
	struct stability *r = result;
	struct plumb_values *v = &r->v;
	PLUMB_TRY(plumb_diag_ours(d, &v->c));
	PLUMB_TRY(plumb_ranges_of(v->c, &v->range, &v->ranges));
	PLUMB_TRY(plumb_sums_of(d, v->c, &v->sum, &v->sums));
	PLUMB_TRY(plumb_narrow_plan(d, v, false, &r->fp16));
	PLUMB_TRY(plumb_narrow_plan(d, v, true, &r->bf16));
	stability_offender(d, r);
	if (!r->cause.failed)
		stability_tell(r);
	return r->cause.failed || r->text.failed
		? plumb_fail(PLUMB_E_MEMORY, "no memory for the ranges of %d layers", v->c->layers)
		: PLUMB_OK;
}

/* --- as JSON --- */

static json_t *stability_points(struct plumb_diag *d, const struct plumb_values *v)
{
	json_t *points = json_array();
	for (const struct plumb_range *r = v->range; r < v->range + v->ranges; r++) {
		double size = fmax(fabs(r->min), fabs(r->max));
		plumb_diag_add(d, points,
			json_pack("{s:i, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "layer", r->layer, "point",
				plumb_point_name(r->point), "min", plumb_json_number(r->min), "max",
				plumb_json_number(r->max), "rms", plumb_json_number(r->rms), "nan", (json_int_t)r->nan, "inf",
				(json_int_t)r->inf, "denormal", (json_int_t)r->denormal, "fp16_bits",
				plumb_json_number(plumb_narrow_bits(size, false)), "bf16_bits",
				plumb_json_number(plumb_narrow_bits(size, true))));
	}
	return points;
}

static json_t *stability_sums(struct plumb_diag *d, const struct plumb_values *v)
{
	json_t *sums = json_array();
	for (const struct plumb_sum *s = v->sum; s < v->sum + v->sums; s++)
		plumb_diag_add(d, sums,
			json_pack("{s:i, s:s, s:o, s:I, s:o, s:o}", "layer", s->layer, "point",
				plumb_point_name(s->point), "worst_sum", plumb_json_number(s->worst), "terms",
				(json_int_t)s->terms, "fp16_bits", plumb_json_number(plumb_narrow_bits(s->worst, false)),
				"bf16_bits", plumb_json_number(plumb_narrow_bits(s->worst, true))));
	return sums;
}

static json_t *stability_plan(struct plumb_diag *d, const struct plumb_plan *plan)
{
	json_t *rows = json_array();
	for (const struct plumb_plan_row *row = plan->row; row < plan->row + plan->rows; row++) {
		json_t *layers = json_array();
		for (int i = 0; i < row->layers; i++)
			plumb_diag_add(d, layers, json_integer(row->layer[i]));
		plumb_diag_add(d, rows,
			json_pack("{s:o, s:s, s:s, s:s, s:o}", "operator",
				plumb_json_format("%s %s", plumb_op_name((int)row->op), plumb_point_name(row->point)),
				"point", plumb_point_name(row->point), "keep", row->stay ? "float32" : row->f->name, "why",
				row->why, "layers", layers));
	}
	return rows;
}

static json_t *stability_emit(struct plumb_diag *d, const void *result)
{
	const struct stability *r = result;
	json_t *offender = !r->bad
		? json_null()
		: json_pack("{s:i, s:s, s:s, s:[I, I], s:n, s:s, s:o}", "layer", r->bad->layer, "point",
			  plumb_point_name(r->bad->point), "operator", r->op, "index", (json_int_t)r->row,
			  (json_int_t)r->column, "value", "what", r->what, "cause", plumb_json_text(r->cause.text));
	return json_pack("{s:s, s:o, s:o, s:o, s:{s:o, s:o}, s:o}", "part", "stability", "points",
		stability_points(d, &r->v), "accumulators", stability_sums(d, &r->v), "first_offender", offender,
		"plan", "fp16", stability_plan(d, &r->fp16), "bf16", stability_plan(d, &r->bf16), "text",
		plumb_json_text(r->text.text));
}

static void stability_free(void *result)
{
	struct stability *r = result;
	free(r->v.range);
	free(r->v.sum);
	free(r->cause.text);
	free(r->text.text);
	free(r->fp16.layer);
	free(r->bf16.layer);
}

const struct plumb_check plumb_check_stability = { "stability",
	"Is anything NaN or infinite, and what must stay wide in fp16 and bf16?", false, sizeof(struct stability),
	stability_find, stability_emit, stability_free };
