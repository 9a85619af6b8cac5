/* SPDX-License-Identifier: Apache-2.0 */
/* Text from a user, before a tokenizer takes it: what is no UTF-8 is named, with its place in the user's own
 * bytes. */
#include "cli/cli.h"
#include <string.h>

/* A byte order mark, or every other one of many bytes NUL, as it is where letters of Europe are in UTF-16. */
static const char *text_wide_encoding(const unsigned char *p, size_t n, bool *marked)
{
	size_t nul[2] = { 0, 0 };
	*marked = true;
	if (n >= 4 && !memcmp(p, "\xff\xfe\0\0", 4))
		return "UTF-32LE";
	if (n >= 4 && !memcmp(p, "\0\0\xfe\xff", 4))
		return "UTF-32BE";
	if (n >= 2 && (!memcmp(p, "\xff\xfe", 2) || !memcmp(p, "\xfe\xff", 2)))
		return *p == 0xff ? "UTF-16LE" : "UTF-16BE";
	*marked = false;
	for (size_t i = 0; i < n && i < 65536; i++)
		nul[i % 2] += !p[i];
	size_t units = (n < 65536 ? n : 65536) / 2;
	if (nul[1] >= 2 && !nul[0] && 2 * nul[1] >= units)
		return "UTF-16LE";
	return nul[0] >= 2 && !nul[1] && 2 * nul[0] >= units ? "UTF-16BE" : NULL;
}

int cli_text_check(const char *what, const char **text, size_t *size, bool nul)
{
	const unsigned char *p = (const unsigned char *)*text;
	bool marked;
	const char *wide = text_wide_encoding(p, *size, &marked);
	if (wide)
		return cli_complain(CLI_INPUT,
			"%s is in %.6s (%s%s), plumb takes UTF-8\n       Convert with iconv -f %.*s -t UTF-8", what, wide,
			marked ? "it begins with the byte order mark of " : "every other byte is NUL, as in ", wide,
			marked ? 6 : 8, wide);
	size_t bad = plumb_utf8_invalid(*text, *size);
	if (bad < *size)
		return cli_complain(CLI_INPUT,
			"%s is not valid UTF-8 at byte %zu (0x%02x)\n       Convert with iconv -f ENCODING -t UTF-8; "
			"ENCODING is LATIN1 or CP1252 as a rule where bytes like this are",
			what, bad, p[bad]);
	const char *zero = nul ? NULL : memchr(p, 0, *size);
	if (zero)
		return cli_complain(CLI_INPUT, "%s holds a NUL byte at byte %td, which a message cannot%s", what,
			zero - *text, strcmp(what, "the prompt") ? "" : "; --raw takes it");
	if (*size >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) {
		fprintf(
			stderr, "plumb: note: the byte order mark (EF BB BF) at the beginning of %s is left out\n", what);
		*text += 3;
		*size -= 3;
	}
	return CLI_OK;
}
