/* SPDX-License-Identifier: Apache-2.0 */
/* plumb bench --modes: what the modes exact, default and fast gain in speed and lose in accuracy, in one run.
 * The accuracy is that of the next token's distribution beside exact's, on a short text that is always the
 * same. */
#include "cli/bench.h"
#include <plumb/diag.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODES 3
#define MOST_POSITIONS 128 /* rows of logits held twice: 78 MB with a vocabulary of 152,000 */
#define HELLO 9707         /* a token that many measurements elsewhere begin with: "Hello" to Qwen2 */

static const char *const names[MODES] = { "exact", "default", "fast" };
/* Prose, speech, numbers and code: a model is sure of some of these tokens and not of others. */
static const char text[] =
	"The river rose in the night. By morning the lower road was under water, and the ferry that had carried the mail for eleven years lay "
	"on its side against the bridge. Nobody was hurt. \"We heard it go,\" said Anna Weiss, 62, who keeps the inn, \"and then it was quiet.\"\n\n"
	"int count(const char *text, char c)\n{\n\tint n = 0;\n\twhile (*text)\n\t\tn += *text++ == c;\n\treturn n;\n}\n";

struct prompt {
	int32_t ids[MOST_POSITIONS];
	int64_t n;
	bool text;
};

/* How far a mode's distributions are from exact's. */
struct gap {
	int64_t positions, same; /* same: the likeliest token is */
	double mean, most;       /* KL(exact || mode), nats */
	double error;            /* largest of a logit */
};

static enum plumb_status bench_modes_add_position(
	struct gap *g, const float *exact, const float *mode, int64_t vocab)
{
	struct plumb_logits_measure m;
	enum plumb_status s = plumb_measure_logits(&m, mode, exact, vocab, 1);
	if (s)
		return s;
	g->same += m.top_ours == m.top_reference;
	g->mean += (m.kl - g->mean) / (double)++g->positions;
	g->most = m.kl > g->most ? m.kl : g->most;
	g->error = m.max_abs > g->error ? m.max_abs : g->error;
	return PLUMB_OK;
}

/* Logits of all positions; malloc'ed. */
static int bench_modes_read_logits(
	const struct bench_request *r, struct plumb_model *model, const int32_t *ids, int64_t n, float **out)
{
	struct plumb_session_options options = { .size = sizeof options,
		.context = n,
		.batch = n,
		.kv_type = r->session.kv_type,
		.cancel = r->session.cancel,
		.cancel_user = r->session.cancel_user };
	struct plumb_session *session;
	const float *logits;
	int64_t rows = 0, vocab = plumb_model_config(model)->vocab;
	enum plumb_status s = plumb_session_new(&session, model, &options);
	*out = NULL;
	if (s)
		return cli_fail(s);
	s = plumb_session_eval(session, ids, n, PLUMB_LOGITS_ALL);
	if (!s)
		s = plumb_session_logits(session, &logits, &rows);
	if (!s && (*out = malloc(sizeof **out * (size_t)(n * vocab))))
		memcpy(*out, logits, sizeof **out * (size_t)(n * vocab));
	int64_t bad = s ? -1 : plumb_first_nonfinite(logits, n * vocab);
	int code = bad < 0 ? CLI_OK : cli_nonfinite(session, ids, bad / vocab + 1);
	plumb_session_free(session);
	return code ? code
		: s     ? cli_fail_run(s)
		: *out  ? CLI_OK
				: cli_complain(CLI_ERROR, "no memory for %lld rows of logits", (long long)n);
}

/* Each mode's gap on these tokens; that of exact itself stays empty. */
static int bench_modes_measure_gaps(const struct bench_request *r, const struct bench_rig *rigs,
	const int32_t *ids, int64_t n, struct gap *gaps)
{
	int64_t vocab = plumb_model_config(rigs->model)->vocab;
	float *exact, *mode;
	int code = bench_modes_read_logits(r, rigs[0].model, ids, n, &exact);
	for (int k = 1; !code && k < MODES; k++) {
		enum plumb_status s = PLUMB_OK;
		if (!(code = bench_modes_read_logits(r, rigs[k].model, ids, n, &mode)))
			for (int64_t i = 0; !s && i < n; i++)
				s = bench_modes_add_position(&gaps[k], exact + i * vocab, mode + i * vocab, vocab);
		if (s)
			code = cli_fail_run(s);
		if (!code && !isfinite(gaps[k].mean))
			code = cli_complain(CLI_ERROR, "mode %s: KL is %g: the model gives logits that are not numbers",
				names[k], gaps[k].mean);
		free(mode);
	}
	free(exact);
	return code;
}

static int bench_modes_make_prompt(const struct plumb_model *model, struct prompt *p)
{
	const struct plumb_config *c = plumb_model_config(model);
	const struct plumb_tokenizer *tok = plumb_model_tokenizer(model);
	int64_t most = c->context < MOST_POSITIONS ? c->context : MOST_POSITIONS;
	int32_t *ids;
	size_t n;
	if (!(p->text = tok)) {
		bench_tokens(p->ids, p->n = most, c->vocab);
		return CLI_OK;
	}
	enum plumb_status s = plumb_tokenize(tok, text, sizeof text - 1, PLUMB_SPECIALS_TEXT, &ids, &n);
	if (s)
		return cli_fail(s);
	p->n = (int64_t)n < most ? (int64_t)n : most;
	memcpy(p->ids, ids, sizeof *ids * (size_t)p->n);
	free(ids);
	return CLI_OK;
}

