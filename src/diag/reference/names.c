/* SPDX-License-Identifier: Apache-2.0 */
/* What a file or tensor name of a reference stands for. */
#include <string.h>
#include "diag/reference/reference.h"

/* "12" of n characters; false unless it is a number and nothing else. */
static bool names_number(const char *s, size_t n, int *value)
{
	*value = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*value = *value * 10 + (s[i] - '0');
	}
	return n > 0 && n <= 6;
}

bool plumb_reference_name(const char *name, size_t n, int *layer, int *point)
{
	static const struct {
		const char *name;
		int point;
	} outer[] = {
		{ "after_embeddings", PLUMB_POINT_EMBEDDINGS },
		{ "embeddings", PLUMB_POINT_EMBEDDINGS },
		{ "final_norm", PLUMB_POINT_FINAL_NORM },
		{ "final_logits", PLUMB_POINT_LOGITS },
		{ "last_logits", PLUMB_POINT_LOGITS },
		{ "logits", PLUMB_POINT_LOGITS },
	};
	static const char after[] = "after_layer_";
	const char *dot = memchr(name, '.', n);
	*layer = -1;
	for (size_t i = 0; i < sizeof outer / sizeof *outer; i++)
		if (strlen(outer[i].name) == n && !memcmp(outer[i].name, name, n)) {
			*point = outer[i].point;
			return true;
		}
	*point = PLUMB_POINT_OUTPUT;
	if (n > sizeof after - 1 && !memcmp(name, after, sizeof after - 1))
		return names_number(name + sizeof after - 1, n - (sizeof after - 1), layer);
	if (!dot || name[0] != 'L' || !names_number(name + 1, (size_t)(dot - name) - 1, layer))
		return false;
	for (*point = 0; *point < PLUMB_POINT_COUNT; ++*point) {
		const char *known = plumb_point_name(*point);
		if (plumb_point_in_layer(*point) && strlen(known) == n - (size_t)(dot + 1 - name) &&
			!memcmp(known, dot + 1, strlen(known)))
			return true;
	}
	return false;
}
