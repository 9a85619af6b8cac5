/* SPDX-License-Identifier: Apache-2.0 */
/* The rounds of plumb bench: models opened, timed in turn, and what every table of rates begins with. */
#include "cli/bench.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void bench_tokens(int32_t *ids, int64_t n, int64_t vocab)
{
	for (int64_t i = 0; i < n; i++) /* all over the vocabulary */
		ids[i] = (int32_t)((uint64_t)(i + 1) * 2654435761u % (uint64_t)vocab);
}

static int bench_measure_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static struct bench_rates bench_measure_summary(double *rate, long n)
{
	qsort(rate, (size_t)n, sizeof *rate, bench_measure_compare);
	return (struct bench_rates){ rate[0], n % 2 ? rate[n / 2] : (rate[n / 2 - 1] + rate[n / 2]) / 2,
		rate[n - 1] };
}

/* One decoding step of all sequences; the logits are fetched, as a sampler would need them each time. */
static enum plumb_status bench_measure_step(
	struct plumb_session *const *sessions, long sequences, int32_t token)
{
	int32_t tokens[BENCH_MOST_SEQUENCES];
	const float *logits;
	int64_t rows;
	for (long i = 0; i < sequences; i++)
		tokens[i] = token;
	enum plumb_status s = sequences == 1 ? plumb_session_eval(sessions[0], tokens, 1, PLUMB_LOGITS_LAST)
										 : plumb_sessions_step(sessions, tokens, sequences);
	for (long i = 0; !s && i < sequences; i++)
		s = plumb_session_logits(sessions[i], &logits, &rows);
	return s;
}

/* Are the logits numbers? Else speed means nothing; says where it began. */
static enum plumb_status bench_measure_check_finite(
	struct plumb_session *session, const int32_t *tokens, int64_t n)
{
	const float *logits;
	int64_t rows;
	enum plumb_status s = plumb_session_logits(session, &logits, &rows);
	if (s ||
		plumb_first_nonfinite(logits, rows * plumb_model_config(plumb_session_model(session))->vocab) < 0)
		return s;
	cli_nonfinite(session, tokens, n);
	return PLUMB_E_NONFINITE;
}

/* Tokens per second of one prefill, or of one run of decoding of all sequences together, from depth on. */
static enum plumb_status bench_measure_once(struct plumb_session *const *sessions,
	const struct bench_request *r, const int32_t *ids, bool decode, double *rate)
{
	long n = decode ? r->decode : r->prefill, count = decode ? r->sequences : 1;
	enum plumb_status s = PLUMB_OK;
	for (long i = 0; !s && i < count; i++)
		s = plumb_session_rewind(sessions[i], r->depth);
	double start = cli_seconds();
	if (!s && !decode)
		s = plumb_session_eval(sessions[0], ids, n, PLUMB_LOGITS_LAST);
	for (long i = 0; !s && decode && i < n; i++)
		s = bench_measure_step(sessions, count, ids[i]);
	if (!s)
		s = plumb_synchronize(plumb_model_context(plumb_session_model(sessions[0])));
	*rate = (double)(n * count) / (cli_seconds() - start);
	for (long i = 0; !s && i < count; i++)
		s = bench_measure_check_finite(sessions[i], ids - r->depth, r->depth + n);
	return s;
}

/* One round of one rig: prefill, then decoding. */
static enum plumb_status bench_measure_turn(const struct bench_request *r, struct bench_rig *rig,
	const int32_t *ids, double *prefill, double *decode, double *done, double all)
{
	enum plumb_status s = r->prefill ? bench_measure_once(rig->sessions, r, ids, false, prefill) : PLUMB_OK;
	cli_progress("measuring", *done += (double)r->prefill, all);
	if (!s && r->decode)
		s = bench_measure_once(rig->sessions, r, ids, true, decode);
	cli_progress("measuring", *done += 4.0 * (double)r->decode, all);
	return s;
}

/* What once does, with each kernel timed. */
static enum plumb_status bench_measure_timed(
	struct bench_rig *rig, const struct bench_request *r, const int32_t *ids, bool decode)
{
	static struct cli_kernels before;
	double rate;
	cli_kernels_read(rig->ctx, &before);
	enum plumb_status s = bench_measure_once(rig->sessions, r, ids, decode, &rate);
	cli_kernels_read(rig->ctx, &rig->kernels[decode]);
	cli_kernels_since(&rig->kernels[decode], &before);
	return s;
}

/* Where a driver has kernels to time: a round more, which is not counted. */
static enum plumb_status bench_measure_kernels(
	struct bench_rig *rig, const struct bench_request *r, const int32_t *ids)
{
	enum plumb_status s = plumb_profile(rig->ctx, true);
	if (s == PLUMB_E_UNSUPPORTED)
		return PLUMB_OK;
	if (!s && r->prefill)
		s = bench_measure_timed(rig, r, ids, false);
	if (!s && r->decode)
		s = bench_measure_timed(rig, r, ids, true);
	return s;
}

