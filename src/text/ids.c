/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of token ids that grow. */
#include <stdlib.h>
#include "core/core.h"
#include "text.h"

enum plumb_status plumb_ids_add(struct plumb_ids *ids, int32_t id)
{
	if (ids->n == ids->room) {
		size_t room = ids->room ? 2 * ids->room : 64;
		int32_t *p = realloc(ids->p, room * sizeof *p);
		if (!p)
			return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu token ids", room);
		ids->p = p;
		ids->room = room;
	}
	ids->p[ids->n++] = id;
	return PLUMB_OK;
}
