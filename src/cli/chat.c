/* SPDX-License-Identifier: Apache-2.0 */
/* plumb chat: a conversation. Each turn renders the whole conversation to tokens and keeps, of
 * what the session holds, the longest beginning that is the same; so only what is new is read,
 * and the model always sees exactly what rendering everything at once would give. */
#include "cli/cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static int run(int argc, char **argv);

const struct cli_command cli_chat = {
	"chat", "talk with a model; it remembers the conversation",
	"Usage: plumb chat MODEL [options]\n"
	"Each line is a message; a message of several lines begins and ends with \"\"\". Ctrl-C stops an\n"
	"answer, Ctrl-D or /quit ends. Works in pipes, too: one answer per line of standard input.\n"
	"\n"
	"  --system TEXT        system message in place of the template's own\n"
	"  -n N                 write at most N tokens per answer\n"
	"  --ctx N              context: most tokens of the whole conversation (default: the model's)\n"
	CLI_KV_HELP
	"  --rates              tokens per second after each answer, on standard error\n"
	CLI_NFC_HELP CLI_SAMPLING_HELP CLI_COMMON_HELP
	"\n"
	"In the conversation:\n"
	"  /reset               forget the conversation, keep the system message\n"
	"  /help                these commands\n"
	"  /quit                end\n"
	"\n"
	"Examples:\n"
	"  plumb chat model.gguf\n"
	"  plumb chat model.gguf --system \"Answer in one sentence.\" --temp 0.7 --top-p 0.9\n"
	"  printf 'What is 2 + 2?\\nAnd doubled?\\n' | plumb chat model.gguf\n",
	run
};

static const struct option options[] = {
	CLI_COMMON_LONG, CLI_NFC_LONG, CLI_SAMPLING_LONG,
	{ "system", required_argument, NULL, 's' }, CLI_CTX_LONG, CLI_KV_LONG,
	{ "rates", no_argument, NULL, 'R' }, { NULL, 0, NULL, 0 }
};

