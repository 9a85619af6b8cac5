/* SPDX-License-Identifier: Apache-2.0 */
/* plumb info --json: all of it, for programs. */
#include "cli/info.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What families differ in; of layers, how many. */
static json_t *info_json_family(const struct plumb_config *c)
{
	int64_t windowed = 0, rotated = 0, window = 0;
	for (int64_t i = 0; i < c->layers; i++) {
		const struct plumb_layer_config *l = plumb_config_layer(c, i);
		window = l->window ? l->window : window;
		windowed += l->window != 0;
		rotated += l->rope;
	}
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:b, s:s, s:f, s:f, s:f, s:f}", "rope_scaling",
		plumb_rope_scaling_name((int)c->rope_scaling), "rotated", (json_int_t)c->rotated, "layers_with_rope",
		(json_int_t)rotated, "window", (json_int_t)window, "layers_with_window", (json_int_t)windowed,
		"activation", c->activation == PLUMB_GELU_TANH ? "gelu_tanh" : "silu", "qk_norm",
		(c->norms & (PLUMB_NORM_HEAD | PLUMB_NORM_WIDTH)) != 0, "norms",
		c->norms & PLUMB_NORM_BEFORE ? c->norms & PLUMB_NORM_AFTER ? "before and after" : "before" : "after",
		"embedding_scale", c->embedding_scale, "score_scale", c->score_scale, "residual_scale",
		c->residual_scale, "logit_scale", c->logit_scale);
}

static json_t *info_json_config(const struct info_facts *f)
{
	const struct plumb_config *c = &f->config;
	if (!f->has_config)
		return json_null();
	json_t *all = json_pack(
		"{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:s, s:b, s:b}", "family",
		c->family, "name", cli_json_text(c->name), "layers", (json_int_t)c->layers, "hidden",
		(json_int_t)c->hidden, "ffn", (json_int_t)c->ffn, "heads", (json_int_t)c->heads, "kv_heads",
		(json_int_t)c->kv_heads, "head_dim", (json_int_t)c->head_dim, "value_dim", (json_int_t)c->value_dim,
		"vocab", (json_int_t)c->vocab, "context", (json_int_t)c->context, "rope_base", c->kind[0].rope_base,
		"rope_factor", c->rope_factor, "norm_eps", c->norm_eps, "rope_pairs",
		c->rope_pairs == PLUMB_ROPE_HALF ? "half" : "interleaved", "qkv_bias", c->qkv_bias, "tied", c->tied);
	json_t *family = info_json_family(c);
	if (!all || !family || json_object_update(all, family)) {
		json_decref(all);
		all = NULL;
	}
	json_decref(family);
	return all;
}

static json_t *info_json_tokenizer(const struct info_facts *f)
{
	const struct plumb_meta *merges = plumb_file_meta_find(f->file, "tokenizer.ggml.merges");
	if (!f->tok)
		return json_null();
	return json_pack("{s:o, s:I, s:i, s:I, s:i, s:i, s:o}", "split",
		cli_json_span(info_text(f->file, "tokenizer.ggml.pre")), "tokens",
		(json_int_t)plumb_tokenizer_size(f->tok), "specials", f->specials, "merges",
		(json_int_t)(merges && merges->kind == PLUMB_META_ARRAY ? merges->n : 0), "bos",
		plumb_tokenizer_bos(f->tok), "eos", plumb_tokenizer_eos(f->tok), "warnings",
		cli_json_warnings(f->tok));
}

static json_t *info_json_value(const struct plumb_meta *m)
{
	switch (m->kind) {
	case PLUMB_META_BOOL: return json_boolean(m->i);
	case PLUMB_META_INT:
		return m->u > INT64_MAX ? json_sprintf("%" PRIu64, m->u)
								: json_integer(m->i); /* JSON's integers end there */
	case PLUMB_META_FLOAT: return json_real(m->f);    /* NULL for what JSON lacks: infinities */
	case PLUMB_META_STRING: return cli_json_span(m->s);
	default:
		return json_pack("{s:I}", "array_of", (json_int_t)m->n); /* vocabularies: hundreds of thousands */
	}
}

/* A file has each key once, but two that are no UTF-8 may read the same: then there is "key (2)", too. */
static void info_json_add_meta(json_t *object, const char *key, json_t *value)
{
	size_t room = strlen(key) + 16;
	char *name = malloc(room);
	cli_starved |= !name;
	for (int again = 1; name && value; again++) {
		snprintf(name, room, again > 1 ? "%s (%d)" : "%s", key, again);
		if (!json_object_get(object, name))
			break;
	}
	if (name)
		json_object_set_new(object, name, value);
	else
		json_decref(value);
	free(name);
}

static json_t *info_json_meta(const struct info_facts *f)
{
	json_t *object = json_object();
	for (int64_t i = 0; i < plumb_file_metas(f->file); i++) {
		const struct plumb_meta *m = plumb_file_meta(f->file, i);
		json_t *key = cli_json_span(m->key), *value = info_json_value(m);
		if (key)
			info_json_add_meta(object, json_string_value(key), value ? value : json_null());
		else
			json_decref(value);
		json_decref(key);
	}
	return object;
}

static json_t *info_json_tensors(const struct info_facts *f)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < plumb_file_tensors(f->file); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(f->file, i);
		json_t *shape = json_array();
		for (int k = 0; k < t->rank; k++)
			json_array_append_new(shape, json_integer(t->dim[k]));
		json_array_append_new(list,
			json_pack("{s:o, s:s, s:o, s:I}", "name", cli_json_span(t->name), "type", t->type_name, "shape",
				shape, "bytes", (json_int_t)t->bytes));
	}
	return list;
}

static json_t *info_json_sums(const struct info_facts *f)
{
	json_t *object = json_object();
	for (int i = 0; i < INFO_TYPES; i++)
		if (f->sum[i].tensors)
			json_object_set_new(object, f->sum[i].name,
				json_pack("{s:I, s:I, s:I}", "tensors", (json_int_t)f->sum[i].tensors, "elements",
					(json_int_t)f->sum[i].elements, "bytes", (json_int_t)f->sum[i].bytes));
	return object;
}

int info_json(const struct info_facts *f)
{
	struct plumb_span chat = info_text(f->file, "tokenizer.chat_template");
	json_t *root = json_pack("{s:o, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "file",
		cli_json_text(f->path), "format", plumb_file_format(f->file), "bytes",
		(json_int_t)plumb_file_size(f->file), "config", info_json_config(f), "tokenizer",
		info_json_tokenizer(f), "template", chat.p ? cli_json_span(chat) : json_null(), "types",
		info_json_sums(f), "tensors", info_json_tensors(f), "metadata", info_json_meta(f), "parameters",
		(json_int_t)f->all.elements);
	if (root) {
		json_object_set_new(root, "shards", json_integer(plumb_file_shards(f->file)));
		json_object_set_new(root, "unused", cli_unused_json(f->file));
	}
	if (root && f->config_error[0])
		json_object_set_new(root, "config_error", cli_json_text(f->config_error));
	if (root && f->tok && plumb_tokenizer_template(f->tok))
		json_object_set_new(root, "template_name", cli_json_text(plumb_tokenizer_template(f->tok)));
	if (root && !f->tok)
		json_object_set_new(root, "tokenizer_error", cli_json_text(f->tok_error));
	return cli_json_print(root, false);
}
