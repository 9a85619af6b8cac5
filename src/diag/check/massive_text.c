/* SPDX-License-Identifier: Apache-2.0 */
/* Massive activations as JSON and in words. */
#include <math.h>
#include "diag/check/check.h"

static const char *massive_text_ordinal(int64_t rank, char text[32])
{
	plumb_format(text, 32,
		rank == 1       ? "the largest"
			: rank == 2 ? "the second largest"
			: rank == 3 ? "the third largest"
						: "number %lld by size",
		(long long)rank);
	return text;
}

static const char *massive_text_verb(const struct plumb_massive_channel *m, const struct plumb_event *e)
{
	double least = PLUMB_MASSIVE_STEP * fabs(m->peak), side = m->peak < 0 ? -1 : 1;
	if (e->after * side > e->before * side)
		return fabs(e->before) < least ? "writes it" : "adds to it";
	return e->after * side < least ? "removes it" : "removes part of it";
}

/* "Layer 2's FFN writes it: 4.1 -> 982; neuron 1980 alone gives 75% of that (activation -346 x down_proj
 * weight -2.13, ...)." */
static void massive_text_describe_event(const struct plumb_diag *d, const struct plumb_massive_channel *m,
	const struct plumb_event *e, struct plumb_texts *t)
{
	char by[256] = "", rank[32];
	if (e->neuron >= 0)
		plumb_format(by, sizeof by,
			"; %s %lld%s gives %.0f%% of that (activation %.4g x down_proj weight %.3g, %s of %lld in the "
			"channel's row)",
			e->share >= 0.5 ? "neuron" : "the strongest neuron,", (long long)e->neuron,
			e->share >= 0.5 ? " alone" : ",", 100 * e->share, e->value, e->weight,
			massive_text_ordinal(e->rank_row, rank), (long long)d->config->ffn);
	else if (e->head >= 0)
		plumb_format(by, sizeof by, "; head %lld gives %.0f%% of that", (long long)e->head, 100 * e->share);
	if (e->kind != PLUMB_EVENT_CARRIED)
		plumb_texts_add(t, "Layer %d's %s %s: %.4g -> %.4g%s.", e->layer, e->by_ffn ? "FFN" : "attention",
			massive_text_verb(m, e), e->before, e->after, by);
	else if (e->layer == e->last)
		plumb_texts_add(t, "Layer %d carries it at %.4g.", e->layer, e->after);
	else
		plumb_texts_add(
			t, "Layers %d to %d carry it at %.4g to %.4g.", e->layer, e->last, e->before, e->after);
}

static void massive_text_describe(
	const struct plumb_diag *d, const struct plumb_massive_channel *m, struct plumb_texts *t)
{
	double end = m->value[d->layers];
	plumb_texts_add(t,
		"Channel %lld at position %lld (token %d) reaches %.4g after layer %d, %.0f times the median |x| there "
		"(%.3g).",
		(long long)m->channel, (long long)m->row, d->tokens[m->row], m->peak, m->peak_layer, m->over_median,
		m->median);
	for (int i = 0; i < m->events; i++)
		massive_text_describe_event(d, m, &m->event[i], t);
	if (d->layers < d->config->layers)
		plumb_texts_add(t, "After layer %d, the last that was evaluated, it is %.4g.", d->layers - 1, end);
	else if (fabs(end) > 0.5 * fabs(m->peak))
		plumb_texts_add(t,
			"Nobody removes it: the last layer leaves it at %.4g, and only the final norm scales it down.",
			end);
	else
		plumb_texts_add(
			t, "The last layer leaves %.4g of it, %.2g%% of the peak.", end, 100 * fabs(end / m->peak));
	if (m->share > 0.5)
		plumb_texts_add(t,
			"Of the squared error against the reference at this position %.3g%% sits in this one channel after "
			"layer %d, and at least %.3g%% after half of the layers: judge it relative to the channel's size.",
			100 * m->share, m->share_layer, 100 * m->share_median);
}

static void massive_text_list(struct plumb_string *f, const struct plumb_massive_channel *m,
	enum plumb_event_kind kind, const char *what)
{
	int n = 0;
	for (int i = 0; i < m->events; i++) {
		const struct plumb_event *e = &m->event[i];
		if (e->kind != kind)
			continue;
		if (!n)
			plumb_string_format(f, "; %s by layer%s", what, m->count[kind] > 1 ? "s" : "");
		plumb_string_format(f, "%s%d", n++ ? ", " : " ", e->layer);
		if (e->neuron >= 0)
			plumb_string_format(f, " (neuron %lld)", (long long)e->neuron);
	}
}

