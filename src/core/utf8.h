/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: what is a character and what is none. plumb/text.h has what programs may call. */
#ifndef PLUMB_CORE_UTF8_H
#define PLUMB_CORE_UTF8_H

#include <stddef.h>
#include <plumb/text.h>

/* U+FFFD, and its bytes without the NUL. */
#define PLUMB_UTF8_REPLACEMENT "\xef\xbf\xbd"
#define PLUMB_UTF8_REPLACEMENT_SIZE 3

/* Look at the first character of n >= 1 bytes. Positive: its length; 0: n bytes are the beginning of a
 * character; -k: the first k bytes can never be one. */
int plumb_utf8_step(const unsigned char *p, size_t n);
/* What a terminal would act on, U+0000 to U+001F and U+007F to U+009F, becomes "?", lines and tabs
 * a blank, but for the bytes in `keep`; in place. */
void plumb_utf8_plain(char *text, const char *keep);
/* PLUMB_E_ARGUMENT with the offset in this text, called "the `what`". */
enum plumb_status plumb_utf8_check(const char *what, const char *text, size_t size);

#endif
