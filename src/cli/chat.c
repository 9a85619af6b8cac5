/* SPDX-License-Identifier: Apache-2.0 */
/* plumb chat: a conversation. Each turn renders the whole conversation to tokens and keeps, of
 * what the session holds, the longest beginning that is the same; so only what is new is read,
 * and the model always sees exactly what rendering everything at once would give. */
#include "cli/cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int chat_run(int argc, char **argv);

const struct cli_command cli_chat = { "chat", "talk with a model; it remembers the conversation",
	"Usage: plumb chat MODEL [options]\n"
	"Each line is a message; a message of several lines begins and ends with \"\"\". Ctrl-C stops an\n"
	"answer, Ctrl-D or /quit ends. Works in pipes, too: one answer per line of standard input.\n"
	"\n"
	"  --system TEXT        system message in place of the template's own\n" CLI_TEMPLATE_HELP
	"  -n N                 write at most N tokens per answer\n"
	"  --ctx N              context: most tokens of the whole conversation (default: the model's)\n" CLI_KV_HELP
	"  --rates              tokens per second after each answer, on standard error\n" CLI_STOP_HELP
		CLI_NFC_HELP CLI_SAMPLING_HELP CLI_COMMON_HELP "\n"
	"In the conversation:\n"
	"  /reset               forget the conversation, keep the system message\n"
	"  /help                these commands\n"
	"  /quit                end\n"
	"\n"
	"Examples:\n"
	"  plumb chat model.gguf\n"
	"  plumb chat model.gguf --system \"Answer in one sentence.\" --temp 0.7 --top-p 0.9\n"
	"  printf 'What is 2 + 2?\\nAnd doubled?\\n' | plumb chat model.gguf\n",
	chat_run };

static const struct option options[] = { CLI_COMMON_LONG, CLI_NFC_LONG, CLI_TEMPLATE_LONG, CLI_SAMPLING_LONG,
	CLI_STOP_LONG, { "system", required_argument, NULL, 's' }, CLI_CTX_LONG, CLI_KV_LONG,
	{ "rates", no_argument, NULL, 'R' }, { NULL, 0, NULL, 0 } };

struct chat {
	struct cli_common common;
	struct cli_sampling sampling;
	struct cli_stops stops;
	struct plumb_session_options options;
	const char *model_path, *system;
	long most;
	bool rates, interactive;

	struct plumb_session *session;
	const struct plumb_tokenizer *tok;
	struct plumb_sampler *sampler;
	struct plumb_message *talk; /* contents are ours */
	size_t messages, room;
	int32_t *held; /* what the session holds */
	int64_t held_count, context;
};

/* --- history --- */

static int chat_add_message(struct chat *c, const char *role, const char *content)
{
	char *copy = strdup(content);
	if (copy && c->messages == c->room) {
		struct plumb_message *talk = realloc(c->talk, sizeof *talk * (c->room + 16));
		if (talk) {
			c->talk = talk;
			c->room += 16;
		}
	}
	if (!copy || c->messages == c->room) {
		free(copy);
		return cli_complain(CLI_ERROR, "no memory for the conversation");
	}
	c->talk[c->messages++] = (struct plumb_message){ role, copy };
	return CLI_OK;
}

static void chat_drop_messages(struct chat *c, size_t keep)
{
	while (c->messages > keep)
		free((char *)c->talk[--c->messages].content);
}

static int chat_start_over(struct chat *c)
{
	plumb_sampler_free(c->sampler);
	c->sampler = NULL;
	chat_drop_messages(c, c->system ? 1 : 0);
	enum plumb_status s = plumb_sampler_new(&c->sampler, &c->sampling.how);
	if (s)
		return cli_fail(s);
	return c->system && !c->messages ? chat_add_message(c, "system", c->system) : CLI_OK;
}

/* --- one turn --- */

/* Note what the session holds now: the first `position` of ids, then of the made tokens. */
static int chat_remember(struct chat *c, const int32_t *ids, int64_t n, const struct cli_generation *g)
{
	int64_t position = plumb_session_position(c->session), made = position > n ? position - n : 0;
	int32_t *held = malloc(sizeof *held * (size_t)(position + 1));
	if (!held)
		return cli_complain(CLI_ERROR, "no memory for the conversation");
	memcpy(held, ids, sizeof *held * (size_t)(position - made));
	if (made)
		memcpy(held + n, g->tokens, sizeof *held * (size_t)made);
	free(c->held);
	c->held = held;
	c->held_count = position;
	return CLI_OK;
}

