/* SPDX-License-Identifier: Apache-2.0 */
/* What makes some layers special, in one paragraph: joins what layers do to massive activations with the
 * weights behind it. Which layers those are follows from the model at hand; no number of any model is written
 * here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define MOST_EVENTS 8 /* written and removed, each */
#define ALONE 0.3     /* share from which on a neuron is described as the one that does it */
#define NOTABLE 1.5   /* times the weight of carrying layers: from there on a norm's weight is described */
#define OTHERS 3      /* unusual tensors of other layers that are */

enum special_kind { WRITES, REMOVES, LAST, CARRIES, CHANGES, UNUSUAL };
static const char *const special_names[] = { "writes", "removes", "last", "carries",
	"largest change of spread", "unusual weight" };
struct special_fact {
	enum special_kind kind;
	int layer;
	const struct plumb_massive_channel *channel; /* writes, removes and carries */
	const struct plumb_event *event;             /* the same: what it does */
	bool weighed;                                /* what follows is known of an event, too */
	double std_before, std_after, std_without;   /* last: before and after the final norm */
	double reach, reach_usual; /* the neuron's weight in standard deviations; a usual layer's largest one */
	bool largest;              /* no weight of the matrix is larger */
	double norm, norm_carried; /* the branch's norm at the channel over its median; NaN: none */
	int64_t norm_rank;
	const struct plumb_weights_tensor *tensor; /* unusual */
};
struct special_result {
	struct special_fact *fact;
	int facts;
	struct plumb_texts lead; /* of the text: what stands above the table of facts, too */
	struct plumb_string text;
};
struct special {
	struct plumb_diag *d;
	const struct plumb_capture *c;
	const struct plumb_weights_result *weights;
	const struct plumb_biography_result *biography;
	struct special_result *r;
	float *row;        /* room for a row */
	double *of_layers; /* and for a value of each layer */
};

static struct special_fact *special_add(struct special *w, struct special_fact fact)
{
	w->r->fact[w->r->facts] = fact; /* there is room: special_find */
	return &w->r->fact[w->r->facts++];
}

/* Is the layer among those that were described for what they do? */
static bool special_known(const struct special *w, int layer)
{
	for (int i = 0; i < w->r->facts; i++)
		if (w->r->fact[i].layer == layer && w->r->fact[i].kind <= LAST)
			return true;
	return false;
}

/* What was written since `from` also stands above the table of facts: it has no row there, or says what the
 * rows mean. */
static void special_lead(struct special *w, size_t from)
{
	const struct plumb_string *text = &w->r->text;
	if (!text->failed)
		plumb_texts_add(&w->r->lead, "%s", text->text + from + (text->text[from] == ' '));
}

static const struct plumb_weights_tensor *special_ffn_down(const struct special *w, int layer)
{
	for (int64_t i = 0; i < w->weights->tensors; i++)
		if (w->weights->tensor[i].layer == layer && !strcmp(w->weights->tensor[i].role, "ffn_down"))
			return &w->weights->tensor[i];
	return NULL;
}

/* Median over the layers of largest weight / standard deviation. */
static double special_usual_reach(struct special *w)
{
	int n = 0;
	for (int layer = 0; layer < w->weights->layers; layer++) {
		const struct plumb_weights_tensor *t = special_ffn_down(w, layer);
		if (t && t->m.max / plumb_moments_std(&t->m) > 0)
			w->of_layers[n++] = t->m.max / plumb_moments_std(&t->m);
	}
	return plumb_median_double(w->of_layers, n);
}

/* Size of a norm's weight at the channel over the median of the norm, and its rank by size; NaN: no such
 * norm. */
static double special_norm(struct special *w, int layer, enum plumb_role role, int64_t channel, int64_t *rank)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(w->d->port, role, layer);
	int64_t n = w->d->config->hidden;
	if (!t || t->rank != 1 || t->dim[0] != n || channel >= n || plumb_weight_row(t, 0, w->row))
		return NAN;
	for (int64_t i = 0; i < n; i++)
		w->row[i] = fabsf(w->row[i]);
	double size = (double)w->row[channel];
	*rank = plumb_rank_float(w->row, n, size);
	return size / plumb_median_float(w->row, n);
}

