/* SPDX-License-Identifier: Apache-2.0 */
/* A reference as JSON. */
#include "core/json.h"
#include "diag/reference/reference.h"

static bool emit_problems(json_t *array, const struct plumb_problems *list)
{
	for (int i = 0; i < list->n; i++) {
		const struct plumb_problem *p = &list->problem[i];
		if (json_array_append_new(array,
				json_pack("{s:o, s:o, s:o}", "file", plumb_json_text(p->file), "problem",
					plumb_json_text(p->text), "consequence", plumb_json_text(p->consequence))))
			return false;
	}
	return true;
}

json_t *plumb_problems_json(const struct plumb_reference *r, const struct plumb_problems *added)
{
	json_t *array = json_array();
	if (array && (!r || emit_problems(array, &r->problems)) && (!added || emit_problems(array, added)))
		return array;
	json_decref(array);
	return NULL;
}

char *plumb_reference_problems(const struct plumb_reference *r)
{
	json_t *array = plumb_problems_json(r, NULL);
	char *text = plumb_json_write(array, JSON_INDENT(1));
	json_decref(array);
	return text;
}

json_t *plumb_reference_json(const struct plumb_reference *r, const struct plumb_problems *added)
{
	json_t *tokens = r->tokens ? json_array() : json_null();
	for (int64_t i = 0; r->tokens && i < r->token_count; i++)
		if (json_array_append_new(tokens, json_integer(r->tokens[i]))) {
			json_decref(tokens);
			tokens = NULL; /* then there is no result either */
		}
	return json_pack("{s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "path", plumb_json_text(r->path),
		"format", r->format, "tensors", (json_int_t)r->files.n, "positions",
		(json_int_t)plumb_reference_positions(r), "tokens", tokens, "position",
		r->position >= 0 ? json_integer(r->position) : json_null(), "dtype",
		*r->dtype ? plumb_json_text(r->dtype) : json_null(), "convention_told",
		*r->convention ? plumb_json_text(r->convention) : json_null(), "model_hash",
		*r->model_hash ? plumb_json_text(r->model_hash) : json_null(), "problems",
		plumb_problems_json(r, added));
}
