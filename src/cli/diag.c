/* SPDX-License-Identifier: Apache-2.0 */
/* plumb diag: the command line of the diagnosis, and the models it needs. */
#include "cli/diag.h"
#include <stdlib.h>
#include <string.h>

static int diag_run(int argc, char **argv);

const struct cli_command cli_diag = { "diag", "say why a port differs from a reference, in plain words",
	"Usage: plumb diag CHECK MODEL [REFERENCE]... [options]\n"
	"Runs MODEL, compares with REFERENCE and says what differs, where, and why. The model is judged as it runs with\n"
	"--driver (--mode exact by default), and where that is not plain C in float32, a second run with that is trusted.\n"
	"\n"
	"A reference is a folder of after_embeddings.bin, after_layer_0.bin ... final_logits.bin (each a little-endian int32\n"
	"count, then float32 values), or a safetensors file of tensors such as L5.q_proj. `plumb diag dump` and\n"
	"tools/export-reference.py make them.\n",
	diag_run };

static const struct option options[] = { CLI_COMMON_LONG, CLI_TEMPLATE_LONG,
	{ "tokens", required_argument, NULL, 'k' }, { "prompt", required_argument, NULL, 'p' },
	{ "chat", required_argument, NULL, 'c' }, { "layer", required_argument, NULL, 'l' },
	{ "layers", required_argument, NULL, 'L' }, { "fault", required_argument, NULL, 'f' },
	{ "html", required_argument, NULL, 'H' }, { "out", required_argument, NULL, 'o' },
	{ "format", required_argument, NULL, 'F' }, { "points", required_argument, NULL, 'P' },
	{ "good", required_argument, NULL, 'g' }, { "bad", required_argument, NULL, 'b' },
	{ "tolerance", required_argument, NULL, 'T' }, { NULL, 0, NULL, 0 } };

/* 0, or an exit code + 1. */
static int diag_take(struct cli_diag *r, int option)
{
	switch (option) {
	case 'h': r->help = true; return 0;
	case 'k': r->ids = optarg; return 0;
	case 'p': r->prompt = optarg; return 0;
	case 'c': r->chat = optarg; return 0;
	case 'f': r->fault = optarg; return 0;
	case 'H': r->html = optarg; return 0;
	case 'o': r->out = optarg; return 0;
	case 'g': r->good = optarg; return 0;
	case 'b': r->bad = optarg; return 0;
	case 'l': return cli_whole("--layer", optarg, 0, 1 << 20, &r->layer) ? 0 : CLI_USAGE + 1;
	case 'L': return cli_whole("--layers", optarg, 1, 1 << 20, &r->layers) ? 0 : CLI_USAGE + 1;
	case 'T': return cli_real("--tolerance", optarg, 1e-9, 1, &r->tolerance) ? 0 : CLI_USAGE + 1;
	case 'P': return cli_diag_points(optarg, &r->points) ? 0 : CLI_USAGE + 1;
	case 'F':
		r->bins = !strcmp(optarg, "bin");
		if (r->bins || !strcmp(optarg, "safetensors"))
			return 0;
		return cli_complain(CLI_USAGE, "--format takes safetensors or bin, not \"%s\"", optarg) + 1;
	default: return cli_common_option(&r->common, &cli_diag, option, optarg);
	}
}

static bool diag_is(const struct cli_diag *r, const char *check) { return !strcmp(r->check, check); }

/* Whether the check exists, and how many references it takes; -1 after complaining. */
static int diag_most_references(const struct cli_diag *r, bool *needs)
{
	const char *name, *question;
	*needs = false;
	if (diag_is(r, "dump") || diag_is(r, "bisect") || diag_is(r, "faults"))
		return 0;
	for (int i = 0; plumb_diag_row(i, &name, &question, needs); i++)
		if (diag_is(r, name)) {
			*needs = *needs || diag_is(r, "report");
			return diag_is(r, "report") ? 1 << 10 : 1;
		}
	cli_complain(CLI_USAGE, "\"%s\" is no check of diag; 'plumb diag --help' lists them", r->check);
	return -1;
}

