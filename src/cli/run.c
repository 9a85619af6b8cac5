/* SPDX-License-Identifier: Apache-2.0 */
/* plumb run: one prompt in, one answer out. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run(int argc, char **argv);

const struct cli_command cli_run = { "run", "answer a prompt",
	"Usage: plumb run MODEL [PROMPT] [options]\n"
	"Answers PROMPT; without it, or with -, the prompt is read from standard input.\n"
	"\n"
	"  --system TEXT        system message in place of the template's own\n" CLI_TEMPLATE_HELP
	"  --raw                no chat template: continue PROMPT as plain text, after a begin-of-text token if the model\n"
	"                       file asks for one (add_bos_token)\n" CLI_BOS_HELP
	"  --tokens IDS         token ids in place of text, e.g. 9707 or 9707,198; ids come out, one by default\n"
	"  --ids                write token ids instead of text\n"
	"  -n N                 write at most N tokens (default: to the end of the turn)\n"
	"  --ctx N              context: most tokens of prompt and answer (default: the model's)\n"
	"  --batch N            most prompt tokens in one pass (default 512); fewer need less memory\n" CLI_KV_HELP
		CLI_STOP_HELP "  --ignore-end         go on past the end of the turn\n"
	"  --placement          say which driver ran each operator, how often, and why not the first of the list\n"
	"  --expect-token N     exit with 6 unless the first token is N\n" CLI_NFC_HELP CLI_SAMPLING_HELP
		CLI_COMMON_HELP "\n"
	"Examples:\n"
	"  plumb run model.gguf \"Write a haiku about pipes.\"\n"
	"  plumb run model.gguf --temp 0.7 --top-p 0.9 --seed 1 < question.txt\n"
	"  plumb run base.gguf --raw \"Q: Why is the sky blue?\\nA:\" --stop \"\\nQ:\" --stop \"\\n\\n\"\n"
	"  plumb run model.gguf --tokens 9707 --expect-token 82334\n"
	"  plumb run model.gguf --precision FP16 \"Will my port in fp16 overflow?\"\n"
	"  AR_HARDWARE_PRECISION=FP64 plumb run model.gguf --raw \"int main(\" -n 16\n",
	run };

struct request {
	struct cli_common common;
	struct cli_sampling sampling;
	struct cli_stops stops;
	struct plumb_session_options session;
	const char *model, *prompt, *system, *tokens;
	long most, expect;
	bool raw, ids, ignore_end, placement;
};

static const struct option options[] = { CLI_COMMON_LONG, CLI_NFC_LONG, CLI_BOS_LONG, CLI_TEMPLATE_LONG,
	CLI_SAMPLING_LONG, CLI_STOP_LONG, { "system", required_argument, NULL, 's' },
	{ "raw", no_argument, NULL, 'r' }, { "tokens", required_argument, NULL, 'k' },
	{ "ids", no_argument, NULL, 'i' }, CLI_CTX_LONG, CLI_BATCH_LONG, CLI_KV_LONG,
	{ "ignore-end", no_argument, NULL, 'e' }, { "placement", no_argument, NULL, 'p' },
	{ "expect-token", required_argument, NULL, 'x' }, { NULL, 0, NULL, 0 } };

/* 0, or an exit code + 1. */
static int run_take(struct request *r, int option)
{
	int taken = cli_sampling_option(&r->sampling, option, optarg);
	if (!taken)
		taken = cli_stop_option(&r->stops, option, optarg);
	if (!taken)
		taken = cli_session_option(&r->session, 1, option, optarg);
	if (taken)
		return taken > 0 ? 0 : CLI_USAGE + 1;
	switch (option) {
	case 's': r->system = optarg; return 0;
	case 'r': r->raw = true; return 0;
	case 'k': r->tokens = optarg; return 0;
	case 'i': r->ids = true; return 0;
	case 'e': r->ignore_end = true; return 0;
	case 'p': r->placement = true; return 0;
	case 'n': return cli_whole("-n", optarg, 0, 1 << 24, &r->most) ? 0 : CLI_USAGE + 1;
	case 'x': return cli_whole("--expect-token", optarg, 0, 0x7fffffff, &r->expect) ? 0 : CLI_USAGE + 1;
	default: return cli_common_option(&r->common, &cli_run, option, optarg);
	}
}

