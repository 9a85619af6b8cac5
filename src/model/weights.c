/* SPDX-License-Identifier: Apache-2.0 */
/* Binds the names of a file to the weights of the model; each one's presence and shape is
 * verified here, so forward() need not. */
#include <stdlib.h>
#include <string.h>
#include "format/format.h"
#include "model/family.h"
#include "model/model.h"

static int64_t weights_size_of(const struct plumb_config *c, enum plumb_weight_size s)
{
	switch (s) {
	case PLUMB_SIZE_E: return c->hidden;
	case PLUMB_SIZE_F: return c->ffn;
	case PLUMB_SIZE_Q: return c->heads * c->head_dim;
	case PLUMB_SIZE_K: return c->kv_heads * c->head_dim;
	case PLUMB_SIZE_C: return c->heads * c->value_dim;
	case PLUMB_SIZE_W: return c->kv_heads * c->value_dim;
	case PLUMB_SIZE_V: return c->vocab;
	case PLUMB_SIZE_H: return c->head_dim;
	default: return 1;
	}
}

static struct plumb_tensor *weights_member(void *base, const struct plumb_weight_row *row)
{
	return (struct plumb_tensor *)(void *)((char *)base + row->member);
}

/* Norms and biases are computed with in float32, whatever the file keeps them in. */
static enum plumb_status weights_widen(
	struct plumb_model *model, struct plumb_tensor *t, const struct plumb_file_tensor *f, double offset)
{
	int64_t n = f->dim[0];
	float *values = malloc(sizeof *values * (size_t)n);
	if (!values)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld values", (long long)n);
	enum plumb_status s = plumb_type_to_f32(f->type, f->data, values, n);
	for (int64_t i = 0; !s && offset != 0 && i < n; i++)
		values[i] = (float)((double)values[i] + offset);
	if (!s)
		s = plumb_tensor_new(model->ctx, t, PLUMB_F32, 1, &n);
	if (!s)
		s = plumb_tensor_write(t, values, sizeof *values * (size_t)n);
	free(values);
	return s;
}

/* A row's tensor as the file has it, or as a part of one that it has. */
static const struct plumb_file_tensor *weights_find(const struct plumb_model *model, int64_t layer,
	const struct plumb_weight_row *row, char name[PLUMB_TENSOR_NAME])
{
	plumb_tensor_name(layer, row->name, name);
	if (layer >= 0 && row->fused && model->part)
		return plumb_role_fused(model, layer, row);
	return plumb_file_find(model->file, name);
}

static enum plumb_status weights_bind(
	struct plumb_model *model, void *base, int64_t layer, const struct plumb_weight_row *row)
{
	char have[96], name[PLUMB_TENSOR_NAME];
	struct plumb_tensor *t = weights_member(base, row);
	const struct plumb_file_tensor *f = weights_find(model, layer, row, name);
	int64_t rows = weights_size_of(&model->config, row->rows),
			columns = weights_size_of(&model->config, row->columns);
	int rank = row->columns == PLUMB_SIZE_NONE ? 1 : 2;
	if (!f)
		return plumb_fail(PLUMB_E_FORMAT,
			row->bias ? "the tensor %s is missing, though other layers have it" : "the tensor %s is missing",
			name);
	struct plumb_tensor shape = { .type = f->type, .rank = f->rank };
	memcpy(shape.dim, f->dim, sizeof shape.dim);
	if (f->rank != rank || f->dim[0] != rows || (rank == 2 && f->dim[1] != columns))
		return plumb_fail(PLUMB_E_SHAPE,
			rank == 1 ? "the tensor %s is %s, must be {%lld}" : "the tensor %s is %s, must be {%lld, %lld}",
			name, plumb_shape_text(&shape, have, sizeof have), (long long)rows, (long long)columns);
	if (!plumb_type_is_weight(f->type))
		return plumb_fail(PLUMB_E_TYPE, "the tensor %s is %s, which is no weight type", name, f->type_name);
	double offset = row->kind == PLUMB_WEIGHT_NORM ? model->config.norm_offset : 0;
	if (rank == 1 && (f->type != PLUMB_F32 || offset != 0))
		return weights_widen(model, t, f, offset);
	PLUMB_TRY(plumb_tensor_wrap(model->ctx, t, f->type, rank, shape.dim, f->data, f->bytes));
	t->buffer->exact = row->kind == PLUMB_WEIGHT_EXACT;
	return PLUMB_OK;
}

/* --- tensors that a family keeps in one --- */

/* The rows of a fused tensor that are a part of it. */
static enum plumb_status weights_cut(struct plumb_file_tensor *part, const struct plumb_model *model,
	int64_t layer, const struct plumb_weight_row *row, int64_t all)
{
	const struct plumb_config *c = &model->config;
	char name[PLUMB_TENSOR_NAME];
	const struct plumb_file_tensor *whole = plumb_file_find(
		model->file, plumb_tensor_name(layer, row->fused, name));
	int64_t first = 0;
	if (!whole)
		return plumb_fail(PLUMB_E_FORMAT, "the tensor %s is missing", name);
	if (whole->rank != 2 || whole->dim[0] != all)
		return plumb_fail(PLUMB_E_SHAPE, "the tensor %s has %lld rows, must have %lld", name,
			(long long)whole->dim[0], (long long)all);
	for (int i = 0; i < 2; i++)
		if (row->before[i] != PLUMB_SIZE_NONE)
			first += weights_size_of(c, row->before[i]);
	*part = *whole;
	part->name = (struct plumb_span){ row->name, strlen(row->name) };
	part->dim[0] = weights_size_of(c, row->rows);
	part->bytes = whole->bytes / (size_t)all * (size_t)part->dim[0];
	part->data = (const char *)whole->data + whole->bytes / (size_t)all * (size_t)first;
	return PLUMB_OK;
}

