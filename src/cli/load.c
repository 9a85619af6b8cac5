/* SPDX-License-Identifier: Apache-2.0 */
/* Opening drivers and a model, with what is said meanwhile, and the template to chat with. */
#include "cli/cli.h"
#include <stdlib.h>
#include <unistd.h>

bool cli_answering;

static void loading(void *user, uint64_t done, uint64_t total)
{
	(void)user;
	cli_progress("loading", (double)done, (double)total);
}

/* Not while an answer is on the same terminal: this would erase its last line. */
static void load_busy(void *user, const char *what)
{
	(void)user;
	if (!isatty(STDERR_FILENO) || (cli_answering && isatty(STDOUT_FILENO)))
		return;
	if (what)
		fprintf(stderr, "\r\033[K%.70s (once)", what);
	else
		fputs("\r\033[K", stderr);
	fflush(stderr);
}

static void load_notice(void *user, const char *line)
{
	(void)user;
	cli_progress_end();
	fprintf(stderr, "plumb: note: %s\n", line);
}

/* "chatml, qwen2 ..." */
static const char *load_template_names(char *out, size_t size)
{
	size_t n = 0;
	for (int i = 0; plumb_template_name(i) && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, i ? ", %s" : "%s", plumb_template_name(i));
	return out;
}

int cli_chat_ready(const struct plumb_tokenizer *tok)
{
	char names[256];
	int32_t *ids;
	size_t n;
	enum plumb_status s = plumb_chat_tokenize(tok, NULL, 0, 0, true, &ids, &n);
	free(ids);
	if (!s || plumb_tokenizer_template(tok))
		return s ? cli_fail(s) : CLI_OK;
	return cli_complain(CLI_INPUT,
		"%s; --template NAME (%s) or --template FILE chooses one, run --raw needs none", plumb_last_error(),
		load_template_names(names, sizeof names));
}

/* --template: a name, or a file with the text. */
static int load_choose_template(struct plumb_tokenizer *tok, const char *choice)
{
	char names[256], *text;
	size_t size;
	if (!plumb_tokenizer_use_template(tok, choice))
		return CLI_OK;
	if (access(choice, F_OK))
		return cli_complain(CLI_USAGE, "--template: \"%s\" is neither a name (%s) nor a file", choice,
			load_template_names(names, sizeof names));
	int code = cli_read_all(choice, &text, &size);
	if (code)
		return code;
	enum plumb_status s = plumb_tokenizer_read_template(tok, text, size);
	free(text);
	return s ? cli_complain(CLI_INPUT, "%s: %s; --template NAME takes %s", choice, plumb_last_error(),
				   load_template_names(names, sizeof names))
			 : CLI_OK;
}

int cli_load(
	const struct cli_common *common, const char *path, struct plumb_context **ctx, struct plumb_model **model)
{
	*model = NULL;
	struct plumb_options options = common->open;
	options.size = sizeof options;
	options.notice = load_notice;
	options.busy = load_busy;
	enum plumb_status s = plumb_open(ctx, &options);
	if (!s && (s = plumb_model_load(model, *ctx, path, loading, NULL))) {
		plumb_close(*ctx);
		*ctx = NULL;
	}
	cli_progress_end();
	if (s)
		return cli_fail(s);
	struct plumb_tokenizer *tok = plumb_model_tokenizer(*model);
	if (tok && common->nfc)
		plumb_tokenizer_normalise(tok, true);
	if (tok && common->no_bos)
		plumb_tokenizer_add_bos(tok, false);
	int code = tok && common->template ? load_choose_template(tok, common->template) : CLI_OK;
	if (code) {
		plumb_model_free(*model);
		plumb_close(*ctx);
		*model = NULL;
		*ctx = NULL;
	}
	return code;
}

void cli_warnings(const char *path, const struct plumb_tokenizer *tok)
{
	for (int i = 0; tok && plumb_tokenizer_warning(tok, i); i++)
		fprintf(stderr, "plumb: note: %s: %s\n", path, plumb_tokenizer_warning(tok, i));
}
