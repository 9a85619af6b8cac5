/* SPDX-License-Identifier: Apache-2.0 */
/* plumb bench: speed of prefill and decoding in rounds, and how near decoding comes to the
 * limit of the memory, which is measured in the same run. */
#include "cli/bench.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int bench_run(int argc, char **argv);

const struct cli_command cli_bench = { "bench", "measure how fast a model reads and writes on this machine",
	"Usage: plumb bench MODEL [options]\n"
	"Reads a prompt of made-up tokens (prefill) and writes tokens one by one (decode), in rounds; a\n"
	"first round warms up and is not counted. Prints the median, the slowest and the fastest round,\n"
	"and which share of the memory's read bandwidth decoding used: a step has to read all weights.\n"
	"\n"
	"  --prefill N          tokens of the prompt (default: 512, 0: leave out)\n"
	"  --decode N           tokens to write (default: 64, 0: leave out)\n"
	"  --depth N            tokens held before either starts (default: 0)\n"
	"  --rounds N           counted rounds (default: 3)\n"
	"  --sequences N        decode so many sequences at once, sharing each pass over the weights (default: 1)\n" CLI_KV_HELP
	"  --modes              exact, default and fast side by side: in each round all are timed in turn, so three\n"
	"                       copies of the model are held at once; and how far their next tokens are from\n"
	"                       exact's: KL(exact || mode) in nats, how often the likeliest token is the same, the\n"
	"                       largest error of a logit. On a text read at once, and on token 9707 alone (\"Hello\"\n"
	"                       to Qwen2) where there is one\n" CLI_COMMON_HELP "\n"
	"With the cl driver one round more, which is not counted, times each kernel (not with --modes): calls, time and\n"
	"GB/s follow, and their share of what a plain copy on the device reads and writes in the same run.\n"
	"Bytes are those of the operator's tensors, each counted once; - where they are not known. What is mostly read\n"
	"may pass 100%: to write costs more.\n"
	"\n"
	"Examples:\n"
	"  plumb bench model.gguf\n"
	"  plumb bench model.gguf --threads 1 --prefill 128 --decode 16\n"
	"  plumb bench model.gguf --depth 4096 --kv f16 --json\n"
	"  plumb bench model.gguf --prefill 0 --sequences 8\n"
	"  plumb bench model.gguf --modes --rounds 5\n"
	"  plumb bench model.gguf --driver cl --prefill 0\n",
	bench_run };

static const struct option options[] = { CLI_COMMON_LONG, { "prefill", required_argument, NULL, 'P' },
	{ "decode", required_argument, NULL, 'D' }, { "depth", required_argument, NULL, 'd' },
	{ "rounds", required_argument, NULL, 'r' }, CLI_KV_LONG, { "sequences", required_argument, NULL, 'S' },
	{ "modes", no_argument, NULL, 'm' }, { NULL, 0, NULL, 0 } };

/* --- one mode --- */
struct totals {
	double weights;            /* bytes/s that decoding read */
	uint64_t now, held, limit; /* bytes */
	double copy; /* bytes/s read and written by a plain copy on the device whose kernels were timed; 0: not
					known */
};

static int bench_print_json(
	const struct bench_request *r, const struct bench_rig *rig, const struct totals *x)
{
	json_t *root = bench_json_head(r, rig);
	json_object_update_new(root,
		json_pack("{s:f, s:o, s:o, s:f, s:f, s:o, s:I, s:I}", "load_seconds", rig->load, "prefill",
			bench_json_rates(&rig->prefill, r->prefill), "decode", bench_json_rates(&rig->decode, r->decode),
			"decode_bytes_per_second", x->weights, "memory_bytes_per_second", rig->memory, "share_of_memory",
			rig->memory > 0 && r->decode ? json_real(x->weights / rig->memory) : json_null(), "held_bytes",
			(json_int_t)x->held, "resident_bytes", (json_int_t)rig->resident));
	json_t *kernels = bench_kernels_json(rig, x->copy);
	if (kernels)
		json_object_set_new(root, "kernels", kernels);
	return cli_json_print(root, false);
}

static void bench_print_rates(const char *what, const struct bench_rates *r, long tokens, long count)
{
	printf("%-9s %8.2f tokens/s, median of %ld round%s of %ld token%s (%.2f to %.2f)\n", what, r->median,
		count, count == 1 ? "" : "s", tokens, tokens == 1 ? "" : "s", r->low, r->high);
}

