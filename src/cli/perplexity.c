/* SPDX-License-Identifier: Apache-2.0 */
/* plumb perplexity: how well the model foresees a text. The text is cut into windows; in
 * each, every token but the first is predicted from those before it in the window, and the
 * negative logarithms of its probability are averaged over all windows. */
#include "cli/cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 512
#define PASS 128 /* rows of logits held at once: 78 MB with a vocabulary of 152,000 */

static int perplexity_run(int argc, char **argv);

const struct cli_command cli_perplexity = { "perplexity", "measure how well the model foresees a text",
	"Usage: plumb perplexity MODEL FILE [options]\n"
	"Cuts the text of FILE (- is standard input) into windows of tokens and predicts, in each, every\n"
	"token but the first from those before it. Prints the mean negative log-likelihood in nats\n"
	"(nll) and the perplexity, exp(nll). No chat template; a begin-of-text token is the first of the text\n"
	"if the model file asks for one (add_bos_token).\n"
	"\n"
	"  --ctx N              tokens of a window (default: 512)\n"
	"  -n, --tokens N       only the first N tokens of the text\n" CLI_KV_HELP CLI_BOS_HELP CLI_NFC_HELP
		CLI_COMMON_HELP "\n"
	"Examples:\n"
	"  plumb perplexity model.gguf /usr/share/common-licenses/GPL-3 --tokens 512\n"
	"  plumb perplexity model.gguf text.txt --ctx 2048 --json\n",
	perplexity_run };

static const struct option options[] = { CLI_COMMON_LONG, CLI_NFC_LONG, CLI_BOS_LONG, CLI_CTX_LONG,
	{ "tokens", required_argument, NULL, 'n' }, CLI_KV_LONG, { NULL, 0, NULL, 0 } };

struct request {
	struct cli_common common;
	struct plumb_session_options session;
	const char *model, *file;
	long most; /* -1: all */
};

struct sums {
	int64_t done, total; /* tokens */
	int64_t windows, n, late_n;
	double nll, square, late; /* late: over the second half of each window */
	double seconds;
	int64_t bad; /* tokens of the window after which the logits are not finite; 0: none */
};

/* -log softmax(logits)[id], in double. */
static double perplexity_surprise(const float *logits, int64_t vocab, int32_t id)
{
	double top = logits[0], sum = 0;
	for (int64_t i = 1; i < vocab; i++)
		top = logits[i] > top ? logits[i] : top;
	for (int64_t i = 0; i < vocab; i++)
		sum += exp(logits[i] - top);
	return top + log(sum) - logits[id];
}

static void perplexity_report_progress(const struct sums *t)
{
	char what[96];
	snprintf(what, sizeof what, "%lld of %lld tokens, perplexity %.3f so far", (long long)t->done,
		(long long)t->total, exp(t->nll / (double)t->n));
	cli_progress(what, (double)t->done, (double)t->total);
}

/* One window of n >= 2 tokens. The last token predicts nothing, so it is not evaluated. */
static enum plumb_status perplexity_window(
	struct plumb_session *session, const int32_t *ids, int64_t n, struct sums *t)
{
	int64_t vocab = plumb_model_config(plumb_session_model(session))->vocab, rows;
	enum plumb_status s = plumb_session_rewind(session, 0);
	for (int64_t at = 0, part; !s && at < n - 1; at += part) {
		const float *logits;
		part = n - 1 - at < PASS ? n - 1 - at : PASS;
		if ((s = plumb_session_eval(session, ids + at, part, PLUMB_LOGITS_ALL)) ||
			(s = plumb_session_logits(session, &logits, &rows)))
			break;
		for (int64_t i = 0; i < part; i++) {
			if (plumb_first_nonfinite(logits + i * vocab, vocab) >= 0) {
				t->bad = at + i + 1;
				return PLUMB_E_NONFINITE;
			}
			double x = perplexity_surprise(logits + i * vocab, vocab, ids[at + i + 1]);
			bool late = at + i >= n - 1 - n / 2;
			t->nll += x;
			t->square += x * x;
			t->n++;
			t->late += late ? x : 0;
			t->late_n += late;
		}
		t->done += part;
		perplexity_report_progress(t);
	}
	t->done++;
	t->windows++;
	return s;
}

