/* SPDX-License-Identifier: Apache-2.0 */
/* Makes references for tests of the diagnosis by ways that the diagnosis itself does not use: a run in
 * float64, on other SIMD kernels, or of a model whose weights and activations really are rounded to bf16 or
 * fp16. Written in the layouts that users have. */
#ifndef PLUMB_DIAG_MAKE_H
#define PLUMB_DIAG_MAKE_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/random.h"
#include "suite.h"
#include "diag/diag.h"
#include "model/model.h"

enum make_source {
	MAKE_FP64,
	MAKE_PORTABLE,
	MAKE_BF16_RUN,
	MAKE_FP16_RUN,
	MAKE_BF16_FILES,
	MAKE_FP16_FILES,
	MAKE_SOURCES
};
enum make_layout {
	MAKE_RAW,
	MAKE_NORMED,
	MAKE_HIDDEN_STATES,
	MAKE_SCALED,
	MAKE_ALL_POINTS,
	MAKE_SOME_POINTS,
	MAKE_LAYOUTS
};
static const char *const make_source_name[] = { "fp64", "portable", "bf16 run", "fp16 run", "bf16 files",
	"fp16 files" };
static const char *const make_layout_name[] = { "raw", "normed", "hidden_states", "scaled", "all points",
	"some points" };

struct make_model {
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_tensor own[256];
	int owned;
};

/* What a .to(bfloat16) does: every weight becomes a rounded one. */
static inline void make_round_weight(struct make_model *m, struct plumb_tensor *t, enum plumb_stored stored)
{
	if (!t->buffer)
		return;
	int64_t n = plumb_tensor_count(t);
	float *v = malloc(sizeof *v * (size_t)n);
	ck_assert(v && m->owned < 256);
	ck_good(plumb_tensor_read_f32(t, v, n));
	for (int64_t i = 0; i < n; i++)
		v[i] = plumb_round_to(stored, v[i]);
	struct plumb_tensor *own = &m->own[m->owned++];
	*own = *t; /* the file's, to be put back */
	ck_good(plumb_tensor_new(m->ctx, t, PLUMB_F32, own->rank, own->dim));
	ck_good(plumb_tensor_write(t, v, sizeof *v * (size_t)n));
	free(v);
}

static inline void make_each_weight(struct make_model *m,
	void (*f)(struct make_model *, struct plumb_tensor *, enum plumb_stored), enum plumb_stored stored)
{
	struct plumb_weights *w = &m->model->weights;
	f(m, &w->embed, stored);
	f(m, &w->norm, stored);
	f(m, &w->output, stored);
	for (int64_t i = 0; i < m->model->config.layers; i++) {
		struct plumb_layer *l = &w->layer[i];
		struct plumb_tensor *all[] = { &l->attn_norm, &l->wq, &l->wk, &l->wv, &l->wo, &l->bq, &l->bk, &l->bv,
			&l->ffn_norm, &l->gate, &l->up, &l->down };
		for (size_t k = 0; k < sizeof all / sizeof *all; k++)
			f(m, all[k], stored);
	}
}

static inline void make_restore(struct make_model *m, struct plumb_tensor *t, enum plumb_stored stored)
{
	(void)stored;
	if (!t->buffer)
		return;
	plumb_tensor_free(t);
	*t = m->own[m->owned++];
}

static inline void make_open(struct make_model *m, const char *path, enum make_source source)
{
	bool fp64 = source == MAKE_FP64 || source >= MAKE_BF16_FILES;
	m->owned = 0;
	if (source == MAKE_PORTABLE)
		setenv("PLUMB_NATIVE_ISA", "c", 1);
	ck_good(plumb_open(&m->ctx, PLUMB_OPTIONS(.driver = "native", .precision = fp64 ? "FP64" : "FP32")));
	unsetenv("PLUMB_NATIVE_ISA");
	ck_good(plumb_model_load(&m->model, m->ctx, path, NULL, NULL));
	if (source == MAKE_BF16_RUN || source == MAKE_FP16_RUN)
		make_each_weight(
			m, make_round_weight, source == MAKE_BF16_RUN ? PLUMB_STORED_BF16 : PLUMB_STORED_FP16);
}

