/* SPDX-License-Identifier: Apache-2.0 */
/* From a prompt to a stream of tokens: shared by run and chat. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

#define PASS 256 /* prompt tokens between two looks at the clock */

/* What writing needs beside the results. */
struct writer {
	struct cli_generation *g;
	const struct plumb_tokenizer *tok; /* NULL: ids only */
	struct plumb_stream stream;
	struct plumb_stop *stop;
	int64_t room;
	size_t text_room;
	bool memory; /* ran out of it */
};

static enum plumb_status generate_read_prompt(struct plumb_session *session, const int32_t *prompt, int64_t n)
{
	for (int64_t done = 0, part; done < n; done += part) {
		part = n - done < PASS ? n - done : PASS;
		enum plumb_status s = plumb_session_eval(
			session, prompt + done, part, done + part == n ? PLUMB_LOGITS_LAST : PLUMB_LOGITS_NONE);
		if (s)
			return s;
		cli_progress("reading the prompt", (double)(done + part), (double)n);
	}
	cli_progress_end();
	return PLUMB_OK;
}

/* Text that is certain: kept, and shown unless ids are or JSON comes later. */
static bool generate_show(struct writer *w, struct plumb_span text)
{
	struct cli_generation *g = w->g;
	if (g->size + text.n + 1 > w->text_room) {
		size_t room = 2 * (g->size + text.n + 1);
		char *more = realloc(g->text, room);
		if (!more)
			return false;
		g->text = more;
		w->text_room = room;
	}
	memcpy(g->text + g->size, text.p, text.n);
	g->size += text.n;
	g->text[g->size] = 0;
	if (!g->quiet && !g->ids)
		fwrite(text.p, 1, text.n, stdout), cli_answering = true;
	return true;
}

static bool generate_is_stop_token(const struct writer *w, int32_t id)
{
	struct plumb_span bytes = plumb_token_bytes(w->tok, id);
	for (size_t i = 0; i < w->g->stops && plumb_tokenizer_is_special(w->tok, id); i++)
		if (w->g->stop_texts[i].n == bytes.n && !memcmp(w->g->stop_texts[i].p, bytes.p, bytes.n)) {
			w->g->stop_text = w->g->stop_texts[i].p;
			return true;
		}
	return false;
}

/* Decode the token through the stop texts; false: no memory. */
static bool generate_put_text(struct writer *w, int32_t id)
{
	struct plumb_span certain;
	size_t room = 3 * plumb_token_bytes(w->tok, id).n + 16, n;
	int hit;
	if ((size_t)id >= plumb_tokenizer_size(w->tok) ||
		generate_is_stop_token(w, id)) /* a row of the embedding past the tokens has no text */
		return true;
	char *text = malloc(room);
	if (!text)
		return false;
	bool good = !plumb_stream_token(&w->stream, w->tok, id, false, text, room, &n) &&
		!plumb_stop_feed(w->stop, text, n, &certain, &hit) && generate_show(w, certain);
	if (good && hit >= 0)
		w->g->stop_text = w->g->stop_texts[hit].p;
	free(text);
	return good;
}

static bool generate_keep(struct writer *w, int32_t id)
{
	struct cli_generation *g = w->g;
	if (g->count == w->room) {
		int64_t more = w->room ? 2 * w->room : 256;
		int32_t *tokens = realloc(g->tokens, sizeof *tokens * (size_t)more);
		if (!tokens)
			return false;
		g->tokens = tokens;
		w->room = more;
	}
	g->tokens[g->count++] = id;
	return true;
}

static bool generate_write_token(struct writer *w, int32_t id)
{
	struct cli_generation *g = w->g;
	bool end = w->tok && !g->ignore_end && plumb_tokenizer_is_end(w->tok, id);
	if (!generate_keep(w, id))
		return false;
	if (g->ids && !g->quiet)
		printf(g->count > 1 ? " %d" : "%d", id);
	if (w->tok && !end && !generate_put_text(w, id))
		return false;
	if (!g->quiet)
		fflush(stdout);
	if (end)
		g->stop = "end";
	else if (g->stop_text)
		g->stop = "stop";
	else if (!g->quiet && ferror(stdout)) /* a full disk: more would go nowhere */
		g->stop = "output";
	else if (g->most >= 0 && g->count >= g->most)
		g->stop = "length";
	return true;
}

