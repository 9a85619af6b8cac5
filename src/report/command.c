/* SPDX-License-Identifier: Apache-2.0 */
/* The command line that makes a report again. */
#include <string.h>
#include "report/report.h"

/* One word of a shell's command line. */
static void command_put_word(struct plumb_string *s, const char *text)
{
	if (*text &&
		!text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+=:,@%")]) {
		plumb_string_put(s, text);
		return;
	}
	plumb_string_put(s, "'");
	for (; *text; text++)
		plumb_string_bytes(s, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
	plumb_string_put(s, "'");
}

void plumb_report_command(struct plumb_string *s, const json_t *report)
{
	const json_t *tokens = plumb_field(report, "tokens");
	plumb_string_put(s, "plumb diag report ");
	command_put_word(s, plumb_field_text(report, "model.file"));
	plumb_string_put(s, " ");
	command_put_word(s, plumb_field_text(report, "reference.path"));
	if (*plumb_field_text(report, "driver")) {
		plumb_string_put(s, " --driver ");
		command_put_word(s, plumb_field_text(report, "driver"));
	}
	if (*plumb_field_text(report, "fault")) {
		plumb_string_put(s, " --fault ");
		command_put_word(s, plumb_field_text(report, "fault"));
	}
	for (size_t i = 0; i < json_array_size(tokens); i++)
		plumb_string_format(
			s, "%s%lld", i ? "," : " --tokens ", (long long)json_integer_value(json_array_get(tokens, i)));
}
