/* SPDX-License-Identifier: Apache-2.0 */
/* Messages from standard input: lines, blocks of lines, and Ctrl-C at the prompt. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

/* Wait for a line at the prompt; false after a signal. Signals are held back until the wait itself, so
 * that a Ctrl-C just before it is not lost. again: leave the last Ctrl-C's default, which ends plumb. */
static bool chat_input_wait_for_line(const char *sign, bool again)
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
static enum cli_input chat_input_read_line(
	bool interactive, const char *sign, bool again, char **line, size_t *room, size_t *size)
{
	if (interactive && !chat_input_wait_for_line(sign, again)) {
		if (cli_cancel == SIGTERM)
			return CLI_INPUT_END;
		fputs("\n(Ctrl-D or /quit ends; so does Ctrl-C once more)\n", stderr);
		return CLI_INPUT_AGAIN;
	}
	ssize_t n = getline(line, room, stdin);
	if (n < 0) {
		if (interactive)
			fputc('\n', stderr);
		return CLI_INPUT_END;
	}
	while (n && ((*line)[n - 1] == '\n' || (*line)[n - 1] == '\r'))
		(*line)[--n] = 0;
	*size = (size_t)n;
	return CLI_INPUT_TEXT;
}

#define FENCE "\"\"\""

/* Lines from one that begins with """ to one that ends with it, as one message in *line. */
static enum cli_input chat_input_read_block(bool interactive, char **line, size_t *room, size_t *size)
{
	size_t n = *size - 3;
	char *text = malloc(n + 1);
	if (text)
		memcpy(text, *line + 3, n + 1);
	enum cli_input in = CLI_INPUT_TEXT;
	while (text && !(n >= 3 && !memcmp(text + n - 3, FENCE, 4))) {
		if ((in = chat_input_read_line(interactive, "... ", false, line, room, size)) != CLI_INPUT_TEXT)
			break;
		char *more = realloc(text, n + *size + 2);
		if (!more) {
			free(text);
		} else {
			more[n] = '\n';
			memcpy(more + n + 1, *line, *size + 1); /* a NUL byte stays, to be complained of */
			n += *size + 1;
		}
		text = more;
	}
	if (!text || in == CLI_INPUT_AGAIN) {
		bool memory = text != NULL;
		free(text);
		return memory ? CLI_INPUT_AGAIN : CLI_INPUT_END;
	}
	if (n >= 3 && !memcmp(text + n - 3, FENCE, 4))
		text[n -= 3] = 0;
	free(*line);
	*line = text;
	*room = n + 1;
	*size = n;
	return CLI_INPUT_TEXT;
}

enum cli_input cli_read_message(bool interactive, bool again, char **line, size_t *room, size_t *size)
{
	enum cli_input in = chat_input_read_line(interactive, "> ", again, line, room, size);
	return in == CLI_INPUT_TEXT && *size >= 3 && !memcmp(*line, FENCE, 3)
		? chat_input_read_block(interactive, line, room, size)
		: in;
}
