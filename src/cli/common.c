/* SPDX-License-Identifier: Apache-2.0 */
/* Options, messages, loading and progress that the commands share. */
#include "cli/cli.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int cli_complain(enum cli_exit code, const char *format, ...)
{
	va_list args;
	cli_progress_end();
	fputs("plumb: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

/* From the library's status to the exit code, before a model runs and while it does, and advice. */
static const struct advice { enum plumb_status status; enum cli_exit code, running; const char *text; } advices[] = {
	{ PLUMB_E_ARGUMENT, CLI_USAGE, CLI_ERROR, NULL },
	{ PLUMB_E_MEMORY, CLI_ERROR, CLI_ERROR, "close other programs, or take a smaller --ctx" },
	{ PLUMB_E_IO, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_FORMAT, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_SHAPE, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_TYPE, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_UNSUPPORTED, CLI_INPUT, CLI_INPUT, NULL },
	{ PLUMB_E_DRIVER, CLI_DRIVER, CLI_DRIVER, "`plumb env` shows where the driver list comes from; AR_HARDWARE_DRIVER=native always works" },
	{ PLUMB_E_DEVICE, CLI_DRIVER, CLI_DRIVER, NULL },
	{ PLUMB_E_LIMIT, CLI_LIMIT, CLI_LIMIT, "--ctx N widens the context up to the model's own, a larger AR_HARDWARE_MEMORY_SCALE the memory" },
	{ PLUMB_E_NONFINITE, CLI_NONFINITE, CLI_NONFINITE, "`plumb diag stability MODEL --tokens IDS` shows the range of every operator" },
	{ PLUMB_E_INTERNAL, CLI_ERROR, CLI_ERROR, "this is a bug of plumb" },
	{ PLUMB_E_CANCELLED, CLI_INTERRUPTED, CLI_INTERRUPTED, NULL },
};

static int fail(enum plumb_status status, bool running)
{
	for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
		if (advices[i].status == status) {
			enum cli_exit code = running ? advices[i].running : advices[i].code;
			cli_complain(code, "%s", status == PLUMB_E_MEMORY && cli_starved ? "no memory for the result" : plumb_last_error());
			if (advices[i].text)
				fprintf(stderr, "       %s\n", advices[i].text);
			return code;
		}
	return cli_complain(CLI_ERROR, "%s", plumb_last_error());
}

int cli_fail(enum plumb_status status) { return fail(status, false); }
int cli_fail_run(enum plumb_status status) { return fail(status, true); }

bool cli_whole64(const char *option, const char *text, int64_t low, int64_t high, int64_t *value)
{
	char *end;
	errno = 0;
	*value = strtoll(text, &end, 10);
	if (!errno && end != text && !*end && *value >= low && *value <= high)
		return true;
	cli_complain(CLI_USAGE, "%s takes a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", option, low, high, text);
	return false;
}

bool cli_whole(const char *option, const char *text, long low, long high, long *value)
{
	int64_t wide;
	bool good = cli_whole64(option, text, low, high, &wide);
	*value = good ? (long)wide : 0;
	return good;
}

bool cli_real(const char *option, const char *text, double low, double high, double *value)
{
	char *end;
	errno = 0;
	*value = strtod(text, &end);
	if (!errno && end != text && !*end && *value >= low && *value <= high)
		return true;
	cli_complain(CLI_USAGE, "%s takes a number from %g to %g, not \"%s\"", option, low, high, text);
	return false;
}

static bool take_kv(const char *text, enum plumb_type *type)
{
	*type = strcmp(text, "f16") ? PLUMB_F32 : PLUMB_F16;
	if (*type == PLUMB_F16 || !strcmp(text, "f32"))
		return true;
	cli_complain(CLI_USAGE, "--kv takes f32 or f16, not \"%s\"", text);
	return false;
}

int cli_session_option(struct plumb_session_options *session, long least, int option, const char *value)
{
	long whole;
	switch (option) {
	case 1200:
		if (!cli_whole("--ctx", value, least, 1 << 24, &whole))
			return -1;
		session->context = whole;
		return 1;
	case 1201: return take_kv(value, &session->kv_type) ? 1 : -1;
	case 1202:
		if (!cli_whole("--batch", value, 1, 1 << 20, &whole))
			return -1;
		session->batch = whole;
		return 1;
	default: return 0;
	}
}

int cli_common_option(struct cli_common *common, const struct cli_command *command, int option, const char *value)
{
	switch (option) {
	case 1000: common->open.driver = value; return 0;
	case 1001: common->open.precision = value; return 0;
	case 1002: common->json = true; return 0;
	case 1003: common->nfc = true; return 0;
	case 1004: common->open.mode = value; return 0;
	case 1005: common->no_bos = true; return 0;
	case 1006: common->template = value; return 0;
	case 't': common->open.threads = value; return 0;
	case 'h': fputs(command->help, stdout); return CLI_OK + 1;
	default: /* getopt has named the option already */
		fprintf(stderr, "Try 'plumb %s --help'.\n", command->name);
		return CLI_USAGE + 1;
	}
}

int cli_stop_option(struct cli_stops *stops, int option, const char *value)
{
	if (option != 1106)
		return 0;
	if (stops->count == CLI_MOST_STOPS) {
		cli_complain(CLI_USAGE, "at most %d times --stop", CLI_MOST_STOPS);
		return -1;
	}
	if (!*value || plumb_utf8_invalid(value, strlen(value)) < strlen(value)) {
		cli_complain(CLI_USAGE, "--stop takes %s", *value ? "text in UTF-8" : "a text that is not empty");
		return -1;
	}
	stops->text[stops->count++] = (struct plumb_span){ value, strlen(value) };
	return 1;
}

int cli_ids(const char *option, const char *text, int32_t **ids, size_t *n)
{
	size_t room = strlen(text) / 2 + 1;
	*n = 0;
	if (!(*ids = malloc(sizeof **ids * room)))
		return cli_complain(CLI_ERROR, "no memory for token ids");
	for (const char *p = text; *p;) {
		char *end;
		if (isspace((unsigned char)*p) || *p == ',') {
			p++;
			continue;
		}
		unsigned long id = isdigit((unsigned char)*p) ? strtoul(p, &end, 10) : (unsigned long)-1;
		if (id > 0x7fffffff)
			return cli_complain(CLI_USAGE, "%s takes token ids with commas between, not \"%.40s\"", option, p);
		(*ids)[(*n)++] = (int32_t)id;
		p = end;
	}
	return *n ? CLI_OK : cli_complain(CLI_USAGE, "%s got no token id", option);
}

/* --- time, Ctrl-C, progress --- */

double cli_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

atomic_int cli_cancel; /* lock-free, so a signal handler may set it */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "the flag of a signal handler is not lock-free");

bool cli_cancelled(void *user)
{
	(void)user;
	return cli_cancel != 0;
}

static void interrupt(int signal_number)
{
	cli_cancel = signal_number;
}

void cli_catch_interrupt(void)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

void cli_hold_signals(sigset_t *before)
{
	sigset_t ours;
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigprocmask(SIG_BLOCK, &ours, before);
}

static double progress_start, stage_start, progress_last;
static bool progress_shown;

void cli_progress(const char *what, double done, double total)
{
	static double before; /* going back means that something else has begun */
	double now = cli_seconds();
	double share = total > 0 ? done / total : 1;
	if (!progress_start)
		progress_start = stage_start = now;
	else if (share < before)
		stage_start = now;
	before = share;
	if (!isatty(STDERR_FILENO) || now - progress_start < 2 || (now - progress_last < 0.1 && done < total))
		return;
	progress_last = now;
	progress_shown = true;
	fprintf(stderr, "\r\033[K%s: %3.0f%%", what, 100 * share);
	if (done > 0 && done < total)
		fprintf(stderr, ", %.0f s left", (now - stage_start) * (total - done) / done);
	fflush(stderr);
}

void cli_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
	progress_start = 0;
}

