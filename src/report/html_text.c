/* SPDX-License-Identifier: Apache-2.0 */
/* Text from anywhere within the page: nothing in it is markup. */
#include <string.h>
#include "report/html.h"

void plumb_html_text(struct plumb_string *s, const char *text)
{
	for (size_t n; *text; text += n) {
		n = strcspn(text,
			"<>&\"'\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f");
		plumb_string_bytes(s, text, n);
		if (!text[n])
			return;
		const char c = text[n++];
		plumb_string_put(s,
			c == '<'        ? "&lt;"
				: c == '>'  ? "&gt;"
				: c == '&'  ? "&amp;"
				: c == '"'  ? "&quot;"
				: c == '\'' ? "&#39;"
							: "?");
	}
}
