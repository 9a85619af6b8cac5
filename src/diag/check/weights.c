/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the weights: statistics of every tensor from one pass over its dequantised values, tensors that
 * a layer lacks or has too many of, and layers that are unlike the others. No activation is looked at here.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"
#include "core/string.h"

/* When a layer is called unusual: a statistic is this many times (or one over it) the median of its role over
 * the layers, and its logarithm so many deviations (1.4826 MAD, at least 5%) from the median's: where layers
 * differ widely anyway, none is unusual. With fewer layers than LEAST a median says nothing. */
#define LEAST 5
#define DEVIATIONS 5.0
#define RATIO 2.0
enum { LARGEST, DEVIATION, KURTOSIS, STATISTICS };
static const char *const statistic_name[STATISTICS] = { "largest weight", "standard deviation", "kurtosis" };
#define TOLD 8 /* tensors in the text */

struct tensor {
	const struct plumb_file_tensor *file;
	char name[128], role[96];
	int layer;  /* -1: outside the layers */
	bool leads; /* first of its role among the layers */
	struct plumb_moments m;
	char odd[128], unusual[320]; /* unlike the other layers'; all that is to be told */
	double odd_score, score;
};

struct weights {
	struct tensor *t;
	int64_t count;
	json_t *layer_notes; /* per layer an array of texts */
	json_t *missing, *extra;
	bool failed; /* no memory for JSON */
};

/* --- what stands out --- */

/* score: how loud to say it; the text tells the loudest first. */
static void note(struct weights *w, struct tensor *t, double score, const char *text)
{
	size_t have = strlen(t->unusual);
	plumb_format(t->unusual + have, sizeof t->unusual - have, "%s%s", have ? "; " : "", text);
	t->score = score > t->score ? score : t->score;
	if (t->layer >= 0 &&
		json_array_append_new(
			json_array_get(w->layer_notes, (size_t)t->layer), plumb_json_format("%s: %s", t->role, text)))
		w->failed = true;
}

/* What is wrong with a tensor whatever the others are. */
static void note_alone(struct weights *w, struct tensor *t)
{
	char text[192];
	const struct plumb_moments *m = &t->m;
	if (m->nan || m->inf) {
		int64_t columns = t->file->dim[t->file->rank - 1];
		plumb_format(text, sizeof text, "%lld NaN and %lld infinite values, the first at [%lld, %lld]",
			(long long)m->nan, (long long)m->inf, (long long)(m->bad / columns),
			(long long)(m->bad % columns));
		note(w, t, INFINITY, text);
	}
	if (m->n && m->max == 0)
		note(w, t, 1e9, "all zero");
	else if (m->zero_rows) {
		plumb_format(text, sizeof text, "%lld of %lld rows are all zero", (long long)m->zero_rows,
			(long long)t->file->dim[0]);
		note(w, t, 1e6, text);
	}
}

/* Its logarithm, -inf or NaN when it has none. */
static double statistic_of(const struct tensor *t, int which)
{
	return log(which == LARGEST  ? t->m.max
			: which == DEVIATION ? plumb_moments_std(&t->m)
								 : plumb_moments_kurtosis(&t->m) + 3);
}

/* One statistic of the n tensors of one role. scratch: two values for each. */
static void compare_statistic(struct tensor **with, int64_t n, int which, double *scratch)
{
	int64_t have = 0;
	for (int64_t i = 0; i < n; i++)
		if (isfinite(statistic_of(with[i], which)))
			scratch[have++] = statistic_of(with[i], which);
	if (have < LEAST)
		return;
	double middle = plumb_median_double(scratch, have);
	for (int64_t i = 0; i < have; i++)
		scratch[have + i] = fabs(scratch[i] - middle);
	double spread = 1.4826 * plumb_median_double(scratch + have, have) + 0.05;
	for (int64_t i = 0; i < n; i++) {
		double away = statistic_of(with[i], which) - middle, ratio = exp(away), score = fabs(away) / spread;
		size_t length = strlen(with[i]->odd);
		if (!isfinite(away) || score < DEVIATIONS || fabs(away) < log(RATIO))
			continue;
		plumb_format(with[i]->odd + length, sizeof with[i]->odd - length, "%s%s %.*fx", length ? ", " : "",
			statistic_name[which],
			ratio < 0.1       ? 3
				: ratio < 1   ? 2
				: ratio < 100 ? 1
							  : 0,
			ratio);
		with[i]->odd_score = score > with[i]->odd_score ? score : with[i]->odd_score;
	}
}

