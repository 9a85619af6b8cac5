/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line gives a diagnosis: the tokens of the prompt, the options of the library, progress. */
#include "cli/diag.h"
#include <string.h>

int cli_diag_tokens(struct cli_diag *r, const struct plumb_model *model)
{
	const struct plumb_tokenizer *tok = plumb_model_tokenizer(model);
	const char *text = r->prompt ? r->prompt : r->chat;
	size_t n = 0, size = text ? strlen(text) : 0;
	enum plumb_status s = PLUMB_OK;
	if (r->ids) {
		int code = cli_ids("--tokens", r->ids, &r->tokens, &n);
		r->token_count = (int64_t)n;
		return code;
	}
	if (!text)
		return CLI_OK;
	if (!tok)
		return cli_fail(PLUMB_E_UNSUPPORTED);
	int code = cli_text_check("the prompt", &text, &size, false);
	if (!code && !size)
		code = cli_complain(CLI_USAGE, "the prompt is empty");
	if (!code && r->chat)
		code = cli_chat_ready(tok);
	if (code)
		return code;
	if (r->prompt)
		s = plumb_tokenize(tok, text, size, PLUMB_SPECIALS_PARSE, &r->tokens, &n);
	else
		s = plumb_chat_tokenize(tok, &(struct plumb_message){ "user", text }, 0, 1, true, &r->tokens, &n);
	r->token_count = (int64_t)n;
	return s ? cli_fail(s) : CLI_OK;
}

bool cli_diag_progress(void *user, const char *what, double done, double total)
{
	(void)user;
	cli_progress(what, done, total);
	return !cli_cancel;
}

struct plumb_diag_options cli_diag_options(const struct cli_diag *r)
{
	return *PLUMB_DIAG_OPTIONS(.tokens = r->tokens, .token_count = r->token_count, .layers = r->layers,
		.layer = (int)r->layer, .fault = r->fault, .progress = cli_diag_progress);
}