static int diag_check_options(const struct cli_diag *r)
{
	if ((r->ids != NULL) + (r->prompt != NULL) + (r->chat != NULL) > 1)
		return cli_complain(CLI_USAGE, "one prompt only: --tokens, --prompt or --chat") + 1;
	if (diag_is(r, "dump") && !r->out)
		return cli_complain(CLI_USAGE, "dump needs --out FOLDER") + 1;
	if (!diag_is(r, "report") && r->html)
		return cli_complain(CLI_USAGE, "--html is of report only") + 1;
	if (!diag_is(r, "dump") && !diag_is(r, "report") && r->out)
		return cli_complain(CLI_USAGE, "--out is of dump and report only") + 1;
	if ((diag_is(r, "dump") || diag_is(r, "bisect")) && !r->ids && !r->prompt && !r->chat)
		return cli_complain(CLI_USAGE, "%s needs a prompt: --tokens, --prompt or --chat", r->check) + 1;
	if (diag_is(r, "bisect") && r->common.open.driver)
		return cli_complain(
				   CLI_USAGE, "bisect takes two lists of drivers, --good and --bad, in place of --driver") +
			1;
	return 0;
}

static int diag_parse(struct cli_diag *r, int argc, char **argv)
{
	int option, leave;
	bool needs;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT, options, NULL)) != -1)
		if ((leave = diag_take(r, option)))
			return leave;
	if (r->help) {
		cli_diag_help(&cli_diag, optind < argc ? argv[optind] : "");
		return CLI_OK + 1;
	}
	if (optind == argc)
		return cli_complain(CLI_USAGE, "diag needs a check, such as report; try 'plumb diag --help'") + 1;
	r->check = argv[optind++];
	int most = diag_most_references(r, &needs);
	if (most < 0)
		return CLI_USAGE + 1;
	if (!diag_is(r, "faults")) {
		if (optind == argc)
			return cli_complain(CLI_USAGE, "diag %s needs a model file; try 'plumb diag --help'", r->check) +
				1;
		r->model = argv[optind++];
	}
	r->refs = argv + optind;
	r->ref_count = argc - optind;
	if (r->ref_count > most)
		return cli_complain(CLI_USAGE,
				   most ? "diag %s takes one reference, but \"%s\" follows"
						: "diag %s takes no reference, but \"%s\" is there",
				   r->check, argv[optind + most]) +
			1;
	if (needs && !r->ref_count)
		return cli_complain(CLI_USAGE, "diag %s needs a reference; try 'plumb diag --help'", r->check) + 1;
	if (diag_is(r, "report") && !r->html)
		r->html = r->out;
	return diag_check_options(r);
}

/* The native driver in float32 is the one to trust; a port that is just that needs no second model. */
static bool diag_is_trusted(const struct cli_diag *r, const struct plumb_context *ctx)
{
	return !strcmp(r->common.open.mode, "exact") && plumb_driver_count(ctx) == 1 &&
		!strcmp(plumb_driver_name(ctx, 0), "native") && plumb_context_precision(ctx) == PLUMB_FP32;
}

static int diag_with_models(struct cli_diag *r, struct plumb_context *ctx, struct plumb_model *port)
{
	struct plumb_context *second = NULL;
	struct plumb_model *trusted = NULL;
	struct cli_common native = r->common;
	int code = cli_diag_tokens(r, port);
	if (code)
		return code;
	if (diag_is(r, "dump"))
		return cli_diag_dump(r, port);
	native.open.driver = "native";
	native.open.precision = "FP32";
	native.open.mode = "exact";
	if (!diag_is(r, "weights") && !diag_is_trusted(r, ctx) &&
		(code = cli_load(&native, r->model, &second, &trusted)))
		return code;
	cli_catch_interrupt();
	code = cli_diag_part(r, port, trusted);
	plumb_model_free(trusted);
	plumb_close(second);
	return code;
}

static int diag_list_faults(const struct cli_diag *r)
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

static int diag_run(int argc, char **argv)
{
	struct cli_diag r = { .layer = -1, .good = "native", .bad = "cl" };
	struct plumb_context *ctx;
	struct plumb_model *port;
	int code = diag_parse(&r, argc, argv);
	if (code)
		return code - 1;
	if (!r.common.open.mode) /* a reference in float32 would tell 16-bit activations from it */
		r.common.open.mode = "exact";
	if (diag_is(&r, "faults"))
		return diag_list_faults(&r);
	if (diag_is(&r, "bisect"))
		return cli_diag_bisect(&r);
	if ((code = cli_load(&r.common, r.model, &ctx, &port)))
		return code;
	code = diag_with_models(&r, ctx, port);
	free(r.tokens);
	plumb_model_free(port);
	plumb_close(ctx);
	return code;
}
