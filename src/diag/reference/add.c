/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers do with what they read: values that can be compared are kept, for the others a problem is.
 */
#include <math.h>
#include <string.h>
#include "diag/reference/reference.h"

const char *plumb_reference_loss(int layer, int point, char *text, size_t size)
{
	if (point == PLUMB_POINT_OUTPUT)
		plumb_format(text, size, "the output of layer %d cannot be compared; the others can", layer);
	else if (layer >= 0)
		plumb_format(
			text, size, "%s of layer %d cannot be compared; the rest can", plumb_point_name(point), layer);
	else
		plumb_format(text, size, "%s cannot be compared; the rest can", plumb_point_name(point));
	return text;
}

/* Values that no comparison can use; only masked scores are rightly infinite. */
static int64_t add_count_bad(const float *v, int64_t n, bool masked, int64_t *first, bool *zero)
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
static bool add_better(struct plumb_reference *r, int layer, int point, int64_t rows)
{
	const struct plumb_captured *had = plumb_capture_at(&r->raw, layer, point);
	if (!had)
		return true;
	if (had->rows >= rows)
		return false;
	plumb_reference_files_remove(&r->files, layer, point);
	return true;
}

enum plumb_status plumb_reference_keep(struct plumb_reference *r, const char *name, int layer, int point,
	const float *values, int64_t rows, int64_t width, const char *storage)
{
	char loss[128];
	int64_t first = 0;
	bool zero;
	int64_t bad = add_count_bad(values, rows * width, point == PLUMB_POINT_ATTN_SCORES, &first, &zero);
	plumb_reference_loss(layer, point, loss, sizeof loss);
	if (bad)
		return plumb_problems_add(&r->problems, name, loss,
			"%lld of %lld values are NaN or infinite, the first (%s) at index %lld", (long long)bad,
			(long long)(rows * width),
			isnan(values[first])    ? "NaN"
				: values[first] > 0 ? "infinity"
									: "-infinity",
			(long long)first);
	if (zero)
		return plumb_problems_add(
			&r->problems, name, loss, "all %lld values are 0", (long long)(rows * width));
	if (!add_better(r, layer, point, rows))
		return PLUMB_OK;
	struct plumb_captured *captured;
	PLUMB_TRY(plumb_capture_put(&r->raw, layer, point, rows, width, 0, &captured));
	memcpy(captured->v, values, sizeof *values * (size_t)(rows * width));
	return plumb_reference_files_add(&r->files, name, layer, point, storage);
}