static enum plumb_status compare_layers(struct weights *w)
{
	enum plumb_status s = PLUMB_OK;
	struct tensor **with = malloc(sizeof *with * (size_t)w->count);
	double *scratch = malloc(sizeof *scratch * 2 * (size_t)w->count);
	if (!with || !scratch)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory to compare %lld tensors", (long long)w->count);
	for (int64_t i = 0; !s && i < w->count; i++) {
		int64_t n = 0;
		for (int64_t j = i; w->t[i].leads && j < w->count; j++)
			if (w->t[j].layer >= 0 && !strcmp(w->t[i].role, w->t[j].role))
				with[n++] = &w->t[j];
		for (int which = 0; which < STATISTICS; which++)
			compare_statistic(with, n, which, scratch);
		for (int64_t j = 0; j < n; j++)
			if (*with[j]->odd) {
				char text[192];
				plumb_format(text, sizeof text, "%s the median of layers", with[j]->odd);
				note(w, with[j], with[j]->odd_score, text);
			}
	}
	free(with);
	free(scratch);
	return s;
}

/* --- what is there --- */

/* A tensor's layer and role: "ffn_down", or "ffn_down.bias" as a bias keeps its ending. */
static void place(struct plumb_diag *d, struct weights *w, struct tensor *t)
{
	const char *why;
	char text[256];
	struct plumb_span part;
	int64_t layer = plumb_tensor_layer((struct plumb_span){ t->name, strlen(t->name) }, &part);
	t->layer = layer < d->config->layers ? (int)layer : -1;
	bool weight = part.n > 7 && !strcmp(part.p + part.n - 7, ".weight");
	plumb_format(t->role, sizeof t->role, "%.*s", (int)(weight ? part.n - 7 : part.n), part.p);
	if (plumb_model_tensor_use(plumb_model_file(d->port), t->file, &why) == PLUMB_USE_READ)
		return;
	plumb_format(text, sizeof text, "%s: not used (%s)", t->name, why);
	if (json_array_append_new(w->extra, plumb_json_text(text)))
		w->failed = true;
}

/* A tensor that some layers have and this one lacks. */
static void find_missing(struct plumb_diag *d, struct weights *w)
{
	const struct plumb_file *file = plumb_model_file(d->port);
	for (int64_t i = 0; i < w->count; i++) {
		const struct tensor *t = &w->t[i];
		char name[PLUMB_TENSOR_NAME], text[256];
		struct plumb_span part;
		plumb_tensor_layer((struct plumb_span){ t->name, strlen(t->name) }, &part);
		for (int layer = 0; t->leads && layer < d->config->layers; layer++) {
			if (plumb_file_find(file, plumb_tensor_name(layer, part.p, name)))
				continue;
			plumb_format(text, sizeof text, "%s: layer %d has one, this layer has not", name, t->layer);
			json_t *notes = json_array_get(w->layer_notes, (size_t)layer);
			if (json_array_append_new(w->missing, plumb_json_text(text)) ||
				json_array_append_new(notes, plumb_json_format("%s: missing", t->role)))
				w->failed = true;
		}
	}
}

static enum plumb_status gather(struct plumb_diag *d, struct weights *w)
{
	const struct plumb_file *file = plumb_model_file(d->port);
	double done = 0;
	for (int64_t i = 0; i < w->count; i++) {
		struct tensor *t = &w->t[i];
		t->file = plumb_file_tensor(file, i);
		plumb_format(t->name, sizeof t->name, "%.*s",
			(int)(t->file->name.n < sizeof t->name ? t->file->name.n : sizeof t->name - 1), t->file->name.p);
		place(d, w, t);
		t->leads = t->layer >= 0;
		for (int64_t j = 0; t->leads && j < i; j++)
			t->leads = w->t[j].layer < 0 || strcmp(w->t[j].role, t->role) != 0;
		PLUMB_TRY(plumb_diag_progress(d, "reading the weights", done, (double)plumb_file_size(file)));
		PLUMB_TRY(plumb_moments_of(&t->m, t->file, plumb_model_context(d->port)->pool));
		note_alone(w, t);
		done += (double)t->file->bytes;
	}
	find_missing(d, w);
	return compare_layers(w);
}

