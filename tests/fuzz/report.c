/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for results of the diagnosis, which come back to the library as JSON: text for a terminal,
 * and a page. Whatever stands in them, a terminal is told nothing and a page runs nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/diag.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(int holds)
{
	if (!holds)
		abort();
}

static void show_text(const char *json)
{
	char *text;
	enum plumb_status s = plumb_diag_text(json, &text);
	if (s) {
		insist(!text && s == PLUMB_E_FORMAT && *plumb_last_error());
		return;
	}
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		insist((*p >= 0x20 || *p == '\n') && *p != 0x7f && (*p != 0xc2 || p[1] < 0x80 || p[1] >= 0xa0));
	free(text);
}

/* Every "<" of the page is followed by a name of ours, none of which runs or fetches anything. */
static void show_page(const char *json)
{
	static const char *const tags[] = { "!DOCTYPE", "a", "article", "b", "body", "br", "caption", "circle",
		"code", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "footer", "g", "h1", "h2", "h3",
		"h4", "head", "html", "i", "li", "line", "main", "meta", "nav", "ol", "p", "path", "polygon",
		"polyline", "pre", "rect", "section", "small", "span", "style", "summary", "svg", "table", "tbody",
		"td", "text", "th", "thead", "title", "tr", "ul" };
	char *page;
	enum plumb_status s = plumb_diag_html(json, &page);
	if (s) {
		insist(!page && s == PLUMB_E_FORMAT && *plumb_last_error());
		return;
	}
	for (const char *p = page; (p = strchr(p, '<')); p++) {
		const char *name = p[1] == '/' ? p + 2 : p + 1;
		size_t n = strspn(name, "!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
		int known = 0;
		for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
			known |= strlen(tags[i]) == n && !memcmp(tags[i], name, n);
		insist(known);
	}
	insist(!strncmp(page, "<!DOCTYPE html>", 15) && strstr(page, "</html>"));
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *json = malloc(size + 1);
	insist(json != NULL);
	memcpy(json, data, size);
	json[size] = 0;
	show_text(json);
	show_page(json);
	free(json);
	return 0;
}
