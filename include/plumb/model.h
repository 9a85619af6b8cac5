/* SPDX-License-Identifier: Apache-2.0 */
/* A transformer from a file, and sessions that run it. */
#ifndef PLUMB_MODEL_H
#define PLUMB_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/context.h>
#include <plumb/file.h>
#include <plumb/op.h>
#include <plumb/tensor.h>
#include <plumb/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Biases that a file may have: each in all layers or in none. */
enum plumb_bias {
	PLUMB_BIAS_Q = 1,
	PLUMB_BIAS_K = 2,
	PLUMB_BIAS_V = 4,
	PLUMB_BIAS_ATTN_OUT = 8,
	PLUMB_BIAS_FFN_GATE = 16,
	PLUMB_BIAS_FFN_UP = 32,
	PLUMB_BIAS_FFN_DOWN = 64,
	PLUMB_BIAS_OUTPUT = 128
};

/* Norms that a family has, all of them RMSNorm. */
enum plumb_norms {
	PLUMB_NORM_BEFORE = 1, /* of what goes into attention and into the feed-forward block */
	PLUMB_NORM_AFTER = 2,  /* of what comes out of them, before it is added to the residual stream */
	PLUMB_NORM_HEAD = 4,   /* of each head of the queries and of the keys, before RoPE */
	PLUMB_NORM_WIDTH = 8   /* of all heads of the queries, and of the keys, together, before RoPE */
};

/* How the frequencies of RoPE are changed for contexts longer than those of the training. */
enum plumb_rope_scaling {
	PLUMB_ROPE_SCALING_NONE,
	PLUMB_ROPE_SCALING_LINEAR, /* positions are divided by the factor (Chen et al. 2023) */
	PLUMB_ROPE_SCALING_LLAMA3, /* low frequencies are, high ones are not, a ramp between (Llama 3.1) */
	PLUMB_ROPE_SCALING_YARN,   /* the same with another ramp, and cosine and sine scaled (Peng et al. 2023) */
	PLUMB_ROPE_SCALING_LONG,   /* each by a factor from the file, of two lists (LongRoPE, Ding et al. 2024) */
	PLUMB_ROPE_SCALING_FACTORS, /* each by a factor from the file */
	PLUMB_ROPE_SCALINGS
};
/* "linear"; NULL outside the enum. */
PLUMB_API const char *plumb_rope_scaling_name(int scaling);

/* What attention does in some layers of a model. */
struct plumb_layer_config {
	bool rope;        /* queries and keys are rotated */
	bool rope_scaled; /* ... by scaled frequencies */
	double rope_base;
	int64_t window; /* a position sees this many, its own included; 0: all before it */
};

enum { PLUMB_LAYER_KINDS = 4, PLUMB_MOST_LAYERS = 1024 };

struct plumb_config {
	char family[32]; /* "qwen2" */
	char name[128];
	int64_t layers, hidden, ffn, heads, kv_heads, vocab, context;
	int64_t head_dim, value_dim; /* width of a head of queries and keys, and of values */
	double norm_eps;
	double norm_offset; /* is added to norms' weights as the file has them */
	bool norm_from_one; /* checkpoints of the family have norms' weights less 1, whatever this file has */
	unsigned norms;     /* bits of enum plumb_norms */
	enum plumb_activation activation;
	double embedding_scale; /* embeddings are multiplied by it */
	double score_scale;     /* attention scores are; as a rule 1 / sqrt(head_dim) */
	double residual_scale;  /* what attention and the feed-forward block add to the residual stream is */
	double logit_scale;     /* logits are */
	enum plumb_rope_pairs rope_pairs;
	int64_t rotated; /* the first elements of a head, which RoPE rotates; even */
	/* Of layers that are rope_scaled. rope_factor: of LINEAR, LLAMA3 and YARN; rope_original: the context of
	 * the training; low, high: of LLAMA3 its factors of frequency, of YARN the rotations (beta) where its
	 * ramp begins and ends; rope_attention: cosine and sine are multiplied by it. */
	enum plumb_rope_scaling rope_scaling;
	double rope_factor, rope_original, rope_low, rope_high, rope_attention;
	struct plumb_layer_config kind[PLUMB_LAYER_KINDS];
	unsigned char kind_of[PLUMB_MOST_LAYERS]; /* index in kind, by layer */
	unsigned biases;                          /* the matrices that have one, bits of enum plumb_bias */
	/* qkv_bias: Q, K or V has one; tied: no output matrix of its own, the embedding serves */
	bool qkv_bias, tied;
};
/* What holds in a layer; layer is from 0 to layers - 1. */
PLUMB_API const struct plumb_layer_config *plumb_config_layer(
	const struct plumb_config *config, int64_t layer);

