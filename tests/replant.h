/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the small test model (tiny-f32) again with more layers, with values changed, tensors left out or
 * added: models in which something is known because it was planted; and a diagnosis of such a model. */
#ifndef PLUMB_REPLANT_H
#define PLUMB_REPLANT_H

#include <unistd.h>
#include "diag_part.h"

struct replant_value {
	const char *tensor;
	int64_t row, column;
	float value;
}; /* row -1: every value is multiplied by value */
struct replant {
	int layers;                  /* layer i is layer i % 3 of tiny-f32 */
	const char *leave_out, *add; /* names; the added one is a vector of the hidden size */
	struct replant_value set[8];
	int sets;
	char path[64];
};

struct replant_tensor {
	char name[64];
	const struct plumb_file_tensor *from;
	float *v;
	int64_t n;
	uint64_t offset;
};

static inline void replant_take(
	struct replant_tensor *t, const struct plumb_file *file, const char *from, const char *name)
{
	t->from = plumb_file_find(file, from);
	ck_assert_msg(t->from && t->from->type == PLUMB_F32, "%s", from);
	snprintf(t->name, sizeof t->name, "%s", name);
	t->n = (int64_t)(t->from->bytes / sizeof(float));
	t->v = malloc(t->from->bytes);
	memcpy(t->v, t->from->data, t->from->bytes);
}

static inline void replant_change(const struct replant *r, struct replant_tensor *t)
{
	for (int i = 0; i < r->sets; i++) {
		const struct replant_value *s = &r->set[i];
		int64_t columns = t->from->dim[t->from->rank - 1];
		if (strcmp(s->tensor, t->name))
			continue;
		for (int64_t k = 0; s->row < 0 && k < t->n; k++)
			t->v[k] *= s->value;
		if (s->row >= 0)
			t->v[s->row * columns + s->column] = s->value;
	}
}

static inline int replant_list(
	const struct replant *r, const struct plumb_file *file, struct replant_tensor *t)
{
	static const char *const roles[] = { "attn_norm.weight", "attn_q.weight", "attn_k.weight",
		"attn_v.weight", "attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.weight", "ffn_norm.weight",
		"ffn_gate.weight", "ffn_up.weight", "ffn_down.weight" };
	int n = 0;
	replant_take(&t[n++], file, "token_embd.weight", "token_embd.weight");
	replant_take(&t[n++], file, "output_norm.weight", "output_norm.weight");
	for (int layer = 0; layer < r->layers; layer++)
		for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
			char from[64], name[64];
			snprintf(from, sizeof from, "blk.%d.%s", layer % 3, roles[i]);
			snprintf(name, sizeof name, "blk.%d.%s", layer, roles[i]);
			if (!r->leave_out || strcmp(name, r->leave_out))
				replant_take(&t[n++], file, from, name);
		}
	if (r->add)
		replant_take(&t[n++], file, "output_norm.weight", r->add);
	for (int i = 0; i < n; i++)
		replant_change(r, &t[i]);
	return n;
}

/* Bytes of the metadata, which end where the first tensor's row begins; the number of layers in them is
 * changed. */
static inline size_t replant_metas(
	unsigned char *bytes, size_t size, const struct plumb_file *file, int layers)
{
	static const char key[] = "qwen2.block_count";
	const struct plumb_span name = plumb_file_tensor(file, 0)->name;
	unsigned char *at = memmem(bytes, size, key, sizeof key - 1);
	ck_assert_ptr_nonnull(at);
	memcpy(at + sizeof key - 1 + 4, &(uint32_t){ (uint32_t)layers }, 4);
	unsigned char *first = memmem(bytes, size, name.p, name.n);
	ck_assert(first && first > bytes + 8);
	return (size_t)(first - 8 - bytes);
}

static inline void replant_write(FILE *f, const void *p, size_t n)
{
	ck_assert_uint_eq(fwrite(p, 1, n, f), n);
}