static int perplexity_print(const struct request *r, const struct sums *t, int64_t width)
{
	double mean = t->nll / (double)t->n, variance = t->square / (double)t->n - mean * mean;
	double error = t->n > 1 ? sqrt(variance > 0 ? variance / (double)(t->n - 1) : 0) : 0;
	if (r->common.json)
		return cli_json_print(
			json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:f}", "mean_nll", mean, "standard_error",
				error, "perplexity", exp(mean), "mean_nll_last_half", t->late / (double)t->late_n, "tokens",
				(json_int_t)t->total, "predictions", (json_int_t)t->n, "windows", (json_int_t)t->windows,
				"window", (json_int_t)width, "seconds", t->seconds),
			false);
	printf("nll         %.8f nats per token, standard error %.4f\n", mean, error);
	printf("perplexity  %.6f\n", exp(mean));
	printf("last half   %.8f nats: the second half of each window, which has more to go by\n",
		t->late / (double)t->late_n);
	printf("predicted   %lld of %lld tokens, in %lld window%s of %lld\n", (long long)t->n,
		(long long)t->total, (long long)t->windows, t->windows == 1 ? "" : "s", (long long)width);
	fprintf(stderr, "%lld tokens in %.1f s, %.1f/s\n", (long long)t->done, t->seconds,
		(double)t->done / t->seconds);
	return CLI_OK;
}

static int perplexity_measure(struct request *r, struct plumb_model *model, const int32_t *ids, int64_t n)
{
	struct plumb_session *session;
	int64_t most = plumb_model_config(model)->context;
	if (!r->session.context)
		r->session.context = most < WINDOW ? most : WINDOW;
	int64_t width = r->session.context;
	struct sums t = { .total = n };
	r->session.batch = PASS;
	enum plumb_status s = plumb_session_new(&session, model, &r->session);
	if (s)
		return cli_fail(s);
	cli_catch_interrupt();
	double start = cli_seconds();
	int code = CLI_OK;
	for (int64_t at = 0; !s && at + 1 < n; at += width) {
		s = perplexity_window(session, ids + at, n - at < width ? n - at : width, &t);
		if (t.bad)
			code = cli_nonfinite(session, ids + at, t.bad);
	}
	t.seconds = cli_seconds() - start;
	cli_progress_end();
	plumb_session_free(session);
	if (code)
		return code;
	if (s == PLUMB_E_CANCELLED && t.n)
		return cli_complain(CLI_INTERRUPTED, "interrupted: nll %.6f after %lld of %lld tokens",
			t.nll / (double)t.n, (long long)t.done, (long long)n);
	return s ? cli_fail_run(s) : perplexity_print(r, &t, width);
}

/* 0, or an exit code + 1. */
static int perplexity_take(struct request *r, int option)
{
	int taken = cli_session_option(&r->session, 2, option, optarg);
	if (taken)
		return taken > 0 ? 0 : CLI_USAGE + 1;
	switch (option) {
	case 'n': return cli_whole("--tokens", optarg, 2, 0x7fffffff, &r->most) ? 0 : CLI_USAGE + 1;
	default: return cli_common_option(&r->common, &cli_perplexity, option, optarg);
	}
}

static int perplexity_parse(struct request *r, int argc, char **argv)
{
	int option, leave;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT "n:", options, NULL)) != -1)
		if ((leave = perplexity_take(r, option)))
			return leave;
	if (argc - optind != 2)
		return cli_complain(CLI_USAGE,
				   "perplexity needs a model file and a text file; try 'plumb perplexity --help'") +
			1;
	r->model = argv[optind];
	r->file = argv[optind + 1];
	return 0;
}

static int perplexity_encode(
	const struct request *r, const struct plumb_tokenizer *tok, int32_t **ids, int64_t *n)
{
	char *read;
	size_t size, count;
	int code = cli_read_all(r->file, &read, &size);
	if (code)
		return code;
	const char *text = read;
	if ((code = cli_text_check(strcmp(r->file, "-") ? r->file : "the text", &text, &size, true))) {
		free(read);
		return code;
	}
	enum plumb_status s = plumb_tokenize(tok, text, size, PLUMB_SPECIALS_TEXT, ids, &count);
	free(read);
	if (s)
		return cli_fail_run(s);
	if (count < 2)
		return cli_complain(CLI_INPUT, "%s has %zu tokens; a prediction needs two", r->file, count);
	*n = r->most > 0 && (size_t)r->most < count ? r->most : (int64_t)count;
	if ((long)count < r->most)
		fprintf(stderr, "plumb: %s has only %zu tokens, --tokens is %ld\n", r->file, count, r->most);
	return CLI_OK;
}

static int perplexity_run(int argc, char **argv)
{
	struct request r = { .most = -1, .session = *PLUMB_SESSION_OPTIONS(.cancel = cli_cancelled) };
	struct plumb_context *ctx;
	struct plumb_model *model;
	int32_t *ids = NULL;
	int64_t n = 0;
	int code = perplexity_parse(&r, argc, argv);
	if (code)
		return code - 1;
	if ((code = cli_load(&r.common, r.model, &ctx, &model)))
		return code;
	const struct plumb_tokenizer *tok = plumb_model_tokenizer(model);
	code = tok ? perplexity_encode(&r, tok, &ids, &n) : cli_fail(PLUMB_E_UNSUPPORTED);
	if (!code)
		code = perplexity_measure(&r, model, ids, n);
	free(ids);
	plumb_model_free(model);
	plumb_close(ctx);
	return code;
}
