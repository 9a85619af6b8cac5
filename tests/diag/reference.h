/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of references share: a small random model, its run, and a folder for what is written. */
#ifndef TESTS_DIAG_REFERENCE_H
#define TESTS_DIAG_REFERENCE_H

#include <errno.h>
#include "diag_make.h"

TCase *measure_tests(void);    /* measure.c */
TCase *convention_tests(void); /* convention.c */
TCase *token_tests(void);      /* tokens.c */
TCase *dump_tests(void);       /* dump.c */

static const int32_t prompt[] = { 3, 147, 9, 234, 98, 197, 183, 112, 58, 97, 258 };
#define N ((int64_t)(sizeof prompt / sizeof *prompt))
#define LAST (N - 1)

static struct plumb_context *ctx;
static struct plumb_model *model;
static struct plumb_capture trusted_run;
static const struct plumb_config *config;
static char dir[64];

static inline void capture(struct plumb_capture *c, const struct plumb_fault *fault)
{
	struct plumb_run run = { .model = model,
		.tokens = prompt,
		.n = N,
		.last_layer = -1,
		.all_logits = true,
		.points = PLUMB_POINTS_ALL,
		.fault = fault,
		.out = c };
	ck_good(plumb_run_watched(&run));
}

static inline void setup(void)
{
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&model, ctx, data_path("tiny-f32.gguf"), NULL, NULL));
	config = plumb_model_config(model);
	capture(&trusted_run, NULL);
	strcpy(dir, "/tmp/plumb-reference-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void teardown(void)
{
	make_remove(dir);
	plumb_capture_free(&trusted_run);
	plumb_model_free(model);
	plumb_close(ctx);
}

static inline const char *in(const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static inline void write_bytes(const char *name, const void *bytes, size_t n)
{
	FILE *f = fopen(in(name), "wb");
	ck_assert(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

static inline void write_text(const char *name, const char *text) { write_bytes(name, text, strlen(text)); }

/* A count as it is told, and n values. */
static inline void write_values(const char *name, uint32_t count, const float *v, int64_t n)
{
	char *bytes = malloc(4 + 4 * (size_t)n);
	memcpy(bytes, &count, 4);
	memcpy(bytes + 4, v, 4 * (size_t)n);
	write_bytes(name, bytes, 4 + 4 * (size_t)n);
	free(bytes);
}

static inline const float *row(const struct plumb_capture *c, int layer, int point, int64_t position)
{
	const struct plumb_captured *p = plumb_capture_at(c, layer, point);
	return p->v + (position - p->first) * p->width;
}

static inline const float *out(int layer)
{
	return layer < 0 ? row(&trusted_run, -1, PLUMB_POINT_EMBEDDINGS, LAST)
					 : row(&trusted_run, layer, PLUMB_POINT_OUTPUT, LAST);
}

/* The .bin files of the last position, all good, with a manifest. */
static inline void good_bins(void)
{
	char text[200] = "{\"token_ids\":[";
	make_bins(dir, &trusted_run, LAST, MAKE_RAW, true);
	for (int64_t i = 0; i < N; i++)
		sprintf(text + strlen(text), "%s%d", i ? "," : "", prompt[i]);
	strcat(text, "],\"position\":10,\"dtype\":\"float32\",\"convention\":\"raw\"}");
	write_text("reference.json", text);
}

static inline bool declared(
	const struct plumb_problems *list, const char *file, const char *problem, const char *consequence)
{
	for (int i = 0; i < list->n; i++) {
		const struct plumb_problem *p = &list->problem[i];
		if (strstr(p->file, file) && strstr(p->text, problem) && strstr(p->consequence, consequence))
			return true;
	}
	return false;
}

static inline json_t *find_file(json_t *part, const char *name)
{
	json_t *f;
	size_t i;
	json_array_foreach(json_object_get(part, "files"), i, f)
		if (!strcmp(json_string_value(json_object_get(f, "name")), name))
			return f;
	ck_abort_msg("no file %s", name);
	return NULL;
}

static inline const char *text(json_t *o, const char *key)
{
	const char *t = json_string_value(json_object_get(o, key));
	return t ? t : "";
}

struct opened {
	struct plumb_reference *r;
	struct plumb_diag *d;
	json_t *part;
};

static inline struct opened judge(const int32_t *tokens, const char *fault)
{
	struct opened o;
	ck_good(plumb_reference_open(&o.r, dir, config));
	ck_good(plumb_diag_new(&o.d, model, NULL, o.r,
		PLUMB_DIAG_OPTIONS(.tokens = tokens, .token_count = tokens ? N : 0, .layer = -1, .fault = fault)));
	ck_good(plumb_diag_result(o.d, "convention", &o.part));
	return o;
}

static inline void finish(struct opened *o)
{
	plumb_diag_free(o->d);
	plumb_reference_free(o->r);
}

/* --- references of .bin files --- */
static const struct plumb_capture *source; /* the run that the reference is of */

static inline void put(const char *name, int layer, int point, int64_t position, float scale)
{
	make_bin(dir, name, plumb_capture_at(source, layer, point), position, scale);
}

static inline void raw_set(int shift, int64_t position, float scale)
{
	char name[32];
	put("after_embeddings", -1, PLUMB_POINT_EMBEDDINGS, position, scale);
	for (int i = 0; i < 3; i++) {
		int layer = i + shift;
		sprintf(name, "after_layer_%d", i);
		if (layer < 3)
			put(name, layer, layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT, position, scale);
	}
	put("final_logits", -1, PLUMB_POINT_LOGITS, position, 1);
}

static inline void as_named(void) { raw_set(0, LAST, 1); }

#endif