static enum plumb_status bench_measure_rounds(
	const struct bench_request *r, struct bench_rig *rigs, int count, const int32_t *ids)
{
	static double prefill[BENCH_MOST_RIGS][BENCH_MOST_ROUNDS], decode[BENCH_MOST_RIGS][BENCH_MOST_ROUNDS],
		memory[BENCH_MOST_ROUNDS];
	struct rusage usage;
	double done = 0,
		   all = (double)(count * (r->rounds + 1)) *
		((double)r->prefill + 4.0 * (double)r->decode); /* a written token takes about 4 read ones */
	enum plumb_status s = PLUMB_OK;
	bool read = true;
	for (int k = 0; !s && r->depth && k < count; k++)
		for (long i = 0; !s && i < r->sequences; i++)
			s = plumb_session_eval(rigs[k].sessions[i], ids, r->depth, PLUMB_LOGITS_NONE);
	for (long i = -1; !s && i < r->rounds; i++) { /* -1 warms up: 0 takes its place */
		for (int k = 0; !s && k < count; k++)
			s = bench_measure_turn(r, &rigs[k], ids + r->depth, &prefill[k][i < 0 ? 0 : i],
				&decode[k][i < 0 ? 0 : i], &done, all);
		if (i < 0)
			rigs->resident = getrusage(RUSAGE_SELF, &usage)
				? 0
				: (uint64_t)usage.ru_maxrss * 1024; /* Linux: in KiB */
		else if (!s) /* in each round: what others on the machine leave of it changes within seconds */
			read &= (memory[i] = cli_bandwidth(plumb_context_threads(rigs->ctx))) > 0;
	}
	if (!s && count == 1)
		s = bench_measure_kernels(rigs, r, ids + r->depth);
	cli_progress_end();
	for (int k = 0; !s && k < count; k++) {
		rigs[k].prefill = r->prefill ? bench_measure_summary(prefill[k], r->rounds)
									 : (struct bench_rates){ 0 };
		rigs[k].decode = r->decode ? bench_measure_summary(decode[k], r->rounds) : (struct bench_rates){ 0 };
		rigs[k].memory = read ? bench_measure_summary(memory, r->rounds).median : 0;
	}
	return s;
}

int bench_open(const struct bench_request *r, const char *mode, struct bench_rig *rig)
{
	struct cli_common common = r->common;
	double start = cli_seconds();
	if (mode)
		common.open.mode = mode;
	int code = cli_load(&common, r->model, &rig->ctx, &rig->model);
	rig->load = cli_seconds() - start;
	return code;
}

void bench_close(struct bench_rig *rig)
{
	plumb_model_free(rig->model);
	plumb_close(rig->ctx);
}

int bench_measure(struct bench_request *r, struct bench_rig *rigs, int count)
{
	const struct plumb_config *c = plumb_model_config(rigs->model);
	if (r->prefill < 0) /* nobody asked for a number: take what fits */
		r->prefill = r->depth + 512 <= c->context ? 512
			: r->depth < c->context               ? (long)(c->context - r->depth)
												  : 1;
	long more = r->prefill > r->decode ? r->prefill : r->decode;
	if (r->depth + more > c->context)
		return cli_complain(CLI_LIMIT,
			"--depth %ld and %ld tokens more are beyond the model's context of %lld", r->depth, more,
			(long long)c->context);
	int32_t *ids = malloc(sizeof *ids * (size_t)(r->depth + more));
	if (!ids)
		return cli_complain(CLI_ERROR, "no memory for %ld token ids", r->depth + more);
	bench_tokens(ids, r->depth + more, c->vocab);
	r->session.size = sizeof r->session;
	r->session.context = r->depth + more;
	enum plumb_status s = PLUMB_OK;
	for (int k = 0; !s && k < count; k++)
		for (long i = 0; !s && i < r->sequences; i++)
			s = plumb_session_new(&rigs[k].sessions[i], rigs[k].model, &r->session);
	if (!s) {
		cli_catch_interrupt();
		s = bench_measure_rounds(r, rigs, count, ids);
	}
	for (int k = 0; k < count; k++)
		for (long i = 0; i < r->sequences; i++)
			plumb_session_free(rigs[k].sessions[i]);
	free(ids);
	if (!s && !(rigs->memory > 0))
		return cli_complain(CLI_ERROR, "no memory, or no threads, to measure how fast memory is read");
	return s == PLUMB_E_NONFINITE ? CLI_NONFINITE /* said */ : s ? cli_fail_run(s) : CLI_OK;
}

double bench_weights(const struct bench_request *r, const struct bench_rig *rig)
{
	return rig->decode.median / (double)r->sequences * (double)plumb_model_step_bytes(rig->model);
}

json_t *bench_json_rates(const struct bench_rates *r, long tokens)
{
	return tokens ? json_pack("{s:I, s:f, s:f, s:f}", "tokens", (json_int_t)tokens, "median", r->median,
						"min", r->low, "max", r->high)
				  : json_null();
}

json_t *bench_json_head(const struct bench_request *r, const struct bench_rig *rig)
{
	json_t *drivers = json_array();
	for (int i = 0; i < plumb_driver_count(rig->ctx); i++)
		json_array_append_new(drivers,
			json_pack("{s:s, s:o}", "name", plumb_driver_name(rig->ctx, i), "note",
				cli_json_text(plumb_driver_note(rig->ctx, i))));
	return json_pack("{s:o, s:o, s:i, s:I, s:I, s:I, s:I}", "model", cli_json_text(r->model), "drivers",
		drivers, "threads", plumb_context_threads(rig->ctx), "depth", (json_int_t)r->depth, "rounds",
		(json_int_t)r->rounds, "sequences", (json_int_t)r->sequences, "step_bytes",
		(json_int_t)plumb_model_step_bytes(rig->model));
}

void bench_print_head(const struct bench_request *r, const struct bench_rig *rig)
{
	const struct plumb_config *c = plumb_model_config(rig->model);
	printf("%-9s ", "model");
	cli_put_escaped(
		(struct plumb_span){ c->name[0] ? c->name : r->model, strlen(c->name[0] ? c->name : r->model) }, 120);
	printf(", %lld layers\n", (long long)c->layers);
	for (int i = 0; i < plumb_driver_count(rig->ctx); i++)
		printf("%-9s %s: %s\n", i ? "" : "driver", plumb_driver_name(rig->ctx, i),
			plumb_driver_note(rig->ctx, i));
	if (r->depth)
		printf("%-9s %8ld tokens held before each round\n", "depth", r->depth);
}