static int run_parse(struct request *r, int argc, char **argv)
{
	int option, leave;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT "n:", options, NULL)) != -1)
		if ((leave = run_take(r, option)))
			return leave;
	if (optind == argc)
		return cli_complain(CLI_USAGE, "run needs a model file; try 'plumb run --help'") + 1;
	r->model = argv[optind++];
	if (optind < argc)
		r->prompt = argv[optind++];
	if (optind < argc)
		return cli_complain(
				   CLI_USAGE, "one prompt only, but \"%s\" follows (quote the prompt)", argv[optind]) +
			1;
	if (r->tokens && (r->prompt || r->raw || r->system))
		return cli_complain(CLI_USAGE, "--tokens is the whole prompt: leave out PROMPT, --raw and --system") +
			1;
	if ((r->raw || r->tokens) && r->common.template)
		return cli_complain(CLI_USAGE, "%s takes no chat template: leave out --template",
				   r->raw ? "--raw" : "--tokens") +
			1;
	if (r->common.no_bos && !r->raw)
		return cli_complain(
				   CLI_USAGE, "a chat template says itself how a text begins: --no-bos is for --raw") +
			1;
	if (r->raw && r->system)
		return cli_complain(CLI_USAGE, "--raw has no system message: leave out --system") + 1;
	if (r->tokens) {
		r->ids = true;
		r->most = r->most < 0 ? 1 : r->most;
	}
	return 0;
}