/* --- the result --- */

static json_t *tensor_json(const struct tensor *t)
{
	const struct plumb_file_tensor *f = t->file;
	int64_t columns = f->dim[f->rank - 1];
	json_t *shape = json_array();
	for (int i = 0; i < f->rank; i++)
		if (json_array_append_new(shape, json_integer(f->dim[i])))
			return json_decref(shape), NULL;
	bool some = t->m.n > 0;
	return json_pack("{s:o, s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:[I, I], s:I, s:I, s:I, s:o, s:o}",
		"name", plumb_json_text(t->name), "layer", t->layer, "role", plumb_json_text(t->role), "shape", shape,
		"type", plumb_type_name(f->type), "mean", plumb_json_number(some ? t->m.mean : NAN), "std",
		plumb_json_number(plumb_moments_std(&t->m)), "max", plumb_json_number(some ? t->m.max : NAN),
		"kurtosis", plumb_json_number(plumb_moments_kurtosis(&t->m)), "max_at",
		(json_int_t)(t->m.at / columns), (json_int_t)(t->m.at % columns), "nan", (json_int_t)t->m.nan, "inf",
		(json_int_t)t->m.inf, "zero_rows", (json_int_t)t->m.zero_rows, "unusual",
		*t->unusual ? plumb_json_text(t->unusual) : json_null(), "score",
		json_real(t->score < 1e12 ? t->score : 1e12));
}

static bool has_qk_norm(const struct weights *w)
{
	for (int64_t i = 0; i < w->count; i++)
		if (w->t[i].layer >= 0 &&
			(!strcmp(w->t[i].role, "attn_q_norm") || !strcmp(w->t[i].role, "attn_k_norm")))
			return true;
	return false;
}

static json_t *biases_json(const struct plumb_diag *d, int layer)
{
	static const struct {
		const char *matrix;
		enum plumb_role role;
	} rows[] = {
		{ "q", PLUMB_ROLE_Q_BIAS },
		{ "k", PLUMB_ROLE_K_BIAS },
		{ "v", PLUMB_ROLE_V_BIAS },
		{ "attn_output", PLUMB_ROLE_ATTN_OUT_BIAS },
		{ "ffn_gate", PLUMB_ROLE_FFN_GATE_BIAS },
		{ "ffn_up", PLUMB_ROLE_FFN_UP_BIAS },
		{ "ffn_down", PLUMB_ROLE_FFN_DOWN_BIAS },
	};
	json_t *biases = json_object();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		json_object_set_new(
			biases, rows[i].matrix, json_boolean(plumb_model_tensor(d->port, rows[i].role, layer) != NULL));
	return biases;
}

static int loudest_first(const void *a, const void *b)
{
	const struct tensor *x = *(struct tensor *const *)a, *y = *(struct tensor *const *)b;
	return x->score > y->score ? -1 : x->score < y->score ? 1 : (x->name > y->name) - (x->name < y->name);
}

static void tell_unusual(struct plumb_string *f, struct weights *w, int64_t layers)
{
	int64_t n = 0;
	struct tensor **t = malloc(sizeof *t * (size_t)w->count);
	if (!t) {
		w->failed = true;
		return;
	}
	for (int64_t i = 0; i < w->count; i++)
		if (*w->t[i].unusual)
			t[n++] = &w->t[i];
	qsort(t, (size_t)n, sizeof *t, loudest_first);
	for (int64_t i = 0; i < n && i < TOLD; i++) {
		plumb_string_put(f, i ? "; " : " Unusual: ");
		if (t[i]->layer >= 0)
			plumb_string_format(f, "layer %d ", t[i]->layer);
		plumb_string_format(f, "%s: %s", t[i]->role, t[i]->unusual);
	}
	if (n > TOLD)
		plumb_string_format(f, "; and %lld more", (long long)(n - TOLD));
	plumb_string_put(f,
		n                    ? "."
			: layers < LEAST ? " Too few layers to call one unlike the others."
							 : " No layer's weights are unlike the others'.");
	free(t);
}

