/* SPDX-License-Identifier: Apache-2.0 */
/* The result of bisect, as JSON and in words. The search is in bisect.c. */
#include <string.h>
#include "diag/check/bisect.h"
#include "core/json.h"

static void bisect_describe_name_slot(char *text, size_t size, const struct bisect_state *h, int slot)
{
	if (slot == 0 || slot == h->slots - 1)
		plumb_append(text, size, "%s", slot ? "after the layers" : "before the layers");
	else
		plumb_append(text, size, "layer %d", slot - 1);
}

static void bisect_describe_operator(
	char *text, size_t size, const struct bisect_state *h, const struct findings *v, int op)
{
	int n = 0;
	plumb_append(text, size, "%s ", plumb_op_name(op));
	if (v->whole >> op & 1) {
		plumb_append(text, size, "(everywhere: first, middle and last layer each need it)");
		return;
	}
	plumb_append(text, size, "(");
	for (int s = 0; s < h->slots; s++)
		if (h->moved[s] >> op & 1) {
			plumb_append(text, size, "%s", n++ ? ", " : "");
			bisect_describe_name_slot(text, size, h, s);
		}
	plumb_append(text, size, ")");
}

static void bisect_describe_text(
	char *text, size_t size, const struct bisect_state *h, const struct findings *v, const char *environment)
{
	int n = 0;
	if (v->trouble) {
		plumb_append(text, size, "%s", v->trouble);
		for (int op = 0; op < PLUMB_OP_COUNT; op++)
			if (*plumb_placement_reason(h->ctx, op) &&
				!strstr(plumb_placement_reason(h->ctx, op), "PLUMB_AVOID"))
				plumb_append(text, size, "%s%s (%s)",
					n++ ? ", " : ". Not run on it anyway: ", plumb_op_name(op),
					plumb_placement_reason(h->ctx, op));
		return;
	}
	plumb_append(text, size, "The answer of %s is right once %s runs ", h->bad, h->good);
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		if (v->operators >> op & 1) {
			plumb_append(text, size, "%s", n++ ? " and " : "");
			bisect_describe_operator(text, size, h, v, op);
		}
	plumb_append(text, size,
		". The relative error of the logits was %.2g (token %d) and is then %.2g (token %d). Found in %d runs. Workaround: %s",
		v->bad, v->bad_token, v->after, v->after_token, h->runs, environment);
	if (v->after > h->tolerance)
		plumb_append(text, size,
			". But with this line alone the error is still %.2g: between layers, where the search looks, something else happens than in a plain run",
			v->after);
}

static json_t *bisect_describe_set_of(const struct bisect_state *h, const struct findings *v, bool *lost)
{
	json_t *set = json_array();
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		for (int s = 0; v->operators >> op & 1 && s < h->slots; s++)
			if (h->moved[s] & h->present[s] & 1u << op)
				*lost |= json_array_append_new(set,
							 json_pack("{s:o, s:s}", "layer",
								 s && s < h->slots - 1 ? json_integer(s - 1) : json_null(), "operator",
								 plumb_op_name(op))) != 0;
	return set;
}

/* "AR_HARDWARE_DRIVER=cl,native PLUMB_AVOID=cl:rope,cl:swiglu" */
static void bisect_describe_name_environment(
	char *text, size_t size, const struct bisect_state *h, unsigned operators)
{
	int n = 0;
	for (int i = 0; operators && i < plumb_driver_count(h->ctx); i++)
		plumb_append(text, size, "%s%s", i ? "," : "AR_HARDWARE_DRIVER=", plumb_driver_name(h->ctx, i));
	for (int i = 0; i < plumb_driver_count(h->ctx) && strcmp(plumb_driver_name(h->ctx, i), h->good); i++)
		for (int op = 0; op < PLUMB_OP_COUNT; op++)
			if (operators >> op & 1)
				plumb_append(text, size, "%s%s:%s", n++ ? "," : " PLUMB_AVOID=", plumb_driver_name(h->ctx, i),
					plumb_op_name(op));
}

enum plumb_status plumb_bisect_describe(const struct bisect_state *h, const struct findings *v, char **json)
{
	char text[4096] = "", environment[512] = "";
	json_t *operators = json_array();
	bool lost = false;
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		if (v->operators >> op & 1)
			lost |= json_array_append_new(operators, plumb_json_text(plumb_op_name(op))) != 0;
	bisect_describe_name_environment(environment, sizeof environment, h, v->operators);
	bisect_describe_text(text, sizeof text, h, v, environment);
	json_t *result = json_pack(
		"{s:s, s:s, s:s, s:i, s:i, s:b, s:o, s:o, s:s, s:o, s:o, s:o, s:i, s:i, s:i, s:o}", "part", "bisect",
		"good", h->good, "bad", h->bad, "runs", h->runs, "units", v->units, "repaired",
		!v->trouble && v->after <= h->tolerance, "operators", operators, "set",
		bisect_describe_set_of(h, v, &lost), "environment", environment, "tolerance",
		plumb_json_number(h->tolerance), "error_before", plumb_json_number(v->bad), "error_after",
		plumb_json_number(v->after), "token_good", (int)h->right_token, "token_before", (int)v->bad_token,
		"token_after", (int)v->after_token, "text", plumb_json_text(text));
	*json = result && !lost ? plumb_json_write(result, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(result);
	return *json ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the result of bisect");
}
