/* SPDX-License-Identifier: Apache-2.0 */
/* plumb diag dump, bisect and faults. */
#include "cli/diag.h"
#include <stdlib.h>
#include <string.h>

bool cli_diag_points(const char *list, unsigned *points)
{
	*points = 0;
	for (size_t n; *list; list += n + (list[n] == ',')) {
		int p = 0;
		n = strcspn(list, ",");
		while (plumb_point_name(p) && (strlen(plumb_point_name(p)) != n || strncmp(plumb_point_name(p), list, n)))
			p++;
		if (!plumb_point_name(p)) {
			cli_complain(CLI_USAGE, "--points: \"%.*s\" is no capture point; they are:", (int)n, list);
			for (p = 0; plumb_point_name(p); p++)
				fprintf(stderr, "%s%s", p ? ", " : "       ", plumb_point_name(p));
			fputc('\n', stderr);
			return false;
		}
		*points |= 1u << p;
	}
	if (!*points)
		cli_complain(CLI_USAGE, "--points got no capture point");
	return *points != 0;
}

int cli_diag_dump(struct cli_diag *r, struct plumb_model *port)
{
	struct plumb_diag_options options = cli_diag_options(r);
	struct plumb_diag *diag;
	cli_catch_interrupt();
	enum plumb_status s = plumb_diag_new(&diag, port, NULL, NULL, &options);
	if (!s)
		s = plumb_diag_dump(diag, r->out, r->bins, r->points);
	cli_progress_end();
	plumb_diag_free(diag);
	if (s)
		return cli_fail(s);
	if (r->common.json)
		return cli_json_print(json_pack("{s:s, s:o, s:s, s:o}", "part", "dump", "path", cli_json_text(r->out), "format",
			r->bins ? "bin" : "safetensors", "tokens", cli_json_ids(r->tokens, r->token_count)), false);
	printf("%lld token%s, %s: %s\n", (long long)r->token_count, r->token_count == 1 ? "" : "s", r->bins ? "the last position as .bin files" : "every position as safetensors",
		r->out);
	return CLI_OK;
}

static int bisect(struct cli_diag *r, struct plumb_model *good, struct plumb_model *bad)
{
	struct plumb_bisect_options options = { .progress = cli_diag_progress, .tolerance = r->tolerance };
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
	bool same = json_is_number(error) && json_number_value(error) <= json_number_value(json_object_get(result, "tolerance")) &&
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
		code = bisect(r, good, bad);
		plumb_model_free(bad);
		plumb_close(bad_ctx);
	}
	free(r->tokens);
	plumb_model_free(good);
	plumb_close(good_ctx);
	return code;
}

int cli_diag_faults(const struct cli_diag *r)
{
	const char *name, *what;
	json_t *list = r->common.json ? json_array() : NULL;
	for (int i = 0; plumb_fault_row(i, &name, &what); i++)
		if (list)
			json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "what", what));
		else
			printf("%-16s %s\n", name, what);
	return r->common.json ? cli_json_print(list, false) : CLI_OK;
}