static enum plumb_status weights_cut_all(struct plumb_model *model)
{
	const struct plumb_config *c = &model->config;
	if (!model->family->fused)
		return PLUMB_OK;
	model->part = calloc((size_t)c->layers * PLUMB_FUSED_PARTS, sizeof *model->part);
	if (!model->part)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the parts of %lld layers", (long long)c->layers);
	for (int64_t layer = 0; layer < c->layers; layer++) {
		struct plumb_file_tensor *part = &model->part[layer * PLUMB_FUSED_PARTS];
		for (const struct plumb_weight_row *row = model->family->layer; row->name; row++) {
			int64_t all = 0; /* of all rows of the same whole */
			for (const struct plumb_weight_row *r = model->family->layer; row->fused && r->name; r++)
				if (r->fused && !strcmp(r->fused, row->fused))
					all += weights_size_of(c, r->rows);
			if (row->fused)
				PLUMB_TRY(weights_cut(part++, model, layer, row, all));
		}
	}
	return PLUMB_OK;
}

/* --- preparing --- */

/* Lay a weight out for the drivers. Where one has a form of its own, the mapped bytes need not stay in
 * memory. */
static enum plumb_status weights_prepare(struct plumb_model *model, struct plumb_tensor *t)
{
	PLUMB_TRY(plumb_prepare(model->ctx, t));
	for (int i = 0; i < model->ctx->drivers; i++)
		if (t->buffer->copy[i].prepared) {
			plumb_file_release(model->file, plumb_host(t), plumb_tensor_bytes(t));
			break;
		}
	return PLUMB_OK;
}

static enum plumb_status weights_prepare_all(
	struct plumb_model *model, plumb_progress_fn progress, void *user)
{
	struct plumb_weights *w = &model->weights;
	const struct plumb_family *family = model->family;
	const struct plumb_tensor *output = plumb_weights_output(model);
	uint64_t total = plumb_model_step_bytes(model), done = plumb_tensor_bytes(output);
	/* the largest first: while it is packed it is there twice */
	PLUMB_TRY(weights_prepare(model, (struct plumb_tensor *)(uintptr_t)output));
	for (int64_t i = 0; i < model->config.layers; i++)
		for (const struct plumb_weight_row *row = family->layer; row->name; row++) {
			struct plumb_tensor *t = weights_member(&w->layer[i], row);
			if (row->columns == PLUMB_SIZE_NONE)
				continue;
			PLUMB_TRY(weights_prepare(model, t));
			done += plumb_tensor_bytes(t);
			if (progress)
				progress(user, done, total);
		}
	if (progress)
		progress(user, total, total);
	return PLUMB_OK;
}

/* Is this tensor one of those that the file need not have? */
static bool weights_absent(const struct plumb_model *model, const struct plumb_weight_row *row)
{
	return !plumb_family_has(model->family, row) || (row->bias && !(model->config.biases & row->bias)) ||
		(row->role == PLUMB_ROLE_OUTPUT && model->config.tied);
}

enum plumb_status plumb_weights_bind(struct plumb_model *model, plumb_progress_fn progress, void *user)
{
	struct plumb_weights *w = &model->weights;
	const struct plumb_family *family = model->family;
	/* A file of 291 tensors cannot have a million layers: no allocation on its word alone. */
	if (model->config.layers > plumb_file_tensors(model->file))
		return plumb_fail(PLUMB_E_FORMAT, "%lld layers cannot be in %lld tensors",
			(long long)model->config.layers, (long long)plumb_file_tensors(model->file));
	w->layer = calloc((size_t)model->config.layers, sizeof *w->layer);
	if (!w->layer)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld layers", (long long)model->config.layers);
	PLUMB_TRY(weights_cut_all(model));
	for (const struct plumb_weight_row *row = family->top; row->name; row++)
		if (!weights_absent(model, row))
			PLUMB_TRY(weights_bind(model, w, -1, row));
	for (int64_t i = 0; i < model->config.layers; i++)
		for (const struct plumb_weight_row *row = family->layer; row->name; row++)
			if (!weights_absent(model, row))
				PLUMB_TRY(weights_bind(model, &w->layer[i], i, row));
	return weights_prepare_all(model, progress, user);
}

void plumb_weights_free(struct plumb_model *model)
{
	struct plumb_weights *w = &model->weights;
	for (int64_t i = 0; w->layer && i < model->config.layers; i++)
		for (const struct plumb_weight_row *row = model->family->layer; row->name; row++)
			plumb_tensor_free(weights_member(&w->layer[i], row));
	for (const struct plumb_weight_row *row = model->family ? model->family->top : NULL; row && row->name;
		 row++)
		plumb_tensor_free(weights_member(w, row));
	free(w->layer);
	w->layer = NULL;
	free(model->part);
	model->part = NULL;
}

const struct plumb_tensor *plumb_weights_output(const struct plumb_model *model)
{
	return model->config.tied ? &model->weights.embed : &model->weights.output;
}

uint64_t plumb_model_step_bytes(const struct plumb_model *model)
{
	const struct plumb_weights *w = &model->weights;
	uint64_t sum = plumb_tensor_bytes(plumb_weights_output(model)) + plumb_tensor_bytes(&w->norm);
	if (w->output_bias.buffer)
		sum += plumb_tensor_bytes(&w->output_bias);
	for (int64_t i = 0; i < model->config.layers; i++)
		for (const struct plumb_weight_row *row = model->family->layer; row->name; row++) {
			const struct plumb_tensor *t = weights_member(&w->layer[i], row);
			if (t->buffer && plumb_family_has(model->family, row))
				sum += plumb_tensor_bytes(t);
		}
	return sum;
}