/* The same of the FFN's norm, median over the layers that carry the channel. */
static double special_norm_carried(struct special *w, const struct plumb_massive_channel *m)
{
	int n = 0;
	int64_t rank;
	for (int layer = m->carried ? m->carried->layer : 0; m->carried && layer <= m->carried->last; layer++) {
		double x = special_norm(w, layer, PLUMB_ROLE_FFN_NORM, m->channel, &rank);
		if (isfinite(x))
			w->of_layers[n++] = x;
	}
	return plumb_median_double(w->of_layers, n);
}

/* Standard deviation of a row, without one of its channels (channel < 0: with all). */
static double special_std(const struct plumb_captured *p, int64_t position, int64_t channel)
{
	int64_t row = p ? position - p->first : -1;
	return row < 0 || row >= p->rows ? NAN : plumb_std_float(p->v + row * p->width, p->width, channel);
}

static const struct plumb_captured *special_output(const struct special *w, int layer)
{
	return plumb_capture_at(w->c, layer, layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT);
}

/* --- a massive activation --- */

static void special_list(
	struct plumb_string *s, const struct plumb_massive_channel *m, enum plumb_event_kind kind, bool begins)
{
	int left = m->count[kind];
	plumb_string_put(s, begins ? left > 1 ? " Layers" : " Layer" : left > 1 ? "layers" : "layer");
	for (int i = 0, k = 0; i < m->events; i++)
		if (m->event[i].kind == kind)
			plumb_string_format(s, "%s%d", !k++ ? " " : left == k ? " and " : ", ", m->event[i].layer);
}

/* The strongest neuron and its weight. */
static void special_neuron(struct special *w, struct special_fact *f)
{
	const struct plumb_event *e = f->event;
	const struct plumb_weights_tensor *t = special_ffn_down(w, f->layer);
	struct plumb_string *text = &w->r->text;
	f->reach = fabs(e->weight) / (t ? plumb_moments_std(&t->m) : NAN);
	f->reach_usual = special_usual_reach(w);
	f->largest = t && e->rank_row == 1 && fabs(e->weight) >= t->m.max * (1 - 1e-6);
	if (e->share < ALONE) {
		plumb_string_format(text, "; no neuron does it alone, the strongest gives %.0f%%", 100 * e->share);
		return;
	}
	plumb_string_format(text,
		": neuron %lld gives %.0f%% of that, an activation of %.4g times the down_proj weight %.3g",
		(long long)e->neuron, 100 * e->share, e->value, e->weight);
	if (f->largest)
		plumb_string_put(text, ", the largest of that whole matrix");
	if (isfinite(f->reach))
		plumb_string_format(text,
			", %.0f of its standard deviations (the largest weight of a usual layer: %.0f)", f->reach,
			f->reach_usual);
}

/* Weights behind one event: the neuron's, and the norm's at the channel beside that of layers which only
 * carry it. */
static void special_event(
	struct special *w, const struct plumb_massive_channel *m, const struct plumb_event *e, double carried)
{
	const struct plumb_captured *after = special_output(w, e->layer);
	struct plumb_string *text = &w->r->text;
	struct special_fact *f = special_add(w,
		(struct special_fact){ .kind = e->kind == PLUMB_EVENT_WRITTEN ? WRITES : REMOVES,
			.layer = e->layer,
			.channel = m,
			.event = e,
			.weighed = true,
			.std_before = special_std(special_output(w, e->layer - 1), m->row, -1),
			.std_after = special_std(after, m->row, -1),
			.std_without = special_std(after, m->row, m->channel),
			.norm_carried = e->by_ffn ? carried : NAN });
	f->norm = special_norm(
		w, f->layer, e->by_ffn ? PLUMB_ROLE_FFN_NORM : PLUMB_ROLE_ATTN_NORM, m->channel, &f->norm_rank);
	plumb_string_format(text,
		" Layer %d's %s takes it from %.4g to %.4g, and with it the output's standard deviation from %.3g to "
		"%.3g (%.3g without that channel)",
		f->layer, e->by_ffn ? "FFN" : "attention", e->before, e->after, f->std_before, f->std_after,
		f->std_without);
	if (e->neuron >= 0)
		special_neuron(w, f);
	bool beside = isfinite(f->norm_carried);
	if (isfinite(f->norm) && (f->norm_rank == 1 || !beside || f->norm >= NOTABLE * f->norm_carried)) {
		plumb_string_format(text,
			"; its %s norm weighs the channel %.2g times the median (number %lld of %lld by size",
			e->by_ffn ? "FFN" : "input", f->norm, (long long)f->norm_rank, (long long)w->d->config->hidden);
		if (beside)
			plumb_string_format(text, "; in layers that only carry it: %.2g times", f->norm_carried);
		plumb_string_put(text, ")");
	}
	plumb_string_put(text, ".");
}

