/* SPDX-License-Identifier: Apache-2.0 */
/* Which porting bug looks like this divergence? The trusted model runs with each bug of the library in the
 * layer that is to blame, and what changes there is compared with what differs there. Also: which layer that
 * is. What the bugs are is in fault.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define BIT(point) (1u << PLUMB_POINT_##point)
#define ENDS (BIT(EMBEDDINGS) | BIT(OUTPUT))
#define HEAD (BIT(FINAL_NORM) | BIT(LOGITS))
#define SAME 5e-7  /* a port that is the trusted model itself, without the fault, has the same bits */
#define OTHER 1e-4 /* another driver, or quicker arithmetic */
#define OTHER_FP16 \
	5e-3 /* a layer in fp16, where no reference gives a floor: rounding makes 9e-4 in tiny models, and six \
			times that is allowed */
#define CLIP 3.0 /* one value tells at most so much, in units of its own size */
#define LIKE 0.6 /* a score below is no likeness */

struct probe {
	struct plumb_diag *d;
	bool port;   /* what is to be explained: how the port differs from the trusted run, else how the reference
					does */
	int layer;   /* to blame; d->config->layers: what comes after them */
	int bad;     /* layers that are */
	bool hybrid; /* the reference lacks rows, where earlier layers may be as wrong */
	bool beyond; /* compare in the layers after it, too */
	const struct plumb_capture *fed; /* to be fed to every layer */
	const struct plumb_capture *observed, *clean;
	struct plumb_capture port_run, clean_run;
	double oo, op, pp; /* products of the observed and the predicted pattern */
	float *row;        /* room for a median */
};

/* --- which layer --- */

static bool fingerprint_gap_bad(const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point)
{
	const struct plumb_gap *gap = plumb_gap_at(e, kind, layer, point);
	return gap && !gap->ok;
}

static bool fingerprint_layer_bad(const struct plumb_errors *e, int layer)
{
	if (fingerprint_gap_bad(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT))
		return true;
	for (int point = 0; e->inner && point < PLUMB_POINT_COUNT; point++)
		if (plumb_point_in_layer(point) && fingerprint_gap_bad(e, PLUMB_COMPONENT, layer, point))
			return true;
	return false;
}

enum plumb_status plumb_first_wrong(struct plumb_diag *d, int *layer, int *bad)
{
	const struct plumb_errors *e;
	*layer = PLUMB_NONE_WRONG;
	*bad = 0;
	PLUMB_TRY(plumb_diag_errors(d, &e));
	enum plumb_gap_kind kind = e->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED;
	if (fingerprint_gap_bad(e, kind, -1, PLUMB_POINT_EMBEDDINGS))
		*layer = -1;
	for (int l = 0; l < d->layers; l++)
		if (fingerprint_layer_bad(e, l) && !(*bad)++ && *layer == PLUMB_NONE_WRONG)
			*layer = l;
	if (*layer == PLUMB_NONE_WRONG &&
		(fingerprint_gap_bad(e, kind, -1, PLUMB_POINT_FINAL_NORM) ||
			fingerprint_gap_bad(e, kind, -1, PLUMB_POINT_LOGITS)))
		*layer = (int)d->config->layers;
	return PLUMB_OK;
}

/* --- the observed pattern --- */

static struct plumb_run fingerprint_run_of(struct probe *p, bool trusted)
{
	struct plumb_run run = plumb_diag_run(p->d, trusted);
	if (p->d->n <= 128)
		run.keep |= BIT(ATTN_SCORES); /* so that all runs take the same way */
	run.hook[run.hooks++] = (struct plumb_hook){ ENDS, plumb_hook_feed, (void *)(uintptr_t)p->fed };
	return run;
}

/* How far a right port may be from the trusted run at a point; infinite: not known. In fp16 it is what
 * explains its distance from the reference. */
static enum plumb_status fingerprint_port_limit(struct plumb_diag *d, int layer, int point, double *limit)
{
	const struct plumb_errors *e;
	*limit = d->port == d->trusted ? SAME : OTHER;
	if (plumb_context_precision(plumb_model_context(d->port)) != PLUMB_FP16)
		return PLUMB_OK;
	*limit = point == PLUMB_POINT_OUTPUT ? OTHER_FP16 : INFINITY;
	if (!d->reference)
		return PLUMB_OK;
	PLUMB_TRY(plumb_diag_errors(d, &e));
	const struct plumb_gap *gap = plumb_gap_any(
		e, layer < 0 ? PLUMB_ACCUMULATED : PLUMB_ISOLATED, layer, point);
	*limit = gap && gap->have ? e->limit * fmax(gap->floor, gap->floor_elementwise) : INFINITY;
	return PLUMB_OK;
}

