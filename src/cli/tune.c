/* SPDX-License-Identifier: Apache-2.0 */
/* plumb tune: measures which kernel variant of a matrix product is fastest on the OpenCL device, and shows
 * what was measured. */
#include "cli/cli.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SHAPES 256

static int tune_run(int argc, char **argv);

const struct cli_command cli_tune = { "tune", "find the fastest way to read prompts on the OpenCL device",
	"Usage: plumb tune MODEL [options]\n"
	"Measures, for the weights of the model, plumb's own kernels and CLBlast on the OpenCL device that the cl\n"
	"driver takes, and keeps the winners beside the compiled kernels (AR_HARDWARE_LIBS), where every later run finds\n"
	"them. Another variant than the fixed one wins only when it is at least 5% faster. Single tokens are not\n"
	"affected: they always go through plumb's kernel. The native driver has nothing to tune.\n"
	"\n"
	"  --explain            show what was measured earlier, measure nothing\n"
	"  --quick              3 timings of each variant in place of 5\n"
	"  --driver LIST        drivers, as AR_HARDWARE_DRIVER (default: cl)\n"
	"  --json               machine-readable result on stdout\n"
	"  -h, --help           this text\n"
	"\n"
	"Examples:\n"
	"  plumb tune model.gguf\n"
	"  plumb tune model.gguf --explain\n"
	"  PLUMB_CL_DEVICE=1 plumb tune model.gguf --quick --json\n",
	tune_run };

static const struct option options[] = { { "explain", no_argument, NULL, 'e' },
	{ "quick", no_argument, NULL, 'q' }, { "driver", required_argument, NULL, 1000 },
	{ "json", no_argument, NULL, 1002 }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };

struct request {
	struct cli_common common;
	const char *model;
	bool explain, quick;
};
struct result {
	const char *device, *file, *no_clblast;
	struct plumb_tune_row *rows;
	int count;
};

/* Each shape of a weight once, with the bytes of the first tensor that has it. The matrices as high as the
 * vocabulary are left out: one is a table, and of the logits one row is wanted. */
static int tune_shapes_of(
	const struct plumb_file *file, int64_t vocab, struct plumb_tune_shape shapes[MOST_SHAPES])
{
	int count = 0;
	for (int64_t i = 0; i < plumb_file_tensors(file) && count < MOST_SHAPES; i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		bool known = t->rank != 2 || t->dim[0] == vocab;
		for (int j = 0; j < count && !known; j++)
			known = shapes[j].type == t->type && shapes[j].n == t->dim[0] && shapes[j].k == t->dim[1];
		if (!known)
			shapes[count++] = (struct plumb_tune_shape){ t->type, t->dim[0], t->dim[1], t->data };
	}
	return count;
}

static bool tune_of_model(const struct plumb_tune_row *r, const struct plumb_tune_shape *shapes, int count)
{
	for (int i = 0; i < count; i++)
		if (shapes[i].type == r->type && shapes[i].n == r->n && shapes[i].k == r->k)
			return true;
	return false;
}

/* --- results --- */

static void tune_print_row(const struct plumb_tune_row *r)
{
	char rows[32];
	if (r->m_high)
		snprintf(rows, sizeof rows, "%" PRId64 "-%" PRId64, r->m_low, r->m_high);
	else
		snprintf(rows, sizeof rows, "%" PRId64 "+", r->m_low);
	printf("%-5s %6" PRId64 " x %-6" PRId64 " %-7s %-8s", plumb_type_name(r->type), r->n, r->k, rows,
		plumb_tune_variant(r->chosen));
	for (int i = 0; i < PLUMB_TUNE_VARIANTS; i++) {
		const struct plumb_tune_result *w = &r->variant[i];
		if (w->wrong)
			printf(" %10s", "wrong");
		else if (w->timings)
			printf(" %9.3f%s", w->seconds * 1e3,
				i == r->chosen        ? "*"
					: i == r->fixed   ? "f"
					: w->timings == 1 ? "~"
									  : " ");
		else
			printf(" %9s ", "-");
	}
	if (r->chosen != r->fixed && r->variant[r->chosen].seconds > 0)
		printf("  %.2fx", r->variant[r->fixed].seconds / r->variant[r->chosen].seconds);
	putchar('\n');
}

static void tune_print(const struct result *x)
{
	printf("device   ");
	cli_put_escaped((struct plumb_span){ x->device, strlen(x->device) }, 120);
	printf("\nkept in  ");
	cli_put_escaped((struct plumb_span){ x->file, strlen(x->file) }, 1000);
	printf("\nCLBlast  ");
	if (x->no_clblast)
		cli_put_escaped((struct plumb_span){ x->no_clblast, strlen(x->no_clblast) }, 240);
	else
		fputs("is there", stdout);
	printf(
		"\n\nMilliseconds; * taken, f the fixed variant, ~ timed once, - not on this device.\n%-5s %15s %-7s %-8s",
		"type", "weight", "rows", "taken");
	for (int i = 0; i < PLUMB_TUNE_VARIANTS; i++)
		printf(" %9s ", plumb_tune_variant(i));
	putchar('\n');
	for (int i = 0; i < x->count; i++)
		tune_print_row(&x->rows[i]);
}