struct plumb_model;
/* Read configuration, weights and tokenizer; every tensor's presence and shape is verified.
 * The file stays mapped while the model lives. progress, if not NULL, is called with the number of bytes of
 * weights that have been packed so far, and of all. PLUMB_E_FORMAT or PLUMB_E_SHAPE names tensor or key;
 * PLUMB_E_UNSUPPORTED names the family, or the key or tensor that changes the arithmetic in a way that plumb
 * does not compute. *model is NULL on failure. The context must outlive the model. */
typedef void (*plumb_progress_fn)(void *user, uint64_t done, uint64_t total);
PLUMB_API enum plumb_status plumb_model_load(struct plumb_model **model, struct plumb_context *ctx,
	const char *path, plumb_progress_fn progress, void *user);
/* Free a model; its sessions must be freed before. NULL is harmless. */
PLUMB_API void plumb_model_free(struct plumb_model *model);

/* Read and check the configuration alone (no weights). What it does not describe is not looked at: see
 * plumb_model_check. */
PLUMB_API enum plumb_status plumb_config_read(struct plumb_config *config, const struct plumb_file *file);

/* What the model family makes of a metadata key or a tensor of a file. */
enum plumb_use {
	PLUMB_USE_READ,     /* It is read, and results depend on it. */
	PLUMB_USE_HARMLESS, /* It is not read, and no result depends on it. */
	PLUMB_USE_IGNORED,  /* It is not read and may matter. Loading gives a notice that names it. */
	/* It changes the arithmetic in a way that plumb does not compute. Loading fails and names it. */
	PLUMB_USE_REFUSED
};
/* How `key` or `tensor`, an entry of `file`, is used. *why (unless NULL) becomes a short reason, a constant;
 * "" for PLUMB_USE_READ. A file of an unknown architecture has only ignored entries but for the keys that
 * files of all architectures share. */
PLUMB_API enum plumb_use plumb_model_key_use(
	const struct plumb_file *file, const struct plumb_meta *key, const char **why);
PLUMB_API enum plumb_use plumb_model_tensor_use(
	const struct plumb_file *file, const struct plumb_file_tensor *tensor, const char **why);
/* PLUMB_E_UNSUPPORTED with a text that names the first entry that is refused; plumb_model_load calls it. */
PLUMB_API enum plumb_status plumb_model_check(const struct plumb_file *file);

/* The configuration, the file and the context of a model. They are valid as long as the model. */
PLUMB_API const struct plumb_config *plumb_model_config(const struct plumb_model *model);
PLUMB_API const struct plumb_file *plumb_model_file(const struct plumb_model *model);
PLUMB_API struct plumb_context *plumb_model_context(const struct plumb_model *model);
/* The model's tokenizer, which the model owns; NULL when the file has none that can be used, and
 * plumb_last_error says why. */
PLUMB_API struct plumb_tokenizer *plumb_model_tokenizer(const struct plumb_model *model);
/* Make a tokenizer of a file's metadata alone. The caller frees it with plumb_tokenizer_free; it does not
 * need the file any longer. Errors: those of plumb_tokenizer_new. */
PLUMB_API enum plumb_status plumb_tokenizer_from_file(
	struct plumb_tokenizer **tok, const struct plumb_file *file);
/* Bytes of weights that one decoding step reads. */
PLUMB_API uint64_t plumb_model_step_bytes(const struct plumb_model *model);

/* Exchange the weights of two layers, for experiments with layers in a wrong order; a second call undoes it.
 * Must not be called while a session evaluates. PLUMB_E_ARGUMENT: there is no such layer. */
PLUMB_API enum plumb_status plumb_model_exchange(struct plumb_model *model, int64_t a, int64_t b);

/* --- capture points --- */
/* In the order in which they occur; a model has those that its family has. layer is -1 for those outside a
 * layer. Shapes for n tokens at position pos: {n, width}, except scores and softmax {heads, n, pos + n}. */