/* A message is a string: a NUL byte of the answer is kept as U+FFFD. */
static bool chat_keep_whole(struct cli_generation *g, bool quiet)
{
	static const char instead[] = "\xef\xbf\xbd";
	size_t nuls = 0, n = 0;
	for (size_t i = 0; i < g->size; i++)
		nuls += !g->text[i];
	if (!nuls)
		return true;
	char *text = malloc(g->size + 2 * nuls + 1);
	if (!text)
		return false;
	for (size_t i = 0; i < g->size; i++)
		if (g->text[i])
			text[n++] = g->text[i];
		else
			memcpy(text + n, instead, 3), n += 3;
	text[n] = 0;
	free(g->text);
	g->text = text;
	g->size = n;
	if (!quiet)
		fputs("plumb: note: the answer holds a NUL byte, which the conversation keeps as U+FFFD\n", stderr);
	return true;
}

static json_t *chat_answer_json(
	const struct chat *c, const struct cli_generation *g, const int32_t *ids, int64_t n)
{
	json_t *root = json_pack("{s:s%, s:s, s:o, s:o, s:I, s:f, s:f}", "answer", g->text, g->size, "stop",
		g->stop, "prompt_tokens", cli_json_ids(ids, n), "tokens", cli_json_ids(g->tokens, g->count), "reused",
		(json_int_t)g->kept, "prompt_seconds", g->prompt_seconds, "seconds", g->seconds);
	if (root && g->stop_text)
		json_object_set_new(root, "stop_text", cli_json_text(g->stop_text));
	if (root && c->sampling.how.temperature > 0)
		json_object_set_new(root, "seed", json_integer((json_int_t)c->sampling.how.seed));
	return root;
}

static int chat_report(const struct chat *c, const struct cli_generation *g, const int32_t *ids, int64_t n)
{
	if (c->common.json)
		return cli_json_print(chat_answer_json(c, g, ids, n), true);
	if (!strcmp(g->stop, "context"))
		fprintf(stderr,
			"plumb: the conversation has filled the context of %lld tokens; /reset starts a new one,\n"
			"       --ctx N (at most the model's) makes it longer\n",
			(long long)c->context);
	if (!strcmp(g->stop, "length") && c->interactive)
		fprintf(stderr, "(stopped after %ld tokens: -n)\n", c->most);
	if (!strcmp(g->stop, "cancelled") && c->interactive)
		fputs("(stopped)\n", stderr);
	if (c->rates)
		cli_rates(g);
	return CLI_OK;
}

/* Read the new part of ids and answer. */
static int chat_answer(struct chat *c, const int32_t *ids, int64_t n)
{
	struct cli_generation g = {
		.most = c->most, .quiet = c->common.json, .stop_texts = c->stops.text, .stops = c->stops.count
	};
	while (g.kept < c->held_count && g.kept < n - 1 && c->held[g.kept] == ids[g.kept])
		g.kept++;
	enum plumb_status s = plumb_session_rewind(c->session, g.kept);
	if (s)
		return cli_fail_run(s);
	cli_cancel = 0;
	cli_catch_interrupt();
	int code = cli_generate(c->session, c->tok, c->sampler, ids, n, &g), kept = chat_remember(c, ids, n, &g);
	if (!code)
		code = kept;
	if (!code && !chat_keep_whole(&g, c->common.json))
		code = cli_complain(CLI_ERROR, "no memory for the answer");
	if (!code) {
		code = chat_report(c, &g, ids, n);
		if (!code && g.count)
			code = chat_add_message(c, "assistant", g.text);
		if (!code && !g.count)
			chat_drop_messages(c, c->messages - 1); /* stopped before it began: the question was not asked */
		if (!code && !strcmp(g.stop, "output"))
			code = CLI_ERROR; /* main says why */
	}
	free(g.text);
	free(g.tokens);
	return code;
}

static int chat_turn(struct chat *c, const char *message)
{
	int32_t *ids;
	size_t n;
	int code = chat_add_message(c, "user", message);
	if (code)
		return code;
	enum plumb_status s = plumb_chat_tokenize(c->tok, c->talk, 0, c->messages, true, &ids, &n);
	if (s) {
		code = cli_fail(s);
	} else {
		if (!(code = cli_prompt_fits(
				  "with this message the conversation has", (int64_t)n, c->session, c->most)))
			code = chat_answer(c, ids, (int64_t)n);
		else
			fputs("       /reset starts a new one\n", stderr);
		free(ids);
	}
	if (code && c->messages && !strcmp(c->talk[c->messages - 1].role, "user"))
		chat_drop_messages(c, c->messages - 1);
	return code;
}

/* --- input --- */

static bool chat_is_command(const char *line)
{
	return line[0] == '/' && line[1] && !line[1 + strspn(line + 1, "abcdefghijklmnopqrstuvwxyz")];
}

/* An exit code, or -1 to end well. */
static int chat_obey(struct chat *c, const char *line)
{
	if (!strcmp(line, "/quit") || !strcmp(line, "/exit"))
		return -1;
	if (!strcmp(line, "/reset")) {
		int code = chat_start_over(c);
		if (!code && c->interactive)
			fputs("(a new conversation)\n", stderr);
		return code;
	}
	if (!strcmp(line, "/help")) {
		fputs("/reset forgets the conversation, /quit or Ctrl-D ends, Ctrl-C stops an answer.\n"
			  "A message of several lines begins and ends with \"\"\".\n",
			stderr);
		return CLI_OK;
	}
	return cli_complain(
		CLI_USAGE, "%s is no command here; /help lists them (a space before it makes it a message)", line);
}

