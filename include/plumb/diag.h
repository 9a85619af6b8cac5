/* SPDX-License-Identifier: Apache-2.0 */
/* Why a run of a model differs from a reference: measures, references, and the checks of the diagnosis. The
 * result of a check is a JSON text, the one that `plumb diag NAME --json` prints; doc/diagnosis.md describes
 * its fields. Texts that are returned are malloc'ed, and the caller frees them; the pointer is NULL on
 * failure. */
#ifndef PLUMB_DIAG_H
#define PLUMB_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- measures --- */
/* The distance of two lists of values. All sums are in float64. A value that is NaN or infinite on one side
 * only makes every distance infinite and the cosine 0; the same one on both sides is no difference. */
struct plumb_measure {
	int64_t count;            /* values compared */
	double max_abs, mean_abs; /* of ours - reference, in units of the values */
	int64_t worst;            /* index of max_abs; of the first value that is not finite on one side only */
	double rel;               /* ||ours - reference|| / ||reference|| (L2) */
	double nmse;              /* rel^2 */
	double cosine;            /* of the angle between both, -1 to 1 */
	double mean_ulp, max_ulp; /* of the difference, in ulp of the larger of the two values */
};
/* Measure n >= 0 values of each list. ulp is the type whose units in the last place are counted: PLUMB_F32,
 * PLUMB_BF16 or PLUMB_F16; another one is PLUMB_E_TYPE. *m is written. Any number of threads may call it at
 * once. */
PLUMB_API enum plumb_status plumb_measure(
	struct plumb_measure *m, const float *ours, const float *reference, int64_t n, enum plumb_type ulp);

/* The distance of two rows of logits. */
struct plumb_logits_measure {
	double kl;                            /* KL(reference || ours) of the softmaxes, in nats, float64 */
	int32_t top_ours, top_reference;      /* ids of the largest logits; of equal ones the lowest */
	double margin_ours, margin_reference; /* largest minus second; infinite for one logit */
	double agree;                         /* share of the reference's k best that are among ours, 0 to 1 */
	double max_abs;                       /* of ours - reference */
};
/* Measure two rows of `vocab` logits. k >= 1 is the number of best ids that `agree` compares; all when k is
 * larger than vocab. PLUMB_E_ARGUMENT: vocab or k is below 1. Any number of threads may call it at once. */
PLUMB_API enum plumb_status plumb_measure_logits(
	struct plumb_logits_measure *m, const float *ours, const float *reference, int64_t vocab, int k);

/* --- references --- */
/* The values of another implementation's run at some capture points. It does not change once it is open, so
 * any number of diagnoses, in several threads too, may share it. */
struct plumb_reference;
/* Read a reference. path: a folder of after_layer_N.bin files (a little-endian int32 count, then as many
 * float32 values), a safetensors file of named points ("L5.q_proj", "embeddings", "final_norm",
 * "last_logits"), or a folder that holds one. A file reference.json beside them may declare tokens, position,
 * dtype and convention. config: that of the model to be compared. The caller frees *reference with
 * plumb_reference_free. PLUMB_E_IO, PLUMB_E_FORMAT: no value can be used. Other defects are listed by
 * plumb_reference_problems. */
PLUMB_API enum plumb_status plumb_reference_open(
	struct plumb_reference **reference, const char *path, const struct plumb_config *config);
/* Free a reference; every diagnosis of it must be freed before. NULL is harmless. */
PLUMB_API void plumb_reference_free(struct plumb_reference *reference);
/* The defects that were found while reading, as a JSON array of {"file", "problem", "consequence"}; [] when
 * there are none. The caller frees the text. NULL: no memory. */
PLUMB_API char *plumb_reference_problems(const struct plumb_reference *reference);

/* --- diagnosis --- */
struct plumb_diag_options { /* see struct plumb_options */
	size_t size;            /* sizeof(struct plumb_diag_options) */
	/* The ids of the prompt, which are copied; NULL: those that the reference declares, else those found from
	 * its embeddings. */
	const int32_t *tokens;
	int64_t token_count;
	int64_t layers; /* number of layers to evaluate, which skips the logits; 0: all */
	int layer;      /* the layer that checks of single layers examine, from 0; -1: all */
	/* A fault that is put into the port on purpose, such as "k_bias@5" (plumb_fault_row lists them); NULL:
	 * none. */
	const char *fault;
	/* Called with a description of the current work and its progress, `done` of `total`; return false to
	 * cancel (PLUMB_E_CANCELLED). `what` is valid during the call. May be NULL. */
	bool (*progress)(void *user, const char *what, double done, double total);
	void *user; /* passed to progress */
};
#define PLUMB_DIAG_OPTIONS(...) \
	(&(struct plumb_diag_options){ .size = sizeof(struct plumb_diag_options), __VA_ARGS__ })
/* A diagnosis: one prompt, one reference, and the results so far. One thread at a time may use it, under the
 * rules of the contexts of its models (context.h). */