/* The layers in which the port, fed as the trusted run was, makes something else. */
static enum plumb_status fingerprint_port_first_wrong(struct probe *p)
{
	struct plumb_diag *d = p->d;
	int layer = -1, point = -1, last = PLUMB_NONE_WRONG;
	while (plumb_capture_next(p->observed, &layer, &point)) {
		const struct plumb_captured *ours = plumb_capture_at(p->observed, layer, point),
									*trusted_run = plumb_capture_at(p->clean, layer, point);
		int place = layer >= 0 ? layer : point == PLUMB_POINT_EMBEDDINGS ? -1 : (int)d->config->layers;
		struct plumb_gap gap;
		double limit;
		PLUMB_TRY(fingerprint_port_limit(d, layer, point, &limit));
		PLUMB_TRY(plumb_gap_measure(&gap, ours, trusted_run, point == PLUMB_POINT_ATTN_SCORES, PLUMB_F32));
		if (!gap.have || place == last || !(fmax(gap.rel, gap.elementwise) > limit))
			continue;
		last = place;
		if (p->layer == PLUMB_NONE_WRONG)
			p->layer = place;
		p->bad += layer >= 0;
	}
	return PLUMB_OK;
}

static enum plumb_status fingerprint_observe_port(struct probe *p)
{
	struct plumb_diag *d = p->d;
	if (d->port == d->trusted && !d->broken)
		return PLUMB_OK;
	p->port = true;
	PLUMB_TRY(plumb_diag_plain(d, &p->clean));
	p->fed = p->clean;
	p->observed = &p->port_run;
	struct plumb_run run = fingerprint_run_of(p, false);
	run.points = plumb_diag_points(d);
	run.out = &p->port_run;
	if (d->port != d->trusted)
		run.keep &= ~BIT(ATTN_SCORES); /* a fused operator of its own may be the bad one */
	PLUMB_TRY(d->port == d->trusted ? plumb_run_watched(&run) : plumb_run_as_used(&run));
	return fingerprint_port_first_wrong(p);
}

static enum plumb_status fingerprint_observe_reference(struct probe *p)
{
	struct plumb_diag *d = p->d;
	p->port = false;
	PLUMB_TRY(plumb_first_wrong(d, &p->layer, &p->bad));
	if (p->layer == PLUMB_NONE_WRONG)
		return PLUMB_OK;
	const struct plumb_errors *errors;
	PLUMB_TRY(plumb_diag_errors(d, &errors));
	PLUMB_TRY(plumb_diag_fixed(d, &p->observed));
	p->hybrid = errors->hybrid;
	p->fed = p->observed;
	p->clean = &p->clean_run;
	struct plumb_run run = fingerprint_run_of(p, true);
	run.points = plumb_diag_points(d);
	run.out = &p->clean_run;
	return plumb_run_watched(&run);
}

/* --- the predicted ones --- */

/* A difference in units of the value's size and of its row's: a massive channel is then one among others. */
static double fingerprint_part(float a, float clean, double median)
{
	if (!isfinite(clean) || !isfinite(a))
		return isfinite(clean) == isfinite(a) ? 0 : isfinite(a) ? CLIP : -CLIP;
	double scale = sqrt((double)clean * clean + median * median), e = (double)a - clean;
	return e == 0 ? 0 : scale == 0 ? copysign(CLIP, e) : fmax(-CLIP, fmin(CLIP, e / scale));
}

static enum plumb_status fingerprint_compare(void *user, struct plumb_live *live)
{
	struct probe *p = user;
	int layers = (int)p->d->config->layers, point = (int)live->point;
	bool head = live->layer < 0 && point != PLUMB_POINT_EMBEDDINGS && p->layer >= layers - 1;
	const struct plumb_captured *clean = plumb_capture_at(p->clean, live->layer, point),
								*observed = plumb_capture_at(p->observed, live->layer, point);
	struct plumb_captured here = { live->v, live->rows, live->width, live->first };
	const float *o, *c, *v, *unused;
	int64_t n, m;
	bool here_too = p->layer < 0 ? point == PLUMB_POINT_EMBEDDINGS
								 : head || live->layer == p->layer || (p->beyond && live->layer > p->layer);
	if (!here_too || !clean || !plumb_captured_common(observed, clean, &o, &c, &n))
		return PLUMB_OK;
	struct plumb_captured both = { (float *)(uintptr_t)c, n / live->width, live->width,
		observed->first > clean->first ? observed->first : clean->first };
	if (!plumb_captured_common(&here, &both, &v, &unused, &m) || m != n)
		return PLUMB_OK;
	float *room = realloc(p->row, sizeof *room * (size_t)live->width);
	if (!room)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld values", (long long)live->width);
	p->row = room;
	double oo = 0, op = 0, pp = 0;
	for (int64_t r = 0; r < n; r += live->width) {
		double median = plumb_median_size(c + r, live->width, p->row);
		for (int64_t i = r; i < r + live->width; i++) {
			double x = fingerprint_part(o[i], c[i], median), y = fingerprint_part(v[i], c[i], median);
			oo += x * x;
			op += x * y;
			pp += y * y;
		}
	}
	/* Each point counts by its error, not by its width. */
	p->oo += oo / (double)n;
	p->op += op / (double)n;
	p->pp += pp / (double)n;
	return PLUMB_OK;
}

