/* SPDX-License-Identifier: Apache-2.0 */
/* What makes some layers special, in one paragraph: joins the lives of massive activations with the weights
 * that cause them. Which layers those are follows from the model at hand; no number of any model is written
 * here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"
#include "core/string.h"

#define MOST_DEEDS 8 /* written and removed, each */
#define ALONE 0.3    /* share from which on a neuron is told as the one that does it */
#define NOTABLE \
	1.5 /* a norm's weight at the channel is told when it is so many times that of the carrying layers */
#define OTHERS 3 /* unusual tensors of other layers that are told */

struct work {
	struct plumb_diag *d;
	const struct plumb_capture *c;
	json_t *weights, *biography;
	json_t *facts, *lead;
	struct plumb_string text;
	bool failed, *told; /* per layer */
};

static void fact(struct work *w, const char *what, int layer, json_t *more)
{
	json_t *j = json_pack("{s:s, s:i}", "what", what, "layer", layer);
	w->failed |= !j || !more || json_object_update(j, more) != 0;
	json_decref(more);
	w->failed |= json_array_append_new(w->facts, j) != 0;
}

/* What was written since `from` also stands above the table of facts: it has no row there, or says what the
 * rows mean. */
static void lead(struct work *w, size_t from)
{
	w->failed |= w->text.failed;
	if (!w->failed)
		w->failed |= json_array_append_new(
						 w->lead, plumb_json_text(w->text.text + from + (w->text.text[from] == ' '))) != 0;
}

static long long whole(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static const json_t *tensor_of(const struct work *w, int layer, const char *role)
{
	size_t i;
	json_t *t;
	json_array_foreach(json_object_get(w->weights, "tensors"), i, t)
		if (whole(t, "layer") == layer && !strcmp(json_string_value(json_object_get(t, "role")), role))
			return t;
	return NULL;
}

/* Median over the layers of largest weight / standard deviation. */
static double usual_reach(struct work *w, const char *role)
{
	int n = 0;
	double *v = malloc(sizeof *v * (size_t)w->d->config->layers), middle;
	for (int layer = 0; v && layer < w->d->config->layers; layer++) {
		const json_t *t = tensor_of(w, layer, role);
		if (t && plumb_json_real(t, "max") / plumb_json_real(t, "std") > 0)
			v[n++] = plumb_json_real(t, "max") / plumb_json_real(t, "std");
	}
	w->failed |= !v;
	middle = v ? plumb_median_double(v, n) : NAN;
	free(v);
	return middle;
}

/* Size of a norm's weight at the channel over the median of the norm, and its rank by size; NaN: no such
 * norm. */
static double norm_at(struct work *w, int layer, enum plumb_role role, int64_t channel, int *rank)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(w->d->port, role, layer);
	int64_t n = t ? t->dim[0] : 0;
	if (!t || t->rank != 1 || channel >= n)
		return NAN;
	float *v = malloc(sizeof *v * (size_t)n);
	double *size = malloc(sizeof *size * (size_t)n), ratio = NAN;
	w->failed |= !v || !size;
	*rank = 1;
	if (v && size && !plumb_weight_row(t, 0, v)) {
		for (int64_t i = 0; i < n; i++) {
			size[i] = fabs((double)v[i]);
			*rank += size[i] > fabs((double)v[channel]);
		}
		ratio = fabs((double)v[channel]) / plumb_median_double(size, n);
	}
	free(v);
	free(size);
	return ratio;
}

/* Standard deviation of a row, with or without (channel < 0: with) one of its channels. */
static double deviation(const struct plumb_plane *p, int64_t position, int64_t channel)
{
	double sum = 0, squares = 0;
	int64_t row = p ? position - p->first : -1, n = 0;
	if (row < 0 || row >= p->rows)
		return NAN;
	for (int64_t i = 0; i < p->width; i++) {
		double x = (double)p->v[row * p->width + i];
		if (i == channel)
			continue;
		sum += x;
		squares += x * x;
		n++;
	}
	return n ? sqrt(fmax(0, squares / (double)n - sum / (double)n * (sum / (double)n))) : NAN;
}

