/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges, what is not finite, and room below fp16 and bf16, of every value and every sum of one run; the
 * first value that is not finite, with its operator and the reason. The plan that follows from it is in
 * narrow.c. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"
#include "core/string.h"

struct work {
	struct plumb_diag *d;
	const struct plumb_capture *c;
	struct plumb_range *range;
	struct plumb_sum *sum;
	int ranges, sums;
	json_t *points, *accumulators, *offender, *fp16, *bf16;
	bool failed; /* no memory for JSON */
};

/* --- ranges --- */

/* A prompt's scores are {heads * n, n}; a query does not see the keys behind it. */
static int64_t visible(const struct plumb_plane *p, int point, int64_t row)
{
	return point == PLUMB_POINT_ATTN_SCORES ? row % p->width + 1 : p->width;
}

static void look(struct plumb_range *r, const struct plumb_plane *p)
{
	double squares = 0;
	int64_t n = 0;
	r->min = r->max = r->rms = r->top = NAN;
	r->bad = -1;
	for (int64_t row = 0; row < p->rows; row++) {
		double top = -INFINITY;
		int64_t seen = visible(p, r->point, row);
		for (int64_t i = row * p->width; i < row * p->width + seen; i++) {
			double x = (double)p->v[i];
			if (!isfinite(x)) {
				*(isnan(x) ? &r->nan : &r->inf) += 1;
				r->bad = r->bad < 0 ? i : r->bad;
				continue;
			}
			r->denormal += x != 0 && fabs(x) < (double)FLT_MIN;
			r->min = x >= r->min ? r->min : x;
			r->max = x <= r->max ? r->max : x;
			top = x > top ? x : top;
			squares += x * x;
			n++;
		}
		if (r->point == PLUMB_POINT_ATTN_SCORES && seen > 1 && isfinite(top))
			r->top = fabs(top) <= r->top ? r->top : fabs(top);
	}
	r->rms = n ? sqrt(squares / (double)n) : NAN;
}

static double bits(double size, bool bf16) { return plumb_narrow_bits(size, bf16); }