static inline void make_close(struct make_model *m, enum make_source source)
{
	m->owned = 0;
	if (source == MAKE_BF16_RUN || source == MAKE_FP16_RUN)
		make_each_weight(m, make_restore, PLUMB_STORED_FP32);
	plumb_model_free(m->model);
	plumb_close(m->ctx);
}

struct make_rounding {
	enum plumb_stored stored;
	struct plumb_capture *out;
};

static inline enum plumb_status make_round(void *user, struct plumb_live *live)
{
	struct make_rounding *r = user;
	struct plumb_captured *p;
	for (int64_t i = 0; i < live->rows * live->width; i++)
		live->v[i] = plumb_round_to(r->stored, live->v[i]);
	live->changed = true;
	PLUMB_TRY(
		plumb_capture_put(r->out, live->layer, (int)live->point, live->rows, live->width, live->first, &p));
	memcpy(p->v, live->v, sizeof *p->v * (size_t)(p->rows * p->width));
	return PLUMB_OK;
}

/* All points of a run of this kind, as far as the output of last_layer (-1: all), with a fault or NULL. */
static inline void make_values_of(struct make_model *m, enum make_source source, const int32_t *tokens,
	int64_t n, int last_layer, const struct plumb_fault *fault, struct plumb_capture *out)
{
	struct plumb_run run = { .model = m->model,
		.tokens = tokens,
		.n = n,
		.last_layer = last_layer,
		.all_logits = true,
		.fault = fault };
	struct make_rounding r = { source == MAKE_BF16_RUN ? PLUMB_STORED_BF16
			: source == MAKE_FP16_RUN                  ? PLUMB_STORED_FP16
													   : PLUMB_STORED_FP32,
		out };
	ck_good(plumb_capture_new(out, (int)plumb_model_config(m->model)->layers));
	run.hook[run.hooks++] = (struct plumb_hook){ PLUMB_POINTS_ALL, make_round, &r };
	ck_good(plumb_run_watched(&run));
	int layer = -1, point = -1;
	while (source >= MAKE_BF16_FILES && plumb_capture_next(out, &layer, &point)) {
		struct plumb_captured *p = plumb_capture_at(out, layer, point);
		for (int64_t i = 0; i < p->rows * p->width; i++)
			p->v[i] = plumb_round_to(
				source == MAKE_BF16_FILES ? PLUMB_STORED_BF16 : PLUMB_STORED_FP16, p->v[i]);
	}
}

static inline void make_values(struct make_model *m, enum make_source source, const int32_t *tokens,
	int64_t n, struct plumb_capture *out)
{
	make_values_of(m, source, tokens, n, -1, NULL, out);
}

/* --- files --- */
static inline void make_bin(
	const char *dir, const char *name, const struct plumb_captured *p, int64_t row, float scale)
{
	char path[1200];
	if (!p)
		return; /* not evaluated */
	int32_t count = (int32_t)p->width;
	snprintf(path, sizeof path, "%s/%s.bin", dir, name);
	FILE *f = fopen(path, "wb");
	ck_assert(f && fwrite(&count, 4, 1, f) == 1);
	for (int64_t i = 0; i < p->width; i++) {
		float v = p->v[(row - p->first) * p->width + i] * scale;
		ck_assert(fwrite(&v, 4, 1, f) == 1);
	}
	fclose(f);
}

/* The .bin files of one position. */
static inline void make_bins(
	const char *dir, const struct plumb_capture *c, int64_t row, enum make_layout layout, bool fp32)
{
	char name[64];
	/* A narrow reference is scaled without leaving its numbers. */
	float scale = layout != MAKE_SCALED ? 1 : fp32 ? 0.7f : 4;
	bool states = layout == MAKE_HIDDEN_STATES, normed = states || layout == MAKE_NORMED;
	const struct plumb_captured *embeddings = plumb_capture_at(c, -1, PLUMB_POINT_EMBEDDINGS),
								*norm = plumb_capture_at(c, -1, PLUMB_POINT_FINAL_NORM);
	make_bin(dir, states ? "after_layer_0" : "after_embeddings", embeddings, row, scale);
	for (int i = 0; i < c->layers; i++) {
		snprintf(name, sizeof name, "after_layer_%d", i + states);
		make_bin(dir, name, normed && i == c->layers - 1 ? norm : plumb_capture_at(c, i, PLUMB_POINT_OUTPUT),
			row, scale);
	}
	make_bin(dir, "final_logits", plumb_capture_at(c, -1, PLUMB_POINT_LOGITS), row, scale);
}