static const struct plumb_plane *after(const struct work *w, int layer)
{
	return layer < 0 ? plumb_capture_at(w->c, -1, PLUMB_POINT_EMBEDDINGS)
					 : plumb_capture_at(w->c, layer, PLUMB_POINT_OUTPUT);
}

/* --- a massive activation --- */

static void list(struct plumb_string *s, const json_t *deeds, bool begins)
{
	size_t i, n = json_array_size(deeds);
	json_t *e;
	plumb_string_put(s, begins ? n > 1 ? " Layers " : " Layer " : n > 1 ? "layers " : "layer ");
	json_array_foreach(deeds, i, e)
		plumb_string_format(s, "%s%lld", !i ? "" : i + 1 == n ? " and " : ", ", whole(e, "layer"));
}

/* The strongest neuron and its weight; *more: the fact's fields. */
static void tell_neuron(struct work *w, int layer, const json_t *e, json_t **more)
{
	const json_t *t = tensor_of(w, layer, "ffn_down");
	double weight = plumb_json_real(e, "weight"), share = plumb_json_real(e, "neuron_share"),
		   reach = fabs(weight) / (t ? plumb_json_real(t, "std") : NAN), usual = usual_reach(w, "ffn_down");
	bool largest = t && whole(e, "weight_rank_in_row") == 1 &&
		fabs(weight) >= plumb_json_real(t, "max") * (1 - 1e-6);
	if (share < ALONE)
		plumb_string_format(&w->text, "; no neuron does it alone, the strongest gives %.0f%%", 100 * share);
	else
		plumb_string_format(&w->text,
			": neuron %lld gives %.0f%% of that, an activation of %.4g times the down_proj weight %.3g",
			whole(e, "neuron"), 100 * share, plumb_json_real(e, "neuron_value"), weight);
	if (share >= ALONE && largest)
		plumb_string_put(&w->text, ", the largest of that whole matrix");
	if (share >= ALONE && isfinite(reach))
		plumb_string_format(&w->text,
			", %.0f of its standard deviations (the largest weight of a usual layer: %.0f)", reach, usual);
	*more = *more ? *more : json_object();
	w->failed |= json_object_update_new(*more,
					 json_pack("{s:O, s:O, s:O, s:O, s:o, s:o, s:b}", "neuron", json_object_get(e, "neuron"),
						 "neuron_share", json_object_get(e, "neuron_share"), "neuron_value",
						 json_object_get(e, "neuron_value"), "weight", json_object_get(e, "weight"),
						 "weight_over_std", plumb_json_number(reach), "weight_over_std_usual",
						 plumb_json_number(usual), "largest", largest)) != 0;
}

/* Weights behind one deed: the neuron's, and the norm's at the channel beside that of layers which only carry
 * it. */
