/* SPDX-License-Identifier: Apache-2.0 */
/* Reference files: what is read of them, and what is wrong with them. Nothing here runs a model. */
#ifndef PLUMB_DIAG_REFERENCE_H
#define PLUMB_DIAG_REFERENCE_H

#include <jansson.h>
#include "core/json.h"
#include "diag/reference/capture.h"
#include "diag/reference/stored.h"

/* One thing that is wrong with a reference: of which file or tensor (or the path of all), and what follows
 * from it. */
struct plumb_problem {
	char *file, *text, *consequence;
};
struct plumb_problems {
	struct plumb_problem *problem;
	int n;
};
/* A file or tensor that was read; storage: how its layout differs from the expected one, "" where it does
 * not. */
struct plumb_reference_file {
	char *name;
	int layer, point;
	char storage[64];
};
struct plumb_reference_files {
	struct plumb_reference_file *file;
	int n;
};

/* A folder of .bin files or a safetensors file (or a folder with one) of named points. What is wrong with it
 * is kept as problems; opening fails only when nothing usable is left. A reference is changed while it is
 * opened and never after that: every function that takes an open one takes it const. What a diagnosis finds
 * out about it is kept by the diagnosis, so any number of diagnoses, of several threads too, may share one.
 */
struct plumb_reference {
	char path[1024];
	const char *format;            /* "bin", "safetensors" */
	struct plumb_capture raw;      /* as read: after_layer_i is taken for the output of layer i */
	int32_t *tokens;               /* NULL: not declared */
	int64_t token_count, position; /* position of a single row, -1: not declared (then the last) */
	char dtype[32], convention[64], model_hash[72]; /* of the manifest; "" not declared */
	struct plumb_problems problems;
	struct plumb_reference_files files; /* in the order of reading */
	int foreign;                        /* values that are as wide as another model's */
};
/* lists.c: one more at the end. Texts are copied; a failure leaves the list as it was. */
enum plumb_status plumb_problems_add(struct plumb_problems *list, const char *file, const char *consequence,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
enum plumb_status plumb_reference_files_add(
	struct plumb_reference_files *list, const char *name, int layer, int point, const char *storage);
void plumb_reference_files_remove(struct plumb_reference_files *list, int layer, int point);
void plumb_problems_free(struct plumb_problems *list);
void plumb_reference_files_free(struct plumb_reference_files *list);
/* "layer 5 cannot be compared; the others can" into text, returned. */
const char *plumb_reference_loss(int layer, int point, char *text, size_t size);
/* What is at a point when it is read as float32 values and found good: kept in raw. A NaN or infinity becomes
 * a problem. */
enum plumb_status plumb_reference_keep(struct plumb_reference *reference, const char *name, int layer,
	int point, const float *values, int64_t rows, int64_t width, const char *storage);
/* Point and layer that a file or tensor name stands for; false: none. The layer may be outside the model. */
bool plumb_reference_name(const char *name, size_t n, int *layer, int *point);
/* bin.c: one .bin file. safetensors.c: a safetensors file, with its metadata. */
enum plumb_status plumb_reference_read_bin(struct plumb_reference *reference, const char *path,
	const char *name, int layer, int point, const struct plumb_config *config);
enum plumb_status plumb_reference_read_tensors(
	struct plumb_reference *reference, const char *path, const struct plumb_config *config);
/* manifest.c: reference.json or meta.json of the folder, where there is one; tokens, position ... of JSON. */
enum plumb_status plumb_reference_read_manifest(
	struct plumb_reference *reference, const char *folder, const struct plumb_config *config);
enum plumb_status plumb_reference_declared(struct plumb_reference *reference, const char *file,
	const json_t *declared, const struct plumb_config *config);
/* Give the rows of captured tensors their positions in a prompt of n tokens (the last ones, unless the
 * position of the last is declared: not -1). */
void plumb_reference_place(struct plumb_capture *captured, int64_t position, int64_t n);
/* Most positions that it has values of at one point; 1 at least. */
int64_t plumb_reference_positions(const struct plumb_reference *reference);
/* Positions of the prompt that it was made with, as far as it shows: n, or more when it declares or holds
 * more. */
int64_t plumb_reference_length(const struct plumb_reference *reference, int64_t n);

/* Tokens from the reference's embeddings: the nearest row of the embedding matrix for each of its rows. The
 * caller frees them. */
enum plumb_status plumb_reference_find_tokens(const struct plumb_reference *reference,
	const struct plumb_file *file, const struct plumb_config *config, int32_t **tokens, int64_t *count);
/* The nearest row of the embedding matrix for each of `rows` rows: its index (-1: none is near) and its
 * relative distance. In tokens.c. PLUMB_E_FORMAT: the file has no such matrix. */
enum plumb_status plumb_embedding_nearest(const struct plumb_file *file, const struct plumb_config *config,
	const float *rows, int64_t n, int32_t *token, double *distance);
/* emit.c: a reference as JSON, its problems and then those that a diagnosis added (NULL: none). NULL: no
 * memory. */
json_t *plumb_reference_json(const struct plumb_reference *reference, const struct plumb_problems *added);
/* [{"file", "problem", "consequence"}]; reference may be NULL. */
json_t *plumb_problems_json(const struct plumb_reference *reference, const struct plumb_problems *added);

/* "fnv1a64:0123456789abcdef" over the tensors' names and the first and last bytes of their data
 * (doc/diagnosis.md): tells files of weights apart at no cost, and proves nothing against intent. */
void plumb_model_fingerprint(const struct plumb_file *file, char text[32]);

#endif
