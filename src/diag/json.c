/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts write their results with: numbers, sentences, rows. A row that is lost for want of memory is remembered, so that no
 * part that lacks one passes for complete. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "diag/diag.h"

json_t *plumb_json_number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

json_t *plumb_json_format(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = plumb_vformat(NULL, 0, format, args);
	va_end(args);
	char *text = n < 0 ? NULL : malloc((size_t)n + 1);
	if (!text)
		return NULL;
	va_start(args, format);
	plumb_vformat(text, (size_t)n + 1, format, args);
	va_end(args);
	json_t *string = plumb_json_text(text);
	free(text);
	return string;
}

void plumb_diag_add(struct plumb_diag *d, json_t *list, json_t *value)
{
	d->lost |= json_array_append_new(list, value) != 0;
}

void plumb_diag_put(struct plumb_diag *d, json_t *object, const char *key, json_t *value)
{
	d->lost |= json_object_set_new(object, key, value) != 0;
}
