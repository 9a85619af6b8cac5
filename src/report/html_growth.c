/* SPDX-License-Identifier: Apache-2.0 */
/* What is drawn over the layers: error and its floor, std and maximum, roles, and the values of massive
 * channels. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/html.h"

/* One number of each layer, at its layer; NULL: no memory. */
static double *html_growth_gather(const json_t *layers, const char *path, int n)
{
	double *v = malloc(sizeof *v * (size_t)(n ? n : 1));
	for (int i = 0; v && i < n; i++)
		v[i] = (double)NAN;
	for (size_t i = 0; v && i < json_array_size(layers); i++) {
		double layer = plumb_field_number(json_array_get(layers, i), "layer");
		if (layer >= 0 && layer < n)
			v[(int)layer] = plumb_field_number(json_array_get(layers, i), path);
	}
	return v;
}

/* Jumps as marks; "2 to 3" ends after layer 2. */
static void html_growth_mark_jumps(struct plumb_chart *c, const json_t *jumps)
{
	c->marks = 0;
	for (size_t i = 0; i < json_array_size(jumps) && c->marks < 24; i++) {
		const json_t *one = json_array_get(jumps, i);
		double to = plumb_field_number(one, "to");
		if (!(to >= 1 && to <= c->n))
			continue;
		struct plumb_mark *m = &c->mark[c->marks++];
		m->at = (int)to - 1;
		m->title = plumb_field_text(one, "text");
		plumb_format(m->sign, sizeof m->sign, "%d", (int)(i % 100) + 1);
	}
}

struct wanted {
	const char *label, *look, *path;
};

/* A chart with one series for each of `wanted`, which ends with label NULL. */
static void html_growth_chart_of(
	struct plumb_string *s, const json_t *growth, struct plumb_chart c, const struct wanted *wanted)
{
	const json_t *layers = plumb_field(growth, "layers");
	double *v[4] = { NULL };
	c.n = plumb_layer_count(layers);
	c.x = "layer";
	for (c.count = 0; c.count < 4 && wanted[c.count].label; c.count++) {
		const struct wanted *w = &wanted[c.count];
		if (!(v[c.count] = html_growth_gather(layers, w->path, c.n))) {
			s->failed = true;
			break;
		}
		c.series[c.count] = (struct plumb_series){ w->label, w->look, v[c.count] };
	}
	html_growth_mark_jumps(&c, plumb_field(growth, "jumps"));
	plumb_html_chart(s, &c);
	for (int i = 0; i < 4; i++)
		free(v[i]);
}

/* Neighbours with the same role are one chip. */
static void html_growth_roles(struct plumb_string *s, const json_t *layers)
{
	size_t n = json_array_size(layers), end;
	if (!n || !*plumb_field_text(json_array_get(layers, 0), "role"))
		return;
	plumb_string_put(s, "<h3>Role of each layer</h3>\n<ul class=roles>\n");
	for (size_t i = 0; i < n; i = end) {
		const char *role = plumb_field_text(json_array_get(layers, i), "role");
		for (end = i + 1; end < n && !strcmp(role, plumb_field_text(json_array_get(layers, end), "role"));)
			end++;
		plumb_string_put(s, "<li class=\"");
		plumb_html_text(s, role);
		plumb_string_format(s, "\"><b>%.0f", plumb_field_number(json_array_get(layers, i), "layer"));
		if (end > i + 1)
			plumb_string_format(
				s, "&ndash;%.0f", plumb_field_number(json_array_get(layers, end - 1), "layer"));
		plumb_string_put(s, "</b> ");
		plumb_html_text(s, role);
		plumb_string_put(s, "</li>\n");
	}
	plumb_string_put(s,
		"</ul>\n<p class=soft>A <b>culprit</b> makes an error of its own when it gets the reference's input; a <b>victim</b> only passes on one that came in; "
		"an <b>amplifier</b> enlarges it, an <b>absorber</b> reduces it; <b>clean</b> is the rest.</p>\n");
}

static void html_growth_jump_list(struct plumb_string *s, const json_t *jumps)
{
	if (!json_array_size(jumps))
		return;
	plumb_string_put(s, "<h3>The jumps, as numbered in the charts</h3>\n<ol>\n");
	for (size_t i = 0; i < json_array_size(jumps); i++) {
		const json_t *one = json_array_get(jumps, i);
		plumb_string_put(s, "<li><b>");
		plumb_html_text(s, plumb_field_text(one, "kind"));
		plumb_string_put(s, "</b>. ");
		plumb_html_text(s, plumb_field_text(one, "text"));
		plumb_string_put(s, "</li>\n");
	}
	plumb_string_put(s, "</ol>\n");
}