static enum plumb_status fingerprint_try_fault(struct probe *p, struct plumb_cause *cause)
{
	struct plumb_fault fault;
	if (plumb_fault_make(&fault, cause->kind, cause->layer, p->d->config) ||
		plumb_fault_fits(cause->kind, p->d->trusted))
		return PLUMB_OK; /* such a model cannot have it */
	struct plumb_run run = fingerprint_run_of(p, true);
	if (p->layer < p->d->config->layers - 1 && !p->beyond)
		run.last_layer = p->layer;
	run.fault = &fault;
	run.hooks = 0; /* look before feeding */
	run.hook[run.hooks++] = (struct plumb_hook){ plumb_diag_points(p->d), fingerprint_compare, p };
	run.hook[run.hooks++] = (struct plumb_hook){ ENDS, plumb_hook_feed, (void *)(uintptr_t)p->fed };
	p->oo = p->op = p->pp = 0;
	PLUMB_TRY(plumb_run_watched(&run));
	if (p->oo > 0 && p->pp > 0) {
		cause->size = p->op / p->pp;
		cause->score = fmax(0, p->op / sqrt(p->oo * p->pp));
		if (!cause->kind->value && cause->size > 0) /* it has one size only */
			cause->score *= fmin(cause->size, 1 / cause->size);
	}
	return PLUMB_OK;
}

/* In all layers, or in the one to blame alone; where rows are lacking, in the one before it, which may have
 * been wrong in those rows only. What fits best. */
static enum plumb_status fingerprint_try_places(struct probe *p, struct plumb_cause *cause)
{
	bool wide = !cause->kind->exchange && (p->bad > 1 || p->hybrid);
	for (int i = 0; i < 3; i++) {
		struct plumb_cause one = { cause->kind, i == 0 ? -1 : i == 1 ? p->layer : p->layer - 1, 0, 0 };
		if ((i == 0 && !wide) || (i == 2 && (!p->hybrid || !p->layer)))
			continue;
		PLUMB_TRY(fingerprint_try_fault(p, &one));
		if (one.score > cause->score)
			*cause = one;
	}
	return PLUMB_OK;
}

static enum plumb_status fingerprint_try_kind(
	struct probe *p, const struct plumb_fault_kind *kind, struct plumb_cause *cause)
{
	int layers = (int)p->d->config->layers;
	bool head = kind->scope == PLUMB_FAULT_HEAD, behind = (kind->points & HEAD) != 0;
	*cause = (struct plumb_cause){ kind, head || p->layer == layers ? -1 : p->layer, 0, 0 };
	if (p->layer < 0)
		return kind->points & BIT(EMBEDDINGS) ? fingerprint_try_fault(p, cause) : PLUMB_OK;
	if (p->layer == layers ? !behind : head && p->layer < layers - 1)
		return PLUMB_OK; /* cannot show there */
	return head || p->layer == layers ? fingerprint_try_fault(p, cause) : fingerprint_try_places(p, cause);
}

/* --- the result --- */

static int fingerprint_by_score(const void *a, const void *b)
{
	const struct plumb_cause *x = a, *y = b;
	return x->score < y->score ? 1 : x->score > y->score ? -1 : x->kind < y->kind ? -1 : 1;
}

static void fingerprint_name_cause(char *text, size_t size, const struct plumb_cause *c)
{
	if (c->kind->scope == PLUMB_FAULT_HEAD || c->kind->points == BIT(EMBEDDINGS))
		plumb_format(text, size, "%s (%.2f)", c->kind->what, c->score);
	else if (c->layer < 0)
		plumb_format(text, size, "%s in all layers (%.2f)", c->kind->what, c->score);
	else if (c->kind->exchange)
		plumb_format(text, size, "layers %d and %d exchanged (%.2f)", c->layer, c->layer + 1, c->score);
	else
		plumb_format(text, size, "%s in layer %d (%.2f)", c->kind->what, c->layer, c->score);
}

