/* SPDX-License-Identifier: Apache-2.0 */
/* A run of the port, written as reference files. */
#include "diag/context.h"
#include "diag/reference/write.h"

static enum plumb_status dump_run(struct plumb_diag *d, struct plumb_writer *w, struct plumb_capture *out)
{
	struct plumb_run run = plumb_diag_run(d, false);
	/* Whether somebody looks at the scores decides which operators run: as in the rest of the diagnosis, so
	 * that bits agree. */
	run.points = w->points | (plumb_diag_points(d) & 1u << PLUMB_POINT_ATTN_SOFTMAX);
	run.out = out;
	PLUMB_TRY(plumb_diag_progress(d, "running the model", 0, 1));
	PLUMB_TRY(plumb_run_watched(&run));
	return plumb_writer_finish(w, out);
}

enum plumb_status plumb_diag_dump(struct plumb_diag *d, const char *path, bool bins, unsigned points)
{
	static const char *const types[] = { "float32", "float64", "float16" };
	struct plumb_context *ctx = plumb_model_context(d->port);
	struct plumb_capture run = { 0 };
	struct plumb_writer w = { .bins = bins,
		.points = (points ? points : PLUMB_POINTS_ALL) & (bins ? PLUMB_POINTS_BINS : PLUMB_POINTS_ALL),
		.tokens = d->tokens,
		.n = d->n,
		.dtype = types[plumb_context_precision(ctx)],
		.model = d->config->name,
		.driver = plumb_driver_name(ctx, 0),
		.fault = d->options.fault };
	plumb_model_fingerprint(plumb_model_file(d->port), w.model_hash);
	if (!d->n || !w.points)
		return plumb_fail(PLUMB_E_ARGUMENT,
			d->n ? "a dump of no point; .bin files are of embeddings, output and logits"
				 : "a dump needs the tokens of a prompt");
	PLUMB_TRY(plumb_writer_begin(&w, path)); /* before the run, which may take long */
	enum plumb_status s = dump_run(d, &w, &run);
	plumb_writer_end(&w, !s);
	plumb_capture_free(&run);
	return s;
}
