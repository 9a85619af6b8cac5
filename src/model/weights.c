/* SPDX-License-Identifier: Apache-2.0 */
/* Binds the names of a file to the weights of the model; each one's presence and shape is
 * verified here, so forward() need not. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/format.h"
#include "model/model.h"

enum size { NONE, E, F, Q, G, V };
enum kind { WEIGHT, EXACT, BIAS };

/* name in GGUF, member, {rows, columns} (columns NONE: a vector). EXACT: attention scores reach 1,458 (doc/numerics.md), and
 * softmax makes of their absolute error a relative one: queries and keys keep float32's accuracy. */
static const struct row { const char *name; size_t member; enum size rows, columns; enum kind kind; } layer_rows[] = {
	{ "attn_norm.weight", offsetof(struct plumb_layer, attn_norm), E, NONE, WEIGHT },
	{ "attn_q.weight", offsetof(struct plumb_layer, wq), Q, E, EXACT },
	{ "attn_k.weight", offsetof(struct plumb_layer, wk), G, E, EXACT },
	{ "attn_v.weight", offsetof(struct plumb_layer, wv), G, E, EXACT },
	{ "attn_q.bias", offsetof(struct plumb_layer, bq), Q, NONE, BIAS },
	{ "attn_k.bias", offsetof(struct plumb_layer, bk), G, NONE, BIAS },
	{ "attn_v.bias", offsetof(struct plumb_layer, bv), G, NONE, BIAS },
	{ "attn_output.weight", offsetof(struct plumb_layer, wo), E, Q, WEIGHT },
	{ "ffn_norm.weight", offsetof(struct plumb_layer, ffn_norm), E, NONE, WEIGHT },
	{ "ffn_gate.weight", offsetof(struct plumb_layer, gate), F, E, WEIGHT },
	{ "ffn_up.weight", offsetof(struct plumb_layer, up), F, E, WEIGHT },
	{ "ffn_down.weight", offsetof(struct plumb_layer, down), E, F, WEIGHT },
};
static const struct row top_rows[] = {
	{ "token_embd.weight", offsetof(struct plumb_weights, embed), V, E, WEIGHT },
	{ "output_norm.weight", offsetof(struct plumb_weights, norm), E, NONE, WEIGHT },
	{ "output.weight", offsetof(struct plumb_weights, output), V, E, EXACT },
};
#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static int64_t size_of(const struct plumb_config *c, enum size s)
{
	switch (s) {
	case E: return c->hidden;
	case F: return c->ffn;
	case Q: return c->heads * c->head_dim;
	case G: return c->kv_heads * c->head_dim;
	case V: return c->vocab;
	default: return 1;
	}
}

static enum plumb_status bind(struct plumb_model *model, void *base, const struct row *row, const char *name)
{
	struct plumb_tensor *t = (struct plumb_tensor *)(void *)((char *)base + row->member);
	const struct plumb_file_tensor *f = plumb_file_find(model->file, name);
	int64_t rows = size_of(&model->config, row->rows), columns = size_of(&model->config, row->columns);
	int rank = row->columns == NONE ? 1 : 2;
	char have[96];
	if (!f)
		return plumb_fail(PLUMB_E_FORMAT, "the tensor %s is missing", name);
	struct plumb_tensor shape = { .type = f->type, .rank = f->rank };
	memcpy(shape.dim, f->dim, sizeof shape.dim);
	if (f->rank != rank || f->dim[0] != rows || (rank == 2 && f->dim[1] != columns))
		return plumb_fail(PLUMB_E_SHAPE, rank == 1 ? "the tensor %s is %s, must be {%lld}" : "the tensor %s is %s, must be {%lld, %lld}",
			name, plumb_shape_text(&shape, have, sizeof have), (long long)rows, (long long)columns);
	if (rank == 1 && f->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_TYPE, "the tensor %s is %s, must be f32", name, plumb_type_name(f->type));
	if (!plumb_type_is_weight(f->type))
		return plumb_fail(PLUMB_E_TYPE, "the tensor %s is %s, which is no weight type", name, plumb_type_name(f->type));
	PLUMB_TRY(plumb_tensor_wrap(model->ctx, t, f->type, rank, shape.dim, f->data, f->bytes));
	t->buffer->exact = row->kind == EXACT;
	return PLUMB_OK;
}