static int run_encode(const struct request *r, const struct plumb_tokenizer *tok, int32_t **ids, size_t *n)
{
	char *read = NULL;
	const char *text = r->prompt, *system = r->system;
	size_t size = text ? strlen(text) : 0, system_size = system ? strlen(system) : 0;
	if (!text || !strcmp(text, "-")) {
		if (!text && isatty(STDIN_FILENO))
			fputs("Type the prompt, then Ctrl-D:\n", stderr);
		int code = cli_read_all("-", &read, &size);
		if (code)
			return code;
		text = read;
	}
	enum plumb_status s;
	int code = cli_text_check("the prompt", &text, &size, r->raw);
	if (!code && system)
		code = cli_text_check("--system", &system, &system_size, false);
	while (read && size && !r->raw && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		read[text - read + (ptrdiff_t)--size] = 0;
	if (!code && !size)
		code = cli_complain(r->prompt && !read ? CLI_USAGE : CLI_INPUT, "the prompt is empty");
	if (code)
		; /* said */
	else if (r->raw)
		s = plumb_tokenize(tok, text, size, PLUMB_SPECIALS_PARSE, ids, n), code = s ? cli_fail(s) : CLI_OK;
	else {
		struct plumb_message talk[2] = { { "system", system }, { "user", text } };
		const struct plumb_message *first = r->system ? talk : talk + 1;
		s = plumb_chat_tokenize(tok, first, 0, (size_t)(talk + 2 - first), true, ids, n);
		code = s ? cli_fail(s) : CLI_OK;
	}
	free(read);
	return code;
}

/* Per operator that ran: {driver: times ...}, and why it went past the first driver. */
static json_t *run_placement_json(const struct plumb_context *ctx)
{
	json_t *root = json_object();
	for (int op = 0; plumb_op_name(op); op++) {
		json_t *times = json_object();
		for (int i = 0; plumb_driver_name(ctx, i); i++)
			if (plumb_placement(ctx, op, i))
				json_object_set_new(
					times, plumb_driver_name(ctx, i), json_integer((json_int_t)plumb_placement(ctx, op, i)));
		if (json_object_size(times))
			json_object_set_new(root, plumb_op_name(op),
				json_pack(
					"{s:O, s:o}", "times", times, "reason", cli_json_text(plumb_placement_reason(ctx, op))));
		json_decref(times);
	}
	return root;
}

static void run_print_placement(const struct plumb_context *ctx)
{
	for (int op = 0; plumb_op_name(op); op++)
		for (int i = 0; plumb_driver_name(ctx, i); i++)
			if (plumb_placement(ctx, op, i))
				fprintf(stderr, "%-12s %-7s %8llu times%s%s\n", plumb_op_name(op), plumb_driver_name(ctx, i),
					(unsigned long long)plumb_placement(ctx, op, i), i ? "  because " : "",
					i ? plumb_placement_reason(ctx, op) : "");
}

/* Of precision FP16: the first value that float16 cannot hold; null: all fit. */
static json_t *run_overflow_json(const struct plumb_session *session)
{
	const struct plumb_overflow *o = plumb_session_overflow(session);
	return !o ? json_null()
			  : json_pack("{s:s, s:s, s:o, s:I, s:f, s:I}", "operator", o->op, "point",
					plumb_point_name(o->point), "layer", o->layer < 0 ? json_null() : json_integer(o->layer),
					"position", (json_int_t)o->position, "value", o->value, "rows", (json_int_t)o->rows);
}

static int run_print_json(const struct request *r, const struct plumb_session *session,
	const struct cli_generation *g, const struct plumb_tokenizer *tok, const int32_t *prompt, int64_t n)
{
	const struct plumb_context *ctx = plumb_model_context(plumb_session_model(session));
	json_t *root = json_pack("{s:o, s:o, s:s%, s:s, s:{s:f, s:f}}", "prompt_tokens", cli_json_ids(prompt, n),
		"tokens", cli_json_ids(g->tokens, g->count), "text", g->text, g->size, "stop", g->stop, "seconds",
		"prompt", g->prompt_seconds, "generate", g->seconds);
	if (root && g->stop_text)
		json_object_set_new(root, "stop_text", cli_json_text(g->stop_text));
	if (root && r->sampling.how.temperature > 0)
		json_object_set_new(root, "seed", json_integer((json_int_t)r->sampling.how.seed));
	if (root && tok && plumb_tokenizer_warning(tok, 0))
		json_object_set_new(root, "warnings", cli_json_warnings(tok));
	if (root && plumb_context_precision(ctx) == PLUMB_FP16)
		json_object_set_new(root, "overflow", run_overflow_json(session));
	if (root && r->placement)
		json_object_set_new(root, "placement", run_placement_json(ctx));
	return cli_json_print(root, false);
}

static void run_print_facts(
	const struct request *r, const struct plumb_context *ctx, const struct cli_generation *g)
{
	struct cli_kernels kernels;
	if (!strcmp(g->stop, "context"))
		fprintf(stderr, "plumb: stopped: the context of the session is full (--ctx)\n");
	cli_rates(g);
	if (r->placement)
		run_print_placement(ctx);
	cli_kernels_read(ctx, &kernels);
	cli_kernels_print(stderr, &kernels, 0);
}

static int run_answer(const struct request *r, struct plumb_session *session,
	const struct plumb_tokenizer *tok, const int32_t *ids, size_t n)
{
	struct cli_generation g = { .most = r->most,
		.ids = r->ids,
		.quiet = r->common.json,
		.ignore_end = r->ignore_end,
		.stop_texts = r->stops.text,
		.stops = r->stops.count };
	const struct plumb_context *ctx = plumb_model_context(plumb_session_model(session));
	struct plumb_sampler *sampler;
	int code = cli_prompt_fits("the prompt has", (int64_t)n, session, r->most);
	if (code)
		return code;
	enum plumb_status s = plumb_sampler_new(&sampler, &r->sampling.how);
	if (s)
		return cli_fail(s);
	code = cli_generate(session, tok, sampler, ids, (int64_t)n, &g);
	if (!code && r->common.json)
		code = run_print_json(r, session, &g, tok, ids, (int64_t)n);
	else if (!r->common.json)
		run_print_facts(r, ctx, &g);
	if (!code && !strcmp(g.stop, "cancelled"))
		code = CLI_INTERRUPTED;
	if (!code && r->expect >= 0 && (!g.count || g.tokens[0] != r->expect))
		code = cli_complain(
			CLI_DIFFERS, "the first token is %d, %ld was expected", g.count ? g.tokens[0] : -1, r->expect);
	free(g.tokens);
	free(g.text);
	plumb_sampler_free(sampler);
	return code;
}

/* Of --tokens: ids that the model does not have are the command line's fault. */
static int run_check_ids(const int32_t *ids, size_t n, const struct plumb_model *model)
{
	int64_t vocab = plumb_model_config(model)->vocab;
	for (size_t i = 0; i < n; i++)
		if (ids[i] >= vocab)
			return cli_complain(
				CLI_USAGE, "--tokens: token %d is outside the vocabulary of %lld", ids[i], (long long)vocab);
	return CLI_OK;
}

static int run(int argc, char **argv)
{
	struct request r = { .sampling = CLI_SAMPLING_DEFAULT,
		.most = -1,
		.expect = -1,
		.session = *PLUMB_SESSION_OPTIONS(.cancel = cli_cancelled) };
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *session;
	int32_t *ids = NULL;
	size_t n;
	int code = run_parse(&r, argc, argv);
	if (code)
		return code - 1;
	if ((code = cli_load(&r.common, r.model, &ctx, &model)))
		return code;
	const struct plumb_tokenizer *tok = plumb_model_tokenizer(model);
	if (!tok && (!r.tokens || r.stops.count))
		code = cli_fail(PLUMB_E_UNSUPPORTED);
	else if (r.tokens || r.raw || !(code = cli_chat_ready(tok)))
		code = r.tokens ? cli_ids("--tokens", r.tokens, &ids, &n) : run_encode(&r, tok, &ids, &n);
	if (!code && r.tokens)
		code = run_check_ids(ids, n, model);
	if (!code) {
		cli_sampling_seed(&r.sampling, r.common.json);
		enum plumb_status s = plumb_session_new(&session, model, &r.session);
		cli_catch_interrupt();
		code = s ? cli_fail(s) : run_answer(&r, session, tok, ids, n);
		if (!s)
			plumb_session_free(session);
	}
	free(ids);
	plumb_model_free(model);
	plumb_close(ctx);
	return code;
}
