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
	PLUMB_TOKEN_BYTE = 6,
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

struct plumb_ids {
	int32_t *p;
	size_t n, room;
};

/* A token that is found in text before it is split. */
struct plumb_special {
	int32_t id;
	uint32_t start, n; /* of its text, in the list's bytes */
	unsigned flags;
};
enum { PLUMB_SPECIAL_LEFT = 1, PLUMB_SPECIAL_RIGHT = 2, PLUMB_SPECIAL_WORD = 4 };
struct plumb_specials_list {
	struct plumb_special *p; /* sorted by text */
	size_t n, room;
	char *bytes;
	size_t used, bytes_room;
	bool first[256]; /* bytes that begin one */
};

/* A step of the normaliser. */
enum plumb_normal_kind {
	PLUMB_NORMAL_FORM,
	PLUMB_NORMAL_PREPEND,
	PLUMB_NORMAL_REPLACE,
	PLUMB_NORMAL_SQUEEZE,
	PLUMB_NORMAL_STRIP
};
enum plumb_form_of_text { PLUMB_NFC, PLUMB_NFD, PLUMB_NFKC, PLUMB_NFKD };
struct plumb_normal {
	enum plumb_normal_kind kind;
	enum plumb_form_of_text form;
	struct plumb_span from, to; /* malloc'ed; from is not empty */
	bool left, right;           /* ends that STRIP takes from */
};
#define PLUMB_STEPS 12

