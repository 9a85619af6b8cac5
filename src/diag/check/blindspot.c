/* SPDX-License-Identifier: Apache-2.0 */
/* Which porting bugs can this reference not notice? Found by doing: the trusted model runs with each bug of
 * the library, and what the reference holds is looked at as the diagnosis looks at it. What the bugs are is
 * in fault.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define BIT(point) (1u << PLUMB_POINT_##point)
#define ENDS (BIT(EMBEDDINGS) | BIT(OUTPUT))
#define HEAD (BIT(FINAL_NORM) | BIT(LOGITS))

/* What a broken run is held against, and what was found. */
struct watch {
	const struct plumb_errors *errors;
	enum plumb_gap_kind kind;
	const struct plumb_capture
		*clean;                       /* the trusted run, or with feeding what each layer made of its input */
	const struct plumb_capture *held; /* what the reference holds: which points and rows count */
	bool seen;
	int layer, point; /* of the largest excess so far */
	double effect, floor, excess;
};
struct study {
	struct plumb_diag *d;
	const struct plumb_errors *errors;
	const struct plumb_capture *fixed, *trusted_run;
	struct plumb_capture fed; /* made when first needed */
	unsigned points;          /* that the reference holds */
	int last;                 /* layer, of those that it holds */
};

struct blindspots {
	struct blindspots_row {
		const struct plumb_fault_kind *kind;
		bool possible; /* in a model like this */
		bool one_key;  /* not noticed, since the prompt is one token */
		struct watch watch;
		char why[320];
	} * row;
	int rows;
	char text[1600];
};

/* The rows of a captured tensor that the reference holds, too. */
static bool blindspot_rows_held(
	struct plumb_captured *part, const struct plumb_captured *whole, const struct plumb_captured *held)
{
	const float *v, *unused;
	int64_t n;
	if (!plumb_captured_common(whole, held, &v, &unused, &n))
		return false;
	*part = (struct plumb_captured){ (float *)(uintptr_t)v, n / whole->width, whole->width,
		whole->first > held->first ? whole->first : held->first };
	return true;
}

static enum plumb_status blindspot_look(void *user, struct plumb_live *live)
{
	struct watch *w = user;
	int point = (int)live->point;
	const struct plumb_gap *judged = plumb_gap_any(w->errors, w->kind, live->layer, point);
	struct plumb_captured here = { live->v, live->rows, live->width, live->first }, clean;
	struct plumb_gap gap;
	if (!judged ||
		!blindspot_rows_held(&clean, plumb_capture_at(w->clean, live->layer, point),
			plumb_capture_at(w->held, live->layer, point)))
		return PLUMB_OK;
	PLUMB_TRY(plumb_gap_measure(&gap, &here, &clean, live->point == PLUMB_POINT_ATTN_SCORES, PLUMB_F32));
	bool elementwise = gap.elementwise / judged->floor_elementwise > gap.rel / judged->floor;
	double excess = elementwise ? gap.elementwise / judged->floor_elementwise : gap.rel / judged->floor;
	if (gap.have && (excess > w->excess || w->point < 0)) {
		w->excess = excess;
		w->effect = elementwise ? gap.elementwise : gap.rel;
		w->floor = elementwise ? judged->floor_elementwise : judged->floor;
		w->layer = live->layer;
		w->point = point;
	}
	w->seen = w->excess > w->errors->limit;
	return w->seen ? PLUMB_E_CANCELLED : PLUMB_OK; /* no need to go on */
}

/* A run of the trusted model as far as the reference reaches; scores, so that all runs take the same way. */
static struct plumb_run blindspot_run_of(const struct study *s)
{
	struct plumb_run run = plumb_diag_run(s->d, true);
	if (!(s->points & HEAD) && (run.last_layer < 0 || run.last_layer > s->last))
		run.last_layer = s->last < 0 ? 0 : s->last;
	if (s->d->n <= 128)
		run.keep |= BIT(ATTN_SCORES);
	return run;
}

/* As errors.c does: rows that the reference has not are the trusted run's. */
static void blindspot_feed(const struct study *s, struct plumb_run *run)
{
	unsigned points = s->errors->inner ? s->points : s->points & ENDS;
	if (s->errors->hybrid)
		run->hook[run->hooks++] = (struct plumb_hook){ points & ENDS, plumb_hook_feed,
			(void *)(uintptr_t)s->trusted_run };
	run->hook[run->hooks++] = (struct plumb_hook){ points, plumb_hook_feed, (void *)(uintptr_t)s->fixed };
}

