/* SPDX-License-Identifier: Apache-2.0 */
/* plumb doctor: shows what the library's doctor finds. */
#include "cli/cli.h"
#include <string.h>

static int doctor_run(int argc, char **argv);

const struct cli_command cli_doctor = { "doctor",
	"find out why OpenCL does or does not work here, and what to do",
	"Usage: plumb doctor [options]\n"
	"Walks the chain: loader, registered drivers (.icd files), their libraries, device nodes, platforms, devices,\n"
	"the chosen device and its capabilities, and each operator's results against the float64 truth.\n"
	"\n"
	"  --no-kernels         leave the operators out: quick, compiles nothing\n"
	"  --json               machine-readable result on stdout\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit codes: 0 all good (warnings may be there), 10 no OpenCL loader, 11 no driver registered, 12 a registered\n"
	"driver is broken, 13 no device, 14 wrong results, 15 no OpenCL in this build; the gravest where there are several.\n"
	"\n"
	"Examples:\n"
	"  plumb doctor\n"
	"  plumb doctor --no-kernels --json\n"
	"  PLUMB_CL_DEVICE=1 plumb doctor\n",
	doctor_run };

static const struct option options[] = { { "json", no_argument, NULL, 1002 },
	{ "help", no_argument, NULL, 'h' }, { "no-kernels", no_argument, NULL, 'k' }, { NULL, 0, NULL, 0 } };

struct outcome {
	json_t *list; /* NULL: print as they come */
	int warnings, problems;
};

/* Quotes and backslashes as they are, what a terminal would act on escaped. */
static void doctor_put(const char *text)
{
	for (size_t n; *text; text += n) {
		n = strcspn(text, "\"\\");
		cli_put_escaped((struct plumb_span){ text, n }, 2000);
		if (text[n])
			putchar(text[n++]);
	}
}

static void doctor_hear(void *user, const struct plumb_finding *f)
{
	static const char *const marks[] = { "ok", "warning", "problem" };
	struct outcome *o = user;
	o->warnings += f->mark == PLUMB_MARK_WARNING;
	o->problems += f->mark == PLUMB_MARK_PROBLEM;
	if (o->list) {
		json_t *one = json_pack("{s:s, s:s, s:o, s:i}", "mark", marks[f->mark], "step", f->step, "what",
			cli_json_text(f->what), "code", (int)f->verdict);
		if (one && f->advice)
			json_object_set_new(one, "advice", cli_json_text(f->advice));
		json_array_append_new(o->list, one);
		return;
	}
	printf("%-8s %-10s ", marks[f->mark], f->step);
	doctor_put(f->what);
	if (f->advice) {
		fputs(f->mark == PLUMB_MARK_PROBLEM ? " -- do this: " : " -- ", stdout);
		doctor_put(f->advice);
	}
	putchar('\n');
	fflush(stdout); /* the next step may take long */
}

static const char *doctor_conclusion(enum plumb_verdict v)
{
	switch (v) {
	case PLUMB_HEALTHY: return "all good";
	case PLUMB_NO_LOADER: return "no OpenCL loader";
	case PLUMB_NO_ICD: return "no OpenCL driver is registered";
	case PLUMB_BROKEN_ICD: return "a registered OpenCL driver is broken";
	case PLUMB_NO_DEVICE: return "no OpenCL device that plumb can take";
	case PLUMB_WRONG_RESULTS: return "operators fail or give wrong results";
	case PLUMB_NOT_BUILT: return "this build has no OpenCL driver";
	}
	return "?";
}

static int doctor_run(int argc, char **argv)
{
	struct cli_common common = { .json = false };
	struct outcome o = { .list = NULL };
	enum plumb_verdict verdict;
	bool kernels = true;
	int option, leave;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if (option == 'k')
			kernels = false;
		else if ((leave = cli_common_option(&common, &cli_doctor, option, optarg)))
			return leave - 1;
	if (optind < argc)
		return cli_complain(CLI_USAGE, "doctor takes no argument, but \"%s\" is there", argv[optind]);
	if (common.json)
		o.list = json_array();
	enum plumb_status s = plumb_doctor(kernels, doctor_hear, &o, &verdict);
	if (s) {
		json_decref(o.list);
		return cli_fail(s);
	}
	if (common.json) {
		leave = cli_json_print(
			json_pack("{s:s, s:i, s:i, s:i, s:o}", "verdict", doctor_conclusion(verdict), "code",
				(int)verdict, "warnings", o.warnings, "problems", o.problems, "findings", o.list),
			false);
		return leave ? leave : (int)verdict;
	}
	printf("\n%s (%d problem%s, %d warning%s)\n", doctor_conclusion(verdict), o.problems,
		o.problems == 1 ? "" : "s", o.warnings, o.warnings == 1 ? "" : "s");
	return (int)verdict;
}
