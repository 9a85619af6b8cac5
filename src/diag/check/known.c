/* SPDX-License-Identifier: Apache-2.0 */
/* What is known before any layer is suspected: what the file holds that is not used, and how coarsely its
 * types hold the weights. A reference that was made from the weights before they were rounded differs in
 * every layer, and no port is to blame. */
#include <math.h>
#include "diag/check/check.h"

/* A difference up to so many times the rounding of the weights is explained by it: a layer has several
 * matrices, and where it was not given the reference's input, other weights lie before it. */
#define TIMES 3.0
#define TIMES_OURS 8.0

/* The coarsest of a layer's matrices. */
static enum plumb_status known_layer_step(
	const struct plumb_diag *d, int layer, double *most, enum plumb_type *type)
{
	static const enum plumb_role roles[] = { PLUMB_ROLE_Q, PLUMB_ROLE_V, PLUMB_ROLE_ATTN_OUT,
		PLUMB_ROLE_FFN_GATE, PLUMB_ROLE_FFN_DOWN };
	*most = 0;
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		const struct plumb_file_tensor *t = plumb_model_tensor(d->port, roles[i], layer);
		double step = 0;
		if (t)
			PLUMB_TRY(plumb_weight_step(t, NULL, 0, &step));
		if (step > *most) {
			*most = step;
			*type = t->type;
		}
	}
	return PLUMB_OK;
}

enum plumb_status plumb_known_rounded(
	struct plumb_diag *d, const struct plumb_errors *e, bool *explained, enum plumb_type *type)
{
	int seen = 0;
	*explained = false;
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_gap *gap = plumb_gap_at(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT);
		double step;
		if (!gap)
			continue;
		PLUMB_TRY(known_layer_step(d, layer, &step, type));
		double times = plumb_isolation_input(d, layer) != PLUMB_INPUT_OURS ? TIMES : TIMES_OURS;
		if (gap->ok || !(fmax(gap->rel, gap->elementwise) <= times * step))
			return PLUMB_OK; /* a layer that is right has the same weights, and one farther away is not
								explained */
		seen++;
	}
	*explained = seen > 0;
	return PLUMB_OK;
}

int plumb_known_unused(const struct plumb_diag *d, char *text, size_t size)
{
	const struct plumb_file *file = plumb_model_file(d->port);
	const char *why, *kind = "";
	struct plumb_span first = { NULL, 0 };
	int n = 0;
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		if (plumb_model_tensor_use(file, t, &why) >= PLUMB_USE_IGNORED && !n++) {
			first = t->name;
			kind = "tensor";
		}
	}
	for (int64_t i = 0; i < plumb_file_metas(file); i++) {
		const struct plumb_meta *m = plumb_file_meta(file, i);
		if (plumb_model_key_use(file, m, &why) >= PLUMB_USE_IGNORED && !n++) {
			first = m->key;
			kind = "key";
		}
	}
	if (n)
		plumb_format(text, size, n > 1 ? "the %s %.*s and %d more" : "the %s %.*s", kind,
			(int)(first.n < 80 ? first.n : 80), first.p, n - 1);
	return n;
}
