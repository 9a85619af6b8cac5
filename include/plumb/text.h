/* SPDX-License-Identifier: Apache-2.0 */
/* Text to token ids and back, chat prompts, and the choice of the next token from logits.
 * Knows no tensor and no file. */
#ifndef PLUMB_TEXT_H
#define PLUMB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/file.h> /* struct plumb_span */
#include <plumb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- tokenizer --- */

/* How a piece of text becomes tokens. */
enum plumb_vocab_model {
	/* Byte-level BPE (Sennrich et al. 2016): tokens are written in the byte alphabet of GPT-2, and the merge
	 * of the lowest rank comes first. */
	PLUMB_VOCAB_BYTES,
	/* BPE of SentencePiece: tokens are UTF-8 with U+2581 for a blank, the merge whose result has the highest
	 * score comes first, and a character without a token becomes the tokens "<0x0A>" of its bytes. */
	PLUMB_VOCAB_SCORES,
	/* Unigram of SentencePiece: the same tokens; text is cut so that the sum of their scores is the highest.
	 */
	PLUMB_VOCAB_UNIGRAM
};

/* What a tokenizer is made of. All spans are copied. */
struct plumb_vocab {
	size_t tokens;
	const struct plumb_span *token; /* in the byte alphabet, UTF-8; specials are literal */
	/* as GGUF's token_type: 1 normal, 3 control, 4 user-defined, 6 byte ...; NULL: all normal */
	const int32_t *kind;
	size_t merges;
	const struct plumb_span *merge; /* "left right", in order of rank */
	/* Name of the split pattern of BYTES, as GGUF's tokenizer.ggml.pre ("qwen2", "llama-bpe", "smollm" ...);
	 * one that is not known is PLUMB_E_UNSUPPORTED. */
	const char *split;
	int32_t bos, eos, pad; /* -1: none */
	bool add_bos;
	const char *chat_template; /* Jinja text as in the file, or NULL; see plumb_chat_render */
	const char *name;          /* the model's, for messages, or NULL */
	enum plumb_vocab_model model;
	const float *score;  /* of each token; SCORES and UNIGRAM need them */
	int32_t unk;         /* of these: what stands for a character without a token; -1: none */
	bool space_prefix;   /* of these: a blank is put in front of a text */
	bool squeeze_spaces; /* of these: blanks at the ends are taken away, of others one is kept */
	bool add_eos;
	const int32_t *end; /* ids that end a turn beside eos */
	size_t ends;
};

/* Do files with this split pattern put bos in front of a text where they do not say? False for a pattern that
 * is not known. */
PLUMB_API bool plumb_vocab_adds_bos(const char *split);

/* A tokenizer is read by most functions and changed by the others (warn, normalise, add_bos, the templates):
 * several threads may call the former at once. */
struct plumb_tokenizer;
/* Make a tokenizer of a vocabulary. The caller frees it with plumb_tokenizer_free; *tok is NULL on failure.
 * PLUMB_E_FORMAT: something that encoding needs is wrong, such as two tokens of the same text, or an eos
 * outside the vocabulary; the text names it with its index. An entry that nothing needs (an empty token, one
 * that is not of the byte alphabet, a merge of unknown tokens or one that is there twice, a byte without a
 * token, a padding id out of range) is left out with a warning. PLUMB_E_UNSUPPORTED: the split pattern is not
 * known. */
PLUMB_API enum plumb_status plumb_tokenizer_new(
	struct plumb_tokenizer **tok, const struct plumb_vocab *vocab);
/* Make a tokenizer of a tokenizer.json, as Hugging Face's tokenizers writes it: BPE with its vocabulary,
 * merges, added tokens, normaliser, pre-tokeniser, post-processor and decoder. Of `more` only bos, eos, pad,
 * add_bos, add_eos, end, chat_template and name are taken, which that file does not say or says by example
 * only. The text need not outlive the call. PLUMB_E_FORMAT: it is not JSON, or not a tokenizer's;
 * PLUMB_E_UNSUPPORTED: it asks for something that plumb does not do, by its name. */
PLUMB_API enum plumb_status plumb_tokenizer_from_json(
	struct plumb_tokenizer **tok, const char *text, size_t size, const struct plumb_vocab *more);
/* Warning i, one per kind of oddity, with the index of the first; NULL past the last. Valid while the
 * tokenizer lives. */
PLUMB_API const char *plumb_tokenizer_warning(const struct plumb_tokenizer *tok, int i);
/* Add a warning about the source of the tokenizer; at most 255 bytes of it are kept. */
PLUMB_API void plumb_tokenizer_warn(struct plumb_tokenizer *tok, const char *text);
/* Free a tokenizer. NULL is harmless. */
PLUMB_API void plumb_tokenizer_free(struct plumb_tokenizer *tok);

/* Bring text to NFC before it is split (off at first). Qwen2's own tokenizer.json asks for it; a GGUF does
 * not say, and what reads GGUFs (Transformers, llama.cpp) does none, so reference ids come without. */