bool cli_answering;

static void loading(void *user, uint64_t done, uint64_t total)
{
	(void)user;
	cli_progress("loading", (double)done, (double)total);
}

/* Not while an answer is on the same terminal: this would erase its last line. */
static void busy(void *user, const char *what)
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

static void notice(void *user, const char *line)
{
	(void)user;
	cli_progress_end();
	fprintf(stderr, "plumb: note: %s\n", line);
}

/* "chatml, qwen2 ..." */
static const char *template_names(char *out, size_t size)
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
	return cli_complain(CLI_INPUT, "%s; --template NAME (%s) or --template FILE chooses one, run --raw needs none", plumb_last_error(),
		template_names(names, sizeof names));
}

/* --template: a name, or a file with the text. */
static int choose_template(struct plumb_tokenizer *tok, const char *choice)
{
	char names[256], *text;
	size_t size;
	if (!plumb_tokenizer_use_template(tok, choice))
		return CLI_OK;
	if (access(choice, F_OK))
		return cli_complain(CLI_USAGE, "--template: \"%s\" is neither a name (%s) nor a file", choice, template_names(names, sizeof names));
	int code = cli_read_all(choice, &text, &size);
	if (code)
		return code;
	enum plumb_status s = plumb_tokenizer_read_template(tok, text, size);
	free(text);
	return s ? cli_complain(CLI_INPUT, "%s: %s; --template NAME takes %s", choice, plumb_last_error(), template_names(names, sizeof names)) : CLI_OK;
}

int cli_load(const struct cli_common *common, const char *path, struct plumb_context **ctx, struct plumb_model **model)
{
	*model = NULL;
	struct plumb_options options = common->open;
	options.notice = notice;
	options.busy = busy;
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
	int code = tok && common->template ? choose_template(tok, common->template) : CLI_OK;
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

int cli_read_all(const char *path, char **text, size_t *size)
{
	const size_t most = (size_t)1 << 30;
	size_t room = 1 << 16, n = 0, got;
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	char *buffer = f ? malloc(room + 1) : NULL;
	*text = NULL;
	if (!f)
		return cli_complain(CLI_INPUT, "%s: %s", path, strerror(errno));
	while (buffer && (got = fread(buffer + n, 1, room - n, f)) > 0) {
		n += got;
		if (n < room)
			continue;
		if (room >= most)
			break;
		char *more = realloc(buffer, (room *= 2) + 1);
		if (!more)
			free(buffer);
		buffer = more;
	}
	bool failed = buffer && ferror(f), large = n >= most;
	int error = errno;
	if (f != stdin)
		fclose(f);
	if (!buffer)
		return cli_complain(CLI_ERROR, "%s: no memory to read it", path);
	if (failed || large) {
		free(buffer);
		return failed ? cli_complain(CLI_INPUT, "%s: %s", path, strerror(error)) : cli_complain(CLI_LIMIT, "%s: larger than 1 GB", path);
	}
	buffer[n] = 0;
	*text = buffer;
	*size = n;
	return CLI_OK;
}