static void special_events(
	struct special *w, const struct plumb_massive_channel *m, enum plumb_event_kind kind, double carried)
{
	for (int i = 0, n = 0; i < m->events; i++)
		if (m->event[i].kind == kind && n++ < MOST_EVENTS)
			special_event(w, m, &m->event[i], carried);
}

static void special_massive(struct special *w, const struct plumb_massive_channel *m)
{
	struct plumb_string *text = &w->r->text;
	double carried = special_norm_carried(w, m);
	size_t from = text->n;
	if (m->count[PLUMB_EVENT_WRITTEN]) {
		special_list(text, m, PLUMB_EVENT_WRITTEN, true);
		plumb_string_format(text, " write%s a massive activation: channel %lld at position %lld reaches",
			m->count[PLUMB_EVENT_WRITTEN] > 1 ? "" : "s", (long long)m->channel, (long long)m->row);
	} else
		plumb_string_format(text, " Channel %lld at position %lld is a massive activation: it reaches",
			(long long)m->channel, (long long)m->row);
	plumb_string_format(text, " %.4g, %.0f times the median there.", m->peak, m->over_median);
	special_lead(w, from);
	special_events(w, m, PLUMB_EVENT_WRITTEN, carried);
	from = text->n;
	if (m->carried) {
		plumb_string_format(text, " Layers %d to %d only carry it.", m->carried->layer, m->carried->last);
		special_add(w,
			(struct special_fact){
				.kind = CARRIES, .layer = m->carried->layer, .channel = m, .event = m->carried });
	}
	if (m->count[PLUMB_EVENT_REMOVED]) {
		plumb_string_put(text, " It is taken back by ");
		special_list(text, m, PLUMB_EVENT_REMOVED, false);
		plumb_string_put(text, ".");
	} else
		plumb_string_put(text, " No layer takes it back.");
	special_lead(w, from);
	special_events(w, m, PLUMB_EVENT_REMOVED, carried);
}

/* Other massive activations: the same channel elsewhere, or other channels. */
static void special_more(struct special *w)
{
	struct plumb_string *text = &w->r->text;
	int same = 0, other = 0;
	for (int i = 1; i < w->biography->channels; i++) {
		const struct plumb_massive_channel *m = &w->biography->channel[i];
		*(m->channel == w->biography->channel->channel ? &same : &other) += 1;
		for (int k = 0; k < m->events; k++) {
			const struct plumb_event *e = &m->event[k];
			if (e->kind != PLUMB_EVENT_WRITTEN || special_known(w, e->layer))
				continue;
			plumb_string_format(text,
				" Layer %d writes channel %lld at other positions (position %lld: %.4g -> %.4g", e->layer,
				(long long)m->channel, (long long)m->row, e->before, e->after);
			if (e->neuron >= 0)
				plumb_string_format(text, ", neuron %lld", (long long)e->neuron);
			plumb_string_put(text, ").");
			special_add(
				w, (struct special_fact){ .kind = WRITES, .layer = e->layer, .channel = m, .event = e });
		}
	}
	size_t from = text->n;
	if (same)
		plumb_string_format(
			text, " The same channel is massive at %d more position%s.", same, same > 1 ? "s" : "");
	if (other)
		plumb_string_format(text, " %d more channel%s.", other, other > 1 ? "s are massive" : " is massive");
	if (same || other)
		special_lead(w, from);
}

/* --- with or without one --- */