/* All but the largest, in a line each. */
static json_t *massive_text_others(
	struct plumb_diag *d, const struct plumb_biography_result *r, struct plumb_string *text)
{
	json_t *lines = json_array();
	for (int i = 1; i < r->channels; i++) {
		const struct plumb_massive_channel *m = &r->channel[i];
		struct plumb_string line = { NULL, 0, 0, false };
		plumb_string_format(&line, "Also channel %lld at position %lld (token %d): %.4g after layer %d",
			(long long)m->channel, (long long)m->row, d->tokens[m->row], m->peak, m->peak_layer);
		massive_text_list(&line, m, PLUMB_EVENT_WRITTEN, "written");
		massive_text_list(&line, m, PLUMB_EVENT_REMOVED, "removed");
		plumb_string_put(&line, ".");
		plumb_string_format(text, "\n%s", line.failed ? "" : line.text);
		plumb_diag_add(d, lines, plumb_string_json(&line));
	}
	if (r->found > r->channels) {
		plumb_string_format(text, "\nAnd %d smaller ones.", r->found - r->channels);
		plumb_diag_add(d, lines, plumb_json_format("And %d smaller ones.", r->found - r->channels));
	}
	return lines;
}

static json_t *massive_text_event_json(struct plumb_diag *d, const struct plumb_event *e)
{
	json_t *j = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o}", "layer", e->layer, "by",
		e->by_ffn ? "ffn" : "attention", "before", plumb_json_number(e->before), "after",
		plumb_json_number(e->after), "attention_adds", plumb_json_number(e->attention), "ffn_adds",
		plumb_json_number(e->ffn));
	if (e->neuron >= 0) {
		plumb_diag_put(d, j, "neuron", json_integer(e->neuron));
		plumb_diag_put(d, j, "neuron_share", plumb_json_number(e->share));
		plumb_diag_put(d, j, "neuron_value", plumb_json_number(e->value));
		plumb_diag_put(d, j, "weight", plumb_json_number(e->weight));
		plumb_diag_put(d, j, "weight_rank_in_row", json_integer(e->rank_row));
		plumb_diag_put(d, j, "weight_rank_in_column", json_integer(e->rank_column));
	} else if (e->head >= 0) {
		plumb_diag_put(d, j, "head", json_integer(e->head));
		plumb_diag_put(d, j, "head_share", plumb_json_number(e->share));
	}
	return j;
}

static json_t *massive_text_channel_json(
	struct plumb_diag *d, const struct plumb_massive_channel *m, const struct plumb_texts *sentences)
{
	json_t *values = json_array(), *written = json_array(), *removed = json_array();
	for (int i = 0; i <= d->layers; i++)
		plumb_diag_add(d, values, plumb_json_number(m->value[i]));
	for (int i = 0; i < m->events; i++)
		if (m->event[i].kind != PLUMB_EVENT_CARRIED)
			plumb_diag_add(d, m->event[i].kind == PLUMB_EVENT_WRITTEN ? written : removed,
				massive_text_event_json(d, &m->event[i]));
	return json_pack("{s:I, s:I, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "channel",
		(json_int_t)m->channel, "token", (json_int_t)m->row, "token_id", (int)d->tokens[m->row], "layer_peak",
		m->peak_layer, "peak", plumb_json_number(m->peak), "median", plumb_json_number(m->median),
		"over_median", plumb_json_number(m->over_median), "life", values, "written", written, "carried",
		m->carried ? json_pack("{s:i, s:i}", "from", m->carried->layer, "to", m->carried->last) : json_null(),
		"removed", removed, "error_share", plumb_json_number(m->share >= 0 ? m->share : NAN),
		"error_share_median", plumb_json_number(m->share >= 0 ? m->share_median : NAN), "chapters",
		plumb_texts_json(sentences));
}

/* The text: the largest with all its sentences, then the others. */
json_t *plumb_biography_emit(struct plumb_diag *d, const void *result)
{
	const struct plumb_biography_result *r = result;
	struct plumb_string text = { NULL, 0, 0, false };
	json_t *channels = json_array();
	if (!r->channels)
		plumb_string_format(&text,
			"No massive activation: no value after any layer is beyond %g and %g times the median of its "
			"position.",
			PLUMB_MASSIVE_LEAST, PLUMB_MASSIVE_OVER_MEDIAN);
	for (int i = 0; i < r->channels; i++) {
		struct plumb_texts sentences = { NULL, 0, false };
		massive_text_describe(d, &r->channel[i], &sentences);
		d->lost |= sentences.failed;
		for (int k = 0; !i && k < sentences.n; k++)
			plumb_string_format(&text, "%s%s", k ? " " : "", sentences.text[k]);
		plumb_diag_add(d, channels, massive_text_channel_json(d, &r->channel[i], &sentences));
		plumb_texts_free(&sentences);
	}
	json_t *others = massive_text_others(d, r, &text);
	return json_pack("{s:s, s:o, s:{s:f, s:f}, s:i, s:o, s:o}", "part", "biography", "channels", channels,
		"criterion", "above", PLUMB_MASSIVE_LEAST, "over_median", PLUMB_MASSIVE_OVER_MEDIAN, "found",
		r->found, "others", others, "text", plumb_string_json(&text));
}