static void tell_deed(struct work *w, const json_t *life, const json_t *e, double carriers)
{
	int layer = (int)whole(e, "layer"), rank = 0;
	int64_t channel = whole(life, "channel"), position = whole(life, "token");
	double std0 = deviation(after(w, layer - 1), position, -1),
		   std1 = deviation(after(w, layer), position, -1),
		   rest = deviation(after(w, layer), position, channel);
	bool ffn = !strcmp(json_string_value(json_object_get(e, "by")), "ffn");
	w->told[layer] = true;
	plumb_string_format(&w->text,
		" Layer %d's %s takes it from %.4g to %.4g, and with it the output's standard deviation from %.3g to %.3g (%.3g without that channel)",
		layer, ffn ? "FFN" : "attention", plumb_json_real(e, "before"), plumb_json_real(e, "after"), std0,
		std1, rest);
	json_t *more = json_pack("{s:I, s:I, s:O, s:O, s:O, s:o, s:o, s:o}", "channel", (json_int_t)channel,
		"position", (json_int_t)position, "by", json_object_get(e, "by"), "before",
		json_object_get(e, "before"), "after", json_object_get(e, "after"), "std_before",
		plumb_json_number(std0), "std_after", plumb_json_number(std1), "std_without",
		plumb_json_number(rest));
	if (json_object_get(e, "neuron"))
		tell_neuron(w, layer, e, &more);
	double norm = norm_at(w, layer, ffn ? PLUMB_ROLE_FFN_NORM : PLUMB_ROLE_ATTN_NORM, channel, &rank);
	if (isfinite(norm)) {
		bool beside = ffn && isfinite(carriers);
		if (rank == 1 || !beside || norm >= NOTABLE * carriers) {
			plumb_string_format(&w->text,
				"; its %s norm weighs the channel %.2g times the median (number %d of %lld by size",
				ffn ? "FFN" : "input", norm, rank, (long long)w->d->config->hidden);
			if (beside)
				plumb_string_format(&w->text, "; in layers that only carry it: %.2g times", carriers);
			plumb_string_put(&w->text, ")");
		}
		w->failed |= !more ||
			json_object_update_new(more,
				json_pack("{s:o, s:i, s:I, s:o}", "norm_over_median", plumb_json_number(norm), "norm_rank",
					rank, "norm_rank_of", (json_int_t)w->d->config->hidden, "norm_over_median_carried",
					plumb_json_number(ffn ? carriers : NAN))) != 0;
	}
	plumb_string_put(&w->text, ".");
	fact(w,
		whole(e, "layer") >= 0 && fabs(plumb_json_real(e, "after")) > fabs(plumb_json_real(e, "before"))
			? "writes"
			: "removes",
		layer, more);
}

/* Median over the carrying layers of the FFN norm's weight at the channel over that norm's median. */
static double carriers_norm(struct work *w, const json_t *life)
{
	const json_t *carried = json_object_get(life, "carried");
	int from = (int)whole(carried, "from"), to = (int)whole(carried, "to"), rank, n = 0;
	double *v, middle;
	if (!json_is_object(carried))
		return NAN;
	if (!(v = malloc(sizeof *v * (size_t)(to - from + 1)))) {
		w->failed = true;
		return NAN;
	}
	for (int layer = from; layer <= to; layer++) {
		double x = norm_at(w, layer, PLUMB_ROLE_FFN_NORM, whole(life, "channel"), &rank);
		if (isfinite(x))
			v[n++] = x;
	}
	middle = plumb_median_double(v, n);
	free(v);
	return middle;
}

static void tell_massive(struct work *w, const json_t *life)
{
	const json_t *written = json_object_get(life, "written"), *removed = json_object_get(life, "removed"),
				 *carried = json_object_get(life, "carried");
	double carriers = carriers_norm(w, life);
	size_t i, from = w->text.n;
	json_t *e;
	if (json_array_size(written)) {
		list(&w->text, written, true);
		plumb_string_format(&w->text,
			" write%s a massive activation: channel %lld at position %lld reaches %.4g, %.0f times the median there.",
			json_array_size(written) > 1 ? "" : "s", whole(life, "channel"), whole(life, "token"),
			plumb_json_real(life, "peak"), plumb_json_real(life, "over_median"));
	} else
		plumb_string_format(&w->text,
			" Channel %lld at position %lld is a massive activation: it reaches %.4g, %.0f times the median there.",
			whole(life, "channel"), whole(life, "token"), plumb_json_real(life, "peak"),
			plumb_json_real(life, "over_median"));
	lead(w, from);
	json_array_foreach(written, i, e)
		if (i < MOST_DEEDS)
			tell_deed(w, life, e, carriers);
	from = w->text.n;
	if (json_is_object(carried)) {
		plumb_string_format(
			&w->text, " Layers %lld to %lld only carry it.", whole(carried, "from"), whole(carried, "to"));
		fact(w, "carries", (int)whole(carried, "from"),
			json_pack("{s:O, s:I}", "to", json_object_get(carried, "to"), "channel",
				(json_int_t)whole(life, "channel")));
	}
	if (json_array_size(removed)) {
		plumb_string_put(&w->text, " It is taken back by ");
		list(&w->text, removed, false);
		plumb_string_put(&w->text, ".");
	} else
		plumb_string_put(&w->text, " No layer takes it back.");
	lead(w, from);
	json_array_foreach(removed, i, e)
		if (i < MOST_DEEDS)
			tell_deed(w, life, e, carriers);
}

