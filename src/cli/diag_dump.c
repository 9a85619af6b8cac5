/* SPDX-License-Identifier: Apache-2.0 */
/* plumb diag dump: a run written as a reference. */
#include "cli/diag.h"
#include <string.h>

bool cli_diag_points(const char *list, unsigned *points)
{
	*points = 0;
	for (size_t n; *list; list += n + (list[n] == ',')) {
		int p = 0;
		n = strcspn(list, ",");
		while (plumb_point_name(p) &&
			(strlen(plumb_point_name(p)) != n || strncmp(plumb_point_name(p), list, n)))
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
		return cli_json_print(
			json_pack("{s:s, s:o, s:s, s:o}", "part", "dump", "path", cli_json_text(r->out), "format",
				r->bins ? "bin" : "safetensors", "tokens", cli_json_ids(r->tokens, r->token_count)),
			false);
	printf("%lld token%s, %s: %s\n", (long long)r->token_count, r->token_count == 1 ? "" : "s",
		r->bins ? "the last position as .bin files" : "every position as safetensors", r->out);
	return CLI_OK;
}