PLUMB_API void plumb_tokenizer_normalise(struct plumb_tokenizer *tok, bool nfc);

/* Set whether plumb_tokenize puts bos in front; the default is the vocabulary's add_bos. Without a bos it
 * never does. */
PLUMB_API void plumb_tokenizer_add_bos(struct plumb_tokenizer *tok, bool add);

/* The same of eos behind a text. */
PLUMB_API void plumb_tokenizer_add_eos(struct plumb_tokenizer *tok, bool add);

/* The number of tokens; the ids of bos and eos, -1: none. */
PLUMB_API size_t plumb_tokenizer_size(const struct plumb_tokenizer *tok);
PLUMB_API int32_t plumb_tokenizer_bos(const struct plumb_tokenizer *tok);
PLUMB_API int32_t plumb_tokenizer_eos(const struct plumb_tokenizer *tok);
/* True for tokens that end a turn: eos, those that the vocabulary names, and the control tokens that do so in
 * every model that has them (<|im_end|>, <|endoftext|>, <|eot_id|>, <end_of_turn> ...). */
PLUMB_API bool plumb_tokenizer_is_end(const struct plumb_tokenizer *tok, int32_t id);
/* True for control tokens; false for an id out of range. */
PLUMB_API bool plumb_tokenizer_is_special(const struct plumb_tokenizer *tok, int32_t id);

/* How control tokens in a text are encoded. User-defined tokens in it ("<think>", "<tool_call>") become
 * tokens either way. */
enum plumb_specials {
	PLUMB_SPECIALS_PARSE, /* "<|im_start|>" in the text becomes that token */
	PLUMB_SPECIALS_TEXT   /* a control token is text like any other; use this for text that a user typed */
};
/* Encode: bos in front and eos behind if the vocabulary adds them; specials cut out, then NFC where it is on
 * (utf8proc) and the vocabulary's own normaliser, the split pattern (PCRE2), merges with a priority queue.
 * *ids is malloc'ed, the caller frees it; *count may be 0. Invalid UTF-8: PLUMB_E_ARGUMENT with the byte
 * offset. A byte for which the vocabulary has no token: PLUMB_E_UNSUPPORTED. */
PLUMB_API enum plumb_status plumb_tokenize(const struct plumb_tokenizer *tok, const char *text, size_t size,
	enum plumb_specials specials, int32_t **ids, size_t *count);

/* Offset of the first byte that is not valid UTF-8 (of the first byte of a character that is cut off); size
 * when all is. */
PLUMB_API size_t plumb_utf8_invalid(const char *text, size_t size);
/* Copy text of unknown origin (a device's name, a path, a file's key) with U+FFFD in place of each run of
 * bytes that can be no character: valid UTF-8 in any case. out holds 3 * size bytes; returns the bytes
 * written, no NUL among them that the text does not have. */
PLUMB_API size_t plumb_utf8_replace(const char *text, size_t size, char *out);

/* Bytes of one token (may be part of a character). Valid while the tokenizer lives; empty
 * for an id out of range. */
PLUMB_API struct plumb_span plumb_token_bytes(const struct plumb_tokenizer *tok, int32_t id);
/* Id of a token given as its bytes; -1 when there is none. */
PLUMB_API int32_t plumb_token_find(const struct plumb_tokenizer *tok, const char *bytes, size_t size);

/* Streaming: takes token after token and returns only whole characters. Bytes that can never become a
 * character are replaced by U+FFFD. Zero-initialise it. */
struct plumb_stream {
	unsigned char held[4];
	int count;
	bool begun; /* the blank that a vocabulary puts in front of a text is left out once */
};
/* Append token id's text to out (at least 3 times the token's bytes + 16); *written without NUL.
 * Specials are left out unless `specials`. PLUMB_E_ARGUMENT: id out of range or out too small. */
PLUMB_API enum plumb_status plumb_stream_token(struct plumb_stream *stream, const struct plumb_tokenizer *tok,
	int32_t id, bool specials, char *out, size_t size, size_t *written);
/* End the stream: bytes that are held back are written to out as U+FFFD. size is at least 16. Returns the
 * bytes written. */
PLUMB_API size_t plumb_stream_end(struct plumb_stream *stream, char *out, size_t size);

/* --- stop texts --- */
/* A filter between plumb_stream_token and what shows the text: it ends the text before the first of some stop
 * texts, wherever the borders of the tokens are. Bytes that may be the beginning of a stop text are held back
 * until it is known. */
struct plumb_stop;
/* `count` stop texts (0 or more), each of 1 byte to 1 MiB; they are copied. *stop is NULL on failure; free it
 * with plumb_stop_free. PLUMB_E_ARGUMENT: an empty one. */
PLUMB_API enum plumb_status plumb_stop_new(
	struct plumb_stop **stop, const struct plumb_span *texts, size_t count);