/* Other lives: the same channel elsewhere, or other channels. */
static void tell_more(struct work *w)
{
	json_t *channels = json_object_get(w->biography, "channels"), *first = json_array_get(channels, 0), *one,
		   *e;
	size_t i, k, same = 0, other = 0;
	json_array_foreach(channels, i, one) {
		*(whole(one, "channel") == whole(first, "channel") ? &same : &other) += i > 0;
		json_array_foreach(json_object_get(one, "written"), k, e) {
			int layer = (int)whole(e, "layer");
			if (!i || w->told[layer])
				continue;
			w->told[layer] = true;
			plumb_string_format(&w->text,
				" Layer %d writes channel %lld at other positions (position %lld: %.4g -> %.4g", layer,
				whole(one, "channel"), whole(one, "token"), plumb_json_real(e, "before"),
				plumb_json_real(e, "after"));
			if (json_object_get(e, "neuron"))
				plumb_string_format(&w->text, ", neuron %lld", whole(e, "neuron"));
			plumb_string_put(&w->text, ").");
			fact(w, "writes", layer,
				json_pack("{s:O, s:O, s:O, s:O, s:O, s:O?}", "channel", json_object_get(one, "channel"),
					"position", json_object_get(one, "token"), "by", json_object_get(e, "by"), "before",
					json_object_get(e, "before"), "after", json_object_get(e, "after"), "neuron",
					json_object_get(e, "neuron")));
		}
	}
	size_t from = w->text.n;
	if (same)
		plumb_string_format(
			&w->text, " The same channel is massive at %zu more position%s.", same, same > 1 ? "s" : "");
	if (other)
		plumb_string_format(
			&w->text, " %zu more channel%s.", other, other > 1 ? "s are massive" : " is massive");
	if (same || other)
		lead(w, from);
}

/* --- with or without one --- */

/* The layer that changes the spread of its position most; the calm case in numbers. */
static void tell_calm(struct work *w)
{
	const struct plumb_plane *p = after(w, 0);
	int64_t position = p ? p->first + p->rows - 1 : 0;
	double most = 0, from = 0, to = 0;
	int at = -1;
	for (int layer = 1; layer < w->d->layers;
		 layer++) { /* layer 0 turns embeddings into something else anyway */
		double a = deviation(after(w, layer - 1), position, -1), b = deviation(after(w, layer), position, -1);
		if (fabs(log(b / a)) > most) {
			most = fabs(log(b / a));
			at = layer;
			from = a;
			to = b;
		}
	}
	size_t start = w->text.n;
	plumb_string_put(&w->text, " No layer writes or removes a massive activation with this prompt.");
	lead(w, start);
	if (at < 0)
		return;
	plumb_string_format(&w->text,
		" The largest change of the output's standard deviation is in layer %d, from %.3g to %.3g (%.2gx).",
		at, from, to, to / from);
	fact(w, "largest change of spread", at,
		json_pack("{s:o, s:o}", "std_before", plumb_json_number(from), "std_after", plumb_json_number(to)));
}

