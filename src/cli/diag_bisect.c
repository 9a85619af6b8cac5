/* SPDX-License-Identifier: Apache-2.0 */
/* plumb diag bisect: two drivers beside each other. */
#include "cli/diag.h"
#include <stdlib.h>

static int diag_bisect_run(struct cli_diag *r, struct plumb_model *good, struct plumb_model *bad)
{
	struct plumb_bisect_options options = {
		.size = sizeof options, .progress = cli_diag_progress, .tolerance = r->tolerance
	};
	char *json = NULL, *text = NULL;
	int code = cli_diag_tokens(r, good);
	if (code)
		return code;
	cli_catch_interrupt();
	enum plumb_status s = plumb_diag_bisect(good, bad, r->tokens, r->token_count, &options, &json);
	cli_progress_end();
	if (!s && !r->common.json)
		s = plumb_diag_text(json, &text);
	json_t *result = s ? NULL : json_loads(json, 0, NULL);
	cli_starved |= !s && !result; /* our own JSON: it is right */
	if (s)
		code = cli_fail(s);
	else
		fputs(text ? text : json, stdout);
	if (!code && !text)
		putchar('\n');
	const json_t *error = json_object_get(result, "error_before"); /* null: not finite */
	bool same = json_is_number(error) &&
		json_number_value(error) <= json_number_value(json_object_get(result, "tolerance")) &&
		json_equal(json_object_get(result, "token_good"), json_object_get(result, "token_before"));
	if (!code && !same)
		code = PLUMB_DIVERGES;
	json_decref(result);
	free(json);
	free(text);
	return code;
}

int cli_diag_bisect(struct cli_diag *r)
{
	struct cli_common with_good = r->common, with_bad = r->common;
	struct plumb_context *good_ctx, *bad_ctx;
	struct plumb_model *good, *bad;
	with_good.open.driver = r->good;
	with_bad.open.driver = r->bad;
	int code = cli_load(&with_good, r->model, &good_ctx, &good);
	if (code)
		return code;
	if (!(code = cli_load(&with_bad, r->model, &bad_ctx, &bad))) {
		code = diag_bisect_run(r, good, bad);
		plumb_model_free(bad);
		plumb_close(bad_ctx);
	}
	free(r->tokens);
	plumb_model_free(good);
	plumb_close(good_ctx);
	return code;
}
