/* SPDX-License-Identifier: Apache-2.0 */
/* Why does a run of a model differ from a reference? Measures, references, and the parts of the diagnosis. A part's result is a JSON
 * text (its fields: doc/diagnosis.md), the same that `plumb diag PART --json` prints; the page of plumb_diag_html shows it. */
#ifndef PLUMB_DIAG_H
#define PLUMB_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- measures: all sums in float64; NaN or infinity on one side only makes max_abs infinite --- */
struct plumb_measure {
	int64_t count;
	double max_abs, mean_abs;  /* of ours - reference */
	int64_t worst;             /* index of max_abs */
	double rel;                /* ||ours - reference|| / ||reference|| (L2) */
	double nmse;               /* rel^2 */
	double cosine;
	double mean_ulp, max_ulp;  /* in units in the last place of the reference, in its own precision */
};
/* n values each. ulp: PLUMB_F32, PLUMB_BF16 or PLUMB_F16 (else PLUMB_E_TYPE). */
PLUMB_API enum plumb_status plumb_measure(struct plumb_measure *m, const float *ours, const float *reference, int64_t n, enum plumb_type ulp);

struct plumb_logits_measure {
	double kl;                 /* KL(reference || ours) of the softmaxes, in nats, float64 */
	int32_t top_ours, top_reference;
	double margin_ours, margin_reference; /* best minus second */
	double agree;              /* share of the reference's k best that are among ours */
	double max_abs;
};
/* One row of logits each; k >= 1. */
PLUMB_API enum plumb_status plumb_measure_logits(struct plumb_logits_measure *m, const float *ours, const float *reference, int64_t vocab, int k);

/* --- references --- */
struct plumb_reference;
/* A folder of after_layer_N.bin files (little-endian int32 count, float32 values), a safetensors file of named points ("L5.q_proj",
 * "embeddings", "final_norm", "last_logits"), or a folder that holds one. An optional reference.json beside it tells tokens, position, dtype and convention.
 * Opening fails (PLUMB_E_IO, PLUMB_E_FORMAT) only when nothing in it can be used; the rest is told by plumb_reference_problems. */
PLUMB_API enum plumb_status plumb_reference_open(struct plumb_reference **reference, const char *path, const struct plumb_config *config);
PLUMB_API void plumb_reference_free(struct plumb_reference *reference);
/* What is wrong with it, as a JSON array of {"file", "problem", "consequence"}; the caller frees the text. NULL: no memory. */
PLUMB_API char *plumb_reference_problems(const struct plumb_reference *reference);

/* --- diagnosis --- */
struct plumb_diag_options { /* see struct plumb_options */
	size_t size; /* sizeof(struct plumb_diag_options) */
	const int32_t *tokens;    /* of the prompt; NULL: as the reference tells, else found from its embeddings */
	int64_t token_count;
	int64_t layers;           /* evaluate only so many (0: all); faster, and then there are no logits */
	int layer;                /* of parts that look into one layer; -1: all */
	const char *fault;        /* break the port on purpose: "k_bias@5" (plumb_fault_row lists them); NULL: no */
	/* Hears what is done; false stops with PLUMB_E_CANCELLED. NULL: nobody hears. */
	bool (*progress)(void *user, const char *what, double done, double total);
	void *user;
};
#define PLUMB_DIAG_OPTIONS(...) (&(struct plumb_diag_options){ .size = sizeof(struct plumb_diag_options), __VA_ARGS__ })
struct plumb_diag;
/* A diagnosis changes neither the models nor the reference, so several may share them; all must outlive it. port: the model as it is to be
 * judged. trusted: the same file on the driver to trust (native, FP32, exact); NULL: the port itself.
 * reference may be NULL for parts that need none. PLUMB_E_ARGUMENT: tokens not known, a token or layer outside
 * the model, an unknown fault. */
PLUMB_API enum plumb_status plumb_diag_new(struct plumb_diag **diag, struct plumb_model *port, struct plumb_model *trusted,
	const struct plumb_reference *reference, const struct plumb_diag_options *options);
PLUMB_API void plumb_diag_free(struct plumb_diag *diag);
/* Run a part ("growth", "report" ...) and give its result; the caller frees the text. */
PLUMB_API enum plumb_status plumb_diag_json(struct plumb_diag *diag, const char *part, char **json);
/* Parts: name and the question it answers; false past the end. */
PLUMB_API bool plumb_diag_row(int index, const char **name, const char **question, bool *needs_reference);
/* The library of porting bugs that can be put into a run: name and meaning; false past the end. */
PLUMB_API bool plumb_fault_row(int index, const char **name, const char **what);

/* `plumb diag report`'s exit codes. In the first three the port is right. */
enum plumb_judgement {
	PLUMB_RIGHT = 0,        /* agrees as it stands */
	PLUMB_CONVENTION = 20,  /* agrees once the reference's convention is undone */
	PLUMB_PRECISION = 21,   /* agrees as far as the reference's own precision can tell */
	PLUMB_DIVERGES = 22,    /* a real divergence */
	PLUMB_UNUSABLE = 23     /* the reference cannot be used */
};

/* Write the values of a run at all capture points of `points` as a reference others can read. path: a folder, made when missing.
 * bins: .bin files of the last position; else one safetensors file of all positions. Complete or not at all. */
PLUMB_API enum plumb_status plumb_diag_dump(struct plumb_diag *diag, const char *path, bool bins, unsigned points);
/* One self-contained page (no script, no request) from a report's JSON; the caller frees the text. PLUMB_E_FORMAT: not a report. */
PLUMB_API enum plumb_status plumb_diag_html(const char *report_json, char **html);
/* A part's result as text for people; the caller frees it. */
PLUMB_API enum plumb_status plumb_diag_text(const char *part_json, char **text);

/* --- bisect: which operators of `bad` must run as in `good` for the answer to be right --- */
struct plumb_bisect_options { /* see struct plumb_options */
	size_t size; /* sizeof(struct plumb_bisect_options) */
	bool (*progress)(void *user, const char *what, double done, double total); /* as in struct plumb_diag_options */
	void *user;
	double tolerance; /* relative L2 of logits; 0: 1e-3 */
};
#define PLUMB_BISECT_OPTIONS(...) (&(struct plumb_bisect_options){ .size = sizeof(struct plumb_bisect_options), __VA_ARGS__ })
/* Both of the same file, in contexts of their own (different drivers). JSON: doc/diagnosis.md, "bisect". */
PLUMB_API enum plumb_status plumb_diag_bisect(struct plumb_model *good, struct plumb_model *bad, const int32_t *tokens, int64_t n,
	const struct plumb_bisect_options *options, char **json);

#ifdef __cplusplus
}
#endif
#endif