/* Free the filter. NULL is harmless. */
PLUMB_API void plumb_stop_free(struct plumb_stop *stop);
/* Take the next n bytes of the text. *out: the bytes that are certain not to belong to a stop text, valid
 * until the next call. *hit: the index of the stop text that has been met, -1 while none has. The one that is
 * complete first counts, of several that end with the same byte the longest. After a hit nothing comes out
 * any more. PLUMB_E_MEMORY: nothing was taken. */
PLUMB_API enum plumb_status plumb_stop_feed(
	struct plumb_stop *stop, const char *text, size_t n, struct plumb_span *out, int *hit);
/* End the text: returns the bytes that were held back, which are no stop text; none after a hit. Valid until
 * the next call. */
PLUMB_API struct plumb_span plumb_stop_end(struct plumb_stop *stop);

/* --- chat prompts --- */
/* A model's template is a program in Jinja. plumb runs none: it knows the texts of some exactly, by their
 * SHA-256, and writes what they write: "chatml", "qwen2", "qwen2.5", "qwen2.5-math", "smollm2", "qwq",
 * "qwq-first", "deepseek-r1". Name i; NULL past the last. */
PLUMB_API const char *plumb_template_name(int i);
/* Name of the template in use; NULL: the vocabulary has none, or one that is not known. */
PLUMB_API const char *plumb_tokenizer_template(const struct plumb_tokenizer *tok);
/* Use another template, by its name (PLUMB_E_ARGUMENT: no such) or by its text (PLUMB_E_UNSUPPORTED: not
 * known). The one before stays in use on failure. */
PLUMB_API enum plumb_status plumb_tokenizer_use_template(struct plumb_tokenizer *tok, const char *name);
PLUMB_API enum plumb_status plumb_tokenizer_read_template(
	struct plumb_tokenizer *tok, const char *text, size_t size);

struct plumb_message {
	const char *role, *content;
}; /* role: system, user, assistant */
/* Render messages [first, count) of a conversation as the template in use does and leave it open
 * for the assistant's answer if `answer`. `first` lets a chat append only what is new; a template that drops
 * the thoughts of earlier answers (qwq, deepseek-r1) may by then have written them, so render its
 * conversations anew. Without a system message at index 0 the template's own default is put there. *text is
 * malloc'ed. Role markers are special tokens: encode the pieces with plumb_chat_tokenize, or this text with
 * PLUMB_SPECIALS_PARSE. PLUMB_E_UNSUPPORTED: no template in use; the text names model and template. */
PLUMB_API enum plumb_status plumb_chat_render(const struct plumb_tokenizer *tok,
	const struct plumb_message *messages, size_t first, size_t count, bool answer, char **text);
/* The same as token ids, with the content of messages encoded as plain text (PLUMB_SPECIALS_TEXT), so that a
 * user cannot forge role markers. A begin-of-text token is there if the template writes one, whatever the
 * vocabulary adds to plain text. To append to a conversation (first > 0) whose last answer the model has
 * made, feed what it left open first: the end-of-turn token unless it came, and what follows it, "\n" in
 * ChatML. */
PLUMB_API enum plumb_status plumb_chat_tokenize(const struct plumb_tokenizer *tok,
	const struct plumb_message *messages, size_t first, size_t count, bool answer, int32_t **ids, size_t *n);

/* --- sampling --- */
/* As struct plumb_options, but for top_p and repeat_penalty, of which 0 is refused: it would not mean "off".
 */
struct plumb_sampling {
	size_t size;        /* sizeof(struct plumb_sampling) */
	double temperature; /* 0: greedy, the rest is then ignored (but the penalty) */
	int top_k;          /* 0: off */
	double top_p;       /* 1: off */
	double min_p;       /* 0: off */
	double
		repeat_penalty; /* 1: off; logits of recent tokens are divided (positive) or multiplied (negative) */
	int repeat_window;  /* recent tokens looked at; 0: 64 */
	uint64_t seed;
};
#define PLUMB_SAMPLING(...) (&(struct plumb_sampling){ .size = sizeof(struct plumb_sampling), __VA_ARGS__ })
struct plumb_sampler;
/* Make a sampler; how is copied. The caller frees it with plumb_sampler_free; *sampler is NULL on failure.
 * PLUMB_E_ARGUMENT: a value is out of range; the text names it. */
PLUMB_API enum plumb_status plumb_sampler_new(
	struct plumb_sampler **sampler, const struct plumb_sampling *how);
/* Free a sampler. NULL is harmless. */
PLUMB_API void plumb_sampler_free(struct plumb_sampler *sampler);
/* Count a token of the prompt as a recent one, for the repeat penalty. */
PLUMB_API void plumb_sampler_saw(struct plumb_sampler *sampler, int32_t id);
/* Choose from n logits and remember the choice. Order of filters: penalty, temperature, top_k, top_p,
 * min_p. Same seed, same logits, same choice on every machine. PLUMB_E_NONFINITE: NaN among them. */
PLUMB_API enum plumb_status plumb_sample(
	struct plumb_sampler *sampler, const float *logits, int32_t n, int32_t *id);

#ifdef __cplusplus
}
#endif
#endif
