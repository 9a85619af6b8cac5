/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel variant a call takes. */
#include <strings.h>
#include "cl/tune/tune.h"

/* What PLUMB_CL_MATMUL names. */
static enum plumb_status choice_forced(
	const struct plumb_cl_state *cl, const char *word, enum plumb_cl_variant *variant)
{
	int found = plumb_cl_variant_named(word);
	if (found < 0)
		return plumb_fail(PLUMB_E_INTERNAL,
			"PLUMB_CL_MATMUL=%s is in the table of variables, but not among the variants", word);
	*variant = (enum plumb_cl_variant)found;
	if (plumb_cl_variant_can(cl, *variant))
		return PLUMB_OK;
	if (*variant != PLUMB_CL_CLBLAST)
		return plumb_fail(PLUMB_E_ARGUMENT, "PLUMB_CL_MATMUL=%s: that kernel is for CPUs", word);
	return plumb_fail(PLUMB_E_DRIVER, "PLUMB_CL_MATMUL=%s: %s", word,
		cl->no_clblast ? "it does not work on this device" : plumb_clblast_missing());
}

static bool choice_holds(const struct plumb_tune_row *r, const struct plumb_tensor *w, int64_t m)
{
	return r->type == w->type && r->n == w->dim[0] && r->k == w->dim[1] && m >= r->m_low &&
		(!r->m_high || m <= r->m_high);
}

enum plumb_status plumb_cl_choice_product(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_choice *choice)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *w = call->in[plumb_desc_weight(plumb_op_table[call->op])];
	int64_t m = call->in[0]->dim[0];
	const char *word = m > 1 ? cl->set.matmul : NULL;
	*choice = (struct plumb_cl_choice){ .variant = call->variant ? (enum plumb_cl_variant)(call->variant - 1)
																 : plumb_cl_variant_fixed(cl, m) };
	if (call->variant || m == 1)
		return PLUMB_OK;
	if (word)
		return strcasecmp(word, "own") ? choice_forced(cl, word, &choice->variant) : PLUMB_OK;
	plumb_cl_file_read(driver);
	for (int i = 0; i < cl->tuning.count; i++) {
		const struct plumb_tune_row *r = &cl->tuning.rows[i];
		if (choice_holds(r, w, m) && plumb_cl_variant_can(cl, (enum plumb_cl_variant)r->chosen))
			*choice = (struct plumb_cl_choice){ (enum plumb_cl_variant)r->chosen, true };
	}
	return PLUMB_OK;
}

enum plumb_cl_attention_variant plumb_cl_choice_attention(
	const struct plumb_cl_state *cl, const struct plumb_call *call)
{
	if (call->variant)
		return (enum plumb_cl_attention_variant)(call->variant - 1);
	return !cl->cpu && plumb_cl_variant_splits(call) > 1 ? PLUMB_CL_SPLIT : PLUMB_CL_WHOLE;
}