static void bench_print(const struct bench_request *r, struct bench_rig *rig, const struct totals *x)
{
	uint64_t step = plumb_model_step_bytes(rig->model);
	int threads = plumb_context_threads(rig->ctx);
	bench_print_head(r, rig);
	printf("%-9s %8.2f s\n", "load", rig->load);
	if (r->prefill)
		bench_print_rates("prefill", &rig->prefill, r->prefill, r->rounds);
	if (r->decode)
		bench_print_rates("decode", &rig->decode, r->decode, r->rounds);
	if (r->decode)
		printf("%-9s %8.2f GB/s of weights read in decoding (%.1f MB a step)\n", "weights", x->weights / 1e9,
			(double)step / 1e6);
	if (rig->memory > 0) {
		printf("%-9s %8.2f GB/s read with %d thread%s", "memory", rig->memory / 1e9, threads,
			threads == 1 ? "" : "s");
		if (r->decode)
			printf(": decoding uses %.0f%% of it%s", 100 * x->weights / rig->memory,
				step < 64 << 20 ? " (but so few weights stay in a cache)" : "");
		putchar('\n');
	}
	printf(
		"%-9s %8.1f MB held by plumb at most, %.1f MB of the process resident, the mapped model included\n",
		"peak", (double)x->held / 1e6, (double)rig->resident / 1e6);
	bench_kernels_print(r, rig, x->copy);
}

static int bench_one(struct bench_request *r)
{
	struct bench_rig rig = { .load = 0 };
	struct totals x = { .weights = 0 };
	int code = bench_open(r, NULL, &rig);
	if (code)
		return code;
	if (!(code = bench_measure(r, &rig, 1))) {
		plumb_memory(rig.ctx, &x.now, &x.held, &x.limit);
		x.weights = bench_weights(r, &rig);
		struct plumb_kernel_time sum = cli_kernels_sum(&rig.kernels[r->prefill ? 0 : 1], "");
		if (sum.seconds > 0 && plumb_copy_rate(rig.ctx, sum.driver, &x.copy))
			fprintf(stderr, "plumb: note: no copy to compare kernels with: %s\n", plumb_last_error());
		if (r->common.json)
			code = bench_print_json(r, &rig, &x);
		else
			bench_print(r, &rig, &x);
	}
	bench_close(&rig);
	return code;
}

/* 0, or an exit code + 1. */
static int bench_take(struct bench_request *r, int option)
{
	int taken = cli_session_option(&r->session, 1, option, optarg);
	if (taken)
		return taken > 0 ? 0 : CLI_USAGE + 1;
	switch (option) {
	case 'P': return cli_whole("--prefill", optarg, 0, 1 << 24, &r->prefill) ? 0 : CLI_USAGE + 1;
	case 'D': return cli_whole("--decode", optarg, 0, 1 << 24, &r->decode) ? 0 : CLI_USAGE + 1;
	case 'd': return cli_whole("--depth", optarg, 0, 1 << 24, &r->depth) ? 0 : CLI_USAGE + 1;
	case 'r': return cli_whole("--rounds", optarg, 1, BENCH_MOST_ROUNDS, &r->rounds) ? 0 : CLI_USAGE + 1;
	case 'S':
		return cli_whole("--sequences", optarg, 1, BENCH_MOST_SEQUENCES, &r->sequences) ? 0 : CLI_USAGE + 1;
	case 'm': r->modes = true; return 0;
	default: return cli_common_option(&r->common, &cli_bench, option, optarg);
	}
}

static int bench_parse(struct bench_request *r, int argc, char **argv)
{
	int option, leave;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT, options, NULL)) != -1)
		if ((leave = bench_take(r, option)))
			return leave;
	if (optind == argc)
		return cli_complain(CLI_USAGE, "bench needs a model file; try 'plumb bench --help'") + 1;
	if (optind + 1 < argc)
		return cli_complain(CLI_USAGE, "one model file only, but \"%s\" follows", argv[optind + 1]) + 1;
	if (r->modes && r->common.open.mode)
		return cli_complain(CLI_USAGE, "--modes measures all modes: leave out --mode") + 1;
	if (!r->prefill && !r->decode)
		return cli_complain(CLI_USAGE, "--prefill 0 and --decode 0 together leave nothing to measure") + 1;
	r->model = argv[optind];
	return 0;
}

static int bench_run(int argc, char **argv)
{
	struct bench_request r = {
		.prefill = -1, .decode = 64, .rounds = 3, .sequences = 1, .session.cancel = cli_cancelled
	};
	int code = bench_parse(&r, argc, argv);
	return code ? code - 1 : r.modes ? bench_modes(&r) : bench_one(&r);
}
