/* SPDX-License-Identifier: Apache-2.0 */
/* plumb tokenize: text to token ids and back, with the tokenizer of a model file. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int tokenize_run(int argc, char **argv);

const struct cli_command cli_tokenize = { "tokenize",
	"show how a model cuts text into tokens, or turn token ids back into text",
	"Usage: plumb tokenize MODEL [TEXT] [options]\n"
	"       plumb tokenize MODEL --decode IDS\n"
	"Prints the id and the piece of each token. Without TEXT, or with -, the text is read from\n"
	"standard input, to its last byte. No chat template is added; a begin-of-text token comes first if the\n"
	"model file asks for one (add_bos_token), as HF's and llama.cpp's tokenizers do.\n"
	"\n"
	"  --ids                ids only, on one line with commas between, as 'plumb run --tokens' takes them\n"
	"  --decode IDS         print the text of these ids; - reads them from standard input\n"
	"  --no-special         treat <|im_start|> and other control tokens as ordinary text\n" CLI_BOS_HELP
		CLI_NFC_HELP "  --json               machine-readable result on stdout\n"
	"  -h, --help           this text\n"
	"\n"
	"Examples:\n"
	"  plumb tokenize model.gguf \"Hello world\"\n"
	"  plumb tokenize model.gguf --ids < README.md\n"
	"  plumb tokenize model.gguf --decode 9707,1879\n"
	"  plumb run model.gguf --tokens $(plumb tokenize model.gguf --ids \"int main(\") -n 8\n",
	tokenize_run };

static const struct option options[] = { CLI_NFC_LONG, CLI_BOS_LONG, { "json", no_argument, NULL, 1002 },
	{ "help", no_argument, NULL, 'h' }, { "ids", no_argument, NULL, 'i' },
	{ "decode", required_argument, NULL, 'd' }, { "no-special", no_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 } };

struct request {
	struct cli_common common;
	const char *model, *text, *decode;
	bool ids;
	enum plumb_specials specials;
};

/* A piece may be part of a character, so its bytes are given as well, in hexadecimal. */
static json_t *tokenize_piece_json(struct plumb_span piece)
{
	char *hex = malloc(2 * piece.n + 1);
	if (!hex) {
		cli_starved = true;
		return NULL;
	}
	for (size_t i = 0; i < piece.n; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)piece.p[i]);
	hex[2 * piece.n] = 0;
	bool whole = !piece.n || plumb_utf8_invalid(piece.p, piece.n) == piece.n;
	json_t *object = json_pack(
		"{s:o, s:s}", "text", whole ? cli_json_span(piece) : json_null(), "bytes", hex);
	free(hex);
	return object;
}

static int tokenize_print(
	const struct request *r, const struct plumb_tokenizer *tok, const int32_t *ids, size_t n)
{
	if (r->common.json) {
		json_t *pieces = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(pieces, tokenize_piece_json(plumb_token_bytes(tok, ids[i])));
		return cli_json_print(
			json_pack("{s:o, s:o}", "ids", cli_json_ids(ids, (int64_t)n), "pieces", pieces), false);
	}
	for (size_t i = 0; i < n; i++) {
		if (r->ids) {
			printf(i ? ",%d" : "%d", ids[i]);
			continue;
		}
		printf("%7d  \"", ids[i]);
		cli_put_escaped(plumb_token_bytes(tok, ids[i]), (size_t)-1);
		puts("\"");
	}
	if (r->ids)
		putchar('\n');
	return CLI_OK;
}

static int tokenize_encode(const struct request *r, const struct plumb_tokenizer *tok)
{
	char *read = NULL;
	const char *text = r->text;
	size_t size = text ? strlen(text) : 0, n;
	int32_t *ids;
	int code = CLI_OK;
	if (!text || !strcmp(text, "-")) {
		if (!text && isatty(STDIN_FILENO))
			fputs("Type the text, then Ctrl-D:\n", stderr);
		if ((code = cli_read_all("-", &read, &size)))
			return code;
		text = read;
	}
	if ((code = cli_text_check("the text", &text, &size, true))) {
		free(read);
		return code;
	}
	enum plumb_status s = plumb_tokenize(tok, text, size, r->specials, &ids, &n);
	if (s) {
		code = cli_fail(s);
	} else {
		code = tokenize_print(r, tok, ids, n);
		free(ids);
	}
	free(read);
	return code;
}