struct plumb_diag;
/* Begin a diagnosis; nothing is evaluated yet. port: the model to be judged. trusted: the same file on the
 * driver to be trusted (native, FP32, exact); NULL: the port itself. reference: NULL for checks that need
 * none. options: NULL for the defaults. Models and reference are borrowed: they must outlive the diagnosis,
 * which changes neither, so that several diagnoses may share them. The caller frees *diag with
 * plumb_diag_free; it is NULL on failure. PLUMB_E_ARGUMENT: the tokens are not known, a token or layer is
 * outside the model, or the fault is unknown. */
PLUMB_API enum plumb_status plumb_diag_new(struct plumb_diag **diag, struct plumb_model *port,
	struct plumb_model *trusted, const struct plumb_reference *reference,
	const struct plumb_diag_options *options);
/* Free a diagnosis. NULL is harmless. */
PLUMB_API void plumb_diag_free(struct plumb_diag *diag);
/* Run a check and return its result as JSON, which the caller frees. check: its name ("growth", "report"
 * ...). A result is computed once: asking again returns the same text. Errors: PLUMB_E_ARGUMENT when there is
 * no check of that name, or it needs a reference or tokens and there are none; those of plumb_session_eval,
 * PLUMB_E_CANCELLED among them. */
PLUMB_API enum plumb_status plumb_diag_json(struct plumb_diag *diag, const char *check, char **json);
/* Check number `index`, from 0: its name, the question that it answers, and whether it needs a reference. The
 * texts are constants. Returns false past the end. */
PLUMB_API bool plumb_diag_row(int index, const char **name, const char **question, bool *needs_reference);
/* Fault number `index`, from 0, of those that can be put into a run: its name and its meaning. The texts are
 * constants. Returns false past the end. */
PLUMB_API bool plumb_fault_row(int index, const char **name, const char **what);

/* A verdict; the numbers are the exit codes of `plumb diag report`. In the first three the port is right. */
enum plumb_judgement {
	PLUMB_RIGHT = 0,       /* agrees as it stands */
	PLUMB_CONVENTION = 20, /* agrees once the reference's convention is undone */
	PLUMB_PRECISION = 21,  /* agrees within the rounding of the reference's own precision */
	PLUMB_DIVERGES = 22,   /* a real divergence */
	PLUMB_UNUSABLE = 23    /* the reference cannot be used */
};

/* Run the port and write its values as a reference. path: a folder, which is made, or which is empty. bins:
 * write .bin files of the last position, which exist for embeddings, layer outputs and logits; else one
 * safetensors file of all positions. points: bits 1 << enum plumb_point; 0: all. The folder appears when it
 * is complete; after a failure nothing is left of it. PLUMB_E_ARGUMENT: no tokens, or no point to write.
 * PLUMB_E_IO: a file cannot be written, or the folder is not empty. */
PLUMB_API enum plumb_status plumb_diag_dump(
	struct plumb_diag *diag, const char *path, bool bins, unsigned points);
/* Make an HTML page, without scripts and without requests, of the JSON of a report or of an array of reports;
 * the caller frees it. PLUMB_E_FORMAT: the text is no report. Any number of threads may call it at once. */
PLUMB_API enum plumb_status plumb_diag_html(const char *report_json, char **html);
/* Make plain text of the JSON of a check's result, or of an array of reports; the caller frees it.
 * PLUMB_E_FORMAT: the text is no JSON. Any number of threads may call it at once. */
PLUMB_API enum plumb_status plumb_diag_text(const char *part_json, char **text);

/* --- bisect --- */
struct plumb_bisect_options { /* see struct plumb_options */
	size_t size;              /* sizeof(struct plumb_bisect_options) */
	bool (*progress)(
		void *user, const char *what, double done, double total); /* as in struct plumb_diag_options */
	void *user;
	double tolerance; /* the relative L2 error of logits up to which an answer is right; 0: 1e-3 */
};
#define PLUMB_BISECT_OPTIONS(...) \
	(&(struct plumb_bisect_options){ .size = sizeof(struct plumb_bisect_options), __VA_ARGS__ })
/* Find the smallest set of operators and layers of `bad` that must run on the driver of `good` for the logits
 * after n >= 1 tokens to be right. The models are of one file, in two contexts with different drivers; the
 * driver of `good` is added to the context of `bad`. options: NULL for the defaults. *json is the result
 * (doc/diagnosis.md, "bisect"), which the caller frees. Errors: PLUMB_E_ARGUMENT when the models do not fit
 * together or there are no tokens; those of plumb_session_eval. */
PLUMB_API enum plumb_status plumb_diag_bisect(struct plumb_model *good, struct plumb_model *bad,
	const int32_t *tokens, int64_t n, const struct plumb_bisect_options *options, char **json);

#ifdef __cplusplus
}
#endif
#endif