/* Write it; r->path names the file, to be unlinked by the caller. */
static inline void replant(struct replant *r)
{
	struct plumb_file *file;
	struct replant_tensor t[128];
	unsigned char *bytes = malloc(1 << 20);
	FILE *in = fopen(data_path("tiny-f32.gguf"), "rb");
	ck_assert(in && bytes);
	size_t size = fread(bytes, 1, 1 << 20, in);
	fclose(in);
	ck_good(plumb_file_open(&file, data_path("tiny-f32.gguf")));
	int n = replant_list(r, file, t);
	strcpy(r->path, "/tmp/plumb-replant-XXXXXX");
	int fd = mkstemp(r->path);
	FILE *f = fdopen(fd, "wb");
	ck_assert(fd >= 0 && f);
	size_t metas = replant_metas(bytes, size, file, r->layers);
	memcpy(bytes + 8, &(uint64_t){ (uint64_t)n }, 8);
	replant_write(f, bytes, metas);
	uint64_t offset = 0;
	for (int i = 0; i < n; i++) {
		const struct plumb_file_tensor *from = t[i].from;
		replant_write(f, &(uint64_t){ strlen(t[i].name) }, 8);
		replant_write(f, t[i].name, strlen(t[i].name));
		replant_write(f, &(uint32_t){ (uint32_t)from->rank }, 4);
		for (int k = from->rank - 1; k >= 0; k--)
			replant_write(f, &(uint64_t){ (uint64_t)from->dim[k] }, 8);
		replant_write(f, &(uint32_t){ 0 }, 4);
		replant_write(f, &offset, 8);
		offset += (from->bytes + 31) / 32 * 32;
	}
	for (int i = 0; i < n; i++) {
		while (ftell(f) % 32)
			replant_write(f, "", 1);
		replant_write(f, t[i].v, t[i].from->bytes);
		free(t[i].v);
	}
	ck_assert_int_eq(fclose(f), 0);
	plumb_file_close(file);
	free(bytes);
}

/* --- a diagnosis of it --- */
static const int32_t tokens[] = { 12, 7, 250, 31, 100 };
#define TOKENS 5
#define HIDDEN 64
#define FFN 160

struct loaded {
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_diag *diag;
};

static inline struct loaded load(const char *path, const int32_t *ids, int64_t n)
{
	struct loaded l;
	ck_good(plumb_open(&l.ctx, PLUMB_OPTIONS(.driver = test_driver())));
	ck_good(plumb_model_load(&l.model, l.ctx, path, NULL, NULL));
	ck_good(plumb_diag_new(
		&l.diag, l.model, NULL, NULL, PLUMB_DIAG_OPTIONS(.tokens = ids, .token_count = n, .layer = -1)));
	return l;
}

static inline struct loaded load_planted(struct replant *r)
{
	replant(r);
	struct loaded l = load(r->path, tokens, TOKENS);
	unlink(r->path);
	return l;
}

static inline void unload(struct loaded *l)
{
	plumb_diag_free(l->diag);
	plumb_model_free(l->model);
	plumb_close(l->ctx);
}

static inline double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}
static inline int whole(const json_t *o, const char *key)
{
	ck_assert_msg(json_is_integer(json_object_get(o, key)), "%s", key);
	return (int)json_integer_value(json_object_get(o, key));
}

/* The object of an array with this layer and this text under key. */
static inline json_t *row_of(const json_t *array, int layer, const char *key, const char *text)
{
	size_t i;
	json_t *o;
	json_array_foreach(array, i, o)
		if ((layer == -2 || whole(o, "layer") == layer) && !strcmp(word(o, key), text))
			return o;
	ck_abort_msg("no %s of layer %d", text, layer);
	return NULL;
}

#define ck_near(x, y, tolerance) \
	ck_assert_msg(fabs((x) - (y)) <= (tolerance) * (fabs(y) + 1e-12), "%s is %.12g, expected %.12g", #x, \
		(double)(x), (double)(y))
#define ck_says(text, words) \
	ck_assert_msg(strstr(text, words) != NULL, "\"%s\" does not say \"%s\"", text, words)

/* The plan's row of a point. */
static inline json_t *keep_of(json_t *stability, const char *format, const char *point)
{
	return row_of(json_object_get(json_object_get(stability, "plan"), format), -2, "point", point);
}

#endif
