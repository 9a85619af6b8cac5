/* SPDX-License-Identifier: Apache-2.0 */
/* plumb env: every variable that plumb reads, its value, and where that came from. */
#include "cli/cli.h"
#include <string.h>

static int env_run(int argc, char **argv);

const struct cli_command cli_env = { "env",
	"list the environment variables that plumb reads, their values and where those come from",
	"Usage: plumb env [options]\n"
	"\n" CLI_COMMON_HELP "\n"
	"Examples:\n"
	"  plumb env\n"
	"  AR_HARDWARE_DRIVER=cl,native plumb env --json\n",
	env_run };

static const struct option options[] = { CLI_COMMON_LONG, { NULL, 0, NULL, 0 } };

/* The command line's value for a variable, if an option stands for it. */
static const char *env_given(const struct plumb_options *o, const char *name)
{
	static char threads[16];
	if (o->threads)
		snprintf(threads, sizeof threads, "%d", o->threads);
	const struct {
		const char *name, *value;
	} pairs[] = {
		{ "AR_HARDWARE_DRIVER", o->driver },
		{ "AR_HARDWARE_PRECISION", o->precision },
		{ "PLUMB_THREADS", o->threads ? threads : NULL },
		{ "PLUMB_MODE", o->mode },
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (!strcmp(pairs[i].name, name))
			return pairs[i].value;
	return NULL;
}

static int env_run(int argc, char **argv)
{
	struct cli_common common = { .json = false };
	struct plumb_env row;
	int option, leave;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT, options, NULL)) != -1)
		if ((leave = cli_common_option(&common, &cli_env, option, optarg)))
			return leave - 1;
	if (optind < argc)
		return cli_complain(CLI_USAGE, "env takes no argument, but \"%s\" is there", argv[optind]);
	json_t *list = json_array();
	for (int i = 0; plumb_env_row(i, &row); i++) {
		const char *option_value = env_given(&common.open, row.name);
		const char *value = option_value ? option_value : row.value ? row.value : row.fallback;
		const char *origin = option_value ? "command line" : row.value ? "environment" : "default";
		if (common.json)
			json_array_append_new(list,
				json_pack("{s:s, s:o, s:s, s:s}", "name", row.name, "value", cli_json_text(value), "origin",
					origin, "meaning", row.meaning));
		else
			printf("%-28s %s  (%s)\n%-28s %s\n", row.name, value, origin, "", row.meaning);
	}
	if (common.json)
		return cli_json_print(list, false);
	json_decref(list);
	return CLI_OK;
}
