/* SPDX-License-Identifier: Apache-2.0 */
/* A check of the diagnosis, for tests/check_toy.sh: asks the model for a tensor by its role. */
#include "diag/check/check.h"

static enum plumb_status run(struct plumb_diag *d, void *made)
{
	json_t **result = made;
	const struct plumb_file_tensor *t = plumb_model_tensor(d->port, PLUMB_ROLE_FFN_DOWN, 1);
	*result = t ? json_pack("{s:s, s:o, s:o}", "part", "toy", "layers",
					  json_pack("[{s:i, s:o}]", "layer", 1, "tensor",
						  plumb_json_format("%.*s", (int)t->name.n, t->name.p)),
					  "text", plumb_json_format("Layer 1 goes back by %.*s.", (int)t->name.n, t->name.p))
				: NULL;
	return *result ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "no such tensor");
}

const struct plumb_check plumb_check_toy = { "toy", "Which tensor is a toy's way back?", false,
	sizeof(json_t *), run, plumb_made_emit, plumb_made_free };
