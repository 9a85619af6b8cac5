/* SPDX-License-Identifier: Apache-2.0 */
/* The life of massive activations (Sun et al. 2024): which channel and token, which layer writes it and
 * through which neuron or head, who carries it, who removes it, and how much of the error against a reference
 * sits in it. Nothing is compared elsewhere here. */
#include <math.h>
#include <stdlib.h>
#include "diag/check/check.h"
#include "core/string.h"

/* All that decides what is told. */
static const struct {
	/* |x| beyond both makes a massive activation; the median is of |x| of the same position after the same
	 * layer. Sun et al. say "around 1,000"; but the neurons that write it raise the rest of the position,
	 * too: Qwen2.5-0.5B's channel 62 is 1,600 = 685 medians. */
	double least, over_median;
	double step; /* a layer writes or removes when it moves |x| by this share of the peak */
	int most;    /* channels told, the largest first */
} criteria = { 100, 300, 0.05, 8 };

struct life {
	int64_t channel, row;
	double *value; /* after embeddings, after layer 0 ... */
	int peak;      /* index into value of the largest |value| */
	double median; /* of |x| there */
	double share,
		share_median; /* of the squared error in this channel; of all layers the largest, -1: no reference */
	int share_layer;
};
struct work {
	struct plumb_diag *d;
	const struct plumb_capture *c, *ours,
		*fixed; /* ours and fixed: for the error, NULL without a reference */
	struct life life[64];
	int lives, found, layers; /* lives: those that are told */
	bool failed;              /* no memory for JSON */
};

/* x after `after` layers. */
static const struct plumb_plane *stream(const struct work *w, int after)
{
	return after ? plumb_capture_at(w->c, after - 1, PLUMB_POINT_OUTPUT)
				 : plumb_capture_at(w->c, -1, PLUMB_POINT_EMBEDDINGS);
}

/* --- finding them --- */

/* Median of |x| of one row; v: room for its values. */
static double median_of(const struct plumb_plane *p, int64_t row, float *v)
{
	int64_t n = 0;
	for (int64_t i = row * p->width; i < (row + 1) * p->width; i++)
		if (isfinite(p->v[i]))
			v[n++] = fabsf(p->v[i]);
	return plumb_median_float(v, n);
}

/* Keep channel and row if they are new; the smallest of a full list gives way. */
static void meet(struct work *w, int64_t channel, int64_t row, double size)
{
	int at = w->lives;
	for (int i = 0; i < w->lives; i++)
		if (w->life[i].channel == channel && w->life[i].row == row) {
			w->life[i].share = size > w->life[i].share ? size : w->life[i].share;
			return;
		}
	if (at == (int)(sizeof w->life / sizeof *w->life)) {
		at = 0;
		for (int i = 1; i < w->lives; i++)
			at = w->life[i].share < w->life[at].share ? i : at;
		if (w->life[at].share >= size)
			return;
	} else
		w->lives++;
	w->life[at] = (struct life){
		.channel = channel, .row = row, .share = size
	}; /* share serves as the size until they are ordered */
}

static int largest_first(const void *a, const void *b)
{
	const struct life *x = a, *y = b;
	return x->share > y->share ? -1 : x->share < y->share ? 1 : (x->row > y->row) - (x->row < y->row);
}

/* Each layer's output, row by row; the median is taken only where a value is large enough. */
static enum plumb_status find_lives(struct work *w)
{
	float *v = malloc(sizeof *v * (size_t)w->d->config->hidden);
	if (!v)
		return plumb_fail(
			PLUMB_E_MEMORY, "no memory for the median of %lld values", (long long)w->d->config->hidden);
	for (int after = 1; after <= w->layers; after++) {
		const struct plumb_plane *p = stream(w, after);
		for (int64_t row = 0; p && row < p->rows; row++) {
			double median = -1;
			for (int64_t c = 0; c < p->width; c++) {
				double size = fabs((double)p->v[row * p->width + c]);
				if (!(size > criteria.least) || !isfinite(size))
					continue;
				median = median < 0 ? median_of(p, row, v) : median;
				if (size > criteria.over_median * median)
					meet(w, c, row, size);
			}
		}
	}
	free(v);
	qsort(w->life, (size_t)w->lives, sizeof *w->life, largest_first);
	w->found = w->lives;
	w->lives = w->lives < criteria.most ? w->lives : criteria.most;
	return PLUMB_OK;
}

