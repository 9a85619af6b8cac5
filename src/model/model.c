/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: file, configuration, tokenizer, weights, in this order, and back. */
#include <stdio.h>
#include <stdlib.h>
#include "model/family.h"
#include "model/model.h"
#include <plumb/text.h>

enum plumb_status plumb_model_check(const struct plumb_file *file)
{
	enum plumb_status s = plumb_kind_check(file);
	return s ? s : plumb_family_check(file);
}

/* What the family does not compute comes before the configuration: a missing key may be its consequence. */
static enum plumb_status model_understand(struct plumb_model *m)
{
	enum plumb_status s = plumb_kind_check(m->file);
	if (s)
		return s;
	m->family = plumb_family_of(m->file, &s);
	if (s || (s = plumb_family_check(m->file)))
		return s;
	if ((s = plumb_config_read(&m->config, m->file)) == PLUMB_OK)
		plumb_points_of_model(m);
	return s;
}

enum plumb_status plumb_model_load(struct plumb_model **out, struct plumb_context *ctx, const char *path,
	plumb_progress_fn progress, void *user)
{
	*out = NULL;
	struct plumb_model *m = calloc(1, sizeof *m);
	if (!m)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a model");
	m->ctx = ctx;
	enum plumb_status s = plumb_file_open(&m->file, path); /* names the file itself */
	if (!s && (s = model_understand(m)))
		plumb_fail_in(s, "%s", path);
	if (!s && (s = plumb_tokenizer_from_file(&m->tokenizer, m->file))) {
		/* A model without a usable tokenizer still runs on token ids. */
		snprintf(m->no_tokenizer, sizeof m->no_tokenizer, "%s", plumb_last_error());
		s = s == PLUMB_E_MEMORY ? s : PLUMB_OK;
	}
	if (!s &&
		((s = plumb_rope_scaling_make(m)) || (s = plumb_zeros_check(ctx, m->file, path)) ||
			(s = plumb_weights_bind(m, progress, user))))
		plumb_fail_in(s, "%s", path);
	if (s) {
		plumb_model_free(m);
		return s;
	}
	plumb_family_describe(ctx, m->file, path);
	for (int i = 0; m->tokenizer && plumb_tokenizer_warning(m->tokenizer, i); i++)
		plumb_notice(ctx, "%s: %s", path, plumb_tokenizer_warning(m->tokenizer, i));
	*out = m;
	return PLUMB_OK;
}

void plumb_model_free(struct plumb_model *m)
{
	if (!m)
		return;
	plumb_weights_free(m);
	for (int i = 0; i < 2; i++)
		plumb_tensor_free(&m->freqs[i]);
	plumb_tokenizer_free(m->tokenizer);
	plumb_file_close(m->file);
	free(m);
}

const struct plumb_config *plumb_model_config(const struct plumb_model *m) { return &m->config; }
const struct plumb_file *plumb_model_file(const struct plumb_model *m) { return m->file; }
struct plumb_context *plumb_model_context(const struct plumb_model *m) { return m->ctx; }

struct plumb_tokenizer *plumb_model_tokenizer(const struct plumb_model *m)
{
	if (!m->tokenizer)
		plumb_fail(PLUMB_E_UNSUPPORTED, "the model has no usable tokenizer: %s", m->no_tokenizer);
	return m->tokenizer;
}

enum plumb_status plumb_model_exchange(struct plumb_model *m, int64_t a, int64_t b)
{
	int64_t n = m->config.layers;
	if (a < 0 || b < 0 || a >= n || b >= n)
		return plumb_fail(PLUMB_E_ARGUMENT,
			"layers %lld and %lld cannot be exchanged, the model has 0 to %lld", (long long)a, (long long)b,
			(long long)n - 1);
	struct plumb_layer kept = m->weights.layer[a];
	m->weights.layer[a] = m->weights.layer[b];
	m->weights.layer[b] = kept;
	return PLUMB_OK;
}