/* --- result --- */
static json_t *bench_modes_gap_json(const struct gap *g)
{
	return g->positions
		? json_pack("{s:I, s:f, s:f, s:I, s:f}", "positions", (json_int_t)g->positions, "kl_mean", g->mean,
			  "kl_largest", g->most, "same_top", (json_int_t)g->same, "logit_error", g->error)
		: json_null();
}

static int bench_modes_print_json(const struct bench_request *r, const struct bench_rig *rigs,
	const struct prompt *p, struct gap gaps[2][MODES])
{
	json_t *root = bench_json_head(r, &rigs[1]), *modes = json_array();
	for (int k = 0; k < MODES; k++)
		json_array_append_new(modes,
			json_pack("{s:s, s:f, s:o, s:o, s:o, s:o, s:o}", "mode", names[k], "load_seconds", rigs[k].load,
				"prefill", bench_json_rates(&rigs[k].prefill, r->prefill), "decode",
				bench_json_rates(&rigs[k].decode, r->decode), "share_of_memory",
				rigs->memory > 0 && r->decode ? json_real(bench_weights(r, &rigs[k]) / rigs->memory)
											  : json_null(),
				p->text ? "text" : "made_up", bench_modes_gap_json(&gaps[0][k]), "hello",
				bench_modes_gap_json(&gaps[1][k])));
	json_object_update_new(
		root, json_pack("{s:f, s:o}", "memory_bytes_per_second", rigs->memory, "modes", modes));
	return cli_json_print(root, false);
}

static void bench_modes_print_rates(const struct bench_rates *r, long tokens)
{
	char range[64];
	snprintf(range, sizeof range, "(%.2f to %.2f)", r->low, r->high);
	if (tokens)
		printf("  %9.2f %-22s", r->median, range);
	else
		printf("  %9s %-22s", "-", "");
}

static void bench_modes_print_gap(const char *mode, const char *where, const struct gap *g)
{
	if (g->positions)
		printf("%-9s %-24s %9.2g %9.2g  %4lld of %-4lld %11.2g\n", mode, where, g->mean, g->most,
			(long long)g->same, (long long)g->positions, g->error);
}

static void bench_modes_print(const struct bench_request *r, const struct bench_rig *rigs,
	const struct prompt *p, struct gap gaps[2][MODES])
{
	char where[48], prefill[32], decode[32];
	int threads = plumb_context_threads(rigs->ctx);
	bench_print_head(r, &rigs[1]); /* the default's drivers do not name their mode */
	if (rigs->memory > 0)
		printf("%-9s %8.2f GB/s read with %d thread%s; a step reads %.1f MB of weights\n", "memory",
			rigs->memory / 1e9, threads, threads == 1 ? "" : "s",
			(double)plumb_model_step_bytes(rigs->model) / 1e6);
	snprintf(prefill, sizeof prefill, "prefill %ld", r->prefill);
	snprintf(decode, sizeof decode, "decode %ld", r->decode);
	printf("\nTokens/s, medians of %ld round%s in which the modes took turns\n", r->rounds,
		r->rounds == 1 ? "" : "s");
	printf("%-9s  %-32s  %-32s  of memory\n", "mode", prefill, decode);
	for (int k = 0; k < MODES; k++) {
		printf("%-9s", names[k]);
		bench_modes_print_rates(&rigs[k].prefill, r->prefill);
		bench_modes_print_rates(&rigs[k].decode, r->decode);
		if (r->decode && rigs->memory > 0)
			printf("  %8.0f%%\n", 100 * bench_weights(r, &rigs[k]) / rigs->memory);
		else
			printf("  %9s\n", "-");
	}
	snprintf(where, sizeof where, "%lld tokens %s", (long long)p->n, p->text ? "of text" : "made up");
	printf(
		"\nNext tokens beside exact's: KL(exact || mode) in nats, likeliest token the same, largest error of a logit\n");
	printf(
		"%-9s %-24s %9s %9s  %12s %11s\n", "mode", "on", "mean KL", "largest", "same token ", "logit error");
	for (int k = 1; k < MODES; k++) {
		bench_modes_print_gap(names[k], where, &gaps[0][k]);
		bench_modes_print_gap(names[k], "token 9707 alone", &gaps[1][k]);
	}
}

int bench_modes(struct bench_request *r)
{
	struct bench_rig rigs[MODES] = { { .load = 0 } };
	struct gap gaps[2][MODES] = { { { .positions = 0 } } };
	struct prompt prompt;
	int code = CLI_OK, open = 0;
	while (open < MODES && !(code = bench_open(r, names[open], &rigs[open])))
		open++;
	if (!code)
		code = bench_modes_make_prompt(rigs->model, &prompt);
	if (!code)
		code = bench_modes_measure_gaps(r, rigs, prompt.ids, prompt.n, gaps[0]);
	if (!code && plumb_model_config(rigs->model)->vocab > HELLO)
		code = bench_modes_measure_gaps(r, rigs, (const int32_t[]){ HELLO }, 1, gaps[1]);
	if (!code && !(code = bench_measure(r, rigs, MODES))) {
		if (r->common.json)
			code = bench_modes_print_json(r, rigs, &prompt, gaps);
		else
			bench_modes_print(r, rigs, &prompt, gaps);
	}
	while (open--)
		bench_close(&rigs[open]);
	return code;
}
