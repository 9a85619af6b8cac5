/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures as inline SVG: what charts and the heat map share. */
#ifndef PLUMB_REPORT_SVG_H
#define PLUMB_REPORT_SVG_H

#include "report/html.h"

#define PLUMB_SVG_WIDTH 400.0 /* of the viewBox: narrow, so that a phone shows the text at its size */

/* A figure with its title, a note (HTML; NULL: none) below it, and a label for those who don't see it. */
void plumb_svg_begin(
	struct plumb_string *s, const char *title, const char *note, const char *label, double height);
void plumb_svg_end(struct plumb_string *s);
enum plumb_anchor { PLUMB_ANCHOR_START, PLUMB_ANCHOR_MIDDLE, PLUMB_ANCHOR_END };
/* look: class of the style sheet, "": none. */
void plumb_svg_text(
	struct plumb_string *s, const char *look, enum plumb_anchor anchor, double x, double y, const char *text);
/* Numbers 0 to n - 1 below y, as many as fit: the first at `first`, `apart` from each other; title: of the
 * axis. */
void plumb_svg_layers(struct plumb_string *s, int n, double first, double apart, double y, const char *title);

#endif
