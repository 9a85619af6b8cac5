/* SPDX-License-Identifier: Apache-2.0 */
/* Line charts as inline SVG: axes with units, a name at the end of each line instead of a legend, a <title>
 * on each point. */
#include <math.h>
#include <string.h>
#include "report/svg.h"

#define WIDTH PLUMB_SVG_WIDTH
#define HEIGHT 270.0
#define LEFT 48.0
#define RIGHT 78.0
#define TOP 44.0
#define BOTTOM 42.0

struct frame {
	double low, high; /* of y; of its logarithm with log */
	bool log;
	int n;
};

static double html_chart_scaled(const struct frame *f, double y) { return f->log ? log10(y) : y; }

static double html_chart_at_y(const struct frame *f, double y)
{
	return TOP + (HEIGHT - TOP - BOTTOM) * (f->high - html_chart_scaled(f, y)) / (f->high - f->low);
}

static double html_chart_at_x(const struct frame *f, int i)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * (f->n > 1 ? (double)i / (f->n - 1) : 0.5);
}

static bool html_chart_shown(const struct frame *f, double y) { return isfinite(y) && (!f->log || y > 0); }

static bool html_chart_find_range(struct frame *f, const struct plumb_chart *c)
{
	f->low = INFINITY;
	f->high = -INFINITY;
	for (int k = 0; k < c->count; k++)
		for (int i = 0; i < c->n; i++) {
			double y = c->series[k].v[i];
			if (!html_chart_shown(f, y))
				continue;
			f->low = fmin(f->low, html_chart_scaled(f, y));
			f->high = fmax(f->high, html_chart_scaled(f, y));
		}
	if (f->low > f->high)
		return false;
	if (f->log) { /* to whole decades, but not one more */
		f->low = floor(f->low);
		f->high = fmax(ceil(f->high), f->low + 1);
	} else {
		f->low = fmin(f->low, 0);
		f->high = fmax(f->high, 0);
		if (f->high - f->low < 1e-30)
			f->high = f->low + 1;
		double more = (f->high - f->low) * 0.05;
		f->high += f->high > 0 ? more : 0;
		f->low -= f->low < 0 ? more : 0;
	}
	return true;
}

static void html_chart_grid_line(struct plumb_string *s, const struct frame *f, double y)
{
	double at = html_chart_at_y(f, y);
	char number[32];
	plumb_format(number, sizeof number, "%.6g", y);
	plumb_string_format(s, "<path class=grid d=\"M%.0f %.1fH%.0f\"/>", LEFT, at, WIDTH - RIGHT);
	plumb_svg_text(s, "soft", PLUMB_ANCHOR_END, LEFT - 6, at + 4, number);
}

static void html_chart_grid(struct plumb_string *s, const struct frame *f)
{
	if (f->log) {
		int step = (int)ceil((f->high - f->low) / 7), low = (int)f->low, high = (int)f->high;
		for (int e = low; e <= high; e += step)
			html_chart_grid_line(s, f, pow(10, e));
		return;
	}
	double rough = (f->high - f->low) / 5, unit = pow(10, floor(log10(rough)));
	double step = rough / unit < 1.5 ? unit
		: rough / unit < 3.5         ? 2 * unit
		: rough / unit < 7.5         ? 5 * unit
									 : 10 * unit;
	for (double k = ceil(f->low / step); k * step <= f->high; k++)
		html_chart_grid_line(s, f, k == 0 ? 0 : k * step); /* not -0 */
}