static double at(const struct plumb_plane *p, int64_t row, int64_t column)
{
	return p && row < p->rows && column < p->width ? (double)p->v[row * p->width + column] : NAN;
}

/* Values along the layers, and the peak. */
static enum plumb_status follow(struct work *w, struct life *l)
{
	float *v = malloc(sizeof *v * (size_t)w->d->config->hidden);
	if (!v || !(l->value = calloc((size_t)w->layers + 1, sizeof *l->value))) {
		free(v);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the life of channel %lld", (long long)l->channel);
	}
	for (int after = 0; after <= w->layers; after++) {
		l->value[after] = at(stream(w, after), l->row, l->channel);
		if (fabs(l->value[after]) > fabs(l->value[l->peak]) || isnan(l->value[l->peak]))
			l->peak = after;
	}
	l->median = median_of(stream(w, l->peak), l->row, v);
	free(v);
	return PLUMB_OK;
}

/* Share of the channel in the squared error of its row after each layer, where the reference has that row. */
static enum plumb_status weigh_error(struct work *w, struct life *l)
{
	float *shares = malloc(sizeof *shares * ((size_t)w->layers + 1));
	int n = 0;
	if (!shares)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the error of channel %lld", (long long)l->channel);
	l->share = -1;
	for (int layer = 0; w->fixed && layer < w->layers; layer++) {
		const struct plumb_plane *a = plumb_capture_at(w->ours, layer, PLUMB_POINT_OUTPUT);
		const struct plumb_plane *b = plumb_capture_at(w->fixed, layer, PLUMB_POINT_OUTPUT);
		double all = 0, here = 0;
		if (!a || !b || a->width != b->width || l->row < a->first || l->row >= a->first + a->rows ||
			l->row < b->first || l->row >= b->first + b->rows)
			continue;
		for (int64_t i = 0; i < a->width; i++) {
			double e = at(a, l->row - a->first, i) - at(b, l->row - b->first, i);
			all += e * e;
			here += i == l->channel ? e * e : 0;
		}
		if (!(all > 0) || !isfinite(all))
			continue;
		shares[n++] = (float)(here / all);
		if (here / all > l->share) {
			l->share = here / all;
			l->share_layer = layer;
		}
	}
	l->share_median = n ? plumb_median_float(shares, n) : -1;
	free(shares);
	return PLUMB_OK;
}

/* What a layer does to the channel: +1 writes, -1 removes, 0 neither. What overshoots zero is another story.
 */
static int kind_of_step(const struct life *l, int layer)
{
	double peak = l->value[l->peak], side = peak < 0 ? -1 : 1;
	double step = fmax(l->value[layer + 1] * side, 0) - fmax(l->value[layer] * side, 0);
	return !(fabs(step) >= criteria.step * fabs(peak)) ? 0 : step > 0 ? 1 : -1;
}

/* --- telling --- */

static const char *ordinal(int64_t rank, char text[32])
{
	plumb_format(text, 32,
		rank == 1       ? "the largest"
			: rank == 2 ? "the second largest"
			: rank == 3 ? "the third largest"
						: "number %lld by size",
		(long long)rank);
	return text;
}

static const char *verb(const struct life *l, const struct plumb_deed *e)
{
	double peak = fabs(l->value[l->peak]);
	double side = l->value[l->peak] < 0 ? -1 : 1;
	if (e->after * side > e->before * side)
		return fabs(e->before) < criteria.step * peak ? "writes it" : "adds to it";
	return e->after * side < criteria.step * peak ? "removes it" : "removes part of it";
}

