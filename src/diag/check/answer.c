/* SPDX-License-Identifier: Apache-2.0 */
/* The answer: what the logits make of the next token, ours beside the reference's. Errors inside layers are
 * not looked at here. */
#include <stdio.h>
#include "diag/check/check.h"

#define BEST 10 /* so many best tokens are compared */

static void answer_describe(const struct plumb_logits_measure *m, char *text, size_t size)
{
	if (m->top_ours == m->top_reference)
		plumb_format(text, size,
			"The likeliest next token is %d in both (%.3g ahead of the second here, %.3g in the reference); "
			"KL divergence %.2g, %.0f %% of the %d best are the same.",
			m->top_ours, m->margin_ours, m->margin_reference, m->kl, 100 * m->agree, BEST);
	else
		plumb_format(text, size,
			"The likeliest next token is %d here (%.3g ahead of the second), %d in the reference (%.3g ahead); "
			"KL divergence %.2g, %.0f %% of the %d best are the same.",
			m->top_ours, m->margin_ours, m->top_reference, m->margin_reference, m->kl, 100 * m->agree, BEST);
}

enum plumb_status plumb_answer_find(struct plumb_diag *d, struct plumb_answer *answer)
{
	const struct plumb_capture *ours, *fixed;
	const float *a, *b;
	int64_t n;
	answer->have = false;
	PLUMB_TRY(plumb_diag_fixed(d, &fixed));
	PLUMB_TRY(plumb_diag_ours(d, &ours));
	if (!plumb_captured_common(plumb_capture_at(ours, -1, PLUMB_POINT_LOGITS),
			plumb_capture_at(fixed, -1, PLUMB_POINT_LOGITS), &a, &b, &n))
		return PLUMB_OK;
	int64_t vocab = d->config->vocab, last = n - vocab; /* of the last row that both have */
	PLUMB_TRY(plumb_measure_logits(&answer->m, a + last, b + last, vocab, BEST));
	answer->have = true;
	answer_describe(&answer->m, answer->text, sizeof answer->text);
	return PLUMB_OK;
}

json_t *plumb_answer_json(const struct plumb_answer *answer)
{
	const struct plumb_logits_measure *m = &answer->m;
	if (!answer->have)
		return json_null();
	return json_pack("{s:o, s:i, s:i, s:o, s:o, s:f, s:i, s:o, s:s}", "kl", plumb_json_number(m->kl),
		"top_ours", (int)m->top_ours, "top_reference", (int)m->top_reference, "margin_ours",
		plumb_json_number(m->margin_ours), "margin_reference", plumb_json_number(m->margin_reference),
		"agree", m->agree, "k", BEST, "max_abs", plumb_json_number(m->max_abs), "text", answer->text);
}
