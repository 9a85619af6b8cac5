/* SPDX-License-Identifier: Apache-2.0 */
/* The hyper-parameters: read, checked, nothing else. Which keys there are, the family's table says. */
#include <stdio.h>
#include <string.h>
#include "core/core.h"
#include "model/config.h"

/* Heads are as wide as hidden / heads unless a key says otherwise. */
static enum plumb_status config_read_heads(struct plumb_config_reader *r, struct plumb_config *c)
{
	char full[PLUMB_KEY];
	const struct plumb_file_tensor *v = plumb_family_tensor(r->family, r->file, PLUMB_ROLE_V, 0);
	PLUMB_TRY(plumb_config_read_int(r, "attention.head_count", -1, &c->heads));
	PLUMB_TRY(plumb_config_read_int(r, "attention.head_count_kv", c->heads, &c->kv_heads));
	if (c->heads % c->kv_heads)
		return plumb_fail(PLUMB_E_FORMAT, "%lld query heads cannot share %lld key-value heads",
			(long long)c->heads, (long long)c->kv_heads);
	bool own = plumb_family_key(r->family, r->file, "attention.key_length", full);
	if (!own && c->hidden % c->heads)
		return plumb_fail(PLUMB_E_FORMAT, "a hidden size of %lld is not %lld heads", (long long)c->hidden,
			(long long)c->heads);
	PLUMB_TRY(plumb_config_read_int(r, "attention.key_length", c->hidden / c->heads, &c->head_dim));
	if (c->head_dim % 2)
		return plumb_fail(
			PLUMB_E_FORMAT, "a head of %lld elements cannot be rotated in pairs", (long long)c->head_dim);
	/* Without a key a head of values has the usual width, unless the file's are as wide as its keys. */
	int64_t usual = c->hidden / c->heads;
	bool as_keys = usual < 1 || c->hidden % c->heads ||
		(v && v->rank == 2 && v->dim[0] == c->kv_heads * c->head_dim);
	PLUMB_TRY(
		plumb_config_read_int(r, "attention.value_length", as_keys ? c->head_dim : usual, &c->value_dim));
	return PLUMB_OK;
}

static enum plumb_status config_read_vocabulary(const struct plumb_config_reader *r, struct plumb_config *c)
{
	const struct plumb_file_tensor *embed = plumb_family_tensor(r->family, r->file, PLUMB_ROLE_EMBEDDING, -1);
	if (!embed)
		return plumb_fail(PLUMB_E_FORMAT, "the tensor token_embd.weight is missing");
	c->vocab = embed->dim[0];
	if (c->vocab > INT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "a vocabulary of %lld is beyond 32 bits", (long long)c->vocab);
	c->tied = !plumb_family_tensor(r->family, r->file, PLUMB_ROLE_OUTPUT, -1);
	return PLUMB_OK;
}

static void config_find_biases(const struct plumb_config_reader *r, struct plumb_config *c)
{
	for (int64_t i = 0; i < plumb_file_tensors(r->file); i++) {
		struct plumb_span role;
		int64_t layer = plumb_tensor_layer(plumb_file_tensor(r->file, i)->name, &role);
		const struct plumb_weight_row *row = layer < 0 ? r->family->top : r->family->layer;
		for (; layer < c->layers && row->name; row++)
			if (strlen(row->name) == role.n && !memcmp(row->name, role.p, role.n))
				c->biases |= row->bias;
	}
	c->qkv_bias = c->biases & (PLUMB_BIAS_Q | PLUMB_BIAS_K | PLUMB_BIAS_V);
}

enum plumb_status plumb_config_read(struct plumb_config *c, const struct plumb_file *file)
{
	enum plumb_status s;
	struct plumb_config_reader r = { .file = file, .family = plumb_family_of(file, &s) };
	memset(c, 0, sizeof *c);
	if (s)
		return s;
	snprintf(c->family, sizeof c->family, "%s", r.family->name);
	const struct plumb_meta *name = plumb_file_meta_find(file, "general.name");
	if (name && name->kind == PLUMB_META_STRING)
		snprintf(c->name, sizeof c->name, "%.*s",
			(int)(name->s.n < sizeof c->name ? name->s.n : sizeof c->name - 1), name->s.p);
	PLUMB_TRY(plumb_config_read_int(&r, "block_count", -1, &c->layers));
	if (c->layers > PLUMB_MOST_LAYERS)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "the key %s is %lld, at most %d layers are computed", r.full,
			(long long)c->layers, PLUMB_MOST_LAYERS);
	PLUMB_TRY(plumb_config_read_int(&r, "embedding_length", -1, &c->hidden));
	PLUMB_TRY(plumb_config_read_int(&r, "feed_forward_length", -1, &c->ffn));
	PLUMB_TRY(plumb_config_read_int(&r, "context_length", -1, &c->context));
	PLUMB_TRY(plumb_config_read_float(&r, "attention.layer_norm_rms_epsilon", 0, 0, 1, &c->norm_eps));
	PLUMB_TRY(config_read_heads(&r, c));
	PLUMB_TRY(plumb_config_read_scales(&r, c));
	PLUMB_TRY(plumb_config_read_rope(&r, c));
	PLUMB_TRY(plumb_config_read_layers(&r, c));
	PLUMB_TRY(config_read_vocabulary(&r, c));
	config_find_biases(&r, c);
	return PLUMB_OK;
}