/* "Q, K, V" and the like; "no matrix". */
static const char *bias_text(unsigned biases, char text[80])
{
	static const char *const names[] = { "Q", "K", "V", "attention's output", "gate", "up", "down",
		"logits" };
	size_t n = 0;
	for (int i = 0; i < 8; i++)
		if (biases >> i & 1)
			n += (size_t)plumb_format(text + n, 80 - n, "%s%s", n ? ", " : "", names[i]);
	return n ? text : "no matrix";
}

static json_t *text_json(const struct plumb_diag *d, struct weights *w)
{
	size_t i, missing = json_array_size(w->missing), extra = json_array_size(w->extra);
	struct plumb_string all = { NULL, 0, 0, false }, *f = &all;
	char biases[80];
	json_t *one;
	plumb_string_format(f, "%lld tensors, %lld layers, biases on %s, %s QK-norm, %s.", (long long)w->count,
		(long long)d->config->layers, bias_text(d->config->biases, biases), has_qk_norm(w) ? "with" : "no",
		d->config->tied ? "the embedding serves as output matrix" : "an output matrix of its own");
	if (missing || extra)
		plumb_string_format(f, " %zu missing, %zu left over:", missing, extra);
	else
		plumb_string_put(f, " Every layer has the same tensors; none is missing, none is left over.");
	json_array_foreach(w->missing, i, one)
		plumb_string_format(f, " %s.", json_string_value(one));
	json_array_foreach(w->extra, i, one)
		plumb_string_format(f, " %s.", json_string_value(one));
	tell_unusual(f, w, d->config->layers);
	return plumb_string_json(f);
}

static enum plumb_status make_result(struct plumb_diag *d, struct weights *w, json_t **result)
{
	json_t *tensors = json_array(), *layers = json_array();
	for (int64_t i = 0; i < w->count; i++)
		w->failed |= json_array_append_new(tensors, tensor_json(&w->t[i])) != 0;
	for (int i = 0; i < d->config->layers; i++)
		w->failed |= json_array_append_new(layers,
						 json_pack("{s:i, s:O, s:o}", "layer", i, "unusual",
							 json_array_get(w->layer_notes, (size_t)i), "biases", biases_json(d, i))) != 0;
	*result = json_pack("{s:s, s:o, s:O, s:O, s:o, s:b, s:o}", "part", "weights", "tensors", tensors,
		"missing", w->missing, "extra", w->extra, "layers", layers, "has_qk_norm", has_qk_norm(w), "text",
		text_json(d, w));
	return *result && !w->failed ? PLUMB_OK
								 : plumb_fail(PLUMB_E_MEMORY, "no memory for the weights' statistics");
}

static enum plumb_status run(struct plumb_diag *d, void *made)
{
	json_t **result = made;
	struct weights w = { .count = plumb_file_tensors(plumb_model_file(d->port)),
		.layer_notes = json_array(),
		.missing = json_array(),
		.extra = json_array() };
	enum plumb_status s = PLUMB_OK;
	*result = NULL;
	for (int i = 0; i < d->config->layers; i++)
		w.failed |= json_array_append_new(w.layer_notes, json_array()) != 0;
	w.t = calloc((size_t)w.count, sizeof *w.t);
	if (!w.t || w.failed)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for the statistics of %lld tensors", (long long)w.count);
	if (!s)
		s = gather(d, &w);
	if (!s)
		s = make_result(d, &w, result);
	if (s) {
		json_decref(*result);
		*result = NULL;
	}
	json_decref(w.layer_notes);
	json_decref(w.missing);
	json_decref(w.extra);
	free(w.t);
	return s;
}

const struct plumb_check plumb_check_weights = { "weights",
	"What do the tensors hold, and which layers are unlike the others? (needs no prompt)", false,
	sizeof(json_t *), run, plumb_made_emit, plumb_made_free };