/* Points that hooks usually give. */
#define MAKE_HOOKED \
	(1u << PLUMB_POINT_INPUT_NORM | 1u << PLUMB_POINT_Q_PROJ | 1u << PLUMB_POINT_K_PROJ | \
		1u << PLUMB_POINT_V_PROJ | 1u << PLUMB_POINT_ATTN_OUT | 1u << PLUMB_POINT_FFN_DOWN | \
		1u << PLUMB_POINT_OUTPUT | 1u << PLUMB_POINT_EMBEDDINGS | 1u << PLUMB_POINT_FINAL_NORM | \
		1u << PLUMB_POINT_LOGITS)

static inline void make_tensors(const char *dir, const struct plumb_capture *c, unsigned points)
{
	char path[1200], *header = malloc(1 << 20);
	size_t used = 1, at = 0;
	int layer = -1, point = -1;
	ck_assert_ptr_nonnull(header);
	header[0] = '{';
	while (plumb_capture_next(c, &layer, &point)) {
		const struct plumb_captured *p = plumb_capture_at(c, layer, point);
		bool square = point == PLUMB_POINT_ATTN_SCORES || point == PLUMB_POINT_ATTN_SOFTMAX;
		char name[64], shape[96];
		size_t bytes = sizeof(float) * (size_t)(p->rows * p->width);
		if (!(points & 1u << point))
			continue;
		snprintf(name, sizeof name, layer < 0 ? "%.0d%s" : "L%d.%s", layer < 0 ? 0 : layer,
			plumb_point_name(point));
		if (square)
			snprintf(shape, sizeof shape, "%lld,%lld,%lld", (long long)(p->rows / p->width),
				(long long)p->width, (long long)p->width);
		else
			snprintf(shape, sizeof shape, "%lld,%lld", (long long)p->rows, (long long)p->width);
		used += (size_t)sprintf(header + used,
			"%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", used > 1 ? "," : "",
			name, shape, at, at + bytes);
		at += bytes;
	}
	header[used++] = '}';
	while (used % 8)
		header[used++] = ' ';
	snprintf(path, sizeof path, "%s/points.safetensors", dir);
	FILE *f = fopen(path, "wb");
	uint64_t size = used;
	ck_assert(f && fwrite(&size, 8, 1, f) == 1 && fwrite(header, 1, used, f) == used);
	for (layer = point = -1; plumb_capture_next(c, &layer, &point);) {
		const struct plumb_captured *p = plumb_capture_at(c, layer, point);
		if (points & 1u << point)
			ck_assert(
				fwrite(p->v, sizeof(float), (size_t)(p->rows * p->width), f) == (size_t)(p->rows * p->width));
	}
	fclose(f);
	free(header);
}

/* A fresh folder with the reference in it; to be removed with make_remove. */
static inline void make_reference(
	char dir[64], const struct plumb_capture *c, int64_t row, enum make_layout layout, bool fp32)
{
	strcpy(dir, "/tmp/plumb-diag-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	if (layout >= MAKE_ALL_POINTS)
		make_tensors(dir, c, layout == MAKE_ALL_POINTS ? PLUMB_POINTS_ALL : MAKE_HOOKED);
	else
		make_bins(dir, c, row, layout, fp32);
}

static inline void make_remove(const char *dir)
{
	struct dirent *e;
	char path[1200];
	DIR *d = opendir(dir);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

/* The same numbers for the same seed, everywhere. */
static inline void make_tokens(int32_t *tokens, int64_t n, int64_t vocab, uint64_t seed)
{
	uint64_t x = seed;
	for (int64_t i = 0; i < n; i++)
		tokens[i] = (int32_t)(plumb_random(&x) % (uint64_t)vocab);
}

#endif