static json_t *tune_row_json(const struct plumb_tune_row *r)
{
	json_t *variants = json_object();
	for (int i = 0; i < PLUMB_TUNE_VARIANTS; i++)
		if (r->variant[i].timings || r->variant[i].wrong)
			json_object_set_new(variants, plumb_tune_variant(i),
				json_pack("{s:f, s:i, s:b}", "seconds", r->variant[i].seconds, "timings",
					r->variant[i].timings, "wrong", r->variant[i].wrong));
	return json_pack("{s:s, s:I, s:I, s:I, s:o, s:I, s:s, s:s, s:o}", "type", plumb_type_name(r->type), "n",
		(json_int_t)r->n, "k", (json_int_t)r->k, "rows_from", (json_int_t)r->m_low, "rows_to",
		r->m_high ? json_integer(r->m_high) : json_null(), "measured_rows", (json_int_t)r->m, "fixed",
		plumb_tune_variant(r->fixed), "taken", plumb_tune_variant(r->chosen), "ways", variants);
}

static int tune_print_json(const struct result *x)
{
	json_t *rows = json_array();
	for (int i = 0; i < x->count; i++)
		json_array_append_new(rows, tune_row_json(&x->rows[i]));
	return cli_json_print(
		json_pack("{s:o, s:o, s:o, s:o}", "device", cli_json_text(x->device), "file", cli_json_text(x->file),
			"no_clblast", x->no_clblast ? cli_json_text(x->no_clblast) : json_null(), "rows", rows),
		false);
}

/* --- work --- */

static void tune_progress(void *user, uint64_t done, uint64_t total)
{
	(void)user;
	cli_progress("tuning", (double)done, (double)total);
}

static enum plumb_status tune_measure(const struct request *r, struct plumb_context *ctx,
	const struct plumb_tune_shape *shapes, int count, struct result *x)
{
	enum plumb_status s = PLUMB_OK;
	if (!r->explain) {
		cli_catch_interrupt();
		s = plumb_tune(ctx, shapes, count,
			PLUMB_TUNE_OPTIONS(r->quick ? 3 : 0, tune_progress, NULL, cli_cancelled, NULL));
		cli_progress_end();
	}
	if (!s)
		s = plumb_tune_rows(ctx, &x->rows, &x->count);
	if (!s)
		s = plumb_tune_place(ctx, &x->device, &x->file, &x->no_clblast);
	int all = x->count;
	x->count = 0;
	for (int i = 0; i < all; i++) /* the file holds other models' rows, too */
		if (tune_of_model(&x->rows[i], shapes, count))
			x->rows[x->count++] = x->rows[i];
	return s;
}

static int tune(const struct request *r, struct plumb_context *ctx)
{
	struct plumb_tune_shape *shapes = calloc(MOST_SHAPES, sizeof *shapes);
	struct plumb_file *file = NULL;
	struct plumb_config config;
	struct result x = { .count = 0 };
	enum plumb_status s = plumb_file_open(&file, r->model);
	bool understood = !s && !(s = plumb_model_check(file)) && !(s = plumb_config_read(&config, file));
	if (understood && shapes)
		s = tune_measure(r, ctx, shapes, tune_shapes_of(file, config.vocab, shapes), &x);
	int code = CLI_OK;
	if (!shapes)
		code = cli_complain(CLI_ERROR, "no memory for the shapes of a model");
	else if (file && !understood)
		code = cli_complain(CLI_INPUT, "%s: %s", r->model, plumb_last_error());
	else if (s == PLUMB_E_UNSUPPORTED && understood && !x.device)
		code = cli_complain(
			CLI_USAGE, "%s; leave --driver and AR_HARDWARE_DRIVER away, or name cl", plumb_last_error());
	else if (s)
		code = cli_fail(s);
	else if (!x.count)
		code = cli_complain(
			CLI_ERROR, "nothing was measured for this model on %s; 'plumb tune %s' does", x.device, r->model);
	else if (r->common.json)
		code = tune_print_json(&x);
	else
		tune_print(&x);
	free(x.rows);
	free(shapes);
	plumb_file_close(file);
	return code;
}

static bool tune_list_is_set(void)
{
	struct plumb_env row;
	for (int i = 0; plumb_env_row(i, &row); i++)
		if (!strcmp(row.name, "AR_HARDWARE_DRIVER"))
			return row.value;
	return false;
}

static int tune_run(int argc, char **argv)
{
	struct request r = { .common.open.size = sizeof r.common.open };
	struct plumb_context *ctx;
	int option, leave;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if (option == 'e')
			r.explain = true;
		else if (option == 'q')
			r.quick = true;
		else if ((leave = cli_common_option(&r.common, &cli_tune, option, optarg)))
			return leave - 1;
	if (optind == argc)
		return cli_complain(CLI_USAGE, "tune needs a model file; try 'plumb tune --help'");
	if (optind + 1 < argc)
		return cli_complain(CLI_USAGE, "one model file only, but \"%s\" follows", argv[optind + 1]);
	r.model = argv[optind];
	/* "*" would go on without OpenCL, and there would be nothing to tune. */
	if (!r.common.open.driver && !tune_list_is_set())
		r.common.open.driver = "cl";
	enum plumb_status s = plumb_open(&ctx, &r.common.open);
	if (s)
		return cli_fail(s);
	leave = tune(&r, ctx);
	plumb_close(ctx);
	return leave;
}
