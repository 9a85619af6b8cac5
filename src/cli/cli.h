/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: the command table's row, options, exit codes, messages. Commands
 * use the library through its public headers only. */
#ifndef PLUMB_CLI_H
#define PLUMB_CLI_H

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <jansson.h>
#include <plumb/plumb.h>

/* Exit codes; doc/plumb.1 and `plumb --help` list them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_ERROR = 1,     /* something failed while working */
	CLI_USAGE = 2,     /* wrong command line or variable; of nothing else */
	CLI_INPUT = 3,     /* a model file or other input is broken, missing or not supported */
	CLI_DRIVER = 4,    /* a driver or device does not open or failed */
	CLI_LIMIT = 5,     /* past the context or memory limit */
	CLI_DIFFERS = 6,   /* --expect-token: another token came first */
	CLI_NONFINITE = 7, /* the model gave values that are NaN or infinite */
	/* 10 to 15: what `plumb doctor` found, enum plumb_verdict */
	/* 20 to 23: `plumb diag report`, enum plumb_judgement */
	CLI_INTERRUPTED = 130
};

struct cli_command {
	const char *name, *summary; /* one line in `plumb --help` */
	const char *help;           /* usage, options, examples */
	int (*run)(int argc, char **argv);
};
extern const struct cli_command cli_run, cli_chat, cli_info, cli_tokenize, cli_perplexity, cli_bench,
	cli_diag, cli_devices, cli_doctor, cli_tune, cli_env;

