/* SPDX-License-Identifier: Apache-2.0 */
/* The hyper-parameters: read, checked, nothing else. Which keys there are, the family's table says. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/core.h"
#include "model/family.h"

#define MOST (INT64_C(1) << 24) /* no dimension of a small transformer is beyond 16 million */

struct reader {
	const struct plumb_file *file;
	const struct plumb_family *family;
	char full[PLUMB_KEY];
	const struct plumb_meta *m; /* of the key asked for last; NULL: absent */
};

/* Look up a key, which the family's table must declare as read. */
static enum plumb_status config_look_up(struct reader *r, const char *name)
{
	r->m = plumb_family_key(r->family, r->file, name, r->full);
	for (int i = 0; i < r->family->key_count; i++)
		if (!strcmp(r->family->keys[i].name, name))
			return PLUMB_OK;
	return plumb_fail(PLUMB_E_INTERNAL, "the key %s is in no table", r->full);
}

/* One number for all layers, or a list of equal ones. */
static enum plumb_status config_one_for_all(const struct reader *r, int64_t *value)
{
	const struct plumb_meta *m = r->m;
	if (m->kind == PLUMB_META_INT) {
		*value = m->i;
		return PLUMB_OK;
	}
	if (m->kind != PLUMB_META_ARRAY || m->of != PLUMB_META_INT || !m->n)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is not a whole number", r->full);
	*value = plumb_meta_int_at(m, 0);
	for (uint64_t i = 1; i < m->n; i++)
		if (plumb_meta_int_at(m, i) != *value)
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"the key %s differs between layers (%lld and %lld): layers of different shapes are not "
				"computed",
				r->full, (long long)*value, (long long)plumb_meta_int_at(m, i));
	return PLUMB_OK;
}

/* fallback < 0: the key must be there. */
static enum plumb_status config_read_int(struct reader *r, const char *name, int64_t fallback, int64_t *value)
{
	PLUMB_TRY(config_look_up(r, name));
	*value = fallback;
	if (!r->m)
		return fallback >= 0 ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "the key %s is missing", r->full);
	PLUMB_TRY(config_one_for_all(r, value));
	if (*value < 1 || *value > MOST)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is %lld, must be from 1 to %lld", r->full,
			(long long)*value, (long long)MOST);
	return PLUMB_OK;
}

/* fallback <= 0: the key must be there. */
static enum plumb_status config_read_float(
	struct reader *r, const char *name, double fallback, double low, double high, double *value)
{
	PLUMB_TRY(config_look_up(r, name));
	const struct plumb_meta *m = r->m;
	*value = fallback;
	if (!m)
		return fallback > 0 ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "the key %s is missing", r->full);
	if (m->kind != PLUMB_META_FLOAT && m->kind != PLUMB_META_INT)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is not a number", r->full);
	if (!(m->f >= low && m->f <= high))
		return plumb_fail(
			PLUMB_E_FORMAT, "the key %s is %g, must be from %g to %g", r->full, m->f, low, high);
	*value = m->f;
	return PLUMB_OK;
}

/* Linear scaling is meant by its type, by a factor without a type and by the factor's old name; a factor of 0
 * means none. */
static enum plumb_status config_read_scaling(struct reader *r, double *factor)
{
	*factor = 1;
	PLUMB_TRY(config_look_up(r, "rope.scaling.type"));
	if (r->m && r->m->kind != PLUMB_META_STRING)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is no text", r->full);
	if (r->m && !plumb_family_text_is(r->m, "linear"))
		return PLUMB_OK; /* "none", or one that plumb_model_check refuses */
	PLUMB_TRY(config_read_float(r, "rope.scaling.factor", 1, 0, 1e6, factor));
	if (!r->m)
		PLUMB_TRY(config_read_float(r, "rope.scale_linear", 1, 0, 1e6, factor));
	if (*factor == 0)
		*factor = 1;
	if (*factor < 1e-6)
		return plumb_fail(
			PLUMB_E_FORMAT, "the key %s is %g, must be 0 or from 1e-06 to 1e+06", r->full, *factor);
	return PLUMB_OK;
}