/* References often hold the last layer's output already normed. */
static void tell_last(struct work *w)
{
	int last = (int)w->d->config->layers - 1;
	const struct plumb_plane *norm = plumb_capture_at(w->c, -1, PLUMB_POINT_FINAL_NORM),
							 *out = plumb_capture_at(w->c, last, PLUMB_POINT_OUTPUT);
	if (!norm || !out)
		return;
	int64_t position = norm->first + norm->rows - 1;
	double raw = deviation(out, position, -1), normed = deviation(norm, position, -1);
	size_t start = w->text.n;
	plumb_string_format(&w->text,
		" Layer %d is the last: its output (standard deviation %.3g) goes through the final norm (%.3g); a reference that holds the normed one under that "
		"name, as Hugging Face's hidden_states do, shows a jump there that no layer makes.",
		last, raw, normed);
	lead(w, start);
	w->told[last] = true;
	fact(w, "last", last,
		json_pack("{s:o, s:o}", "std_raw", plumb_json_number(raw), "std_normed", plumb_json_number(normed)));
}

/* The loudest unusual tensors of layers not told of yet. */
static void tell_others(struct work *w)
{
	double below = INFINITY;
	int n = 0;
	while (n < OTHERS) {
		const json_t *best = NULL;
		size_t i;
		json_t *t;
		json_array_foreach(json_object_get(w->weights, "tensors"), i, t) {
			long long layer = whole(t, "layer");
			if (layer >= 0 && !w->told[layer] && plumb_json_real(t, "score") > 0 &&
				plumb_json_real(t, "score") < below &&
				(!best || plumb_json_real(t, "score") > plumb_json_real(best, "score")))
				best = t;
		}
		if (!best)
			break;
		below = plumb_json_real(best, "score");
		plumb_string_format(&w->text, "%s layer %lld's %s (%s)",
			n++ ? "," : " Of the other layers' weights stand out:", whole(best, "layer"),
			json_string_value(json_object_get(best, "role")),
			json_string_value(json_object_get(best, "unusual")));
		fact(w, "unusual weight", (int)whole(best, "layer"),
			json_pack("{s:O, s:O}", "role", json_object_get(best, "role"), "unusual",
				json_object_get(best, "unusual")));
	}
	if (n)
		plumb_string_put(&w->text, ".");
}

static void tell(struct work *w)
{
	json_t *channels = json_object_get(w->biography, "channels");
	size_t missing = json_array_size(json_object_get(w->weights, "missing")),
		   extra = json_array_size(json_object_get(w->weights, "extra"));
	if (missing || extra)
		plumb_string_format(
			&w->text, "Tensors differ between layers: %zu missing, %zu left over.", missing, extra);
	else
		plumb_string_format(&w->text,
			"All %lld layers have the same tensors, shapes and biases%s; what differs is what is in them.",
			(long long)w->d->config->layers,
			json_is_true(json_object_get(w->weights, "has_qk_norm")) ? "" : ", none has QK-norm");
	lead(w, 0);
	if (json_array_size(channels)) {
		tell_massive(w, json_array_get(channels, 0));
		tell_more(w);
	} else
		tell_calm(w);
	tell_last(w);
	tell_others(w);
}

static enum plumb_status run(struct plumb_diag *d, void *made)
{
	json_t **result = made;
	struct work w = { .d = d };
	*result = NULL;
	PLUMB_TRY(plumb_diag_truth(d, &w.c));
	PLUMB_TRY(plumb_check_json(d, &plumb_check_weights, &w.weights));
	PLUMB_TRY(plumb_check_json(d, &plumb_check_biography, &w.biography));
	w.facts = json_array();
	w.lead = json_array();
	w.told = calloc((size_t)d->config->layers, sizeof *w.told);
	w.failed = !w.facts || !w.lead || !w.told;
	if (!w.failed)
		tell(&w);
	json_t *text = plumb_string_json(&w.text);
	if (!w.failed)
		*result = json_pack(
			"{s:s, s:o, s:O, s:O}", "part", "special", "text", text, "lead", w.lead, "facts", w.facts);
	else
		json_decref(text);
	json_decref(w.facts);
	json_decref(w.lead);
	free(w.told);
	return *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory to tell what is special");
}

const struct plumb_check plumb_check_special = { "special",
	"Which layers are special, and what makes them so?", false, sizeof(json_t *), run, plumb_made_emit,
	plumb_made_free };
