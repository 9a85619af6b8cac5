/* SPDX-License-Identifier: Apache-2.0 */
/* What every picture of the page has: its frame with a title, words at a place, the axis of layers below. */
#include <math.h>
#include "report/svg.h"

static double svg_tenth(double x) { return nearbyint(x * 10) / 10 + 0; /* no -0 */ }

void plumb_svg_begin(
	struct plumb_string *s, const char *title, const char *note, const char *label, double height)
{
	plumb_string_put(s, "<figure><figcaption>");
	plumb_html_text(s, title);
	if (note)
		plumb_string_format(s, "<small>%s</small>", note);
	plumb_string_format(
		s, "</figcaption>\n<svg viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"", PLUMB_SVG_WIDTH, height);
	plumb_html_text(s, label);
	plumb_string_put(s, "\">\n");
}

void plumb_svg_end(struct plumb_string *s) { plumb_string_put(s, "</svg></figure>\n"); }

void plumb_svg_text(
	struct plumb_string *s, const char *look, enum plumb_anchor anchor, double x, double y, const char *text)
{
	static const char *const anchors[] = { "", " text-anchor=middle", " text-anchor=end" };
	plumb_string_format(s, "<text%s%s x=%.6g y=%.6g%s>", *look ? " class=" : "", look, svg_tenth(x),
		svg_tenth(y), anchors[anchor]);
	plumb_html_text(s, text);
	plumb_string_put(s, "</text>\n");
}

void plumb_svg_layers(struct plumb_string *s, int n, double first, double apart, double y, const char *title)
{
	static const int steps[] = { 1, 2, 4, 5, 10, 20, 50, 100, 200, 500, 1000 };
	int step = 1;
	char number[16];
	for (size_t i = 0; i < sizeof steps / sizeof *steps && (n - 1) / step > 12; i++)
		step = steps[i];
	for (int i = 0; i < n; i += step) {
		plumb_format(number, sizeof number, "%d", i);
		plumb_svg_text(s, "soft", PLUMB_ANCHOR_MIDDLE, first + i * apart, y + 16, number);
	}
	plumb_svg_text(s, "soft", PLUMB_ANCHOR_MIDDLE, first + (n - 1) * apart / 2, y + 34, title);
}
