/* SPDX-License-Identifier: Apache-2.0 */
/* Model families, one row each, and the hyper-parameters: read, checked, nothing else. */
#include <stdio.h>
#include <string.h>
#include "model/model.h"

static const struct family {
	const char *name; /* general.architecture, and the prefix of the keys */
	enum plumb_rope_pairs pairs;
	bool qkv_bias;
} families[] = {
	{ "qwen2", PLUMB_ROPE_HALF, true },
};

#define MOST (INT64_C(1) << 24) /* no dimension of a small transformer is beyond 16 million */

static const struct plumb_meta *key(const struct plumb_file *file, const char *family, const char *name, char full[96])
{
	snprintf(full, 96, "%s.%s", family, name);
	return plumb_file_meta_find(file, full);
}

/* fallback < 0: the key must be there. */
static enum plumb_status read_int(const struct plumb_file *file, const char *family, const char *name, int64_t fallback, int64_t *value)
{
	char full[96];
	const struct plumb_meta *m = key(file, family, name, full);
	*value = fallback;
	if (!m)
		return fallback >= 0 ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "the key %s is missing", full);
	if (m->kind != PLUMB_META_INT)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is not a whole number", full);
	if (m->i < 1 || m->i > MOST)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is %lld, must be from 1 to %lld", full, (long long)m->i, (long long)MOST);
	*value = m->i;
	return PLUMB_OK;
}

static enum plumb_status read_float(const struct plumb_file *file, const char *family, const char *name, double fallback, double low,
	double high, double *value)
{
	char full[96];
	const struct plumb_meta *m = key(file, family, name, full);
	*value = fallback;
	if (!m)
		return fallback > 0 ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "the key %s is missing", full);
	if (m->kind != PLUMB_META_FLOAT && m->kind != PLUMB_META_INT)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is not a number", full);
	if (!(m->f >= low && m->f <= high))
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is %g, must be from %g to %g", full, m->f, low, high);
	*value = m->f;
	return PLUMB_OK;
}

static enum plumb_status find_family(const struct plumb_file *file, const struct family **family)
{
	const struct plumb_meta *m = plumb_file_meta_find(file, "general.architecture");
	if (!m || m->kind != PLUMB_META_STRING)
		return plumb_fail(PLUMB_E_FORMAT, "the key general.architecture is missing or no text: this is no model file");
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (strlen(families[i].name) == m->s.n && !memcmp(families[i].name, m->s.p, m->s.n)) {
			*family = &families[i];
			return PLUMB_OK;
		}
	return plumb_fail(PLUMB_E_UNSUPPORTED, "the architecture is \"%.*s\"; plumb knows: qwen2", (int)(m->s.n > 64 ? 64 : m->s.n), m->s.p);
}

/* Rope scaling changes the angles; running without it would be wrong without a word. */
static enum plumb_status refuse_scaling(const struct plumb_file *file, const char *family)
{
	char full[96];
	const struct plumb_meta *m = key(file, family, "rope.scaling.type", full);
	if (!m || (m->kind == PLUMB_META_STRING && m->s.n == 4 && !memcmp(m->s.p, "none", 4)))
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_UNSUPPORTED, "the key %s is set: RoPE scaling is not supported", full);
}

enum plumb_status plumb_config_read(struct plumb_config *c, const struct plumb_file *file)
{
	const struct family *f;
	memset(c, 0, sizeof *c);
	PLUMB_TRY(find_family(file, &f));
	snprintf(c->family, sizeof c->family, "%s", f->name);
	const struct plumb_meta *name = plumb_file_meta_find(file, "general.name");
	if (name && name->kind == PLUMB_META_STRING)
		snprintf(c->name, sizeof c->name, "%.*s", (int)(name->s.n < sizeof c->name ? name->s.n : sizeof c->name - 1), name->s.p);
	c->rope_pairs = f->pairs;
	c->qkv_bias = f->qkv_bias;
	PLUMB_TRY(read_int(file, f->name, "block_count", -1, &c->layers));
	PLUMB_TRY(read_int(file, f->name, "embedding_length", -1, &c->hidden));
	PLUMB_TRY(read_int(file, f->name, "feed_forward_length", -1, &c->ffn));
	PLUMB_TRY(read_int(file, f->name, "attention.head_count", -1, &c->heads));
	PLUMB_TRY(read_int(file, f->name, "attention.head_count_kv", c->heads, &c->kv_heads));
	PLUMB_TRY(read_int(file, f->name, "context_length", -1, &c->context));
	PLUMB_TRY(read_float(file, f->name, "rope.freq_base", 10000, 1, 1e12, &c->rope_base));
	PLUMB_TRY(read_float(file, f->name, "attention.layer_norm_rms_epsilon", 0, 0, 1, &c->norm_eps));
	PLUMB_TRY(refuse_scaling(file, f->name));
	if (c->heads % c->kv_heads)
		return plumb_fail(PLUMB_E_FORMAT, "%lld query heads cannot share %lld key-value heads", (long long)c->heads, (long long)c->kv_heads);
	if (c->hidden % c->heads)
		return plumb_fail(PLUMB_E_FORMAT, "a hidden size of %lld is not %lld heads", (long long)c->hidden, (long long)c->heads);
	PLUMB_TRY(read_int(file, f->name, "attention.key_length", c->hidden / c->heads, &c->head_dim));
	if (c->head_dim % 2)
		return plumb_fail(PLUMB_E_FORMAT, "a head of %lld elements cannot be rotated in pairs", (long long)c->head_dim);
	const struct plumb_file_tensor *embed = plumb_file_find(file, "token_embd.weight");
	if (!embed)
		return plumb_fail(PLUMB_E_FORMAT, "the tensor token_embd.weight is missing");
	c->vocab = embed->dim[0];
	if (c->vocab > INT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "a vocabulary of %lld is beyond 32 bits", (long long)c->vocab);
	c->tied = !plumb_file_find(file, "output.weight");
	return PLUMB_OK;
}