static enum plumb_status blindspot_try_fault(
	struct study *s, const struct plumb_fault *fault, struct watch *w)
{
	struct plumb_run run = blindspot_run_of(s);
	run.fault = fault;
	run.hook[run.hooks++] = (struct plumb_hook){ s->points, blindspot_look, w };
	if (w->kind != PLUMB_ACCUMULATED)
		blindspot_feed(s, &run);
	enum plumb_status status = plumb_run_watched(&run);
	return status == PLUMB_E_CANCELLED && w->seen ? PLUMB_OK : status;
}

static enum plumb_status blindspot_find(struct study *s, const struct plumb_fault *fault, struct watch *w)
{
	PLUMB_TRY(blindspot_try_fault(s, fault, w));
	if (w->seen)
		return PLUMB_OK;
	/* Fed with the reference, the floors are lower. */
	if (!s->fed.captured) {
		struct plumb_run run = blindspot_run_of(s);
		run.points = s->points;
		run.out = &s->fed;
		blindspot_feed(s, &run);
		PLUMB_TRY(plumb_run_watched(&run));
	}
	struct watch alone = { .errors = s->errors,
		.kind = s->errors->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED,
		.clean = &s->fed,
		.held = s->fixed,
		.point = -1 };
	PLUMB_TRY(blindspot_try_fault(s, fault, &alone));
	if (alone.excess > w->excess)
		*w = alone;
	return PLUMB_OK;
}

static void blindspot_place(char *text, size_t size, int layer, int point)
{
	if (layer < 0)
		plumb_format(text, size, "%s", plumb_point_name(point));
	else
		plumb_format(text, size, "layer %d, %s", layer, plumb_point_name(point));
}

static const char one_key[] =
	"one token at position 0: softmax over one key is 1, so Q, K, RoPE, mask and cache cancel out";

static void blindspot_reason(const struct study *s, const struct watch *w, struct blindspots_row *row)
{
	const struct plumb_fault_kind *kind = row->kind;
	char where[64], *why = row->why;
	const size_t size = sizeof row->why;
	bool attention = !strcmp(kind->component, "rope") || !strcmp(kind->component, "cache") ||
		!strcmp(kind->component, "attention") || !strcmp(kind->component, "q_proj") ||
		!strcmp(kind->component, "k_proj");
	if (w->point >= 0)
		blindspot_place(where, sizeof where, w->layer, w->point);
	row->one_key = !w->seen && s->d->n == 1 && attention && w->effect < 1e-6;
	if (w->seen)
		plumb_format(
			why, size, "%s would differ by %.2g, where rounding explains %.2g", where, w->effect, w->floor);
	else if (row->one_key)
		plumb_format(why, size, "%s", one_key);
	else if (kind->scope == PLUMB_FAULT_HEAD && !(s->points & HEAD))
		plumb_format(why, size, "the reference holds nothing after the layers");
	else if (w->effect == 0)
		plumb_format(why, size, "nothing that the reference holds depends on it");
	else
		plumb_format(why, size,
			"its largest effect, %.2g at %s, drowns in the reference's own rounding (%s), which explains %.2g",
			w->effect, where, plumb_stored_name(s->errors->stored), w->floor);
}

static enum plumb_status blindspot_try_kind(
	struct study *s, const struct plumb_fault_kind *kind, struct blindspots_row *row)
{
	struct plumb_fault fault;
	struct watch w = {
		.errors = s->errors, .kind = PLUMB_ACCUMULATED, .clean = s->trusted_run, .held = s->fixed, .point = -1
	};
	enum plumb_status status = plumb_fault_make(
		&fault, kind, kind->scope == PLUMB_FAULT_LAYER ? (s->last > 0 ? s->last / 2 : 0) : -1, s->d->config);
	if (!status)
		status = plumb_fault_fits(kind, s->d->trusted);
	row->kind = kind;
	if (status) /* such a model cannot have it */
		plumb_format(row->why, sizeof row->why, "%s", plumb_last_error());
	else {
		PLUMB_TRY(blindspot_find(s, &fault, &w));
		blindspot_reason(s, &w, row);
	}
	row->possible = !status;
	row->watch = w;
	row->watch.clean = row->watch.held = NULL; /* they end with the study */
	return PLUMB_OK;
}