/* --- complain.c --- */
/* Print "plumb: ..." on stderr and return the code. */
int cli_complain(enum cli_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The library's last error with advice where there is some; the exit code that fits the status. */
int cli_fail(enum plumb_status status);
/* The same once a model runs: then no status is the command line's fault. */
int cli_fail_run(enum plumb_status status);
/* Set where the command itself (not the library, which says so) got no memory for a part of its result: what
 * is on stdout may lack it, so main() does not let the command end as a success. JSON sets it wherever a
 * value is lost, once cli_json_watch() was called. */
extern bool cli_starved;

/* --- options.c --- */
/* Options that every command takes. */
struct cli_common {
	struct plumb_options open;
	bool json;
	bool nfc, no_bos;     /* of the commands that read text */
	const char *template; /* of those that chat: a name or a file; NULL: the model's own */
};
#define CLI_COMMON_LONG \
	{ "driver", required_argument, NULL, 1000 }, { "threads", required_argument, NULL, 't' }, \
		{ "precision", required_argument, NULL, 1001 }, { "mode", required_argument, NULL, 1004 }, \
		{ "json", no_argument, NULL, 1002 }, \
	{ \
		"help", no_argument, NULL, 'h' \
	}
#define CLI_COMMON_SHORT "ht:"
#define CLI_NFC_LONG \
	{ \
		"nfc", no_argument, NULL, 1003 \
	}
#define CLI_NFC_HELP \
	"  --nfc                bring text to Unicode NFC first, as the model's own tokenizer.json does\n"
#define CLI_BOS_LONG \
	{ \
		"no-bos", no_argument, NULL, 1005 \
	}
#define CLI_BOS_HELP \
	"  --no-bos             leave out the begin-of-text token that a model file may ask for (add_bos_token)\n"
#define CLI_TEMPLATE_LONG \
	{ \
		"template", required_argument, NULL, 1006 \
	}
#define CLI_TEMPLATE_HELP \
	"  --template T         chat template in place of the model's own: a name (chatml, qwen2, qwen2.5, qwen2.5-math, smollm2,\n" \
	"                       qwq, qwq-first, deepseek-r1) or a file with the text of one that plumb knows\n"
#define CLI_COMMON_HELP \
	"  --driver LIST        drivers in order of choice, as AR_HARDWARE_DRIVER (native, cl, cpu, gpu, *)\n" \
	"  --precision P        FP32 (default); FP16: every result rounded to half, and the first overflow named, as a port in fp16 would\n" \
	"                       run; FP64: the double-precision truth\n" \
	"  --mode M             exact (float32), default (activations of 16 bits where a kernel gains by it) or fast (8 bits)\n" \
	"  -t, --threads N      threads of the native driver\n" \
	"  --json               machine-readable result on stdout\n" \
	"  -h, --help           this text\n"
/* Handle a common option: 0 taken, else an exit code + 1 to leave with (help gives CLI_OK + 1). */
int cli_common_option(
	struct cli_common *common, const struct cli_command *command, int option, const char *value);

/* Whole number or real of an option, with the range in the complaint; false after complaining. */
bool cli_whole(const char *option, const char *text, long low, long high, long *value);
bool cli_whole64(const char *option, const char *text, int64_t low, int64_t high, int64_t *value);
bool cli_real(const char *option, const char *text, double low, double high, double *value);

/* Options of a session; each command takes those that it has a use for. */
#define CLI_CTX_LONG \
	{ \
		"ctx", required_argument, NULL, 1200 \
	}
#define CLI_KV_LONG \
	{ \
		"kv", required_argument, NULL, 1201 \
	}
#define CLI_BATCH_LONG \
	{ \
		"batch", required_argument, NULL, 1202 \
	}
#define CLI_KV_HELP "  --kv TYPE            KV cache in f32 (default) or f16\n"
/* 1: taken, 0: not a session option, -1: complained. least: the smallest --ctx. */
int cli_session_option(struct plumb_session_options *session, long least, int option, const char *value);

/* --- load.c --- */
/* Open drivers and load the model, with progress on a terminal. On failure nothing is left open
 * and the exit code is returned. */
int cli_load(const struct cli_common *common, const char *path, struct plumb_context **ctx,
	struct plumb_model **model);
/* Whether there is a template to chat with: CLI_OK, or the complaint of its lack, with advice. */
int cli_chat_ready(const struct plumb_tokenizer *tok);
/* What is odd in a vocabulary, as notes on stderr (cli_load says it itself) and as a JSON list. tok may be
 * NULL. */
void cli_warnings(const char *path, const struct plumb_tokenizer *tok);
json_t *cli_json_warnings(const struct plumb_tokenizer *tok);
/* --- read_all.c --- */
/* All of a stream or file ("-": stdin), NUL-terminated; malloc'ed. At most 1 GB. */
int cli_read_all(const char *path, char **text, size_t *size);

/* Token ids with commas or spaces between; malloc'ed, the caller frees them also after a complaint. */
int cli_ids(const char *option, const char *text, int32_t **ids, size_t *n);

/* --- progress.c --- */
double cli_seconds(void); /* monotonic */
/* Ctrl-C raises this flag (to the signal's number) once; the second one kills, unless
 * cli_catch_interrupt is called again. */
extern atomic_int cli_cancel;
bool cli_cancelled(void *user); /* has it been raised? user is not looked at */
void cli_catch_interrupt(void);
/* Hold SIGINT and SIGTERM back until the mask is set to *before again. */
void cli_hold_signals(sigset_t *before);
/* A line that is rewritten in place on a terminal, after two seconds; silent elsewhere. */
void cli_progress(const char *what, double done, double total);
void cli_progress_end(void);
extern bool cli_answering; /* an answer's line is open on stdout */

/* --- unused.c --- */
void cli_unused_print(const struct plumb_file *file);
json_t *cli_unused_json(const struct plumb_file *file);

/* --- json.c --- */
void cli_json_watch(void);
json_t *cli_json_ids(const int32_t *ids, int64_t n);
/* Text from a file, a device or the command line as it is; what is not UTF-8 becomes U+FFFD. Nothing but a
 * literal goes into JSON any other way. */
json_t *cli_json_span(struct plumb_span span);
json_t *cli_json_text(const char *text);
/* Write and release; NULL: complains of memory. one_line: compact. Returns an exit code. */
int cli_json_print(json_t *root, bool one_line);
/* The bytes on stdout as on a terminal they do no harm: \n, \" and \xNN; "..." after `most` bytes. */
void cli_put_escaped(struct plumb_span span, size_t most);

/* --- bandwidth.c --- */
/* Bytes per second that n threads read from memory, the best of several passes; 0 when it cannot be measured.
 */
double cli_bandwidth(int threads);

/* --- kernels.c --- */
#define CLI_MOST_KERNELS 256
struct cli_kernels {
	struct plumb_kernel_time row[CLI_MOST_KERNELS];
	int count;
};
/* All that the context's drivers have launched so far. */
void cli_kernels_read(const struct plumb_context *ctx, struct cli_kernels *k);
/* Take off what an earlier reading of the same context had. */
void cli_kernels_since(struct cli_kernels *k, const struct cli_kernels *before);
/* Together, those whose names begin so. */
struct plumb_kernel_time cli_kernels_sum(const struct cli_kernels *k, const char *prefix);
/* A table, longest first, nothing where no time was measured; copy: bytes/s of a plain copy, 0: not known. */
void cli_kernels_print(FILE *f, struct cli_kernels *k, double copy);
json_t *cli_kernels_json(const struct cli_kernels *k, double copy);

/* --- text.c --- */
/* Can a tokenizer take this text? Complains (CLI_INPUT) of what is no UTF-8, with the offset in the text, and
 * names UTF-16. nul: NUL bytes are text. A byte order mark of UTF-8 at the beginning is passed, with a note.
 * what: "the prompt". */
int cli_text_check(const char *what, const char **text, size_t *size, bool nul);

/* --- chat_input.c --- */
enum cli_input { CLI_INPUT_TEXT, CLI_INPUT_END, CLI_INPUT_AGAIN };
/* A message without its line end, in *line (getline's, `room` bytes); it may hold NUL bytes. again: leave the
 * default of the last Ctrl-C, which ends plumb. CLI_INPUT_AGAIN: Ctrl-C gave the line up. */
enum cli_input cli_read_message(bool interactive, bool again, char **line, size_t *room, size_t *size);

/* --- nonfinite.c --- */
/* The logits after these tokens, which the session holds, are not finite: complain with the operator and
 * layer that began it, and what to try. The session is empty then. Returns CLI_NONFINITE. */
int cli_nonfinite(struct plumb_session *session, const int32_t *tokens, int64_t n);

/* --- generate.c --- */
struct cli_generation {
	int64_t kept;                        /* tokens of the prompt that the session holds already */
	int64_t most;                        /* tokens to make; -1: until the end of the turn or the context */
	bool ids;                            /* write token ids instead of text */
	bool quiet;                          /* write nothing (JSON comes later) */
	bool ignore_end;                     /* go on past end-of-turn tokens */
	const struct plumb_span *stop_texts; /* the text ends before the first of them; NUL-terminated */
	size_t stops;
	/* results; begin as 0 */
	int32_t *tokens; /* made tokens, malloc'ed: also those of a stop text */
	int64_t count;
	char *text; /* their text, without specials and stop text, NUL-terminated and malloc'ed */
	size_t size;
	const char *stop; /* "end", "stop", "length", "context", "cancelled", "output" (stdout failed); "" after
						 an error */
	const char *stop_text; /* the one that was met, or NULL */
	int64_t prompt;        /* tokens evaluated before the first */
	double prompt_seconds, seconds;
};
/* Evaluate what is new of the prompt's n tokens and stream what follows to stdout, which ends with a line
 * end. Returns an exit code, having complained. */
int cli_generate(struct plumb_session *session, const struct plumb_tokenizer *tok,
	struct plumb_sampler *sampler, const int32_t *ids, int64_t n, struct cli_generation *g);
/* Have a prompt of n tokens and an answer of at least one room in the context? most: as above. Complains,
 * before anything is computed; what: "the prompt has". */
int cli_prompt_fits(const char *what, int64_t n, const struct plumb_session *session, int64_t most);
/* "41 tokens read at 80.1/s, 33 written at 30.2/s" on stderr. */
void cli_rates(const struct cli_generation *g);
/* --stop TEXT of run and chat, as often as there are texts. */
#define CLI_MOST_STOPS 32
struct cli_stops {
	struct plumb_span text[CLI_MOST_STOPS];
	size_t count;
};
#define CLI_STOP_LONG \
	{ \
		"stop", required_argument, NULL, 1106 \
	}
#define CLI_STOP_HELP \
	"  --stop TEXT          end the answer before TEXT, which is not printed; may be given several times. TEXT is\n" \
	"                       looked for in the text, or is a special token's name. With --ids all tokens are printed\n"
/* 1: taken, 0: another option, -1: complained. */
int cli_stop_option(struct cli_stops *stops, int option, const char *value);

/* --- sampling.c: options shared by run and chat --- */
struct cli_sampling {
	struct plumb_sampling how;
	bool seeded;      /* --seed was given */
	const char *idle; /* an option that was given and does nothing at temperature 0 */
};
#define CLI_SAMPLING_LONG \
	{ "temp", required_argument, NULL, 1100 }, { "top-k", required_argument, NULL, 1101 }, \
		{ "top-p", required_argument, NULL, 1102 }, { "min-p", required_argument, NULL, 1103 }, \
		{ "repeat-penalty", required_argument, NULL, 1104 }, \
	{ \
		"seed", required_argument, NULL, 1105 \
	}
#define CLI_SAMPLING_HELP \
	"  --temp T             temperature; 0 (default) takes the likeliest token\n" \
	"  --top-k K            choose among the K likeliest (0: all)\n" \
	"  --top-p P            ... among the likeliest that add up to P (1: all)\n" \
	"  --min-p P            ... among those at least P times as likely as the likeliest (0: all)\n" \
	"  --repeat-penalty R   divide logits of the last 64 tokens by R (1: off)\n" \
	"  --seed N             same seed, same text (default: drawn anew, and printed)\n"
/* 1: taken, 0: not a sampling option, -1: complained. */
int cli_sampling_option(struct cli_sampling *sampling, int option, const char *value);
/* Draw a seed where chance decides and none was given, and say on stderr which one holds unless quiet. */
void cli_sampling_seed(struct cli_sampling *sampling, bool quiet);
#define CLI_SAMPLING_DEFAULT \
	{ \
		.how = {.size = sizeof(struct plumb_sampling), .temperature = 0, .top_p = 1, .repeat_penalty = 1 } \
	}

#endif