static void fingerprint_describe(
	const struct probe *p, const struct plumb_cause *c, int n, char *text, size_t size)
{
	char first[160], second[160] = "";
	if (p->layer == PLUMB_NONE_WRONG) {
		plumb_format(text, size, "nothing to explain: no layer differs by more than rounding");
		return;
	}
	fingerprint_name_cause(first, sizeof first, &c[0]);
	if (p->layer < 0) {
		if (c[0].score >= LIKE)
			plumb_format(text, size, "the embeddings differ already: looks like %s", first);
		else
			plumb_format(text, size,
				"the embeddings differ already: other tokens, another embedding matrix, or another scale");
		return;
	}
	if (n > 1)
		fingerprint_name_cause(second, sizeof second, &c[1]);
	plumb_format(text, size, "%s%s%s%s",
		c[0].score >= LIKE ? "looks like " : "looks like no bug of the library; the nearest is ", first,
		*second ? "; next: " : "", second);
}

static enum plumb_status fingerprint_try_all(struct probe *p, struct plumb_cause *cause, int *n)
{
	for (int i = 0; i < plumb_fault_count(); i++) {
		PLUMB_TRY(plumb_diag_progress(p->d, "comparing with known bugs", i, plumb_fault_count()));
		PLUMB_TRY(fingerprint_try_kind(p, plumb_fault_at(i), &cause[i]));
	}
	*n = plumb_fault_count();
	qsort(cause, (size_t)*n, sizeof *cause, fingerprint_by_score);
	if (p->layer < 0 || p->layer == p->d->config->layers || cause->kind->scope == PLUMB_FAULT_HEAD ||
		(p->bad < 2 && !p->hybrid))
		return PLUMB_OK;
	/* Whether it is in all layers is told by the layers after the first. */
	struct plumb_cause wide = { cause->kind, cause->layer, 0, 0 };
	p->beyond = true;
	PLUMB_TRY(fingerprint_try_places(p, &wide));
	cause->layer = wide.layer;
	return PLUMB_OK;
}

static enum plumb_status fingerprint_find(struct plumb_diag *d, void *result)
{
	struct plumb_fingerprint_result *f = result;
	struct probe p = { .d = d, .layer = PLUMB_NONE_WRONG };
	if (!(f->cause = calloc((size_t)plumb_fault_count(), sizeof *f->cause)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the causes");
	enum plumb_status s = fingerprint_observe_port(&p);
	if (!s && p.layer == PLUMB_NONE_WRONG && d->reference)
		s = fingerprint_observe_reference(&p);
	if (!s && p.layer != PLUMB_NONE_WRONG)
		s = fingerprint_try_all(&p, f->cause, &f->causes);
	if (!s)
		fingerprint_describe(&p, f->cause, f->causes, f->text, sizeof f->text);
	f->port = p.port;
	f->layer = p.layer;
	f->bad = p.bad;
	plumb_capture_free(&p.port_run);
	plumb_capture_free(&p.clean_run);
	free(p.row);
	return s;
}

static json_t *fingerprint_emit(struct plumb_diag *d, const void *result)
{
	const struct plumb_fingerprint_result *f = result;
	json_t *list = json_array();
	for (int i = 0; i < f->causes; i++) {
		const struct plumb_cause *c = &f->cause[i];
		plumb_diag_add(d, list,
			json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", c->kind->name, "what", c->kind->what, "score",
				plumb_json_number(c->score), "layer", c->layer < 0 ? json_null() : json_integer(c->layer),
				"size", plumb_json_number(c->size)));
	}
	return json_pack("{s:s, s:o, s:s, s:s, s:o, s:i}", "part", "fingerprint", "causes", list, "text", f->text,
		"explains", f->port ? "port" : "reference", "layer",
		f->layer == PLUMB_NONE_WRONG ? json_null() : json_integer(f->layer), "layers_bad", f->bad);
}

static void fingerprint_free(void *result) { free(((struct plumb_fingerprint_result *)result)->cause); }

const struct plumb_check plumb_check_fingerprint = { "fingerprint",
	"Which known bug does the difference look like?", true, sizeof(struct plumb_fingerprint_result),
	fingerprint_find, fingerprint_emit, fingerprint_free };
