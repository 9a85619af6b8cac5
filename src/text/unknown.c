/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is no token. */
#include "core/core.h"
#include "text.h"

enum plumb_status plumb_unknown_put(
	struct plumb_ids *ids, const struct plumb_tokenizer *tok, const char *text, size_t n, bool *unknown)
{
	const unsigned char *p = (const unsigned char *)text;
	enum plumb_status status = PLUMB_OK;
	size_t covered = 0;
	while (covered < n && tok->byte_id[p[covered]] >= 0)
		covered++;
	if (covered < n && tok->unk < 0)
		return PLUMB_OK;
	if (covered < n) {
		status = *unknown && tok->fuse ? PLUMB_OK : plumb_ids_add(ids, tok->unk);
		*unknown = true;
		return status;
	}
	for (size_t i = 0; !status && i < n; i++)
		status = plumb_ids_add(ids, tok->byte_id[p[i]]);
	*unknown = false;
	return status;
}