/* "Layer 2's FFN writes it: 4.1 -> 982; neuron 1980 alone gives 75% of that (activation -346 x down_proj
 * weight -2.13, ...)." */
static json_t *deed_sentence(const struct work *w, const struct life *l, const struct plumb_deed *e)
{
	char text[512], rank[32];
	int n = plumb_format(text, sizeof text, "Layer %d's %s %s: %.4g -> %.4g", e->layer,
		e->by_ffn ? "FFN" : "attention", verb(l, e), e->before, e->after);
	if (e->neuron >= 0)
		n += plumb_format(text + n, sizeof text - (size_t)n,
			e->share >= 0.5 ? "; neuron %lld alone gives %.0f%% of that"
							: "; the strongest neuron, %lld, gives %.0f%% of that",
			(long long)e->neuron, 100 * e->share);
	if (e->neuron >= 0)
		n += plumb_format(text + n, sizeof text - (size_t)n,
			" (activation %.4g x down_proj weight %.3g, %s of %lld in the channel's row)", e->value,
			e->weight, ordinal(e->rank_row, rank), (long long)w->d->config->ffn);
	else if (e->head >= 0)
		n += plumb_format(text + n, sizeof text - (size_t)n, "; head %lld gives %.0f%% of that",
			(long long)e->head, 100 * e->share);
	plumb_format(text + n, sizeof text - (size_t)n, ".");
	return plumb_json_text(text);
}

static json_t *deed_json(const struct plumb_deed *e)
{
	json_t *j = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o}", "layer", e->layer, "by",
		e->by_ffn ? "ffn" : "attention", "before", plumb_json_number(e->before), "after",
		plumb_json_number(e->after), "attention_adds", plumb_json_number(e->attention), "ffn_adds",
		plumb_json_number(e->ffn));
	if (j && e->neuron >= 0 &&
		json_object_update_new(j,
			json_pack("{s:I, s:o, s:o, s:o, s:I, s:I}", "neuron", (json_int_t)e->neuron, "neuron_share",
				plumb_json_number(e->share), "neuron_value", plumb_json_number(e->value), "weight",
				plumb_json_number(e->weight), "weight_rank_in_row", (json_int_t)e->rank_row,
				"weight_rank_in_column", (json_int_t)e->rank_column)))
		return json_decref(j), NULL;
	if (j && e->head >= 0 &&
		json_object_update_new(j,
			json_pack("{s:I, s:o}", "head", (json_int_t)e->head, "head_share", plumb_json_number(e->share))))
		return json_decref(j), NULL;
	return j;
}

/* Chapters, written, carried and removed of one life. */
struct book {
	json_t *chapters, *written, *removed;
	int from, to;
}; /* from < 0: carried by nobody */

static enum plumb_status write_book(struct work *w, const struct life *l, struct book *b)
{
	int start = -1; /* of the present stretch without a deed */
	bool written = false;
	double peak = fabs(l->value[l->peak]);
	b->from = -1;
	for (int layer = 0; layer <= w->layers; layer++) {
		struct plumb_deed e;
		int what = layer < w->layers ? kind_of_step(l, layer) : 1;
		if (what == 0) {
			start = start < 0 && written && fabs(l->value[layer]) >= 0.5 * peak ? layer : start;
			continue;
		}
		if (start >= 0) {
			if (b->from < 0 || layer - start > b->to - b->from + 1) {
				b->from = start;
				b->to = layer - 1;
			}
			double low = INFINITY, high = 0;
			for (int i = start; i <= layer; i++) {
				low = fmin(low, fabs(l->value[i]));
				high = fmax(high, fabs(l->value[i]));
			}
			w->failed |= json_array_append_new(b->chapters,
							 start == layer - 1
								 ? plumb_json_format("Layer %d carries it at %.4g.", start, high)
								 : plumb_json_format("Layers %d to %d carry it at %.4g to %.4g.", start,
									   layer - 1, low, high)) != 0;
		}
		start = -1;
		if (layer == w->layers)
			break;
		PLUMB_TRY(
			plumb_deed_find(w->d, w->c, layer, l->row, l->channel, l->value[layer], l->value[layer + 1], &e));
		written |= what > 0;
		w->failed |= json_array_append_new(what > 0 ? b->written : b->removed, deed_json(&e)) != 0;
		w->failed |= json_array_append_new(b->chapters, deed_sentence(w, l, &e)) != 0;
	}
	return PLUMB_OK;
}

