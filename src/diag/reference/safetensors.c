/* SPDX-License-Identifier: Apache-2.0 */
/* A safetensors file of named points: tensors {positions, width} in float32, bfloat16, float16 or float64,
 * scores {heads, n, n}, and what its metadata declares. Knows nothing of folders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diag/reference/reference.h"
#include "core/json.h"

struct shape {
	int64_t rows, width;
	bool foreign; /* a row or rows of another width: of another model */
};

static void safetensors_shape_text(const struct plumb_file_tensor *t, char *text, size_t size)
{
	size_t at = 0;
	text[0] = 0;
	for (int i = 0; i < t->rank && at < size; i++)
		at += (size_t)plumb_format(text + at, size - at, "%s%lld", i ? ", " : "", (long long)t->dim[i]);
}

/* Rows and width of a tensor at this point; a problem's text when it does not fit the model. */
static bool safetensors_fits(const struct plumb_file_tensor *t, int point, const struct plumb_config *c,
	struct shape *s, char *why, size_t size)
{
	char have[96];
	const int64_t *d = t->dim, want = plumb_point_width(c, point);
	int rank = t->rank;
	safetensors_shape_text(t, have, sizeof have);
	for (; rank > (want ? 2 : 3) && *d == 1; d++)
		rank--; /* a batch of one */
	if (!want) {
		*s = (struct shape){ rank == 3 ? d[0] * d[1] : 0, rank == 3 ? d[2] : 0, false };
		if (rank == 3 && d[0] == c->heads && d[1] == d[2])
			return true;
		plumb_format(why, size, "shape {%s}; {%lld, n, n} was expected", have, (long long)c->heads);
		return false;
	}
	bool plain = rank == 1 || rank == 2;
	*s = (struct shape){ rank == 2 ? d[0] : 1, d[rank - 1], plain && d[rank - 1] != want };
	if (plain && !s->foreign)
		return true;
	plumb_format(why, size, "shape {%s}; {positions, %lld} was expected%s", have, (long long)want,
		s->foreign ? ": another model" : "");
	return false;
}

static enum plumb_status safetensors_read_tensor(struct plumb_reference *r, const struct plumb_file_tensor *t,
	const char *name, int layer, int point, const struct plumb_config *config)
{
	struct shape s;
	char why[256], loss[128];
	plumb_reference_loss(layer, point, loss, sizeof loss);
	if (layer > config->layers)
		return plumb_problems_add(&r->problems, name, "it is not read",
			"layer %d, but the model has layers 0 to %lld: another model?", layer,
			(long long)config->layers - 1);
	if (!plumb_type_is_float(t->type))
		return plumb_problems_add(
			&r->problems, name, loss, "type %s; f32, bf16, f16 or f64 was expected", t->type_name);
	if (!safetensors_fits(t, point, config, &s, why, sizeof why)) {
		r->foreign += s.foreign;
		return plumb_problems_add(&r->problems, name, loss, "%s", why);
	}
	size_t bytes;
	if (!plumb_type_size(
			PLUMB_F32, s.rows * s.width, &bytes)) /* the product itself is that of a checked tensor */
		return plumb_problems_add(&r->problems, name, loss, "too large");
	float *v = malloc(bytes);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu bytes of %s", bytes, name);
	enum plumb_status status = plumb_type_to_f32(t->type, t->data, v, s.rows * s.width);
	if (!status)
		status = plumb_reference_keep(r, name, layer, point, v, s.rows, s.width, "");
	free(v);
	if (!*r->dtype && t->type != PLUMB_F32)
		plumb_format(r->dtype, sizeof r->dtype, "%s",
			t->type == PLUMB_BF16      ? "bfloat16"
				: t->type == PLUMB_F16 ? "float16"
									   : "float64");
	return status;
}

/* The metadata's strings, those that are JSON as JSON: "token_ids": "[9707]". */
static json_t *safetensors_metadata(const struct plumb_file *file)
{
	json_t *declared = json_object();
	for (int64_t i = 0; declared && i < plumb_file_metas(file); i++) {
		const struct plumb_meta *m = plumb_file_meta(file, i);
		char key[64];
		if (m->kind != PLUMB_META_STRING || m->key.n >= sizeof key)
			continue;
		memcpy(key, m->key.p, m->key.n);
		key[m->key.n] = 0;
		json_error_t error;
		json_t *v;
		enum plumb_status s = plumb_json_read(&v, m->s.p, m->s.n, JSON_DECODE_ANY, &error);
		if (s == PLUMB_E_FORMAT)
			v = plumb_json_bytes(m->s.p, m->s.n);
		if (json_object_set_new(declared, key, v)) {
			json_decref(declared);
			return NULL;
		}
	}
	return declared;
}

static enum plumb_status safetensors_read_all(struct plumb_reference *r, const struct plumb_file *file,
	const char *label, const struct plumb_config *config)
{
	char name[160], unknown[512] = "";
	int64_t strange = 0;
	size_t at = 0;
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		int layer, point;
		plumb_format(name, sizeof name, "%.*s", (int)(t->name.n < sizeof name ? t->name.n : sizeof name - 1),
			t->name.p);
		if (plumb_reference_name(t->name.p, t->name.n, &layer, &point))
			PLUMB_TRY(safetensors_read_tensor(r, t, name, layer, point, config));
		else if (strange++ < 4 && at < sizeof unknown)
			at += (size_t)plumb_format(unknown + at, sizeof unknown - at, "%s%.60s", at ? ", " : "", name);
	}
	if (strange)
		PLUMB_TRY(plumb_problems_add(&r->problems, label, "they are not read",
			"%lld tensor%s with unknown names: %s%s", (long long)strange, strange > 1 ? "s" : "", unknown,
			strange > 4 ? ", ..." : ""));
	json_t *declared = safetensors_metadata(file);
	enum plumb_status s = declared ? plumb_reference_declared(r, label, declared, config)
								   : plumb_fail(PLUMB_E_MEMORY, "no memory for metadata");
	json_decref(declared);
	return s;
}

enum plumb_status plumb_reference_read_tensors(
	struct plumb_reference *r, const char *path, const struct plumb_config *config)
{
	struct plumb_file *file;
	const char *slash = strrchr(path, '/');
	enum plumb_status s = plumb_file_open(&file, path);
	if (s)
		return plumb_fail_in(s, "reference");
	if (strcmp(plumb_file_format(file), "safetensors"))
		s = plumb_fail(PLUMB_E_FORMAT, "%s is %s: a model, not a reference", path, plumb_file_format(file));
	else
		s = safetensors_read_all(r, file, slash ? slash + 1 : path, config);
	plumb_file_close(file);
	return s;
}