/* The layer that changes the spread of its position most; the calm case in numbers. */
static void special_calm(struct special *w)
{
	const struct plumb_captured *p = special_output(w, 0);
	int64_t position = p ? p->first + p->rows - 1 : 0;
	struct special_fact f = { .kind = CHANGES, .layer = -1 };
	double most = 0, before = special_std(p, position, -1), after;
	for (int layer = 1; layer < w->d->layers; layer++, before = after) { /* layer 0 changes it anyway */
		after = special_std(special_output(w, layer), position, -1);
		if (!(fabs(log(after / before)) > most))
			continue;
		most = fabs(log(after / before));
		f.layer = layer;
		f.std_before = before;
		f.std_after = after;
	}
	size_t start = w->r->text.n;
	plumb_string_put(&w->r->text, " No layer writes or removes a massive activation with this prompt.");
	special_lead(w, start);
	if (f.layer < 0)
		return;
	plumb_string_format(&w->r->text,
		" The largest change of the output's standard deviation is in layer %d, from %.3g to %.3g (%.2gx).",
		f.layer, f.std_before, f.std_after, f.std_after / f.std_before);
	special_add(w, f);
}

/* References often hold the last layer's output already normed. */
static void special_last(struct special *w)
{
	int last = (int)w->d->config->layers - 1;
	const struct plumb_captured *norm = plumb_capture_at(w->c, -1, PLUMB_POINT_FINAL_NORM),
								*out = plumb_capture_at(w->c, last, PLUMB_POINT_OUTPUT);
	if (!norm || !out)
		return;
	int64_t position = norm->first + norm->rows - 1;
	const struct special_fact *f = special_add(w,
		(struct special_fact){ .kind = LAST,
			.layer = last,
			.std_before = special_std(out, position, -1),
			.std_after = special_std(norm, position, -1) });
	size_t start = w->r->text.n;
	plumb_string_format(&w->r->text,
		" Layer %d is the last: its output (standard deviation %.3g) goes through the final norm (%.3g); a "
		"reference that holds the normed one under that name, as Hugging Face's hidden_states do, shows a jump "
		"there that no layer makes.",
		last, f->std_before, f->std_after);
	special_lead(w, start);
}

/* The loudest unusual tensors of layers not described yet. */
static void special_others(struct special *w)
{
	double below = INFINITY;
	int n = 0;
	for (const struct plumb_weights_tensor *best; n < OTHERS; below = best->score) {
		best = NULL;
		for (int64_t i = 0; i < w->weights->tensors; i++) {
			const struct plumb_weights_tensor *t = &w->weights->tensor[i];
			if (t->layer >= 0 && t->score > 0 && t->score < below && (!best || t->score > best->score) &&
				!special_known(w, t->layer))
				best = t;
		}
		if (!best)
			break;
		plumb_string_format(&w->r->text, "%s layer %d's %s (%s)",
			n++ ? "," : " Of the other layers' weights stand out:", best->layer, best->role, best->unusual);
		special_add(w, (struct special_fact){ .kind = UNUSUAL, .layer = best->layer, .tensor = best });
	}
	if (n)
		plumb_string_put(&w->r->text, ".");
}

static void special_describe(struct special *w)
{
	const struct plumb_weights_result *t = w->weights;
	if (t->missing.n || t->extra.n)
		plumb_string_format(&w->r->text, "Tensors differ between layers: %d missing, %d left over.",
			t->missing.n, t->extra.n);
	else
		plumb_string_format(&w->r->text,
			"All %d layers have the same tensors, shapes and biases%s; what differs is what is in them.",
			t->layers, t->has_qk_norm ? "" : ", none has QK-norm");
	special_lead(w, 0);
	if (w->biography->channels) {
		special_massive(w, w->biography->channel);
		special_more(w);
	} else
		special_calm(w);
	special_last(w);
	special_others(w);
}

/* --- the check --- */