/* Heads are as wide as hidden / heads unless a key says otherwise. */
static enum plumb_status config_read_heads(struct reader *r, struct plumb_config *c)
{
	char full[PLUMB_KEY];
	const struct plumb_file_tensor *v = plumb_family_tensor(r->family, r->file, PLUMB_ROLE_V, 0);
	PLUMB_TRY(config_read_int(r, "attention.head_count", -1, &c->heads));
	PLUMB_TRY(config_read_int(r, "attention.head_count_kv", c->heads, &c->kv_heads));
	if (c->heads % c->kv_heads)
		return plumb_fail(PLUMB_E_FORMAT, "%lld query heads cannot share %lld key-value heads",
			(long long)c->heads, (long long)c->kv_heads);
	bool own = plumb_family_key(r->family, r->file, "attention.key_length", full);
	if (!own && c->hidden % c->heads)
		return plumb_fail(PLUMB_E_FORMAT, "a hidden size of %lld is not %lld heads", (long long)c->hidden,
			(long long)c->heads);
	PLUMB_TRY(config_read_int(r, "attention.key_length", c->hidden / c->heads, &c->head_dim));
	if (c->head_dim % 2)
		return plumb_fail(
			PLUMB_E_FORMAT, "a head of %lld elements cannot be rotated in pairs", (long long)c->head_dim);
	/* Without a key a head of values has the usual width, unless the file's are as wide as its keys. */
	int64_t usual = c->hidden / c->heads;
	bool as_keys = usual < 1 || c->hidden % c->heads ||
		(v && v->rank == 2 && v->dim[0] == c->kv_heads * c->head_dim);
	PLUMB_TRY(config_read_int(r, "attention.value_length", as_keys ? c->head_dim : usual, &c->value_dim));
	return PLUMB_OK;
}

static enum plumb_status config_read_vocabulary(const struct reader *r, struct plumb_config *c)
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

static void config_find_biases(const struct reader *r, struct plumb_config *c)
{
	for (int64_t i = 0; i < plumb_file_tensors(r->file); i++) {
		struct plumb_span role;
		int64_t layer = plumb_tensor_layer(plumb_file_tensor(r->file, i)->name, &role);
		const struct plumb_weight_row *rows = layer < 0 ? r->family->top : r->family->layer;
		for (int k = 0; layer < c->layers && k < (layer < 0 ? r->family->top_count : r->family->layer_count);
			 k++)
			if (strlen(rows[k].name) == role.n && !memcmp(rows[k].name, role.p, role.n))
				c->biases |= rows[k].bias;
	}
	c->qkv_bias = c->biases & (PLUMB_BIAS_Q | PLUMB_BIAS_K | PLUMB_BIAS_V);
}

enum plumb_status plumb_config_read(struct plumb_config *c, const struct plumb_file *file)
{
	enum plumb_status s;
	struct reader r = { .file = file, .family = plumb_family_of(file, &s) };
	memset(c, 0, sizeof *c);
	if (s)
		return s;
	snprintf(c->family, sizeof c->family, "%s", r.family->name);
	const struct plumb_meta *name = plumb_file_meta_find(file, "general.name");
	if (name && name->kind == PLUMB_META_STRING)
		snprintf(c->name, sizeof c->name, "%.*s",
			(int)(name->s.n < sizeof c->name ? name->s.n : sizeof c->name - 1), name->s.p);
	c->rope_pairs = r.family->pairs;
	PLUMB_TRY(config_read_int(&r, "block_count", -1, &c->layers));
	PLUMB_TRY(config_read_int(&r, "embedding_length", -1, &c->hidden));
	PLUMB_TRY(config_read_int(&r, "feed_forward_length", -1, &c->ffn));
	PLUMB_TRY(config_read_int(&r, "context_length", -1, &c->context));
	PLUMB_TRY(config_read_float(&r, "rope.freq_base", 10000, 1, 1e12, &c->rope_base));
	PLUMB_TRY(config_read_float(&r, "attention.layer_norm_rms_epsilon", 0, 0, 1, &c->norm_eps));
	PLUMB_TRY(config_read_scaling(&r, &c->rope_factor));
	PLUMB_TRY(config_read_heads(&r, c));
	PLUMB_TRY(config_read_vocabulary(&r, c));
	config_find_biases(&r, c);
	return PLUMB_OK;
}