enum plumb_point {
	PLUMB_POINT_EMBEDDINGS, /* {n, hidden}, layer -1 */
	PLUMB_POINT_INPUT_NORM, /* {n, hidden} */
	PLUMB_POINT_Q_PROJ,     /* {n, heads * head_dim}, with bias, before RoPE */
	PLUMB_POINT_K_PROJ,     /* {n, kv_heads * head_dim} */
	PLUMB_POINT_V_PROJ,
	PLUMB_POINT_Q_NORM, /* of families that norm queries and keys */
	PLUMB_POINT_K_NORM,
	PLUMB_POINT_Q_ROPE, /* as attention takes them: not rotated in a layer that has no RoPE */
	PLUMB_POINT_K_ROPE,
	PLUMB_POINT_ATTN_SCORES, /* {heads, n, pos + n}, scaled and masked */
	PLUMB_POINT_ATTN_SOFTMAX,
	PLUMB_POINT_ATTN_CONTEXT, /* input of the output projection */
	PLUMB_POINT_ATTN_OUT,
	PLUMB_POINT_ATTN_POST_NORM, /* of families that norm what attention made */
	PLUMB_POINT_ATTN_RESIDUAL,  /* layer input + attn_out */
	PLUMB_POINT_POST_ATTN_NORM, /* input of the feed-forward block */
	PLUMB_POINT_FFN_GATE,
	PLUMB_POINT_FFN_UP,
	PLUMB_POINT_FFN_ACT, /* silu(gate) * up, or gelu */
	PLUMB_POINT_FFN_DOWN,
	PLUMB_POINT_FFN_POST_NORM, /* of families that norm what the feed-forward block made */
	PLUMB_POINT_OUTPUT,        /* attn_residual + ffn_down: the layer's output */
	PLUMB_POINT_FINAL_NORM,    /* layer -1; rows whose logits were asked for */
	PLUMB_POINT_LOGITS,        /* layer -1; the same rows */
	PLUMB_POINT_COUNT
};
PLUMB_API const char *plumb_point_name(int point); /* "input_norm"; NULL outside the enum */
/* The capture points (bits 1 << point) that exist only if a fused operator is replaced by its components,
 * which a tap that asks for one of them brings about. The mode "exact" fuses attention only; other modes also
 * fuse a norm with the products that follow it, and a product with the residual. */
PLUMB_API unsigned plumb_model_inside(const struct plumb_model *model);

/* Called at each capture point of the mask, in the thread that evaluates. The tensor may be read and written;
 * the model continues with its values after the call. The tensor is valid during the call. A status other
 * than PLUMB_OK ends the evaluation, which returns it. */
typedef enum plumb_status (*plumb_tap_fn)(
	void *user, int layer, enum plumb_point point, struct plumb_tensor *tensor);
#define PLUMB_POINTS_ALL ((1u << PLUMB_POINT_COUNT) - 1)

/* --- sessions: one sequence each --- */
struct plumb_session_options { /* see struct plumb_options */
	size_t size;               /* sizeof(struct plumb_session_options) */
	int64_t context;           /* most positions; default the model's */
	int64_t batch;             /* most tokens in one pass; default 512 */
	enum plumb_type kv_type;   /* PLUMB_F32 (default, 0) or PLUMB_F16; an FP64 context takes F64 */
	/* Called between layers, in the thread that evaluates; true ends the evaluation with PLUMB_E_CANCELLED.
	 * May be NULL. */
	plumb_cancel_fn cancel;
	void *cancel_user;
};
#define PLUMB_SESSION_OPTIONS(...) \
	(&(struct plumb_session_options){ .size = sizeof(struct plumb_session_options), __VA_ARGS__ })
struct plumb_session;
/* Make an empty session, at position 0. options: NULL for the defaults. The model must outlive it. The caller
 * frees *session with plumb_session_free; it is NULL on failure. PLUMB_E_LIMIT: its caches exceed the memory
 * limit. PLUMB_E_ARGUMENT: a context or batch out of range. PLUMB_E_TYPE: a cache cannot have this type. */
PLUMB_API enum plumb_status plumb_session_new(
	struct plumb_session **session, struct plumb_model *model, const struct plumb_session_options *options);
/* Free a session. NULL is harmless. */
PLUMB_API void plumb_session_free(struct plumb_session *session);