/* Lay a weight out for the drivers. Where one has a form of its own, the mapped bytes need not stay in memory. */
static enum plumb_status prepare(struct plumb_model *model, struct plumb_tensor *t)
{
	PLUMB_TRY(plumb_prepare(model->ctx, t));
	for (int i = 0; i < model->ctx->drivers; i++)
		if (t->buffer->copy[i].prepared) {
			plumb_file_release(model->file, plumb_host(t), plumb_tensor_bytes(t));
			break;
		}
	return PLUMB_OK;
}

static enum plumb_status prepare_all(struct plumb_model *model, plumb_progress_fn progress, void *user)
{
	struct plumb_weights *w = &model->weights;
	const struct plumb_tensor *output = plumb_weights_output(model);
	uint64_t total = plumb_model_step_bytes(model), done = plumb_tensor_bytes(output);
	PLUMB_TRY(prepare(model, (struct plumb_tensor *)(uintptr_t)output)); /* the largest first: while it is packed it is there twice */
	for (int64_t i = 0; i < model->config.layers; i++)
		for (size_t r = 0; r < COUNT(layer_rows); r++) {
			struct plumb_tensor *t = (struct plumb_tensor *)(void *)((char *)&w->layer[i] + layer_rows[r].member);
			if (layer_rows[r].columns == NONE)
				continue;
			PLUMB_TRY(prepare(model, t));
			done += plumb_tensor_bytes(t);
			if (progress)
				progress(user, done, total);
		}
	if (progress)
		progress(user, total, total);
	return PLUMB_OK;
}

enum plumb_status plumb_weights_bind(struct plumb_model *model, plumb_progress_fn progress, void *user)
{
	struct plumb_weights *w = &model->weights;
	char name[64];
	/* A file of 291 tensors cannot have a million layers: no allocation on its word alone. */
	if (model->config.layers > plumb_file_tensors(model->file))
		return plumb_fail(PLUMB_E_FORMAT, "%lld layers cannot be in %lld tensors", (long long)model->config.layers,
			(long long)plumb_file_tensors(model->file));
	w->layer = calloc((size_t)model->config.layers, sizeof *w->layer);
	if (!w->layer)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld layers", (long long)model->config.layers);
	for (size_t r = 0; r < COUNT(top_rows); r++)
		if (top_rows[r].member != offsetof(struct plumb_weights, output) || !model->config.tied)
			PLUMB_TRY(bind(model, w, &top_rows[r], top_rows[r].name));
	for (int64_t i = 0; i < model->config.layers; i++)
		for (size_t r = 0; r < COUNT(layer_rows); r++) {
			if (layer_rows[r].kind == BIAS && !model->config.qkv_bias)
				continue;
			snprintf(name, sizeof name, "blk.%lld.%s", (long long)i, layer_rows[r].name);
			PLUMB_TRY(bind(model, &w->layer[i], &layer_rows[r], name));
		}
	return prepare_all(model, progress, user);
}

void plumb_weights_free(struct plumb_model *model)
{
	struct plumb_weights *w = &model->weights;
	for (int64_t i = 0; w->layer && i < model->config.layers; i++)
		for (size_t r = 0; r < COUNT(layer_rows); r++)
			plumb_tensor_free((struct plumb_tensor *)(void *)((char *)&w->layer[i] + layer_rows[r].member));
	for (size_t r = 0; r < COUNT(top_rows); r++)
		plumb_tensor_free((struct plumb_tensor *)(void *)((char *)w + top_rows[r].member));
	free(w->layer);
	w->layer = NULL;
}

const struct plumb_tensor *plumb_weights_output(const struct plumb_model *model)
{
	return model->config.tied ? &model->weights.embed : &model->weights.output;
}

uint64_t plumb_model_step_bytes(const struct plumb_model *model)
{
	const struct plumb_weights *w = &model->weights;
	uint64_t sum = plumb_tensor_bytes(plumb_weights_output(model)) + plumb_tensor_bytes(&w->norm);
	for (int64_t i = 0; i < model->config.layers; i++)
		for (size_t r = 0; r < COUNT(layer_rows); r++) {
			const struct plumb_tensor *t = (const struct plumb_tensor *)(const void *)((const char *)&w->layer[i] + layer_rows[r].member);
			if (t->buffer)
				sum += plumb_tensor_bytes(t);
		}
	return sum;
}