static bool blindspot_is_blind(const struct blindspots_row *row) { return row->possible && !row->watch.seen; }

static void blindspot_describe(struct blindspots *r)
{
	int n = 0, possible = 0, blind = 0;
	bool key = false;
	for (int i = 0; i < r->rows; i++) {
		possible += r->row[i].possible;
		blind += blindspot_is_blind(&r->row[i]);
	}
	if (!blind) {
		plumb_format(r->text, sizeof r->text,
			"This reference notices every one of the %d bugs of the library.", possible);
		return;
	}
	plumb_format(r->text, sizeof r->text,
		"This reference cannot notice %d of the %d bugs of the library: ", blind, possible);
	for (const struct blindspots_row *row = r->row; row < r->row + r->rows; row++) {
		if (!blindspot_is_blind(row))
			continue;
		key |= row->one_key;
		plumb_append(r->text, sizeof r->text, row->one_key ? "%s%s" : "%s%s (%s)", n++ ? "; " : "",
			row->kind->what, row->why);
	}
	plumb_append(r->text, sizeof r->text,
		key ? ". It is %s. A prompt of several tokens would show them." : ".%s", key ? one_key : "");
}

static enum plumb_status blindspot_study_all(struct study *s, struct blindspots *r)
{
	int layer = -1, point = -1;
	s->last = -1;
	while (plumb_capture_next(s->fixed, &layer, &point))
		if (layer < s->d->layers &&
			(layer >= 0 || point == PLUMB_POINT_EMBEDDINGS || s->d->layers == s->d->config->layers)) {
			s->points |= 1u << point;
			s->last = layer > s->last ? layer : s->last;
		}
	if (s->points & HEAD)
		s->last = s->d->layers - 1;
	for (int i = 0; i < plumb_fault_count(); i++) {
		PLUMB_TRY(plumb_diag_progress(s->d, "breaking the model on purpose", i, plumb_fault_count()));
		PLUMB_TRY(blindspot_try_kind(s, plumb_fault_at(i), &r->row[r->rows]));
		r->rows++;
	}
	return PLUMB_OK;
}

static enum plumb_status blindspots_find(struct plumb_diag *d, void *result)
{
	struct blindspots *r = result;
	struct study s = { .d = d };
	PLUMB_TRY(plumb_diag_fixed(d, &s.fixed));
	PLUMB_TRY(plumb_diag_plain(d, &s.trusted_run));
	PLUMB_TRY(plumb_diag_errors(d, &s.errors));
	if (!(r->row = calloc((size_t)plumb_fault_count(), sizeof *r->row)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the blind spots");
	enum plumb_status status = blindspot_study_all(&s, r);
	plumb_capture_free(&s.fed);
	if (!status)
		blindspot_describe(r);
	return status;
}

static json_t *blindspots_emit(struct plumb_diag *d, const void *result)
{
	const struct blindspots *r = result;
	json_t *breaks = json_array(), *blind = json_array();
	for (const struct blindspots_row *row = r->row; row < r->row + r->rows; row++) {
		const struct watch *w = &row->watch;
		plumb_diag_add(d, breaks,
			json_pack("{s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:s*}", "name", row->kind->name, "what",
				row->kind->what, "seen", w->seen, "possible", row->possible, "effect",
				plumb_json_number(w->effect), "floor", plumb_json_number(w->floor), "why",
				plumb_json_text(row->why), "layer", w->point >= 0 ? json_integer(w->layer) : json_null(),
				"point", plumb_point_name(w->point)));
		if (blindspot_is_blind(row))
			plumb_diag_add(d, blind, plumb_json_text(row->kind->name));
	}
	return json_pack(
		"{s:s, s:o, s:o, s:s}", "part", "blindspots", "breaks", breaks, "blind", blind, "text", r->text);
}

static void blindspots_free(void *result) { free(((struct blindspots *)result)->row); }

const struct plumb_check plumb_check_blindspots = { "blindspots",
	"Which bugs can this reference not notice, tried one by one?", true, sizeof(struct blindspots),
	blindspots_find, blindspots_emit, blindspots_free };
