/* SPDX-License-Identifier: Apache-2.0 */
/* plumb bench: speed of prefill and decoding in rounds, and how near decoding comes to the
 * limit of the memory, which is measured in the same run. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define MOST_ROUNDS 1000
#define MOST_SEQUENCES 64

static int run(int argc, char **argv);

const struct cli_command cli_bench = {
	"bench", "measure how fast a model reads and writes on this machine",
	"Usage: plumb bench MODEL [options]\n"
	"Reads a prompt of made-up tokens (prefill) and writes tokens one by one (decode), in rounds; a\n"
	"first round warms up and is not counted. Prints the median, the slowest and the fastest round,\n"
	"and which share of the memory's read bandwidth decoding used: a step has to read all weights.\n"
	"\n"
	"  --prefill N          tokens of the prompt (default: 512, 0: leave out)\n"
	"  --decode N           tokens to write (default: 64, 0: leave out)\n"
	"  --depth N            tokens held before either starts (default: 0)\n"
	"  --rounds N           counted rounds (default: 3)\n"
	"  --sequences N        decode so many sequences at once, sharing each pass over the weights (default: 1)\n"
	"  --kv TYPE            KV cache in f32 (default) or f16\n"
	CLI_COMMON_HELP
	"\n"
	"Examples:\n"
	"  plumb bench model.gguf\n"
	"  plumb bench model.gguf --threads 1 --prefill 128 --decode 16\n"
	"  plumb bench model.gguf --depth 4096 --kv f16 --json\n"
	"  plumb bench model.gguf --prefill 0 --sequences 8\n",
	run
};

static const struct option options[] = {
	CLI_COMMON_LONG, { "prefill", required_argument, NULL, 'P' }, { "decode", required_argument, NULL, 'D' },
	{ "depth", required_argument, NULL, 'd' }, { "rounds", required_argument, NULL, 'r' }, { "kv", required_argument, NULL, 'v' },
	{ "sequences", required_argument, NULL, 'S' }, { NULL, 0, NULL, 0 }
};

struct request {
	struct cli_common common;
	struct plumb_session_options session;
	const char *model;
	long prefill, decode, depth, rounds, sequences; /* prefill -1: 512, or less where the context is shorter */
};

struct rates { double low, median, high; }; /* tokens/s */
struct result {
	struct rates prefill, decode;
	double load, bandwidth, bytes; /* seconds, bytes/s, bytes/s read by decoding */
	uint64_t step, held, resident; /* bytes */
};