static void html_chart_axes(struct plumb_string *s, const struct frame *f, const struct plumb_chart *c)
{
	char title[120];
	plumb_string_format(
		s, "<path class=axis d=\"M%.0f %.0fH%.0f\"/>\n", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
	plumb_svg_layers(s, f->n, html_chart_at_x(f, 0),
		f->n > 1 ? html_chart_at_x(f, 1) - html_chart_at_x(f, 0) : 0, HEIGHT - BOTTOM, c->x);
	plumb_format(title, sizeof title, "%s%s", c->y, c->log ? " (log scale)" : "");
	plumb_svg_text(s, "soft", PLUMB_ANCHOR_START, 0, 12, title);
}

static void html_chart_line(struct plumb_string *s, const struct frame *f, const struct plumb_series *series)
{
	bool pen = false;
	plumb_string_format(s, "<path class=%s d=\"", series->look);
	for (int i = 0; i < f->n; i++) {
		bool here = html_chart_shown(f, series->v[i]);
		if (here)
			plumb_string_format(
				s, "%s%.1f %.1f", pen ? "L" : "M", html_chart_at_x(f, i), html_chart_at_y(f, series->v[i]));
		pen = here;
	}
	plumb_string_put(s, "\"/>\n");
	for (int i = 0; i < f->n; i++)
		if (html_chart_shown(f, series->v[i]))
			plumb_string_format(s,
				"<circle class=%s cx=%.1f cy=%.1f r=2.5><title>%d: %.4g, %s</title></circle>", series->look,
				html_chart_at_x(f, i), html_chart_at_y(f, series->v[i]), i, series->v[i], series->label);
	plumb_string_put(s, "\n");
}

/* Names at the ends of the lines, moved apart where lines end together. */
static void html_chart_names(struct plumb_string *s, const struct frame *f, const struct plumb_chart *c)
{
	int order[4], n = 0;
	double y[4];
	for (int k = 0; k < c->count; k++) {
		int last = f->n - 1;
		while (last >= 0 && !html_chart_shown(f, c->series[k].v[last]))
			last--;
		if (last < 0)
			continue;
		y[k] = html_chart_at_y(f, c->series[k].v[last]);
		int place = n++;
		for (; place > 0 && y[order[place - 1]] > y[k]; place--)
			order[place] = order[place - 1];
		order[place] = k;
	}
	for (int i = 1; i < n; i++)
		y[order[i]] = fmax(y[order[i]], y[order[i - 1]] + 14);
	double below = n ? y[order[n - 1]] - (HEIGHT - BOTTOM) : 0;
	for (int i = 0; i < n; i++)
		plumb_svg_text(s, c->series[order[i]].look, PLUMB_ANCHOR_START, WIDTH - RIGHT + 8,
			y[order[i]] + 4 - (below > 0 ? below : 0), c->series[order[i]].label);
}

static void html_chart_marks(struct plumb_string *s, const struct frame *f, const struct plumb_chart *c)
{
	double right = -INFINITY; /* of the last sign: two that would touch go into two rows */
	bool up = false;
	for (int i = 0; i < c->marks; i++) {
		double x = html_chart_at_x(f, c->mark[i].at);
		if (c->mark[i].at < 0 || c->mark[i].at >= f->n)
			continue;
		up = x - right < 15 && !up;
		right = x;
		plumb_string_format(s,
			"<path class=mark d=\"M%.1f %.0fV%.0f\"/><text x=%.1f y=%.0f text-anchor=middle font-weight=700><title>",
			x, TOP - (up ? 13 : 0), HEIGHT - BOTTOM, x, TOP - (up ? 16 : 4));
		plumb_html_text(s, c->mark[i].title);
		plumb_string_put(s, "</title>");
		plumb_html_text(s, c->mark[i].sign);
		plumb_string_put(s, "</text>\n");
	}
}

void plumb_html_chart(struct plumb_string *s, const struct plumb_chart *c)
{
	struct frame f = { 0, 0, c->log, c->n };
	if (c->n < 1 || !html_chart_find_range(&f, c))
		return;
	plumb_svg_begin(s, c->title, NULL, c->title, HEIGHT);
	html_chart_grid(s, &f);
	html_chart_marks(s, &f, c);
	html_chart_axes(s, &f, c);
	for (int k = 0; k < c->count; k++)
		html_chart_line(s, &f, &c->series[k]);
	html_chart_names(s, &f, c);
	plumb_svg_end(s);
}
