/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a weight. */
#include "diag/run/run.h"

enum plumb_status plumb_weight_row(const struct plumb_file_tensor *t, int64_t row, float *v)
{
	size_t bytes;
	int64_t columns = t->dim[t->rank - 1];
	if (!plumb_type_size(t->type, columns, &bytes))
		return plumb_fail(
			PLUMB_E_SHAPE, "a row of %lld values of %s", (long long)columns, plumb_type_name(t->type));
	return plumb_type_to_f32(t->type, (const char *)t->data + (size_t)row * bytes, v, columns);
}
