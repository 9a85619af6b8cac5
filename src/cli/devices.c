/* SPDX-License-Identifier: Apache-2.0 */
/* plumb devices: the OpenCL devices, what they can do, and which one plumb would take. */
#include "cli/cli.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int devices_run(int argc, char **argv);

const struct cli_command cli_devices = { "devices",
	"list OpenCL devices, what they can do, and which one plumb takes",
	"Usage: plumb devices [options]\n"
	"The number before a device is what PLUMB_CL_DEVICE takes; * marks the device that the cl driver takes now.\n"
	"Where nothing is listed, the exit code is 4; 'plumb doctor' says why.\n"
	"\n"
	"  --json               machine-readable result on stdout\n"
	"  -h, --help           this text\n"
	"\n"
	"Examples:\n"
	"  plumb devices\n"
	"  PLUMB_CL_DEVICE=1 plumb devices\n",
	devices_run };

static const struct option options[] = { { "json", no_argument, NULL, 1002 },
	{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };

/* A driver's own words: nothing in them may act on the terminal. */
static void devices_put(const char *text) { cli_put_escaped((struct plumb_span){ text, strlen(text) }, 200); }

static void devices_print_device(const struct plumb_device *d, bool chosen)
{
	const struct {
		bool has;
		const char *name;
	} can[] = { { d->fp16, "fp16" }, { d->fp64, "fp64" }, { d->subgroups, "sub-groups" }, { d->dot, "dot" } };
	printf("%c %d  ", chosen ? '*' : ' ', d->index);
	devices_put(d->name);
	printf("\n     %-10s ", "platform");
	devices_put(d->platform);
	printf("\n     %-10s %s, %" PRIu32 " units", "type", d->type, d->units);
	if (d->mhz)
		printf(", %" PRIu32 " MHz", d->mhz);
	fputs(d->available ? "" : ", NOT AVAILABLE", stdout);
	printf("\n     %-10s ", "version");
	devices_put(d->version);
	fputs("; ", stdout);
	devices_put(d->c_version);
	fputs("; driver ", stdout);
	devices_put(d->driver);
	printf("\n     %-10s %.1f MB%s, largest buffer %.1f MB, local %.1f kB, work-groups up to %" PRIu32 "\n",
		"memory", (double)d->memory / 1e6, d->unified ? " shared with the host" : "",
		(double)d->max_alloc / 1e6, (double)d->local_memory / 1e3, d->max_group);
	printf("     %-10s", "can");
	for (size_t i = 0; i < sizeof can / sizeof *can; i++)
		printf(" %s%s", can[i].has ? "" : "no-", can[i].name);
	putchar('\n');
}

static json_t *devices_device_json(const struct plumb_device *d, bool chosen)
{
	return json_pack(
		"{s:i, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:b, s:I, s:I, s:I, s:i, s:i, s:i, s:b, s:b, s:b, s:b}",
		"index", d->index, "chosen", chosen, "name", cli_json_text(d->name), "platform",
		cli_json_text(d->platform), "vendor", cli_json_text(d->vendor), "version", cli_json_text(d->version),
		"c_version", cli_json_text(d->c_version), "driver", cli_json_text(d->driver), "type", d->type,
		"unified", d->unified, "available", d->available, "memory", (json_int_t)d->memory, "max_alloc",
		(json_int_t)d->max_alloc, "local_memory", (json_int_t)d->local_memory, "units", (int)d->units,
		"max_group", (int)d->max_group, "mhz", (int)d->mhz, "fp16", d->fp16, "fp64", d->fp64, "subgroups",
		d->subgroups, "dot", d->dot);
}

static int devices_print_json(const struct plumb_device *list, int count, int chosen)
{
	json_t *array = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(array, devices_device_json(&list[i], list[i].index == chosen));
	return cli_json_print(json_pack("{s:o}", "devices", array), false);
}

static int devices_run(int argc, char **argv)
{
	struct cli_common common = { .json = false };
	struct plumb_device *list;
	int option, leave, count = 0, chosen = -1;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if ((leave = cli_common_option(&common, &cli_devices, option, optarg)))
			return leave - 1;
	if (optind < argc)
		return cli_complain(CLI_USAGE, "devices takes no argument, but \"%s\" is there", argv[optind]);
	enum plumb_status s = plumb_devices(&list, &count);
	if (s == PLUMB_E_ARGUMENT) /* a variable's value */
		return cli_fail(s);
	if (s || !count) {
		if ((common.json && (leave = devices_print_json(NULL, 0, -1))) || s == PLUMB_E_MEMORY) {
			free(list);
			return s == PLUMB_E_MEMORY ? cli_fail(s) : leave;
		}
		cli_complain(CLI_DRIVER, "%s",
			s ? plumb_last_error()
			  : "no OpenCL device: no driver is registered, or none of them has a device");
		fputs("       'plumb doctor' says what is wrong and what to do\n", stderr);
		free(list);
		return CLI_DRIVER;
	}
	s = plumb_device_choice(&chosen);
	if (common.json)
		leave = devices_print_json(list, count, chosen);
	else
		for (int i = leave = 0; i < count; i++)
			devices_print_device(&list[i], list[i].index == chosen);
	if (s)
		leave = cli_complain(CLI_DRIVER, "the cl driver takes none of them: %s", plumb_last_error());
	free(list);
	return leave;
}
