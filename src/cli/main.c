/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: the table of commands, and help that teaches by example. */
#include "cli/cli.h"
#include <string.h>

static const struct cli_command *const commands[] = {
	&cli_run,
	&cli_chat,
	&cli_info,
	&cli_tokenize,
	&cli_perplexity,
	&cli_bench,
	&cli_diag,
	&cli_devices,
	&cli_doctor,
	&cli_tune,
	&cli_env,
};
#define COMMANDS (sizeof commands / sizeof *commands)

static int main_help(FILE *out)
{
	fputs(
		"plumb runs small transformers on CPUs and, through OpenCL, on other devices.\n\nUsage: plumb COMMAND [options]\n\n",
		out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
	fputs(
		"\nExamples:\n"
		"  plumb run model.gguf \"What is the capital of France?\"\n"
		"  plumb chat model.gguf\n"
		"  plumb info model.gguf\n"
		"  AR_HARDWARE_DRIVER=native plumb bench model.gguf\n"
		"\n'plumb COMMAND --help' explains each command; 'plumb env' lists the environment variables.\n"
		"Exit codes: 0 good, 1 failure, 2 wrong usage, 3 bad model file or input, 4 driver or device,\n"
		"5 context or memory limit, 6 --expect-token differs,\n7 values of the model that are not finite, 10 to 15 what doctor found,\n"
		"20 to 23 the verdict of diag (22: a real divergence), 130 interrupted.\n",
		out);
	return out == stdout ? CLI_OK : CLI_USAGE;
}

/* What was printed must also have arrived, and be all of it. */
static int main_finish(int code)
{
	if (cli_starved &&
		(code == CLI_OK || (code >= 10 && code != CLI_INTERRUPTED))) /* 10 and more: findings */
		code = cli_complain(CLI_ERROR, "no memory for all of the result");
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	cli_complain(CLI_ERROR, "standard output could not be written (is the disk full?)");
	return code ? code : CLI_ERROR;
}

int main(int argc, char **argv)
{
	cli_json_watch();
	if (argc < 2)
		return main_help(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return main_finish(main_help(stdout));
	if (!strcmp(argv[1], "--version")) {
		printf("plumb %s\n", plumb_version_text());
		return main_finish(CLI_OK);
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(argv[1], commands[i]->name)) {
			static char name[32]; /* getopt begins its complaints with argv[0] */
			snprintf(name, sizeof name, "plumb %s", commands[i]->name);
			argv[1] = name;
			return main_finish(commands[i]->run(argc - 1, argv + 1));
		}
	return cli_complain(CLI_USAGE, "\"%s\" is no command; 'plumb --help' lists them", argv[1]);
}