static json_t *last_chapter(const struct work *w, const struct life *l)
{
	double end = l->value[w->layers], peak = l->value[l->peak];
	if (w->layers < w->d->config->layers)
		return plumb_json_format(
			"After layer %d, the last that was evaluated, it is %.4g.", w->layers - 1, end);
	if (fabs(end) > 0.5 * fabs(peak))
		return plumb_json_format(
			"Nobody removes it: the last layer leaves it at %.4g, and only the final norm scales it down.",
			end);
	return plumb_json_format(
		"The last layer leaves %.4g of it, %.2g%% of the peak.", end, 100 * fabs(end / peak));
}

static json_t *error_chapter(const struct life *l)
{
	return plumb_json_format(
		"Of the squared error against the reference at this position %.3g%% sits in this one channel after layer %d, and at least %.3g%% after "
		"half of the layers: judge it relative to the channel's size.",
		100 * l->share, l->share_layer, 100 * l->share_median);
}

static enum plumb_status tell_life(struct work *w, struct life *l, json_t *channels)
{
	struct book b = { json_array(), json_array(), json_array(), -1, -1 };
	const struct plumb_diag *d = w->d;
	json_t *life = json_array();
	w->failed |=
		json_array_append_new(b.chapters,
			plumb_json_format(
				"Channel %lld at position %lld (token %d) reaches %.4g after layer %d, %.0f times the median "
				"|x| there (%.3g).",
				(long long)l->channel, (long long)l->row, d->tokens[l->row], l->value[l->peak], l->peak - 1,
				fabs(l->value[l->peak]) / l->median, l->median)) != 0;
	for (int i = 0; i <= w->layers; i++)
		w->failed |= json_array_append_new(life, plumb_json_number(l->value[i])) != 0;
	enum plumb_status s = write_book(w, l, &b);
	if (!s && json_array_append_new(b.chapters, last_chapter(w, l)))
		w->failed = true;
	if (!s && l->share > 0.5 && json_array_append_new(b.chapters, error_chapter(l)))
		w->failed = true;
	json_t *carried = b.from < 0 ? json_null() : json_pack("{s:i, s:i}", "from", b.from, "to", b.to);
	json_t *j = json_pack("{s:I, s:I, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "channel",
		(json_int_t)l->channel, "token", (json_int_t)l->row, "token_id", (int)d->tokens[l->row], "layer_peak",
		l->peak - 1, "peak", plumb_json_number(l->value[l->peak]), "median", plumb_json_number(l->median),
		"over_median", plumb_json_number(fabs(l->value[l->peak]) / l->median), "life", life, "written",
		b.written, "carried", carried, "removed", b.removed, "error_share",
		plumb_json_number(l->share >= 0 ? l->share : NAN), "error_share_median",
		plumb_json_number(l->share >= 0 ? l->share_median : NAN), "chapters", b.chapters);
	w->failed |= json_array_append_new(channels, j) != 0;
	return s;
}

static void list_layers(struct plumb_string *f, const json_t *deeds, const char *what)
{
	size_t i, n = json_array_size(deeds);
	json_t *e;
	if (n)
		plumb_string_format(f, "; %s by layer%s", what, n > 1 ? "s" : "");
	json_array_foreach(deeds, i, e) {
		plumb_string_format(
			f, "%s%lld", i ? ", " : " ", (long long)json_integer_value(json_object_get(e, "layer")));
		if (json_object_get(e, "neuron"))
			plumb_string_format(
				f, " (neuron %lld)", (long long)json_integer_value(json_object_get(e, "neuron")));
	}
}