static int tokenize_put_text(
	const struct request *r, const struct plumb_tokenizer *tok, const int32_t *ids, size_t n)
{
	struct plumb_stream stream = { .count = 0 };
	size_t size = 0, room = 16, wrote;
	int32_t vocab = (int32_t)plumb_tokenizer_size(tok);
	for (size_t i = 0; i < n; i++) {
		if (ids[i] >= vocab)
			return cli_complain(CLI_USAGE, "--decode: token %d is outside the vocabulary, which ends at %d",
				ids[i], vocab - 1);
		room += 3 * plumb_token_bytes(tok, ids[i]).n + 16;
	}
	char *text = malloc(room);
	if (!text)
		return cli_complain(CLI_ERROR, "no memory for the text of %zu tokens", n);
	int code = CLI_OK;
	enum plumb_status s = PLUMB_OK;
	for (size_t i = 0; i < n && !s; i++, size += wrote)
		s = plumb_stream_token(&stream, tok, ids[i], true, text + size, room - size, &wrote);
	if (s) {
		code = cli_fail(s);
	} else {
		size += plumb_stream_end(&stream, text + size, room - size);
		if (r->common.json)
			code = cli_json_print(
				json_pack("{s:o, s:s%}", "ids", cli_json_ids(ids, (int64_t)n), "text", text, size), false);
		else
			fwrite(text, 1, size, stdout);
		if (!r->common.json && isatty(STDOUT_FILENO))
			putchar('\n');
	}
	free(text);
	return code;
}

static int tokenize_decode(const struct request *r, const struct plumb_tokenizer *tok)
{
	char *read = NULL;
	int32_t *ids = NULL;
	size_t size, n;
	int code = strcmp(r->decode, "-") ? CLI_OK : cli_read_all("-", &read, &size);
	if (!code)
		code = cli_ids("--decode", read ? read : r->decode, &ids, &n);
	if (!code)
		code = tokenize_put_text(r, tok, ids, n);
	free(ids);
	free(read);
	return code;
}

/* 0, or an exit code + 1. */
static int tokenize_parse(struct request *r, int argc, char **argv)
{
	int option, leave;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (option) {
		case 'i': r->ids = true; break;
		case 'd': r->decode = optarg; break;
		case 'n': r->specials = PLUMB_SPECIALS_TEXT; break;
		default:
			if ((leave = cli_common_option(&r->common, &cli_tokenize, option, optarg)))
				return leave;
		}
	if (optind == argc)
		return cli_complain(CLI_USAGE, "tokenize needs a model file; try 'plumb tokenize --help'") + 1;
	r->model = argv[optind++];
	if (optind < argc)
		r->text = argv[optind++];
	if (optind < argc)
		return cli_complain(CLI_USAGE, "one text only, but \"%s\" follows (quote the text)", argv[optind]) +
			1;
	if (r->decode && (r->text || r->ids || r->specials == PLUMB_SPECIALS_TEXT))
		return cli_complain(
				   CLI_USAGE, "--decode takes ids, not text: leave out TEXT, --ids and --no-special") +
			1;
	return 0;
}

static int tokenize_run(int argc, char **argv)
{
	struct request r = { .specials = PLUMB_SPECIALS_PARSE };
	struct plumb_file *file;
	struct plumb_tokenizer *tok;
	int code = tokenize_parse(&r, argc, argv);
	if (code)
		return code - 1;
	enum plumb_status s = plumb_file_open(&file, r.model);
	if (s)
		return cli_fail(s);
	if ((s = plumb_tokenizer_from_file(&tok, file))) {
		code = cli_fail(s);
	} else {
		plumb_tokenizer_normalise(tok, r.common.nfc);
		if (r.common.no_bos)
			plumb_tokenizer_add_bos(tok, false);
		cli_warnings(r.model, tok);
		code = r.decode ? tokenize_decode(&r, tok) : tokenize_encode(&r, tok);
		plumb_tokenizer_free(tok);
	}
	plumb_file_close(file);
	return code;
}