/* The same tokens each time, spread over the vocabulary. */
static void make_tokens(int32_t *ids, int64_t n, int64_t vocab)
{
	uint64_t x = 9707;
	for (int64_t i = 0; i < n; i++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		ids[i] = (int32_t)((x >> 33) % (uint64_t)vocab);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static struct rates summary(double *rate, long n)
{
	qsort(rate, (size_t)n, sizeof *rate, compare);
	return (struct rates){ rate[0], n % 2 ? rate[n / 2] : (rate[n / 2 - 1] + rate[n / 2]) / 2, rate[n - 1] };
}

/* One decoding step of all sequences; the logits are fetched, as a sampler would need them each time. */
static enum plumb_status step(struct plumb_session *const *sessions, long sequences, int32_t token)
{
	int32_t tokens[MOST_SEQUENCES];
	const float *logits;
	int64_t rows;
	for (long i = 0; i < sequences; i++)
		tokens[i] = token;
	enum plumb_status s = sequences == 1 ? plumb_session_eval(sessions[0], tokens, 1, PLUMB_LOGITS_LAST) :
		plumb_sessions_step(sessions, tokens, sequences);
	for (long i = 0; !s && i < sequences; i++)
		s = plumb_session_logits(sessions[i], &logits, &rows);
	return s;
}

/* Tokens per second of one prefill, or of one run of decoding of all sequences together, from depth on. */
static enum plumb_status once(struct plumb_session *const *sessions, const struct request *r, const int32_t *ids, bool decode, double *rate)
{
	long n = decode ? r->decode : r->prefill, count = decode ? r->sequences : 1;
	enum plumb_status s = PLUMB_OK;
	for (long i = 0; !s && i < count; i++)
		s = plumb_session_rewind(sessions[i], r->depth);
	double start = cli_seconds();
	if (!s && !decode)
		s = plumb_session_eval(sessions[0], ids, n, PLUMB_LOGITS_LAST);
	for (long i = 0; !s && decode && i < n; i++)
		s = step(sessions, count, ids[i]);
	if (!s)
		s = plumb_synchronize(plumb_model_context(plumb_session_model(sessions[0])));
	*rate = (double)(n * count) / (cli_seconds() - start);
	return s;
}

static enum plumb_status rounds(const struct request *r, struct plumb_session *const *sessions, const int32_t *ids, struct result *out)
{
	static double prefill[MOST_ROUNDS], decode[MOST_ROUNDS];
	double done = 0, all = (double)(r->rounds + 1) * ((double)r->prefill + 4.0 * (double)r->decode); /* a written token takes about 4 read ones */
	enum plumb_status s = PLUMB_OK;
	for (long i = 0; !s && r->depth && i < r->sequences; i++)
		s = plumb_session_eval(sessions[i], ids, r->depth, PLUMB_LOGITS_NONE);
	for (long i = -1; !s && i < r->rounds; i++) {
		double rate;
		if (r->prefill && !(s = once(sessions, r, ids + r->depth, false, &rate)) && i >= 0)
			prefill[i] = rate;
		cli_progress("measuring", done += (double)r->prefill, all);
		if (!s && r->decode && !(s = once(sessions, r, ids + r->depth, true, &rate)) && i >= 0)
			decode[i] = rate;
		cli_progress("measuring", done += 4.0 * (double)r->decode, all);
	}
	cli_progress_end();
	if (s)
		return s;
	if (r->prefill)
		out->prefill = summary(prefill, r->rounds);
	if (r->decode)
		out->decode = summary(decode, r->rounds);
	return PLUMB_OK;
}

static json_t *rates_json(const struct rates *r, long tokens)
{
	return tokens ? json_pack("{s:I, s:f, s:f, s:f}", "tokens", (json_int_t)tokens, "median", r->median, "min", r->low, "max", r->high) : json_null();
}

static int print_json(const struct request *r, const struct plumb_model *model, const struct result *x)
{
	struct plumb_context *ctx = plumb_model_context(model);
	json_t *drivers = json_array();
	for (int i = 0; i < plumb_driver_count(ctx); i++)
		json_array_append_new(drivers, json_pack("{s:s, s:s}", "name", plumb_driver_name(ctx, i), "note", plumb_driver_note(ctx, i)));
	json_t *root = json_pack("{s:o, s:o, s:i, s:f, s:I, s:I, s:I, s:o, s:o, s:I, s:f, s:f, s:o, s:I, s:I}",
		"model", cli_json_span((struct plumb_span){ r->model, strlen(r->model) }), "drivers", drivers,
		"threads", plumb_context_threads(ctx), "load_seconds", x->load, "depth", (json_int_t)r->depth, "rounds", (json_int_t)r->rounds, "sequences", (json_int_t)r->sequences,
		"prefill", rates_json(&x->prefill, r->prefill), "decode", rates_json(&x->decode, r->decode),
		"step_bytes", (json_int_t)x->step, "decode_bytes_per_second", x->bytes, "memory_bytes_per_second", x->bandwidth,
		"share_of_memory", x->bandwidth > 0 && r->decode ? json_real(x->bytes / x->bandwidth) : json_null(),
		"held_bytes", (json_int_t)x->held, "resident_bytes", (json_int_t)x->resident);
	return cli_json_print(root, false);
}

static void print_rates(const char *what, const struct rates *r, long tokens, long count)
{
	printf("%-9s %8.2f tokens/s, median of %ld round%s of %ld token%s (%.2f to %.2f)\n", what, r->median, count,
		count == 1 ? "" : "s", tokens, tokens == 1 ? "" : "s", r->low, r->high);
}

static void print(const struct request *r, const struct plumb_model *model, const struct result *x)
{
	struct plumb_context *ctx = plumb_model_context(model);
	const struct plumb_config *c = plumb_model_config(model);
	printf("%-9s ", "model");
	cli_put_escaped((struct plumb_span){ c->name[0] ? c->name : r->model, strlen(c->name[0] ? c->name : r->model) }, 120);
	printf(", %lld layers\n", (long long)c->layers);
	for (int i = 0; i < plumb_driver_count(ctx); i++)
		printf("%-9s %s: %s\n", i ? "" : "driver", plumb_driver_name(ctx, i), plumb_driver_note(ctx, i));
	printf("%-9s %8.2f s\n", "load", x->load);
	if (r->depth)
		printf("%-9s %8ld tokens held before each round\n", "depth", r->depth);
	if (r->prefill)
		print_rates("prefill", &x->prefill, r->prefill, r->rounds);
	if (r->decode)
		print_rates("decode", &x->decode, r->decode, r->rounds);
	if (r->decode)
		printf("%-9s %8.2f GB/s of weights read in decoding (%.1f MB a step)\n", "weights", x->bytes / 1e9, (double)x->step / 1e6);
	if (x->bandwidth > 0) {
		printf("%-9s %8.2f GB/s read with %d thread%s", "memory", x->bandwidth / 1e9, plumb_context_threads(ctx), plumb_context_threads(ctx) == 1 ? "" : "s");
		if (r->decode)
			printf(": decoding uses %.0f%% of it%s", 100 * x->bytes / x->bandwidth, x->step < 64 << 20 ? " (but so few weights stay in a cache)" : "");
		putchar('\n');
	}
	printf("%-9s %8.1f MB held by plumb at most, %.1f MB of the process resident, the mapped model included\n", "peak", (double)x->held / 1e6,
		(double)x->resident / 1e6);
}

static int measure(struct request *r, struct plumb_model *model, struct result *x)
{
	struct plumb_context *ctx = plumb_model_context(model);
	struct plumb_session *sessions[MOST_SEQUENCES] = { NULL };
	struct rusage usage;
	int64_t context = plumb_model_config(model)->context;
	if (r->prefill < 0) /* nobody asked for a number: take what fits */
		r->prefill = r->depth + 512 <= context ? 512 : r->depth < context ? (long)(context - r->depth) : 1;
	long more = r->prefill > r->decode ? r->prefill : r->decode;
	if (r->depth + more > context)
		return cli_complain(CLI_LIMIT, "--depth %ld and %ld tokens more are beyond the model's context of %lld", r->depth, more, (long long)context);
	int32_t *ids = malloc(sizeof *ids * (size_t)(r->depth + more));
	if (!ids)
		return cli_complain(CLI_ERROR, "no memory for %ld token ids", r->depth + more);
	make_tokens(ids, r->depth + more, plumb_model_config(model)->vocab);
	r->session.context = r->depth + more;
	enum plumb_status s = PLUMB_OK;
	for (long i = 0; !s && i < r->sequences; i++)
		s = plumb_session_new(&sessions[i], model, &r->session);
	if (!s) {
		cli_catch_interrupt();
		s = rounds(r, sessions, ids, x);
	}
	for (long i = 0; i < r->sequences; i++)
		plumb_session_free(sessions[i]);
	free(ids);
	if (s)
		return cli_fail(s);
	uint64_t now, limit;
	plumb_memory(ctx, &now, &x->held, &limit);
	x->resident = getrusage(RUSAGE_SELF, &usage) ? 0 : (uint64_t)usage.ru_maxrss * 1024; /* Linux: in KiB */
	x->step = plumb_model_step_bytes(model);
	x->bytes = x->decode.median / (double)r->sequences * (double)x->step; /* one pass serves all sequences */
	x->bandwidth = cli_bandwidth(plumb_context_threads(ctx));
	return CLI_OK;
}

/* 0, or an exit code + 1. */
static int take(struct request *r, int option)
{
	switch (option) {
	case 'P': return cli_whole("--prefill", optarg, 0, 1 << 24, &r->prefill) ? 0 : CLI_USAGE + 1;
	case 'D': return cli_whole("--decode", optarg, 0, 1 << 24, &r->decode) ? 0 : CLI_USAGE + 1;
	case 'd': return cli_whole("--depth", optarg, 0, 1 << 24, &r->depth) ? 0 : CLI_USAGE + 1;
	case 'r': return cli_whole("--rounds", optarg, 1, MOST_ROUNDS, &r->rounds) ? 0 : CLI_USAGE + 1;
	case 'S': return cli_whole("--sequences", optarg, 1, MOST_SEQUENCES, &r->sequences) ? 0 : CLI_USAGE + 1;
	case 'v': return cli_kv(optarg, &r->session.kv_type) ? 0 : CLI_USAGE + 1;
	default: return cli_common_option(&r->common, &cli_bench, option, optarg);
	}
}

static int parse(struct request *r, int argc, char **argv)
{
	int option, leave;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT, options, NULL)) != -1)
		if ((leave = take(r, option)))
			return leave;
	if (optind == argc)
		return cli_complain(CLI_USAGE, "bench needs a model file; try 'plumb bench --help'") + 1;
	if (optind + 1 < argc)
		return cli_complain(CLI_USAGE, "one model file only, but \"%s\" follows", argv[optind + 1]) + 1;
	if (!r->prefill && !r->decode)
		return cli_complain(CLI_USAGE, "--prefill 0 and --decode 0 together leave nothing to measure") + 1;
	r->model = argv[optind];
	return 0;
}

static int run(int argc, char **argv)
{
	struct request r = { .prefill = -1, .decode = 64, .rounds = 3, .sequences = 1, .session.cancel = &cli_cancel };
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct result x = { .load = 0 };
	int code = parse(&r, argc, argv);
	if (code)
		return code - 1;
	double start = cli_seconds();
	if ((code = cli_load(&r.common, r.model, &ctx, &model)))
		return code;
	x.load = cli_seconds() - start;
	if (!(code = measure(&r, model, &x))) {
		if (r.common.json)
			code = print_json(&r, model, &x);
		else
			print(&r, model, &x);
		if (!r.common.json)
			cli_kernels(ctx);
	}
	plumb_model_free(model);
	plumb_close(ctx);
	return code;
}
