/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: the tokenizer's tables, lists of ids, and the steps
 * from text to pieces. Nothing here is for other folders; they use <plumb/text.h>. */
#ifndef PLUMB_TEXT_TEXT_H
#define PLUMB_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/text.h>

/* Kinds as in GGUF's token_type. */
enum plumb_token_kind {
	PLUMB_TOKEN_NORMAL = 1,
	PLUMB_TOKEN_UNKNOWN = 2,
	PLUMB_TOKEN_CONTROL = 3,
	PLUMB_TOKEN_USER = 4,
	PLUMB_TOKEN_UNUSED = 5,
	PLUMB_TOKEN_LITERAL = 7 /* ours: marked as normal, but not of the byte alphabet */
};

/* More kinds than there are calls of plumb_warn and plumb_tokenizer_warn. */
#define PLUMB_WARNINGS 24
#define PLUMB_WARNING_MORE 48 /* room for how many more there are */
struct plumb_warning {
	const char *format;
	char text[256];
	size_t n, more;
};

struct plumb_merge {
	int32_t left, right, result;
};

struct plumb_tokenizer {
	size_t tokens;
	char *bytes;     /* of all tokens, one after the other */
	uint32_t *start; /* tokens + 1 offsets into bytes */
	uint8_t *kind;
	uint32_t *by_bytes; /* open addressing: id + 1, 0 is free */
	size_t by_bytes_mask;
	uint64_t seed;        /* of both tables; core/hash.h */
	int32_t byte_id[256]; /* token of each single byte */
	size_t merges;
	struct plumb_merge *merge; /* index is rank */
	uint32_t *by_pair;         /* open addressing: rank + 1, 0 is free */
	size_t by_pair_mask;
	int32_t *special; /* kinds CONTROL and USER, sorted by bytes */
	size_t specials;
	bool special_first[256];                       /* bytes that begin a special */
	int32_t bos, eos, im_start, im_end, endoftext; /* -1: none */
	bool add_bos, nfc;
	struct plumb_split *split;
	const struct plumb_template *template; /* NULL: none, or not known */
	char unknown[160]; /* what the file's own is called in a refusal; empty: it has none */
	char name[64];     /* of the model, as a terminal may see it */
	struct plumb_warning warning[PLUMB_WARNINGS];
	int warnings;
};

/* --- tokens.c --- */
#define PLUMB_ALPHABET 324 /* code points of GPT-2's byte alphabet are below this */
/* alphabet[c] becomes the byte of code point c, -1 for none: printable bytes stand for themselves, the others
 * are counted up from U+0100. */
void plumb_alphabet_fill(int16_t alphabet[PLUMB_ALPHABET]);
enum plumb_status plumb_tokens_read(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet);
/* Translate a span of the byte alphabet into bytes (never longer). False: not of the alphabet. */
bool plumb_alphabet_decode(const int16_t *alphabet, struct plumb_span s, char *out, size_t *n);
/* Slot of the token whose bytes are a followed by b, or the free slot where it belongs. */
uint32_t *plumb_token_slot(const struct plumb_tokenizer *tok, struct plumb_span a, struct plumb_span b);
/* A table of at most half load for n entries; *mask is its size - 1. */
uint32_t *plumb_table_new(size_t n, size_t *mask);

/* --- merges.c --- */
enum plumb_status plumb_merges_read(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet);
/* Rank of the merge of two tokens; UINT32_MAX: they do not merge. */
uint32_t plumb_merge_rank(const struct plumb_tokenizer *tok, int32_t left, int32_t right);

/* --- specials.c --- */
enum plumb_status plumb_specials_read(struct plumb_tokenizer *tok);
/* Longest special that is a prefix of p (of TEXT: longest user-defined one); -1: none. */
int32_t plumb_special_at(
	const struct plumb_tokenizer *tok, const char *p, size_t n, enum plumb_specials specials);
/* The special of exactly this text; -1: none. */
int32_t plumb_special_find(const struct plumb_tokenizer *tok, const char *text);

/* --- warning.c --- */
/* Keep a warning; those of the same format are counted. */
void plumb_warn(struct plumb_tokenizer *tok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- bpe.c --- */
struct plumb_ids {
	int32_t *p;
	size_t n, room;
};
enum plumb_status plumb_ids_add(struct plumb_ids *ids, int32_t id);
/* Encode without BOS and append. */
enum plumb_status plumb_ids_encode(struct plumb_ids *ids, const struct plumb_tokenizer *tok, const char *text,
	size_t size, enum plumb_specials specials);

/* --- split.c --- */
typedef enum plumb_status (*plumb_piece_fn)(void *user, const char *piece, size_t n);
enum plumb_status plumb_split_new(struct plumb_split **split, const char *name);
void plumb_split_free(struct plumb_split *split);
/* Call fn for each piece of valid UTF-8, in order; the pieces cover the text. */
enum plumb_status plumb_split_run(
	const struct plumb_split *split, const char *text, size_t n, plumb_piece_fn fn, void *user);

/* --- nfc.c --- */
/* NFC of valid UTF-8. *out is malloc'ed, or NULL when the text is NFC as it is. */
enum plumb_status plumb_nfc(const char *text, size_t n, char **out, size_t *out_n);

/* --- sha256.c --- */
#define PLUMB_SHA256_HEX 65
void plumb_sha256(const char *text, size_t n, char hex[PLUMB_SHA256_HEX]);

/* --- template.c --- */
enum plumb_form { PLUMB_FORM_CHATML, PLUMB_FORM_DEEPSEEK };
/* What is kept of "<think> ... </think>" in answers: all; all of an answer that is the last message; nothing,
 * nor line breaks after it; nothing, but the line breaks. */
enum plumb_thought { PLUMB_THOUGHT_ALL, PLUMB_THOUGHT_LAST, PLUMB_THOUGHT_NONE, PLUMB_THOUGHT_CUT };
struct plumb_template {
	const char *name;
	enum plumb_form form;
	const char *system; /* default system message, or NULL */
	enum plumb_thought thought;
	bool think; /* the prompt for an answer ends with "<think>\n" */
};
/* The one place where a text becomes a renderer; NULL: not known. hex receives its SHA-256. */
const struct plumb_template *plumb_template_of(const char *text, size_t n, char hex[PLUMB_SHA256_HEX]);
/* Take the file's own template; what is not known is remembered by its beginning. */
void plumb_template_read(struct plumb_tokenizer *tok, const char *text, size_t n);
/* PLUMB_E_UNSUPPORTED with a text that names model and template when there is none to use. */
enum plumb_status plumb_template_need(const struct plumb_tokenizer *tok);

#endif