void plumb_html_growth(struct plumb_string *s, const json_t *growth)
{
	plumb_string_put(s, "<div class=figures>\n");
	html_growth_chart_of(s, growth,
		(struct plumb_chart){ .title = "Relative error after each layer",
			.y = "|ours - reference| / |reference|",
			.log = true },
		(const struct wanted[]){ { "all layers", "ours", "measure.rel" }, { "floor", "floor", "floor" },
			{ "this layer", "isolated", "isolated.rel" }, { NULL, NULL, NULL } });
	html_growth_chart_of(s, growth,
		(struct plumb_chart){ .title = "Mean absolute error after each layer",
			.y = "mean |ours - reference|, in units of the values",
			.log = true },
		(const struct wanted[]){ { "as given", "ours", "raw.mean_abs" },
			{ "corrected", "isolated", "measure.mean_abs" }, { NULL, NULL, NULL } });
	html_growth_chart_of(s, growth,
		(struct plumb_chart){ .title = "Spread of the values: standard deviation",
			.y = "std of the layer's output",
			.log = true },
		(const struct wanted[]){ { "ours", "ours", "std_ours" },
			{ "reference", "reference", "std_reference" }, { NULL, NULL, NULL } });
	html_growth_chart_of(s, growth,
		(struct plumb_chart){
			.title = "Largest value", .y = "max |value| of the layer's output", .log = true },
		(const struct wanted[]){ { "ours", "ours", "max_ours" },
			{ "reference", "reference", "max_reference" }, { NULL, NULL, NULL } });
	plumb_string_put(s,
		"</div>\n<p class=soft>&ldquo;all layers&rdquo; is the error of the whole run so far, &ldquo;this layer&rdquo; that of the layer alone when it gets the "
		"reference's input; the floor is what a right port shows against a reference of this precision. "
		"&ldquo;As given&rdquo; takes the files at their word, &ldquo;corrected&rdquo; undoes their conventions.</p>\n");
	html_growth_jump_list(s, plumb_field(growth, "jumps"));
	html_growth_roles(s, plumb_field(growth, "layers"));
}

static void html_growth_mark_events(
	struct plumb_chart *c, const json_t *events, const char *sign, const char *title)
{
	for (size_t i = 0; i < json_array_size(events) && c->marks < 24; i++) {
		double layer = plumb_field_number(json_array_get(events, i), "layer");
		if (!(layer >= 0 && layer + 1 < c->n))
			continue;
		struct plumb_mark *m = &c->mark[c->marks++];
		m->at = (int)layer + 1;
		m->title = title;
		plumb_format(m->sign, sizeof m->sign, "%s", sign);
	}
}

static void html_growth_channel(struct plumb_string *s, const json_t *one)
{
	const json_t *life = plumb_field(one, "life"), *chapters = plumb_field(one, "chapters");
	size_t n = json_array_size(life);
	double *v = malloc(sizeof *v * (n ? n : 1));
	char title[120];
	if (!v) {
		s->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++)
		v[i] = json_is_number(json_array_get(life, i)) ? json_number_value(json_array_get(life, i))
													   : (double)NAN;
	plumb_format(title, sizeof title, "Channel %.0f at position %.0f", plumb_field_number(one, "channel"),
		plumb_field_number(one, "token"));
	struct plumb_chart c = { .title = title,
		.x = "layers passed (0: embeddings)",
		.y = "value of the channel, in units of the values",
		.n = n < 4096 ? (int)n : 0,
		.count = 1,
		.series = { { "ours", "ours", v } } };
	html_growth_mark_events(&c, plumb_field(one, "written"), "\xe2\x96\xb2", "written here");
	html_growth_mark_events(&c, plumb_field(one, "removed"), "\xe2\x96\xbc", "taken back here");
	plumb_string_put(s, "<div class=figures>\n");
	plumb_html_chart(s, &c);
	plumb_string_put(s, "<div>\n<h3>Layer by layer</h3>\n<ol>\n");
	for (size_t i = 0; i < json_array_size(chapters); i++) {
		plumb_string_put(s, "<li>");
		const char *text = json_string_value(json_array_get(chapters, i));
		plumb_html_text(s, text ? text : "");
		plumb_string_put(s, "</li>\n");
	}
	plumb_string_put(s,
		"</ol>\n<p class=soft>In the chart &#9650; is where it is written, &#9660; where it is taken back.</p></div>\n</div>\n");
	free(v);
}

void plumb_html_biography(struct plumb_string *s, const json_t *biography)
{
	const json_t *first = json_array_get(plumb_field(biography, "channels"), 0); /* the largest */
	if (first)
		html_growth_channel(s, first);
}