static int chat_converse(struct chat *c)
{
	char *line = NULL;
	size_t room = 0, size = 0;
	int code = CLI_OK;
	if (c->interactive)
		fputs("Ctrl-C stops an answer, Ctrl-D ends, /help lists commands.\n", stderr);
	cli_catch_interrupt();
	for (enum cli_input in = CLI_INPUT_TEXT;;) {
		in = cli_read_message(c->interactive, in == CLI_INPUT_AGAIN, &line, &room, &size);
		if (in == CLI_INPUT_AGAIN)
			continue;
		if (in == CLI_INPUT_END) {
			/* not its end: also no memory for a line, which sets no flag */
			code = cli_cancel  ? CLI_INTERRUPTED
				: !feof(stdin) ? cli_complain(CLI_ERROR, "standard input: %s", strerror(errno))
							   : code;
			break;
		}
		const char *text = line;
		code = cli_text_check("the message", &text, &size, false);
		if (!code && text[strspn(text, " \t")] == 0)
			continue;
		if (!code)
			code = chat_is_command(text) ? chat_obey(c, text) : chat_turn(c, text);
		if (code < 0) {
			code = CLI_OK;
			break;
		}
		if (cli_cancel == SIGTERM || (cli_cancel && !c->interactive))
			code = CLI_INTERRUPTED;
		/* A person can say it another way; a pipe cannot. */
		if (code && !(c->interactive && (code == CLI_USAGE || code == CLI_INPUT || code == CLI_LIMIT)))
			break;
		code = CLI_OK;
	}
	free(line);
	return code;
}

/* --- the command line --- */

/* 0, or an exit code + 1. */
static int chat_take(struct chat *c, int option)
{
	int taken = cli_sampling_option(&c->sampling, option, optarg);
	if (!taken)
		taken = cli_stop_option(&c->stops, option, optarg);
	if (!taken)
		taken = cli_session_option(&c->options, 1, option, optarg);
	if (taken)
		return taken > 0 ? 0 : CLI_USAGE + 1;
	switch (option) {
	case 's': c->system = optarg; return 0;
	case 'R': c->rates = true; return 0;
	case 'n': return cli_whole("-n", optarg, 1, 1 << 24, &c->most) ? 0 : CLI_USAGE + 1;
	default: return cli_common_option(&c->common, &cli_chat, option, optarg);
	}
}

static int chat_parse(struct chat *c, int argc, char **argv)
{
	int option, leave;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT "n:", options, NULL)) != -1)
		if ((leave = chat_take(c, option)))
			return leave;
	if (optind == argc)
		return cli_complain(CLI_USAGE, "chat needs a model file; try 'plumb chat --help'") + 1;
	if (optind + 1 < argc)
		return cli_complain(CLI_USAGE,
				   "chat reads messages from standard input, but \"%s\" follows the model",
				   argv[optind + 1]) +
			1;
	c->model_path = argv[optind];
	return 0;
}

static int chat_open_session(struct chat *c, struct plumb_model *model)
{
	c->tok = plumb_model_tokenizer(model);
	if (!c->tok)
		return cli_fail(PLUMB_E_UNSUPPORTED);
	int code = cli_chat_ready(c->tok);
	if (code)
		return code;
	if (c->system) {
		size_t size = strlen(c->system);
		code = cli_text_check("--system", &c->system, &size, false);
		if (code)
			return code;
	}
	cli_sampling_seed(&c->sampling, c->common.json);
	c->context = c->options.context ? c->options.context : plumb_model_config(model)->context;
	enum plumb_status s = plumb_session_new(&c->session, model, &c->options);
	return s ? cli_fail(s) : chat_start_over(c);
}

static int chat_run(int argc, char **argv)
{
	struct chat c = { .sampling = CLI_SAMPLING_DEFAULT,
		.most = -1,
		.options = *PLUMB_SESSION_OPTIONS(.cancel = cli_cancelled) };
	struct plumb_context *ctx;
	struct plumb_model *model;
	int code = chat_parse(&c, argc, argv);
	if (code)
		return code - 1;
	if ((code = cli_load(&c.common, c.model_path, &ctx, &model)))
		return code;
	c.interactive = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	if (!(code = chat_open_session(&c, model)))
		code = chat_converse(&c);
	chat_drop_messages(&c, 0);
	free(c.talk);
	free(c.held);
	plumb_sampler_free(c.sampler);
	plumb_session_free(c.session);
	plumb_model_free(model);
	plumb_close(ctx);
	return code;
}
