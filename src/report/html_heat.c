/* SPDX-License-Identifier: Apache-2.0 */
/* The heat map layer x capture point: how many times its floor each error is. What is beyond the limit has a
 * cross, too. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/svg.h"

#define WIDTH PLUMB_SVG_WIDTH
#define LABELS 104.0
#define ROW 15.0
#define TOP 6.0
#define MOST_POINTS 32

static const struct {
	double below;
	const char *look, *words;
} steps[] = {
	{ 0.5, "h0", "under 0.5" },
	{ 1, "h1", "to 1" },
	{ 2, "h2", "to 2" },
	{ 4, "h3", "to 4" },
	{ INFINITY, "h4", "more" },
};
#define STEPS (sizeof steps / sizeof *steps)

struct map {
	struct plumb_string *s;
	int layers, rows;
	double cell;
};

static void html_heat_cell(const struct map *m, int layer, int row, const char *name, double excess, bool bad,
	double error, double least)
{
	double x = LABELS + layer * m->cell, y = TOP + row * ROW;
	size_t k = 0;
	while (k < STEPS - 1 && !(excess < steps[k].below))
		k++;
	plumb_string_format(m->s, "<rect class=%s x=%.1f y=%.1f width=%.1f height=%.1f><title>layer %d, ",
		bad ? "hx" : steps[k].look, x + .5, y + .5, m->cell - 1, ROW - 1, layer);
	plumb_html_text(m->s, name);
	plumb_string_format(m->s, ": %.3g times the floor (error %.2g, floor %.2g)%s</title></rect>", excess,
		error, least, bad ? ", a divergence" : "");
	if (bad)
		plumb_string_format(
			m->s, "<text class=cross x=%.1f y=%.1f>&times;</text>", x + m->cell / 2, y + ROW - 4);
	plumb_string_put(m->s, "\n");
}

static void html_heat_row_label(const struct map *m, int row, const char *name)
{
	plumb_svg_text(m->s, "", PLUMB_ANCHOR_END, LABELS - 6, TOP + row * ROW + ROW - 4, name);
}

static void html_heat_legend(const struct map *m)
{
	double y = TOP + m->rows * ROW + 52, x = 0;
	plumb_svg_text(m->s, "soft", PLUMB_ANCHOR_START, 0, y, "error, in multiples of its floor");
	for (size_t k = 0; k <= STEPS; k++) {
		const char *words = k < STEPS ? steps[k].words : "past the limit";
		plumb_string_format(m->s, "<rect class=%s x=%.0f y=%.0f width=13 height=13></rect>",
			k < STEPS ? steps[k].look : "hx", x, y + 8);
		plumb_svg_text(m->s, "", PLUMB_ANCHOR_START, x + 17, y + 19, words);
		if (k == STEPS)
			plumb_string_format(m->s, "<text class=cross x=%.1f y=%.0f>&times;</text>\n", x + 6.5, y + 18.5);
		x += 16 + 6.6 * (double)strlen(words) + 10;
	}
}

static void html_heat_begin(struct map *m, const char *title, const char *note)
{
	m->cell = (WIDTH - LABELS - 2) / m->layers;
	plumb_svg_begin(
		m->s, title, note, "heat map of errors by layer and capture point", TOP + m->rows * ROW + 78);
}

static void html_heat_end(struct map *m)
{
	plumb_svg_layers(m->s, m->layers, LABELS + m->cell / 2, m->cell, TOP + m->rows * ROW, "layer");
	html_heat_legend(m);
	plumb_svg_end(m->s);
}

/* Names of the points in the order of their first use. */
static int html_heat_name_points(const json_t *layers, const char *names[MOST_POINTS])
{
	int n = 0;
	for (size_t i = 0; i < json_array_size(layers); i++) {
		const json_t *points = plumb_field(json_array_get(layers, i), "points");
		for (size_t j = 0;
			 plumb_field_number(json_array_get(layers, i), "layer") >= 0 && j < json_array_size(points);
			 j++) {
			const char *name = plumb_field_text(json_array_get(points, j), "point");
			int k = 0;
			while (k < n && strcmp(names[k], name))
				k++;
			if (k == n && n < MOST_POINTS)
				names[n++] = name;
		}
	}
	return n;
}