static enum plumb_status look_at_all(struct work *w)
{
	int layer = -1, point = -1;
	if (!(w->range = calloc(((size_t)w->c->layers + 1) * PLUMB_POINT_COUNT, sizeof *w->range)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the ranges of %d layers", w->c->layers);
	while (plumb_capture_next(w->c, &layer, &point)) {
		struct plumb_range *r = &w->range[w->ranges++];
		*r = (struct plumb_range){ .layer = layer, .point = point };
		look(r, plumb_capture_at(w->c, layer, point));
		double size = fmax(fabs(r->min), fabs(r->max));
		w->failed |= json_array_append_new(w->points,
						 json_pack("{s:i, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "layer", layer,
							 "point", plumb_point_name(point), "min", plumb_json_number(r->min), "max",
							 plumb_json_number(r->max), "rms", plumb_json_number(r->rms), "nan",
							 (json_int_t)r->nan, "inf", (json_int_t)r->inf, "denormal",
							 (json_int_t)r->denormal, "fp16_bits", plumb_json_number(bits(size, false)),
							 "bf16_bits", plumb_json_number(bits(size, true)))) != 0;
	}
	return PLUMB_OK;
}

static enum plumb_status sum_all(struct work *w)
{
	PLUMB_TRY(plumb_sums_of(w->d, w->c, &w->sum, &w->sums));
	for (int i = 0; i < w->sums; i++)
		w->failed |= json_array_append_new(w->accumulators,
						 json_pack("{s:i, s:s, s:o, s:I, s:o, s:o}", "layer", w->sum[i].layer, "point",
							 plumb_point_name(w->sum[i].point), "worst_sum",
							 plumb_json_number(w->sum[i].worst), "terms", (json_int_t)w->sum[i].terms,
							 "fp16_bits", plumb_json_number(bits(w->sum[i].worst, false)), "bf16_bits",
							 plumb_json_number(bits(w->sum[i].worst, true)))) != 0;
	return PLUMB_OK;
}

/* --- the first that is not finite --- */

/* Index of the first value of a row that is not finite, -1: all are. */
static int64_t first_bad(const struct plumb_file_tensor *t, int64_t row, float *v)
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
static json_t *blame_weight(struct work *w, int layer, enum plumb_role role, int64_t row, int64_t only)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(w->d->port, role, layer);
	if (!t || (t->rank == 2 && row >= t->dim[0]))
		return NULL;
	float *v = malloc(sizeof *v * (size_t)t->dim[t->rank - 1]);
	int64_t at = v ? first_bad(t, t->rank == 2 ? row : 0, v) : -1;
	if (at >= 0 && t->rank == 1 && only < t->dim[0] && !isfinite(v[only]))
		at = only;
	json_t *cause = at < 0 || (t->rank == 1 && at != only) ? NULL
		: t->rank == 2 ? plumb_json_format("the weight %.*s holds %s at [%lld, %lld]", (int)t->name.n,
							 t->name.p, isnan(v[at]) ? "NaN" : "infinity", (long long)row, (long long)at)
					   : plumb_json_format("the weight %.*s holds %s at [%lld]", (int)t->name.n, t->name.p,
							 isnan(v[at]) ? "NaN" : "infinity", (long long)at);
	free(v);
	return cause;
}

/* Words for why; the values before it were all finite, since it is the first. */
static json_t *cause_of(struct work *w, const struct plumb_range *r, int64_t row, int64_t column, float x)
{
	const struct plumb_made *m = plumb_model_made(w->d->port, r->point);
	json_t *cause = blame_weight(
		w, r->layer, m->weight, r->point == PLUMB_POINT_EMBEDDINGS ? w->d->tokens[row] : column, column);
	if (!cause)
		cause = blame_weight(w, r->layer, m->bias, 0, column);
	if (cause)
		return cause;
	if (isnan(x))
		return json_string("its inputs and weights are finite: the operator itself made it");
	return json_string(
		"its inputs and weights are finite: the result or a sum on the way is too large for float32, or the operator is wrong");
}

static void find_offender(struct work *w)
{
	for (int i = 0; i < w->ranges; i++) {
		const struct plumb_range *r = &w->range[i];
		if (r->bad < 0)
			continue;
		const struct plumb_plane *p = plumb_capture_at(w->c, r->layer, r->point);
		int64_t row = r->bad / p->width, column = r->bad % p->width;
		float x = p->v[r->bad];
		w->offender = json_pack("{s:i, s:s, s:s, s:[I, I], s:n, s:s, s:o}", "layer", r->layer, "point",
			plumb_point_name(r->point), "operator",
			plumb_op_name((int)plumb_model_made(w->d->port, r->point)->op), "index",
			(json_int_t)(p->first + row), (json_int_t)column, "value", "what",
			isnan(x)    ? "NaN"
				: x > 0 ? "infinity"
						: "-infinity",
			"cause", cause_of(w, r, p->first + row, column, x));
		w->failed |= !w->offender;
		return;
	}
	w->offender = json_null();
}

/* --- telling --- */

static const char *place(int layer, int point, char text[64])
{
	plumb_format(text, 64, layer >= 0 ? "layer %2$d's %1$s" : "%s", plumb_point_name(point), layer);
	return text;
}

static void tell_plan(struct plumb_string *f, const json_t *plan, const char *name)
{
	size_t i, n = 0;
	json_t *row;
	json_array_foreach(plan, i, row) {
		if (strcmp(json_string_value(json_object_get(row, "keep")), "float32"))
			continue;
		plumb_string_format(f, n++ ? "; %s (%s)" : "\nIn %3$s these must stay float32: %1$s (%2$s)",
			json_string_value(json_object_get(row, "operator")),
			json_string_value(json_object_get(row, "why")), name);
	}
	if (!n)
		plumb_string_format(f, "\nIn %s every operator could run", name);
	plumb_string_put(f, ".");
}

static json_t *text_of(const struct work *w)
{
	char where[64];
	const struct plumb_range *largest = NULL;
	const struct plumb_sum *sum = NULL;
	int64_t denormal = 0;
	struct plumb_string all = { NULL, 0, 0, false }, *f = &all;
	for (int i = 0; i < w->ranges; i++) {
		const struct plumb_range *r = &w->range[i];
		if (!isnan(r->rms) &&
			(!largest || fmax(fabs(r->min), fabs(r->max)) > fmax(fabs(largest->min), fabs(largest->max))))
			largest = r;
		denormal += r->denormal;
	}
	for (int i = 0; i < w->sums; i++)
		sum = w->sum[i].worst > 0 && (!sum || w->sum[i].worst > sum->worst) ? &w->sum[i] : sum;
	if (json_is_null(w->offender))
		plumb_string_put(f, "Every value is finite.");
	else
		plumb_string_format(f,
			"The first value that is not finite: %s at [%lld, %lld] of layer %lld's %s (operator %s); %s.",
			json_string_value(json_object_get(w->offender, "what")),
			(long long)json_integer_value(json_array_get(json_object_get(w->offender, "index"), 0)),
			(long long)json_integer_value(json_array_get(json_object_get(w->offender, "index"), 1)),
			(long long)json_integer_value(json_object_get(w->offender, "layer")),
			json_string_value(json_object_get(w->offender, "point")),
			json_string_value(json_object_get(w->offender, "operator")),
			json_string_value(json_object_get(w->offender, "cause")));
	if (largest)
		plumb_string_format(f, " The largest is %.4g at %s, %.1f bits below the end of fp16 (65504).",
			fmax(fabs(largest->min), fabs(largest->max)), place(largest->layer, largest->point, where),
			bits(fmax(fabs(largest->min), fabs(largest->max)), false));
	if (sum)
		plumb_string_format(f, " The largest sum inside an operator may reach %.4g, in %s.", sum->worst,
			place(sum->layer, sum->point, where));
	if (denormal)
		plumb_string_format(f, " %lld values are denormal.", (long long)denormal);
	tell_plan(f, w->fp16, "fp16");
	tell_plan(f, w->bf16, "bf16");
	plumb_string_put(f, " Sums of products are taken to be in float32 there.");
	return plumb_string_json(f);
}

static enum plumb_status run(struct plumb_diag *d, void *made)
{
	json_t **result = made;
	struct work w = { .d = d, .points = json_array(), .accumulators = json_array() };
	*result = NULL;
	enum plumb_status s = plumb_diag_ours(d, &w.c);
	if (!s)
		s = look_at_all(&w);
	if (!s)
		s = sum_all(&w);
	if (!s) {
		find_offender(&w);
		w.fp16 = plumb_narrow_plan(d, w.c, w.range, w.ranges, w.sum, w.sums, false);
		w.bf16 = plumb_narrow_plan(d, w.c, w.range, w.ranges, w.sum, w.sums, true);
		if (w.fp16 && w.bf16 && !w.failed)
			*result = json_pack("{s:s, s:O, s:O, s:O, s:{s:O, s:O}, s:o}", "part", "stability", "points",
				w.points, "accumulators", w.accumulators, "first_offender", w.offender, "plan", "fp16",
				w.fp16, "bf16", w.bf16, "text", text_of(&w));
		if (!*result)
			s = plumb_fail(PLUMB_E_MEMORY, "no memory for the ranges of %d layers", w.c->layers);
	}
	json_decref(w.points);
	json_decref(w.accumulators);
	json_decref(w.offender);
	json_decref(w.fp16);
	json_decref(w.bf16);
	free(w.range);
	free(w.sum);
	return s;
}

const struct plumb_check plumb_check_stability = { "stability",
	"Is anything NaN or infinite, and what must stay wide in fp16 and bf16?", false, sizeof(json_t *), run,
	plumb_made_emit, plumb_made_free };