struct plumb_tokenizer {
	enum plumb_vocab_model model;
	bool fallback;           /* "<0x0A>" is the token of a byte, whatever kind it has */
	bool mixed;              /* user-defined tokens come out of merges, too */
	bool fuse;               /* one unknown token for a run of unknown text */
	bool bytes_made, marked; /* while steps are read: by ByteLevel; blanks have been marked */
	bool spaces;             /* a blank stands for SentencePiece's U+2581 in tokens and in normalised text */
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
	uint32_t *order; /* of each token by its score, the highest is 0 */
	double *score;   /* of UNIGRAM: of each token */
	double lowest;   /* of these */
	size_t longest;  /* bytes of the longest token that text becomes */
	bool whole;      /* a piece that is a token becomes it, whatever its merges */
	struct plumb_specials_list raw, normalised;
	struct plumb_normal normal[PLUMB_STEPS];
	int normals;
	int32_t bos, eos, unk; /* -1: none */
	struct plumb_ids end;  /* what ends a turn */
	bool add_bos, add_eos, nfc;
	bool strip;     /* the first token's leading blank is none of the text's */
	bool strip_all; /* nor are its other leading blanks */
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
/* Is it a token that text may become where no special is looked for? */
bool plumb_token_plain(const struct plumb_tokenizer *tok, int32_t id);
/* A blank for each U+2581; returns the bytes written, at most as many. */
size_t plumb_token_unescape(struct plumb_span s, char *out);
/* SentencePiece's mark for a blank, U+2581. */
#define PLUMB_SPACE_MARK "\xe2\x96\x81"
#define PLUMB_SPACE_MARK_SIZE 3
/* A table of at most half load for n entries; *mask is its size - 1. */
uint32_t *plumb_table_new(size_t n, size_t *mask);

/* --- tokenizer.c --- */
/* What is the same whatever the vocabulary came from: bos, eos and other ids, name and template. */
enum plumb_status plumb_tokenizer_finish(struct plumb_tokenizer *tok, const struct plumb_vocab *v);
struct plumb_tokenizer *plumb_tokenizer_blank(void); /* NULL: no memory */

/* --- merges.c --- */
/* The same of pairs, two spans to each. */
enum plumb_status plumb_merges_read_pairs(
	struct plumb_tokenizer *tok, const struct plumb_span *pair, size_t n, const int16_t *alphabet);
enum plumb_status plumb_merges_read(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet);
/* Rank of the merge of two tokens; UINT32_MAX: they do not merge. */
uint32_t plumb_merge_rank(const struct plumb_tokenizer *tok, int32_t left, int32_t right);

/* --- scores.c --- */
/* Of BPE by scores: the order of tokens. */
enum plumb_status plumb_scores_read(struct plumb_tokenizer *tok, const struct plumb_vocab *v);
/* Of UNIGRAM: score, one for each token. */
enum plumb_status plumb_scores_take(struct plumb_tokenizer *tok, const double *score);

/* --- specials.c --- */
/* The specials of a vocabulary, by kind. */
enum plumb_status plumb_specials_read(struct plumb_tokenizer *tok);
/* Add one (text is not empty); the list is used after plumb_specials_end. */
enum plumb_status plumb_specials_add(
	struct plumb_specials_list *list, int32_t id, struct plumb_span text, unsigned flags);
enum plumb_status plumb_specials_end(struct plumb_specials_list *list);
void plumb_specials_free(struct plumb_specials_list *list);
/* Longest special of the list that is a prefix of p (of TEXT: longest user-defined one); NULL: none. */
const struct plumb_special *plumb_special_at(const struct plumb_tokenizer *tok,
	const struct plumb_specials_list *list, const char *p, size_t n, enum plumb_specials specials);
/* The special of exactly this text; -1: none. */
int32_t plumb_special_find(const struct plumb_tokenizer *tok, const char *text);

/* --- warning.c --- */
/* Keep a warning; those of the same format are counted. */
void plumb_warn(struct plumb_tokenizer *tok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- ids.c --- */
enum plumb_status plumb_ids_add(struct plumb_ids *ids, int32_t id);

/* --- encode.c --- */
/* Encode without BOS and EOS and append. */
enum plumb_status plumb_ids_encode(struct plumb_ids *ids, const struct plumb_tokenizer *tok, const char *text,
	size_t size, enum plumb_specials specials);

/* --- bpe.c --- */
struct plumb_bpe; /* room for the pieces of one text */
enum plumb_status plumb_bpe_new(
	struct plumb_bpe **bpe, const struct plumb_tokenizer *tok, struct plumb_ids *ids);
void plumb_bpe_free(struct plumb_bpe *bpe);
/* Encode one piece and append its ids; a plumb_piece_fn. */
enum plumb_status plumb_bpe_piece(void *bpe, const char *piece, size_t n);

/* --- unigram.c --- */
struct plumb_unigram; /* the same for the other model */
enum plumb_status plumb_unigram_new(
	struct plumb_unigram **unigram, const struct plumb_tokenizer *tok, struct plumb_ids *ids);
void plumb_unigram_free(struct plumb_unigram *unigram);
enum plumb_status plumb_unigram_piece(void *unigram, const char *piece, size_t n);

/* --- unknown.c --- */
/* Text that is no token becomes the tokens of its bytes, or the unknown token, one for a run of such text
 * (*unknown: the id before is one). Where there is neither it is left out, as the reference tokenizers do it;
 * a warning said so.
 */
enum plumb_status plumb_unknown_put(
	struct plumb_ids *ids, const struct plumb_tokenizer *tok, const char *text, size_t n, bool *unknown);

/* --- normal.c --- */
/* Run the steps over *text. What they make is *own, malloc'ed, and *text then points into it. */
enum plumb_status plumb_normal_run(
	const struct plumb_normal *steps, int count, const char **text, size_t *n, char **own);
void plumb_normal_free(struct plumb_normal *steps, int count);

/* --- pattern.c --- */
#define PLUMB_PATTERNS 5
struct plumb_pattern_set {
	const char *names;                /* with blanks between */
	bool whole, add_bos;              /* what files of these names leave unsaid */
	const char *text[PLUMB_PATTERNS]; /* one after the other; NULL ends them */
};
const struct plumb_pattern_set *plumb_pattern_named(const char *name); /* NULL: not known */
/* The table's copy of a pattern that is given as tokenizer.json has it; NULL: not known. */
const char *plumb_pattern_known(struct plumb_span text);
extern const char plumb_pattern_words[], plumb_pattern_digit[]; /* of ByteLevel and Digits */
/* A pattern of the table, or a text that is taken literally, as PCRE2's code. */
enum plumb_status plumb_pattern_compile(const char *text, void **code);
enum plumb_status plumb_pattern_literal(struct plumb_span text, void **code);

/* --- split.c --- */
enum plumb_step_kind {
	PLUMB_STEP_PATTERN,
	PLUMB_STEP_SPACE_FIRST, /* a blank in front of the first piece, unless there is one */
	PLUMB_STEP_SPACE,       /* of each */
	PLUMB_STEP_SPACE_ANY    /* of each, unless it begins with white space */
};
/* What becomes of a match: a piece; nothing; one with other matches; the end or the beginning of another. */
enum plumb_behaviour {
	PLUMB_ISOLATED,
	PLUMB_REMOVED,
	PLUMB_CONTIGUOUS,
	PLUMB_WITH_PREVIOUS,
	PLUMB_WITH_NEXT
};
typedef enum plumb_status (*plumb_piece_fn)(void *user, const char *piece, size_t n);
enum plumb_status plumb_split_new(struct plumb_split **split);
void plumb_split_free(struct plumb_split *split);
/* Add a step; code, which a pattern has, is the split's from now on, even on failure. */
enum plumb_status plumb_split_add(struct plumb_split *split, enum plumb_step_kind kind,
	enum plumb_behaviour behaviour, bool invert, void *code);
enum plumb_status plumb_split_add_pattern(struct plumb_split *split, const char *text);
/* Call fn for each piece of valid UTF-8, in order; `first`: nothing was before. */
enum plumb_status plumb_split_run(
	const struct plumb_split *split, const char *text, size_t n, bool first, plumb_piece_fn fn, void *user);

/* --- chars.c --- */
/* Bytes of the white space that text begins or ends with; 0: none. */
size_t plumb_space_at(const char *text, size_t n);
size_t plumb_space_before(const char *text, size_t n);
bool plumb_word_at(const char *text, size_t n);
bool plumb_word_before(const char *text, size_t n);

/* --- nfc.c --- */
/* A normal form of valid UTF-8. *out is malloc'ed, or NULL when the text is of that form as it is. */
enum plumb_status plumb_nfc_form(
	enum plumb_form_of_text form, const char *text, size_t n, char **out, size_t *out_n);

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