struct chat {
	struct cli_common common;
	struct plumb_sampling sampling;
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

static int add_message(struct chat *c, const char *role, const char *content)
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

static void drop_messages(struct chat *c, size_t keep)
{
	while (c->messages > keep)
		free((char *)c->talk[--c->messages].content);
}

static int start_over(struct chat *c)
{
	plumb_sampler_free(c->sampler);
	c->sampler = NULL;
	drop_messages(c, c->system ? 1 : 0);
	enum plumb_status s = plumb_sampler_new(&c->sampler, &c->sampling);
	if (s)
		return cli_fail(s);
	return c->system && !c->messages ? add_message(c, "system", c->system) : CLI_OK;
}

/* --- one turn --- */

/* Note what the session holds now: the first `position` of ids, then of the made tokens. */
static int remember(struct chat *c, const int32_t *ids, int64_t n, const struct cli_generation *g)
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

static int report(const struct chat *c, const struct cli_generation *g, const char *text, const int32_t *ids, int64_t n)
{
	if (c->common.json)
		return cli_json_print(json_pack("{s:s, s:s, s:o, s:o, s:I, s:f, s:f}", "answer", text, "stop", g->stop,
			"prompt_tokens", cli_json_ids(ids, n), "tokens", cli_json_ids(g->tokens, g->count), "reused", (json_int_t)(n - g->prompt),
			"prompt_seconds", g->prompt_seconds, "seconds", g->seconds), true);
	if (g->count)
		putchar('\n');
	fflush(stdout);
	if (!strcmp(g->stop, "context"))
		fprintf(stderr, "plumb: the conversation has filled the context of %lld tokens; /reset starts a new one,\n"
			"       --ctx N (at most the model's) makes it longer\n", (long long)c->context);
	if (!strcmp(g->stop, "length") && c->interactive)
		fprintf(stderr, "(stopped after %ld tokens: -n)\n", c->most);
	if (!strcmp(g->stop, "cancelled") && c->interactive)
		fputs("(stopped)\n", stderr);
	if (c->rates)
		cli_rates(g);
	return CLI_OK;
}

/* Read the new part of ids and answer. */
static int answer(struct chat *c, const int32_t *ids, int64_t n)
{
	struct cli_generation g = { .most = c->most, .quiet = c->common.json };
	int64_t same = 0;
	while (same < c->held_count && same < n - 1 && c->held[same] == ids[same])
		same++;
	enum plumb_status s = plumb_session_rewind(c->session, same);
	if (s)
		return cli_fail(s);
	cli_cancel = 0;
	cli_catch_interrupt();
	s = cli_generate(c->session, c->tok, c->sampler, ids + same, n - same, &g);
	int code = remember(c, ids, n, &g);
	if (s) {
		if (g.count && !c->common.json)
			putchar('\n');
		code = cli_fail(s);
	}
	if (!code) {
		size_t size;
		char *text = cli_text(c->tok, g.tokens, g.count, &size);
		code = text ? report(c, &g, text, ids, n) : cli_complain(CLI_ERROR, "no memory for the answer");
		if (!code && g.count)
			code = add_message(c, "assistant", text);
		if (!code && !g.count)
			drop_messages(c, c->messages - 1); /* stopped before it began: the question was not asked */
		if (!code && !strcmp(g.stop, "output"))
			code = CLI_ERROR; /* main says why */
		free(text);
	}
	free(g.tokens);
	return code;
}

static int turn(struct chat *c, const char *message)
{
	int32_t *ids;
	size_t n;
	int code = add_message(c, "user", message);
	if (code)
		return code;
	enum plumb_status s = plumb_chat_tokenize(c->tok, c->talk, 0, c->messages, true, &ids, &n);
	if (s) {
		code = cli_fail(s);
	} else {
		if ((int64_t)n > c->context)
			code = cli_complain(CLI_LIMIT, "with this message the conversation has %zu tokens, the context takes %lld;\n"
				"       /reset starts a new one, --ctx N (at most the model's) makes it longer", n, (long long)c->context);
		else
			code = answer(c, ids, (int64_t)n);
		free(ids);
	}
	if (code && c->messages && !strcmp(c->talk[c->messages - 1].role, "user"))
		drop_messages(c, c->messages - 1);
	return code;
}

/* --- input --- */

enum input { INPUT_LINE, INPUT_END, INPUT_AGAIN };

/* Wait for a line at the prompt; false after a signal. Signals are held back until the wait itself, so
 * that a Ctrl-C just before it is not lost. again: leave the last Ctrl-C's default, which ends plumb. */
static bool wait_for_line(const char *sign, bool again)
{
	sigset_t before;
	fd_set in;
	FD_ZERO(&in);
	FD_SET(STDIN_FILENO, &in);
	cli_hold_signals(&before);
	if (!again)
		cli_catch_interrupt();
	cli_cancel = 0;
	fputs(sign, stderr);
	bool signalled = pselect(STDIN_FILENO + 1, &in, NULL, NULL, NULL, &before) < 0 && cli_cancel;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !signalled;
}

/* A line without its end. Ctrl-C at the prompt gives up the line; a second one ends plumb. */
static enum input read_line(const struct chat *c, const char *sign, bool again, char **line, size_t *room, size_t *size)
{
	if (c->interactive && !wait_for_line(sign, again)) {
		if (cli_cancel == SIGTERM)
			return INPUT_END;
		fputs("\n(Ctrl-D or /quit ends; so does Ctrl-C once more)\n", stderr);
		return INPUT_AGAIN;
	}
	ssize_t n = getline(line, room, stdin);
	if (n < 0) {
		if (c->interactive)
			fputc('\n', stderr);
		return INPUT_END;
	}
	while (n && ((*line)[n - 1] == '\n' || (*line)[n - 1] == '\r'))
		(*line)[--n] = 0;
	*size = (size_t)n;
	return INPUT_LINE;
}

#define FENCE "\"\"\""

/* Lines from one that begins with """ to one that ends with it, as one message in *line. */
static enum input read_block(const struct chat *c, char **line, size_t *room, size_t *size)
{
	char *text = strdup(*line + 3);
	size_t n = text ? strlen(text) : 0;
	enum input in = INPUT_LINE;
	while (text && !(n >= 3 && !strcmp(text + n - 3, FENCE))) {
		if ((in = read_line(c, "... ", false, line, room, size)) != INPUT_LINE)
			break;
		char *more = realloc(text, n + *size + 2);
		if (!more)
			free(text);
		else
			n += (size_t)sprintf(more + n, "\n%s", *line);
		text = more;
	}
	if (!text || in == INPUT_AGAIN) {
		bool memory = text != NULL;
		free(text);
		return memory ? INPUT_AGAIN : INPUT_END;
	}
	if (n >= 3 && !strcmp(text + n - 3, FENCE))
		text[n -= 3] = 0;
	free(*line);
	*line = text;
	*room = n + 1;
	*size = n;
	return INPUT_LINE;
}

static bool is_command(const char *line)
{
	return line[0] == '/' && line[1] && !line[1 + strspn(line + 1, "abcdefghijklmnopqrstuvwxyz")];
}

/* An exit code, or -1 to end well. */
static int obey(struct chat *c, const char *line)
{
	if (!strcmp(line, "/quit") || !strcmp(line, "/exit"))
		return -1;
	if (!strcmp(line, "/reset")) {
		int code = start_over(c);
		if (!code && c->interactive)
			fputs("(a new conversation)\n", stderr);
		return code;
	}
	if (!strcmp(line, "/help")) {
		fputs("/reset forgets the conversation, /quit or Ctrl-D ends, Ctrl-C stops an answer.\n"
			"A message of several lines begins and ends with \"\"\".\n", stderr);
		return CLI_OK;
	}
	return cli_complain(CLI_USAGE, "%s is no command here; /help lists them (a space before it makes it a message)", line);
}

static int converse(struct chat *c)
{
	char *line = NULL;
	size_t room = 0, size = 0;
	int code = CLI_OK;
	if (c->interactive)
		fputs("Ctrl-C stops an answer, Ctrl-D ends, /help lists commands.\n", stderr);
	cli_catch_interrupt();
	for (enum input in = INPUT_LINE;;) {
		in = read_line(c, "> ", in == INPUT_AGAIN, &line, &room, &size);
		if (in == INPUT_LINE && !strncmp(line, FENCE, 3))
			in = read_block(c, &line, &room, &size);
		if (in == INPUT_AGAIN)
			continue;
		if (in == INPUT_END) {
			code = cli_cancel ? CLI_INTERRUPTED : ferror(stdin) ? cli_complain(CLI_ERROR, "standard input: %s", strerror(errno)) : code;
			break;
		}
		if (!size || line[strspn(line, " \t")] == 0)
			continue;
		if (strlen(line) != size)
			code = cli_complain(CLI_USAGE, "the message holds a NUL byte");
		else
			code = is_command(line) ? obey(c, line) : turn(c, line);
		if (code < 0) {
			code = CLI_OK;
			break;
		}
		if (cli_cancel == SIGTERM || (cli_cancel && !c->interactive))
			code = CLI_INTERRUPTED;
		/* A person can say it another way; a pipe cannot. */
		if (code && !(c->interactive && (code == CLI_USAGE || code == CLI_LIMIT)))
			break;
		code = CLI_OK;
	}
	free(line);
	return code;
}

/* --- the command line --- */

/* 0, or an exit code + 1. */
static int take(struct chat *c, int option)
{
	int taken = cli_sampling_option(&c->sampling, option, optarg);
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

static int parse(struct chat *c, int argc, char **argv)
{
	int option, leave;
	while ((option = getopt_long(argc, argv, CLI_COMMON_SHORT "n:", options, NULL)) != -1)
		if ((leave = take(c, option)))
			return leave;
	if (optind == argc)
		return cli_complain(CLI_USAGE, "chat needs a model file; try 'plumb chat --help'") + 1;
	if (optind + 1 < argc)
		return cli_complain(CLI_USAGE, "chat reads messages from standard input, but \"%s\" follows the model", argv[optind + 1]) + 1;
	c->model_path = argv[optind];
	return 0;
}

static int open_session(struct chat *c, struct plumb_model *model)
{
	c->tok = plumb_model_tokenizer(model);
	if (!c->tok)
		return cli_fail(PLUMB_E_UNSUPPORTED);
	c->context = c->options.context ? c->options.context : plumb_model_config(model)->context;
	enum plumb_status s = plumb_session_new(&c->session, model, &c->options);
	return s ? cli_fail(s) : start_over(c);
}

static int run(int argc, char **argv)
{
	struct chat c = { .sampling = CLI_SAMPLING_DEFAULT, .most = -1, .options.cancel = cli_cancelled };
	struct plumb_context *ctx;
	struct plumb_model *model;
	int code = parse(&c, argc, argv);
	if (code)
		return code - 1;
	if ((code = cli_load(&c.common, c.model_path, &ctx, &model)))
		return code;
	c.interactive = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	if (!(code = open_session(&c, model)))
		code = converse(&c);
	drop_messages(&c, 0);
	free(c.talk);
	free(c.held);
	plumb_sampler_free(c.sampler);
	plumb_session_free(c.session);
	plumb_model_free(model);
	plumb_close(ctx);
	return code;
}