/* Until g->stop is set. */
static enum plumb_status generate_write_tokens(
	struct plumb_session *session, struct plumb_sampler *sampler, struct writer *w)
{
	int64_t rows, vocab = plumb_model_config(plumb_session_model(session))->vocab;
	for (;;) {
		const float *logits;
		int32_t id;
		enum plumb_status s = plumb_session_logits(session, &logits, &rows);
		if (!s && plumb_first_nonfinite(logits, vocab) >= 0)
			s = PLUMB_E_NONFINITE;
		if (s || (s = plumb_sample(sampler, logits, (int32_t)vocab, &id)))
			return s;
		if (!generate_write_token(w, id)) {
			w->memory = true;
			return PLUMB_E_MEMORY;
		}
		if (*w->g->stop)
			return PLUMB_OK;
		if (plumb_session_position(session) == plumb_session_context(session)) {
			w->g->stop = "context";
			return PLUMB_OK;
		}
		s = cli_cancel ? PLUMB_E_CANCELLED : plumb_session_eval(session, &id, 1, PLUMB_LOGITS_LAST);
		if (s)
			return s;
	}
}

/* What was held back comes out, and a line end: what is said of the run begins a line of its own. */
static void generate_finish(struct writer *w, enum plumb_status s)
{
	char rest[16];
	struct plumb_span out, held;
	int hit;
	size_t n = plumb_stream_end(&w->stream, rest, sizeof rest);
	if (!w->g->stop_text && !plumb_stop_feed(w->stop, rest, n, &out, &hit))
		w->memory |= !generate_show(w, out);
	held = plumb_stop_end(w->stop);
	w->memory |= !generate_show(w, held);
	if (!w->g->quiet && (!s || w->g->count)) {
		putchar('\n');
		cli_answering = false;
		fflush(stdout);
	}
}

/* Say what ended it early, if anything that is no good. */
static int generate_judge(
	struct plumb_session *session, const int32_t *ids, int64_t n, const struct writer *w, enum plumb_status s)
{
	int64_t made = plumb_session_position(session) - n;
	if (w->memory)
		return cli_complain(CLI_ERROR, "no memory for the answer");
	if (s != PLUMB_E_NONFINITE)
		return s ? cli_fail_run(s) : CLI_OK;
	int32_t *all = malloc(sizeof *all * (size_t)(n + made));
	if (!all)
		return cli_complain(CLI_NONFINITE, "the model's logits are not finite");
	memcpy(all, ids, sizeof *all * (size_t)n);
	if (made)
		memcpy(all + n, w->g->tokens, sizeof *all * (size_t)made);
	int code = cli_nonfinite(session, all, n + made);
	free(all);
	return code;
}

int cli_generate(struct plumb_session *session, const struct plumb_tokenizer *tok,
	struct plumb_sampler *sampler, const int32_t *ids, int64_t n, struct cli_generation *g)
{
	struct writer w = { .g = g, .tok = tok };
	double start = cli_seconds();
	g->stop = "";
	g->prompt = n - g->kept;
	enum plumb_status s = plumb_stop_new(&w.stop, g->stop_texts, g->stops);
	if (s)
		return cli_fail_run(s);
	for (int64_t i = g->kept; i < n; i++)
		plumb_sampler_saw(sampler, ids[i]);
	s = generate_read_prompt(session, ids + g->kept, n - g->kept);
	g->prompt_seconds = cli_seconds() - start;
	start = cli_seconds();
	if (!s && g->most == 0)
		g->stop = "length";
	else if (!s)
		s = generate_write_tokens(session, sampler, &w);
	g->seconds = cli_seconds() - start;
	if (s == PLUMB_E_CANCELLED) {
		g->stop = "cancelled";
		s = PLUMB_OK;
	}
	generate_finish(&w, s);
	plumb_stop_free(w.stop);
	return generate_judge(session, ids, n, &w, s);
}

int cli_prompt_fits(const char *what, int64_t n, const struct plumb_session *session, int64_t most)
{
	const struct plumb_model *model = plumb_session_model(session);
	int64_t context = plumb_session_context(session), longest = plumb_model_config(model)->context;
	bool room = n < context ||
		(n == context && (most == 0 || most == 1)); /* the last position gives one token more */
	if (room)
		return CLI_OK;
	cli_complain(CLI_LIMIT,
		n > context ? "%s %lld tokens, which do not fit the context of %lld"
					: "%s %lld tokens, which leave no room for an answer in the context of %lld",
		what, (long long)n, (long long)context);
	if (context < longest)
		fprintf(stderr, "       --ctx N, at most the model's %lld, makes it longer\n", (long long)longest);
	else
		fputs("       that is all the model has: shorten it\n", stderr);
	return CLI_LIMIT;
}

void cli_rates(const struct cli_generation *g)
{
	fprintf(stderr, "%lld token%s read at %.1f/s", (long long)g->prompt, g->prompt == 1 ? "" : "s",
		(double)g->prompt / g->prompt_seconds);
	/* The first token comes with the prompt's evaluation. */
	if (g->count > 1)
		fprintf(stderr, ", %lld written at %.1f/s", (long long)g->count, (double)(g->count - 1) / g->seconds);
	fputc('\n', stderr);
}
