/* SPDX-License-Identifier: Apache-2.0 */
/* Structures that programs fill in, of this version or an earlier or later one. */
#include <string.h>
#include <plumb/version.h>
#include "core/core.h"

enum plumb_status plumb_options_take(const char *name, void *to, size_t ours, size_t first, const void *from)
{
	size_t size;
	memset(to, 0, ours);
	memcpy(to, &ours, sizeof ours);
	if (!from)
		return PLUMB_OK;
	memcpy(&size, from, sizeof size);
	if (size < first || size > 4096)
		return plumb_fail(
			PLUMB_E_ARGUMENT, "struct %s: size is %zu, must be its sizeof (%zu here)", name, size, ours);
	for (size_t i = ours; i < size; i++)
		if (((const unsigned char *)from)[i])
			return plumb_fail(PLUMB_E_ARGUMENT,
				"struct %s: a field that plumb %s does not know is set (byte %zu; the structure has %zu here)",
				name, plumb_version_text(), i, ours);
	memcpy(to, from, size < ours ? size : ours);
	return PLUMB_OK;
}
