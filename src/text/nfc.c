/* SPDX-License-Identifier: Apache-2.0 */
/* The normal forms, of which NFC is the usual one, on top of utf8proc's tables. utf8proc_map does the same,
 * but it orders combining marks by swapping neighbours, which is quadratic: a megabyte of marks would take
 * hours. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "core/core.h"
#include "text.h"

#define FIRST_MARK 0x300 /* text below is NFC by itself */
#define SHORT_RUN 16

static bool nfc_composes(enum plumb_form_of_text form) { return form == PLUMB_NFC || form == PLUMB_NFKC; }
static bool nfc_is_compatible(enum plumb_form_of_text form)
{
	return form == PLUMB_NFKC || form == PLUMB_NFKD;
}

static utf8proc_option_t nfc_options(enum plumb_form_of_text form)
{
	int compatible = nfc_is_compatible(form) ? UTF8PROC_COMPAT : 0;
	return (utf8proc_option_t)(UTF8PROC_STABLE |
		(nfc_composes(form) ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | compatible);
}

static int nfc_mark_class(int32_t c)
{
	return c < FIRST_MARK ? 0 : utf8proc_get_property(c)->combining_class;
}

/* Stable sort of a run of marks by class: few by insertion, many by counting. */
static enum plumb_status nfc_sort_run(int32_t *run, size_t n)
{
	size_t at[256] = { 0 }, sum = 0;
	int32_t *sorted;
	if (n <= SHORT_RUN) {
		for (size_t i = 1; i < n; i++) {
			int32_t c = run[i];
			size_t j = i;
			for (int class = nfc_mark_class(c); j && nfc_mark_class(run[j - 1]) > class; j--)
				run[j] = run[j - 1];
			run[j] = c;
		}
		return PLUMB_OK;
	}
	sorted = malloc(n * sizeof *sorted);
	if (!sorted)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to order %zu combining marks", n);
	for (size_t i = 0; i < n; i++)
		at[nfc_mark_class(run[i]) & 255]++;
	for (int class = 0; class < 256; class ++) {
		size_t here = at[class];
		at[class] = sum;
		sum += here;
	}
	for (size_t i = 0; i < n; i++)
		sorted[at[nfc_mark_class(run[i]) & 255]++] = run[i];
	memcpy(run, sorted, n * sizeof *run);
	free(sorted);
	return PLUMB_OK;
}

static enum plumb_status nfc_order_marks(int32_t *c, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t end = i;
		while (end < n && nfc_mark_class(c[end]))
			end++;
		if (end - i > 1) {
			enum plumb_status status = nfc_sort_run(c + i, end - i);
			if (status)
				return status;
		}
		i = end + 1;
	}
	return PLUMB_OK;
}

/* Decomposition; *out grows as needed. */
static enum plumb_status nfc_decompose(
	enum plumb_form_of_text form, const char *text, size_t n, int32_t **out, size_t *count)
{
	const int32_t first = nfc_is_compatible(form) ? 0x80 : 0xc0; /* what lies below does not decompose */
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
	size_t room = 0, used = 0;
	for (size_t i = 0; i < n;) {
		int32_t c;
		int boundclass = 0;
		utf8proc_ssize_t len = utf8proc_iterate(p + i, (utf8proc_ssize_t)(n - i < 4 ? n - i : 4), &c), made;
		if (len <= 0)
			return plumb_fail(PLUMB_E_ARGUMENT, "the text is not valid UTF-8 at byte %zu", i);
		if (room - used < 32) {
			room = room ? room + room / 2 : n + 32;
			int32_t *more = realloc(*out, room * sizeof *more);
			if (!more)
				return plumb_fail(PLUMB_E_MEMORY, "no memory to normalise %zu bytes of text", n);
			*out = more;
		}
		made = c < first ? ((*out)[used] = c, 1)
						 : utf8proc_decompose_char(c, *out + used, 32, nfc_options(form), &boundclass);
		if (made < 0 || made > 32)
			return plumb_fail(PLUMB_E_INTERNAL, "utf8proc: %s", utf8proc_errmsg(made));
		used += (size_t)made;
		i += (size_t)len;
	}
	*count = used;
	return PLUMB_OK;
}

static bool nfc_plainly(enum plumb_form_of_text form, const char *text, size_t n)
{
	const unsigned char first = form == PLUMB_NFC ? 0xcc : 0x80; /* lead byte of U+0300 and above */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] >= first)
			return false;
	return true;
}

enum plumb_status plumb_nfc_form(
	enum plumb_form_of_text form, const char *text, size_t n, char **out, size_t *out_n)
{
	int32_t *c = NULL;
	char *bytes = NULL;
	size_t count = 0, used = 0;
	enum plumb_status status;
	*out = NULL;
	*out_n = n;
	if (nfc_plainly(form, text, n))
		return PLUMB_OK;
	if ((status = nfc_decompose(form, text, n, &c, &count)) || (status = nfc_order_marks(c, count)))
		goto fail;
	utf8proc_ssize_t composed = (utf8proc_ssize_t)count;
	if (nfc_composes(form))
		composed = utf8proc_normalize_utf32(c, composed, nfc_options(form));
	if (composed < 0) {
		status = plumb_fail(PLUMB_E_INTERNAL, "utf8proc: %s", utf8proc_errmsg(composed));
		goto fail;
	}
	bytes = malloc((size_t)composed * 4 + 1);
	if (!bytes) {
		status = plumb_fail(PLUMB_E_MEMORY, "no memory to normalise %zu bytes of text", n);
		goto fail;
	}
	for (utf8proc_ssize_t i = 0; i < composed; i++)
		used += (size_t)utf8proc_encode_char(c[i], (utf8proc_uint8_t *)bytes + used);
	*out = bytes;
	*out_n = used;
fail:
	free(c);
	return status;
}