/* All but the largest, in a line each. */
static json_t *others_of(struct work *w, const json_t *channels)
{
	json_t *lines = json_array(), *one;
	size_t i;
	json_array_foreach(channels, i, one) {
		const struct life *l = &w->life[i];
		struct plumb_string line = { NULL, 0, 0, false };
		if (!i)
			continue;
		plumb_string_format(&line, "Also channel %lld at position %lld (token %d): %.4g after layer %d",
			(long long)l->channel, (long long)l->row, w->d->tokens[l->row], l->value[l->peak], l->peak - 1);
		list_layers(&line, json_object_get(one, "written"), "written");
		list_layers(&line, json_object_get(one, "removed"), "removed");
		plumb_string_put(&line, ".");
		w->failed |= json_array_append_new(lines, plumb_string_json(&line)) != 0;
	}
	if (w->found > w->lives)
		w->failed |= json_array_append_new(
						 lines, plumb_json_format("And %d smaller ones.", w->found - w->lives)) != 0;
	return lines;
}

/* The largest with all its chapters, then the others. */
static json_t *text_of(const struct work *w, const json_t *channels, const json_t *others)
{
	size_t i;
	json_t *one;
	struct plumb_string all = { NULL, 0, 0, false }, *f = &all;
	if (!w->lives)
		plumb_string_format(f,
			"No massive activation: no value after any layer is beyond %g and %g times the median of its position.",
			criteria.least, criteria.over_median);
	json_array_foreach(json_object_get(json_array_get(channels, 0), "chapters"), i, one)
		plumb_string_format(f, "%s%s", i ? " " : "", json_string_value(one));
	json_array_foreach(others, i, one)
		plumb_string_format(f, "\n%s", json_string_value(one));
	return plumb_string_json(f);
}

/* The reference's values are optional here: without a usable one the lives are told all the same. */
static enum plumb_status find_error(struct work *w)
{
	if (!w->d->reference)
		return PLUMB_OK;
	PLUMB_TRY(plumb_diag_ours(w->d, &w->ours));
	return plumb_diag_fixed(w->d, &w->fixed);
}

static enum plumb_status run(struct plumb_diag *d, void *made)
{
	json_t **result = made;
	struct work w = { .d = d, .layers = d->layers };
	json_t *channels = json_array();
	*result = NULL;
	enum plumb_status s = plumb_diag_truth(d, &w.c);
	if (!s)
		s = find_lives(&w);
	if (!s && w.lives)
		s = find_error(&w);
	for (int i = 0; !s && i < w.lives; i++) {
		s = plumb_diag_progress(d, "following massive activations", i, w.lives);
		if (!s)
			s = follow(&w, &w.life[i]);
		if (!s)
			s = weigh_error(&w, &w.life[i]);
		if (!s)
			s = tell_life(&w, &w.life[i], channels);
	}
	json_t *others = s ? NULL : others_of(&w, channels);
	if (!s)
		*result = json_pack("{s:s, s:O, s:{s:f, s:f}, s:i, s:O, s:o}", "part", "biography", "channels",
			channels, "criterion", "above", criteria.least, "over_median", criteria.over_median, "found",
			w.found, "others", others, "text", text_of(&w, channels, others));
	json_decref(others);
	if (!s && (!*result || w.failed)) {
		json_decref(*result);
		*result = NULL;
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for the lives of %d channels", w.lives);
	}
	json_decref(channels);
	for (int i = 0; i < w.lives; i++)
		free(w.life[i].value);
	return s;
}

const struct plumb_check plumb_check_biography = { "biography",
	"Which massive activations are there, and which layers write, carry and remove them?", false,
	sizeof(json_t *), run, plumb_made_emit, plumb_made_free };