static enum plumb_status special_find(struct plumb_diag *d, void *result)
{
	struct special w = { .d = d, .r = result };
	PLUMB_TRY(plumb_diag_trusted(d, &w.c));
	PLUMB_TRY(plumb_diag_weights(d, &w.weights));
	PLUMB_TRY(plumb_diag_biography(d, &w.biography));
	w.row = malloc(sizeof *w.row * (size_t)d->config->hidden);
	w.of_layers = malloc(sizeof *w.of_layers * (size_t)d->config->layers);
	/* At most: both kinds of events; one of each layer more; carries or changes, last; others. */
	w.r->fact = calloc(2 * MOST_EVENTS + (size_t)d->config->layers + 2 + OTHERS, sizeof *w.r->fact);
	bool failed = !w.row || !w.of_layers || !w.r->fact;
	if (!failed) {
		special_describe(&w);
		failed = w.r->text.failed || w.r->lead.failed;
	}
	free(w.row);
	free(w.of_layers);
	return failed ? plumb_fail(PLUMB_E_MEMORY, "no memory to describe what is special") : PLUMB_OK;
}

static void special_put(struct plumb_diag *d, json_t *j, json_t *more)
{
	d->lost |= json_object_update(j, more) != 0;
	json_decref(more);
}

static json_t *special_fact_json(struct plumb_diag *d, const struct special_fact *f)
{
	const struct plumb_event *e = f->event;
	json_t *j = json_pack("{s:s, s:i}", "what", special_names[f->kind], "layer", f->layer);
	if (f->kind == CARRIES)
		special_put(d, j, json_pack("{s:i, s:I}", "to", e->last, "channel", (json_int_t)f->channel->channel));
	else if (e)
		special_put(d, j,
			json_pack("{s:I, s:I, s:s, s:o, s:o}", "channel", (json_int_t)f->channel->channel, "position",
				(json_int_t)f->channel->row, "by", e->by_ffn ? "ffn" : "attention", "before",
				plumb_json_number(e->before), "after", plumb_json_number(e->after)));
	if (f->weighed || f->kind == CHANGES)
		special_put(d, j,
			json_pack("{s:o, s:o}", "std_before", plumb_json_number(f->std_before), "std_after",
				plumb_json_number(f->std_after)));
	if (f->weighed)
		plumb_diag_put(d, j, "std_without", plumb_json_number(f->std_without));
	if (e && e->kind == PLUMB_EVENT_WRITTEN && !f->weighed)
		plumb_diag_put(d, j, "neuron", e->neuron >= 0 ? json_integer(e->neuron) : json_null());
	if (f->weighed && e->neuron >= 0)
		special_put(d, j,
			json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:b}", "neuron", (json_int_t)e->neuron, "neuron_share",
				plumb_json_number(e->share), "neuron_value", plumb_json_number(e->value), "weight",
				plumb_json_number(e->weight), "weight_over_std", plumb_json_number(f->reach),
				"weight_over_std_usual", plumb_json_number(f->reach_usual), "largest", f->largest));
	if (f->weighed && isfinite(f->norm))
		special_put(d, j,
			json_pack("{s:o, s:I, s:I, s:o}", "norm_over_median", plumb_json_number(f->norm), "norm_rank",
				(json_int_t)f->norm_rank, "norm_rank_of", (json_int_t)d->config->hidden,
				"norm_over_median_carried", plumb_json_number(f->norm_carried)));
	if (f->kind == LAST)
		special_put(d, j,
			json_pack("{s:o, s:o}", "std_raw", plumb_json_number(f->std_before), "std_normed",
				plumb_json_number(f->std_after)));
	if (f->tensor)
		special_put(d, j,
			json_pack("{s:o, s:o}", "role", plumb_json_text(f->tensor->role), "unusual",
				plumb_json_text(f->tensor->unusual)));
	return j;
}

static json_t *special_emit(struct plumb_diag *d, const void *result)
{
	const struct special_result *r = result;
	json_t *facts = json_array();
	for (int i = 0; i < r->facts; i++)
		plumb_diag_add(d, facts, special_fact_json(d, &r->fact[i]));
	return json_pack("{s:s, s:o, s:o, s:o}", "part", "special", "text", plumb_json_text(r->text.text), "lead",
		plumb_texts_json(&r->lead), "facts", facts);
}

static void special_free(void *result)
{
	struct special_result *r = result;
	free(r->fact);
	free(r->text.text);
	plumb_texts_free(&r->lead);
}

const struct plumb_check plumb_check_special = { "special",
	"Which layers are special, and what makes them so?", false, sizeof(struct special_result), special_find,
	special_emit, special_free };
