/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors by what they are for. Names of layers' tensors are put together and taken apart here only. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "model/family.h"
#include "model/model.h"

static const char layer_prefix[] = "blk.";
#define PREFIX (sizeof layer_prefix - 1)

const char *plumb_tensor_name(int64_t layer, const char *part, char name[PLUMB_TENSOR_NAME])
{
	if (layer < 0)
		snprintf(name, PLUMB_TENSOR_NAME, "%s", part);
	else
		snprintf(name, PLUMB_TENSOR_NAME, "%s%lld.%s", layer_prefix, (long long)layer, part);
	return name;
}

int64_t plumb_tensor_layer(struct plumb_span name, struct plumb_span *part)
{
	int64_t layer = 0;
	size_t i = PREFIX;
	*part = name;
	if (name.n < PREFIX + 2 || memcmp(name.p, layer_prefix, PREFIX))
		return -1;
	for (; i < name.n && isdigit((unsigned char)name.p[i]) && layer < INT32_MAX; i++)
		layer = layer * 10 + name.p[i] - '0';
	if (i == PREFIX || i >= name.n - 1 || name.p[i] != '.' || (name.p[PREFIX] == '0' && i > PREFIX + 1))
		return -1;
	*part = (struct plumb_span){ name.p + i + 1, name.n - i - 1 };
	return layer;
}

static const struct plumb_weight_row *roles_row(
	const struct plumb_family *family, enum plumb_role role, bool *in_layer)
{
	for (int list = 0; list < 2; list++) {
		*in_layer = list;
		for (const struct plumb_weight_row *row = list ? family->layer : family->top; row->name; row++)
			if (row->role == role && plumb_family_has(family, row))
				return row;
	}
	return NULL;
}

const char *plumb_role_part(const struct plumb_model *m, enum plumb_role role)
{
	bool in_layer;
	const struct plumb_weight_row *row = roles_row(m->family, role, &in_layer);
	return row ? row->name : NULL;
}

const struct plumb_file_tensor *plumb_family_tensor(
	const struct plumb_family *family, const struct plumb_file *file, enum plumb_role role, int64_t layer)
{
	char name[PLUMB_TENSOR_NAME];
	bool in_layer;
	const struct plumb_weight_row *row = roles_row(family, role, &in_layer);
	const struct plumb_file_tensor *t = row
		? plumb_file_find(file, plumb_tensor_name(in_layer ? layer : -1, row->name, name))
		: NULL;
	return t || !row || !row->hf ? t : plumb_file_find(file, row->hf);
}

const struct plumb_file_tensor *plumb_role_fused(
	const struct plumb_model *model, int64_t layer, const struct plumb_weight_row *row)
{
	const struct plumb_file_tensor *t = &model->part[layer * PLUMB_FUSED_PARTS];
	if (layer < 0 || layer >= model->config.layers)
		return NULL;
	for (int i = 0; i < PLUMB_FUSED_PARTS; i++)
		if (t[i].name.p == row->name)
			return &t[i];
	return NULL;
}

const struct plumb_file_tensor *plumb_model_tensor(
	const struct plumb_model *m, enum plumb_role role, int64_t layer)
{
	bool in_layer;
	if (role == PLUMB_ROLE_OUTPUT && m->config.tied)
		role = PLUMB_ROLE_EMBEDDING;
	const struct plumb_weight_row *row = roles_row(m->family, role, &in_layer);
	if (row && in_layer && row->fused && m->part)
		return plumb_role_fused(m, layer, row);
	return plumb_family_tensor(m->family, m->file, role, layer);
}
