/* SPDX-License-Identifier: Apache-2.0 */
/* Logits that are not numbers: which operator and layer they come from, and what to try. */
#include "cli/cli.h"
#include <math.h>

static void nonfinite_print_found(const struct plumb_nonfinite *f)
{
	fprintf(stderr, "       first in ");
	if (f->layer >= 0)
		fprintf(stderr, "layer %d, ", f->layer);
	fprintf(stderr, "operator %s (%s), at position %lld: ", f->op, plumb_point_name(f->point),
		(long long)f->position);
	if (f->cache)
		fprintf(stderr, "%g is past float16's largest, 65504\n       Try --kv f32.\n", f->value);
	else
		fprintf(stderr, "%g\n", f->value);
	if (f->weight.n)
		fprintf(stderr,
			"       The weight %.*s holds %g at element %lld: `plumb diag weights MODEL` looks at all of them;\n"
			"       fetch or convert the file again.\n",
			(int)(f->weight.n < 200 ? f->weight.n : 200), f->weight.p, f->weight_value,
			(long long)f->weight_index);
	if (f->fused)
		fputs(
			"       Only the fused operator does so. Try --mode exact, or another --driver; `plumb diag bisect MODEL` compares drivers.\n",
			stderr);
}

/* In FP16 the cause is known: who first made what float16 cannot hold. */
static void nonfinite_print_overflow(const struct plumb_overflow *o)
{
	fprintf(stderr, "       In FP16 operator %s (%s)", o->op, plumb_point_name(o->point));
	if (o->layer >= 0)
		fprintf(stderr, " of layer %d", o->layer);
	fprintf(stderr,
		" first overflowed, at position %lld: %g is past 65504. A port in fp16 must keep it in float32;\n"
		"       `plumb diag stability` plans which operators can be narrow. --precision FP32 runs it here.\n",
		(long long)o->position, o->value);
}

int cli_nonfinite(struct plumb_session *session, const int32_t *tokens, int64_t n)
{
	struct plumb_nonfinite found;
	const struct plumb_overflow *o = plumb_session_overflow(session);
	cli_complain(CLI_NONFINITE, "the model's logits are not finite after %lld token%s", (long long)n,
		n == 1 ? "" : "s");
	enum plumb_status s = o ? PLUMB_OK : plumb_session_nonfinite(session, tokens, n, &found);
	if (o)
		nonfinite_print_overflow(o);
	else if (s)
		fprintf(stderr, "       where they come from was not found: %s\n", plumb_last_error());
	else if (!found.op)
		fputs(
			"       Evaluated once more, with every operator watched, all values are finite: a driver is at fault.\n"
			"       Try --driver native; `plumb diag bisect MODEL` compares drivers.\n",
			stderr);
	else
		nonfinite_print_found(&found);
	fputs("       `plumb diag stability MODEL --tokens IDS` shows the range of every operator.\n", stderr);
	return CLI_NONFINITE;
}