enum plumb_logits { PLUMB_LOGITS_LAST, PLUMB_LOGITS_ALL, PLUMB_LOGITS_NONE };
/* Append n >= 1 tokens. Longer inputs run in passes of `batch`. PLUMB_E_ARGUMENT: id outside the
 * vocabulary; PLUMB_E_LIMIT: past the context (nothing is evaluated). After a failure or a
 * cancel, the session is at the position before the call.
 * With PLUMB_LOGITS_ALL n must be at most `batch`. */
PLUMB_API enum plumb_status plumb_session_eval(
	struct plumb_session *session, const int32_t *tokens, int64_t n, enum plumb_logits want);
/* Logits of the last eval: rows x vocab float32, row-major; valid until the next eval. *rows is 1 for LAST, n
 * for ALL. PLUMB_E_ARGUMENT after NONE. */
PLUMB_API enum plumb_status plumb_session_logits(
	struct plumb_session *session, const float **logits, int64_t *rows);
/* Append one token to each of `count` different sessions of one model, reading the weights once for all:
 * tokens[i] goes to sessions[i]. Each session then has the logits of its own token. The results are those of
 * separate evaluations up to rounding, since a matrix product of several rows may be summed in another order.
 * count is at most the `batch` of the first session, whose buffers are used; no session may have a tap. After
 * a failure all sessions are at the positions before the call. */
PLUMB_API enum plumb_status plumb_sessions_step(
	struct plumb_session *const *sessions, const int32_t *tokens, int64_t count);
PLUMB_API struct plumb_model *plumb_session_model(const struct plumb_session *session);
PLUMB_API int64_t plumb_session_position(const struct plumb_session *session); /* tokens held */
/* Remove all tokens from `position` on, for editing a conversation. PLUMB_E_ARGUMENT: position is negative or
 * beyond the current one. */
PLUMB_API enum plumb_status plumb_session_rewind(struct plumb_session *session, int64_t position);
/* The most positions that the session can hold, from its options or the model. */
PLUMB_API int64_t plumb_session_context(const struct plumb_session *session);
/* Call fn at the capture points of mask, bits 1 << enum plumb_point, of later evaluations; it replaces the
 * tap before. fn NULL removes the tap. */
PLUMB_API void plumb_session_tap(struct plumb_session *session, unsigned mask, plumb_tap_fn fn, void *user);

/* --- values that float16 cannot hold --- */
/* In a context of precision FP16: the first finite value past float16's largest, 65504, that an operator made
 * since the session was made. It became an infinity, as it would in a port that runs in float16. The notice
 * function of the context is called for it once a session. */
struct plumb_overflow {
	int64_t rows;           /* rows of operators' results in which there was one, so far */
	const char *op;         /* "matmul"; a constant */
	enum plumb_point point; /* what it made, or was a step of */
	int layer;              /* -1: in none */
	int64_t position;       /* of the token, from 0 */
	double value;
};
/* The overflow that was found; NULL: there was none. The session owns it, and an evaluation may change it. */
PLUMB_API const struct plumb_overflow *plumb_session_overflow(const struct plumb_session *session);

/* --- values that are not finite --- */
/* Index of the first of n values that is NaN or infinite; -1: all are finite. */
PLUMB_API int64_t plumb_first_nonfinite(const float *x, int64_t n);
/* Where a run first leaves the finite numbers. */
struct plumb_nonfinite {
	const char *op;         /* name of the operator, "attn_scores"; a constant; NULL: nothing was found */
	enum plumb_point point; /* what it made; of "kv_store", what it was given */
	int layer;              /* -1: in none */
	int64_t position;       /* of the token, from 0 */
	double value; /* NaN or infinity; of "kv_store", the finite value that the cache's type cannot hold */
	bool cache;   /* the operator is "kv_store": a cache in float32 would have held it */
	bool fused;   /* seen only where operators run fused, not when each basic one runs by itself */
	struct plumb_span weight; /* a tensor of that layer that itself holds such a value, n 0: none does; as
								 long as the model lives */
	int64_t weight_index;     /* ... at this element, in file order */
	double weight_value;
};
/* Evaluate n tokens again from position 0 and check the result of every operator, to find the origin of
 * logits that are not finite. It takes at least as long as evaluating them did, and leaves the session empty,
 * at position 0. PLUMB_OK also when nothing was found. Errors: those of plumb_session_eval. */
PLUMB_API enum plumb_status plumb_session_nonfinite(
	struct plumb_session *session, const int32_t *tokens, int64_t n, struct plumb_nonfinite *found);

#ifdef __cplusplus
}
#endif
#endif
