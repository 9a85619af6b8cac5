/* SPDX-License-Identifier: Apache-2.0 */
/* Answers a prompt with the likeliest tokens.
 *   cc generate.c $(pkg-config --cflags --libs plumb) -o generate && ./generate model.gguf "Hello" */
#include <stdio.h>
#include <stdlib.h>
#include <plumb/plumb.h>

static int fail(const char *what)
{
	fprintf(stderr, "generate: %s: %s\n", what, plumb_last_error());
	return EXIT_FAILURE;
}

static int answer(struct plumb_model *model, const char *prompt)
{
	const struct plumb_tokenizer *tok = plumb_model_tokenizer(model);
	struct plumb_message message = { "user", prompt };
	struct plumb_sampler *sampler = NULL;
	struct plumb_session *session = NULL;
	struct plumb_stream stream = { .count = 0 };
	const float *logits;
	int32_t *ids = NULL, id;
	size_t n;
	int64_t rows;
	char text[512];
	int code = EXIT_FAILURE;
	if (!tok || plumb_chat_tokenize(tok, &message, 0, 1, true, &ids, &n) ||
		plumb_sampler_new(&sampler, PLUMB_SAMPLING(.top_p = 1, .repeat_penalty = 1)) ||
		plumb_session_new(&session, model, NULL) ||
		plumb_session_eval(session, ids, (int64_t)n, PLUMB_LOGITS_LAST))
		goto done;
	for (int i = 0; i < 64; i++) {
		if (plumb_session_logits(session, &logits, &rows) ||
			plumb_sample(sampler, logits, (int32_t)plumb_model_config(model)->vocab, &id))
			goto done;
		if (plumb_tokenizer_is_end(tok, id))
			break;
		if (plumb_stream_token(&stream, tok, id, false, text, sizeof text, &n))
			goto done;
		fwrite(text, 1, n, stdout);
		fflush(stdout);
		if (plumb_session_eval(session, &id, 1, PLUMB_LOGITS_LAST))
			goto done;
	}
	putchar('\n');
	code = EXIT_SUCCESS;
done:
	if (code)
		fail("answer");
	plumb_session_free(session);
	plumb_sampler_free(sampler);
	free(ids);
	return code;
}

int main(int argc, char **argv)
{
	struct plumb_context *ctx;
	struct plumb_model *model;
	if (argc != 3) {
		fprintf(stderr, "usage: generate MODEL PROMPT\n");
		return 2;
	}
	if (plumb_open(&ctx, NULL))
		return fail("drivers");
	if (plumb_model_load(&model, ctx, argv[1], NULL, NULL)) {
		plumb_close(ctx);
		return fail("model");
	}
	int code = answer(model, argv[2]);
	plumb_model_free(model);
	plumb_close(ctx);
	return code;
}
