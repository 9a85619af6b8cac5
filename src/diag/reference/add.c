/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers do with what they read: values that can be compared are kept, for the others a problem is. */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include "diag/reference/reference.h"

static enum plumb_status add_problem(json_t *problems, const char *file, const char *consequence, const char *format, va_list args)
{
	char text[1024];
	plumb_vformat(text, sizeof text, format, args);
	json_t *row = json_pack("{s:o, s:o, s:o}", "file", plumb_json_text(file), "problem", plumb_json_text(text), "consequence", plumb_json_text(consequence));
	return !json_array_append_new(problems, row) ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a problem of %s", file);
}

enum plumb_status plumb_problem(json_t *problems, const char *file, const char *consequence, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	enum plumb_status s = add_problem(problems, file, consequence, format, args);
	va_end(args);
	return s;
}

enum plumb_status plumb_reference_problem(struct plumb_reference *r, const char *file, const char *consequence, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	enum plumb_status s = add_problem(r->problems, file, consequence, format, args);
	va_end(args);
	return s;
}

const char *plumb_reference_loss(int layer, int point, char *text, size_t size)
{
	if (point == PLUMB_POINT_OUTPUT)
		plumb_format(text, size, "the output of layer %d cannot be compared; the others can", layer);
	else if (layer >= 0)
		plumb_format(text, size, "%s of layer %d cannot be compared; the rest can", plumb_point_name(point), layer);
	else
		plumb_format(text, size, "%s cannot be compared; the rest can", plumb_point_name(point));
	return text;
}

/* Values that no comparison can use; only masked scores are rightly infinite. */
static int64_t count_bad(const float *v, int64_t n, bool masked, int64_t *first, bool *zero)
{
	int64_t bad = 0;
	*zero = true;
	for (int64_t i = 0; i < n; i++) {
		*zero &= v[i] == 0;
		if (isfinite(v[i]) || (masked && v[i] == -INFINITY))
			continue;
		if (!bad++)
			*first = i;
	}
	return bad;
}

/* Two names may stand for one point (logits, last_logits): false when what is there has as many rows. */
static bool better(struct plumb_reference *r, int layer, int point, int64_t rows)
{
	const struct plumb_plane *had = plumb_capture_at(&r->raw, layer, point);
	json_t *file;
	size_t i;
	if (!had)
		return true;
	if (had->rows >= rows)
		return false;
	json_array_foreach(r->files, i, file)
		if (json_integer_value(json_object_get(file, "layer")) == layer &&
			!strcmp(json_string_value(json_object_get(file, "point")), plumb_point_name(point))) {
			json_array_remove(r->files, i);
			break;
		}
	return true;
}

enum plumb_status plumb_reference_keep(struct plumb_reference *r, const char *name, int layer, int point, const float *values,
	int64_t rows, int64_t width, const char *storage)
{
	char loss[128];
	int64_t first = 0;
	bool zero;
	int64_t bad = count_bad(values, rows * width, point == PLUMB_POINT_ATTN_SCORES, &first, &zero);
	plumb_reference_loss(layer, point, loss, sizeof loss);
	if (bad)
		return plumb_reference_problem(r, name, loss, "%lld of %lld values are NaN or infinite, the first (%s) at index %lld", (long long)bad,
			(long long)(rows * width), isnan(values[first]) ? "NaN" : values[first] > 0 ? "infinity" : "-infinity", (long long)first);
	if (zero)
		return plumb_reference_problem(r, name, loss, "all %lld values are 0", (long long)(rows * width));
	if (!better(r, layer, point, rows))
		return PLUMB_OK;
	struct plumb_plane *plane;
	PLUMB_TRY(plumb_capture_put(&r->raw, layer, point, rows, width, 0, &plane));
	memcpy(plane->v, values, sizeof *values * (size_t)(rows * width));
	json_t *row = json_pack("{s:o, s:i, s:s, s:s}", "name", plumb_json_text(name), "layer", layer, "point", plumb_point_name(point), "storage", storage);
	return row && !json_array_append_new(r->files, row) ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a reference");
}
