/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on stderr, and the exit code that fits a failure. */
#include "cli/cli.h"
#include <stdarg.h>

bool cli_starved;

int cli_complain(enum cli_exit code, const char *format, ...)
{
	va_list args;
	cli_progress_end();
	fputs("plumb: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

/* From the library's status to the exit code, before a model runs and while it does, and advice. */
static const struct advice {
	enum plumb_status status;
	enum cli_exit code, running;
	const char *text;
} advices[] = {
	{ PLUMB_E_ARGUMENT, CLI_USAGE, CLI_ERROR, NULL },
	{ PLUMB_E_MEMORY, CLI_ERROR, CLI_ERROR, "close other programs, or take a smaller --ctx" },
	{ PLUMB_E_IO, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_FORMAT, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_SHAPE, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_TYPE, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_UNSUPPORTED, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_DRIVER, CLI_DRIVER, CLI_DRIVER,
		"`plumb env` shows where the driver list comes from; AR_HARDWARE_DRIVER=native always works" },
	{ PLUMB_E_DEVICE, CLI_DRIVER, CLI_DRIVER, NULL },
	{ PLUMB_E_LIMIT, CLI_LIMIT, CLI_LIMIT,
		"--ctx N widens the context up to the model's own, a larger AR_HARDWARE_MEMORY_SCALE the memory" },
	{ PLUMB_E_NONFINITE, CLI_NONFINITE, CLI_NONFINITE,
		"`plumb diag stability MODEL --tokens IDS` shows the range of every operator" },
	{ PLUMB_E_INTERNAL, CLI_ERROR, CLI_ERROR, "this is a bug of plumb" },
	{ PLUMB_E_CANCELLED, CLI_INTERRUPTED, CLI_INTERRUPTED, NULL },
};

static int complain_fail(enum plumb_status status, bool running)
{
	for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
		if (advices[i].status == status) {
			enum cli_exit code = running ? advices[i].running : advices[i].code;
			cli_complain(code, "%s",
				status == PLUMB_E_MEMORY && cli_starved ? "no memory for the result" : plumb_last_error());
			if (advices[i].text)
				fprintf(stderr, "       %s\n", advices[i].text);
			return code;
		}
	return cli_complain(CLI_ERROR, "%s", plumb_last_error());
}

int cli_fail(enum plumb_status status) { return complain_fail(status, false); }
int cli_fail_run(enum plumb_status status) { return complain_fail(status, true); }