static void html_heat_component_cells(struct map *m, const json_t *layers, const char *const *names)
{
	for (size_t i = 0; i < json_array_size(layers); i++) {
		const json_t *one = json_array_get(layers, i), *points = plumb_field(one, "points");
		double layer = plumb_field_number(one, "layer");
		for (size_t j = 0; layer >= 0 && j < json_array_size(points); j++) {
			const json_t *p = json_array_get(points, j);
			bool alone = json_is_object(plumb_field(p, "isolated"));
			double error = plumb_field_number(p, alone ? "isolated.rel" : "accumulated.rel"),
				   least = plumb_field_number(p, alone ? "floor_isolated" : "floor_accumulated");
			const char *name = plumb_field_text(p, "point");
			for (int k = 0; k < m->rows; k++)
				if (!strcmp(names[k], name))
					html_heat_cell(m, (int)layer, k, name, error / least, json_is_false(plumb_field(p, "ok")),
						error, least);
		}
	}
}

static void html_heat_growth_cells(struct map *m, const json_t *layers)
{
	for (size_t i = 0; i < json_array_size(layers); i++) {
		const json_t *one = json_array_get(layers, i);
		double layer = plumb_field_number(one, "layer"), alone = plumb_field_number(one, "isolated.rel"),
			   all = plumb_field_number(one, "measure.rel"), least = plumb_field_number(one, "floor"),
			   least_alone = plumb_field_number(one, "isolated.floor");
		bool wrong = !strcmp(plumb_field_text(one, "role"), "culprit");
		if (!(layer >= 0))
			continue;
		if (isfinite(alone))
			html_heat_cell(
				m, (int)layer, 0, "this layer alone", alone / least_alone, wrong, alone, least_alone);
		if (isfinite(all))
			html_heat_cell(m, (int)layer, 1, "all layers so far", all / least,
				wrong || !strcmp(plumb_field_text(one, "role"), "victim"), all, least);
	}
}

/* Embeddings, final norm and logits have no layer, so no column. */
static void html_heat_outside(struct plumb_string *s, const json_t *layers)
{
	size_t n = 0;
	for (size_t i = 0; i < json_array_size(layers); i++) {
		const json_t *one = json_array_get(layers, i), *points = plumb_field(one, "points");
		for (size_t j = 0; !(plumb_field_number(one, "layer") >= 0) && j < json_array_size(points); j++) {
			const json_t *p = json_array_get(points, j);
			bool alone = json_is_object(plumb_field(p, "isolated"));
			double error = plumb_field_number(p, alone ? "isolated.rel" : "accumulated.rel"),
				   least = plumb_field_number(p, alone ? "floor_isolated" : "floor_accumulated");
			plumb_string_put(s, n++ ? ", " : "<p class=soft>Outside of the layers: ");
			plumb_html_text(s, plumb_field_text(p, "point"));
			if (isfinite(error / least))
				plumb_string_format(s, " %.2g", error / least);
			plumb_string_put(s, json_is_false(plumb_field(p, "ok")) ? " (<b>past the limit</b>)" : "");
		}
	}
	plumb_string_put(s, n ? " times the floor.</p>\n" : "");
}

void plumb_html_heat(struct plumb_string *s, const json_t *components, const json_t *growth)
{
	const char *names[MOST_POINTS];
	const json_t *layers = plumb_field(components, "layers");
	struct map m = {
		.s = s, .layers = plumb_layer_count(layers), .rows = html_heat_name_points(layers, names)
	};
	if (m.layers && m.rows) {
		html_heat_begin(&m, "Where the error is",
			"each component fed with the reference's own input; where that is not known, the error of the whole run; empty where the reference has nothing");
		for (int k = 0; k < m.rows; k++)
			html_heat_row_label(&m, k, names[k]);
		html_heat_component_cells(&m, layers, names);
		html_heat_end(&m);
		html_heat_outside(s, layers);
		return;
	}
	layers = plumb_field(growth, "layers");
	m = (struct map){ .s = s, .layers = plumb_layer_count(layers), .rows = 2 };
	if (!m.layers)
		return;
	html_heat_begin(&m, "Where the error is",
		"the reference has the outputs of the layers only; one with inner points shows the components, too");
	html_heat_row_label(&m, 0, "this layer");
	html_heat_row_label(&m, 1, "all so far");
	html_heat_growth_cells(&m, layers);
	html_heat_end(&m);
}
