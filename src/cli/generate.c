/* SPDX-License-Identifier: Apache-2.0 */
/* From a prompt to a stream of tokens: shared by run and chat. */
#include "cli/cli.h"
#include <stdlib.h>

#define PASS 256 /* prompt tokens between two looks at the clock */

static enum plumb_status read_prompt(struct plumb_session *session, const int32_t *prompt, int64_t n)
{
	for (int64_t done = 0, part; done < n; done += part) {
		part = n - done < PASS ? n - done : PASS;
		enum plumb_status s = plumb_session_eval(session, prompt + done, part, done + part == n ? PLUMB_LOGITS_LAST : PLUMB_LOGITS_NONE);
		if (s)
			return s;
		cli_progress("reading the prompt", (double)(done + part), (double)n);
	}
	cli_progress_end();
	return PLUMB_OK;
}

static enum plumb_status put(struct cli_generation *g, struct plumb_stream *stream, const struct plumb_tokenizer *tok, int32_t id)
{
	if (g->quiet)
		return PLUMB_OK;
	if (g->ids) {
		printf(g->count > 1 ? " %d" : "%d", id);
	} else if ((size_t)id < plumb_tokenizer_size(tok)) { /* a row of the embedding past the tokens has no text */
		size_t room = 3 * plumb_token_bytes(tok, id).n + 16, n;
		char *text = malloc(room);
		if (!text)
			return PLUMB_E_MEMORY;
		enum plumb_status s = plumb_stream_token(stream, tok, id, false, text, room, &n);
		if (!s)
			fwrite(text, 1, n, stdout);
		free(text);
		if (s)
			return s;
	}
	fflush(stdout);
	return PLUMB_OK;
}

static bool keep(struct cli_generation *g, int64_t *room, int32_t id)
{
	if (g->count == *room) {
		int64_t more = *room ? 2 * *room : 256;
		int32_t *tokens = realloc(g->tokens, sizeof *tokens * (size_t)more);
		if (!tokens)
			return false;
		g->tokens = tokens;
		*room = more;
	}
	g->tokens[g->count++] = id;
	return true;
}

static enum plumb_status write_tokens(struct plumb_session *session, const struct plumb_tokenizer *tok, struct plumb_sampler *sampler,
	struct plumb_stream *stream, struct cli_generation *g)
{
	int64_t room = 0, rows, vocab = plumb_model_config(plumb_session_model(session))->vocab;
	for (;;) {
		const float *logits;
		int32_t id;
		enum plumb_status s = plumb_session_logits(session, &logits, &rows);
		if (s || (s = plumb_sample(sampler, logits, (int32_t)vocab, &id)))
			return s;
		if (!keep(g, &room, id))
			return PLUMB_E_MEMORY;
		if (tok && !g->ignore_end && plumb_tokenizer_is_end(tok, id)) {
			g->stop = "end";
			return g->ids ? put(g, stream, tok, id) : PLUMB_OK;
		}
		if ((s = put(g, stream, tok, id)))
			return s;
		if (ferror(stdout)) { /* a full disk: more would go nowhere */
			g->stop = "output";
			return PLUMB_OK;
		}
		if (g->most >= 0 && g->count >= g->most) {
			g->stop = "length";
			return PLUMB_OK;
		}
		s = cli_cancel ? PLUMB_E_CANCELLED : plumb_session_eval(session, &id, 1, PLUMB_LOGITS_LAST);
		if (s == PLUMB_E_CANCELLED || s == PLUMB_E_LIMIT) {
			g->stop = s == PLUMB_E_LIMIT ? "context" : "cancelled";
			return PLUMB_OK;
		}
		if (s)
			return s;
	}
}

enum plumb_status cli_generate(struct plumb_session *session, const struct plumb_tokenizer *tok, struct plumb_sampler *sampler,
	const int32_t *prompt, int64_t n, struct cli_generation *g)
{
	struct plumb_stream stream = { { 0 }, 0 };
	double start = cli_seconds();
	g->tokens = NULL;
	g->count = 0;
	g->stop = "";
	g->prompt = n;
	for (int64_t i = 0; i < n; i++)
		plumb_sampler_saw(sampler, prompt[i]);
	enum plumb_status s = read_prompt(session, prompt, n);
	g->prompt_seconds = cli_seconds() - start;
	if (s == PLUMB_E_CANCELLED) {
		g->stop = "cancelled";
		return PLUMB_OK;
	}
	if (s || g->most == 0)
		return s;
	start = cli_seconds();
	s = write_tokens(session, tok, sampler, &stream, g);
	g->seconds = cli_seconds() - start;
	char rest[16];
	if (!g->quiet)
		fwrite(rest, 1, plumb_stream_end(&stream, rest, sizeof rest), stdout);
	return s;
}

char *cli_text(const struct plumb_tokenizer *tok, const int32_t *ids, int64_t n, size_t *size)
{
	struct plumb_stream stream = { { 0 }, 0 };
	size_t room = 17;
	*size = 0;
	for (int64_t i = 0; tok && i < n; i++)
		room += 3 * plumb_token_bytes(tok, ids[i]).n + 16;
	char *text = malloc(room);
	if (!text)
		return NULL;
	for (int64_t i = 0; tok && i < n; i++) {
		size_t wrote = 0;
		if (!plumb_stream_token(&stream, tok, ids[i], false, text + *size, room - *size, &wrote))
			*size += wrote;
	}
	*size += plumb_stream_end(&stream, text + *size, room - *size);
	text[*size] = 0;
	return text;
}

void cli_rates(const struct cli_generation *g)
{
	fprintf(stderr, "%lld token%s read at %.1f/s", (long long)g->prompt, g->prompt == 1 ? "" : "s", (double)g->prompt / g->prompt_seconds);
	/* The first token comes with the prompt's evaluation. */
	if (g->count > 1)
		fprintf(stderr, ", %lld written at %.1f/s", (long long)g->count, (double)(g->count - 1) / g->seconds);
	fputc('\n', stderr);
}

int cli_sampling_option(struct plumb_sampling *sampling, int option, const char *value)
{
	long whole;
	switch (option) {
	case 1100: return cli_real("--temp", value, 0, 100, &sampling->temperature) ? 1 : -1;
	case 1101:
		if (!cli_whole("--top-k", value, 0, 1 << 24, &whole))
			return -1;
		sampling->top_k = (int)whole;
		return 1;
	case 1102: return cli_real("--top-p", value, 0, 1, &sampling->top_p) ? 1 : -1;
	case 1103: return cli_real("--min-p", value, 0, 1, &sampling->min_p) ? 1 : -1;
	case 1104: return cli_real("--repeat-penalty", value, 0.01, 100, &sampling->repeat_penalty) ? 1 : -1;
	case 1105:
		if (!cli_whole("--seed", value, 0, 0x7fffffffffffffffL, &whole))
			return -1;
		sampling->seed = (uint64_t)whole;
		return 1;
	default: return 0;
	}
}
