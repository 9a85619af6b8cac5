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
#define DESCRIBED 8 /* tensors in the text */

/* --- what stands out --- */

/* score: how loud to say it; the text begins with the loudest. */
static void weights_note(
	struct plumb_weights_result *w, struct plumb_weights_tensor *t, double score, const char *text)
{
	plumb_append(t->unusual, sizeof t->unusual, "%s%s", *t->unusual ? "; " : "", text);
	t->score = score > t->score ? score : t->score;
	if (t->layer >= 0)
		plumb_texts_add(&w->unusual[t->layer], "%s: %s", t->role, text);
}

/* What is wrong with a tensor whatever the others are. */
static void weights_note_alone(struct plumb_weights_result *w, struct plumb_weights_tensor *t)
{
	char text[192];
	const struct plumb_moments *m = &t->m;
	if (m->nan || m->inf) {
		int64_t columns = t->file->dim[t->file->rank - 1];
		plumb_format(text, sizeof text, "%lld NaN and %lld infinite values, the first at [%lld, %lld]",
			(long long)m->nan, (long long)m->inf, (long long)(m->bad / columns),
			(long long)(m->bad % columns));
		weights_note(w, t, 1e12, text);
	}
	if (m->n && m->max == 0)
		weights_note(w, t, 1e9, "all zero");
	else if (m->zero_rows) {
		plumb_format(text, sizeof text, "%lld of %lld rows are all zero", (long long)m->zero_rows,
			(long long)t->file->dim[0]);
		weights_note(w, t, 1e6, text);
	}
}

/* Its logarithm, -inf or NaN when it has none. */
static double weights_statistic(const struct plumb_weights_tensor *t, int which)
{
	return log(which == LARGEST  ? t->m.max
			: which == DEVIATION ? plumb_moments_std(&t->m)
								 : plumb_moments_kurtosis(&t->m) + 3);
}

/* Median of the logarithms of one statistic of the n tensors of one role, and the spread around it; spread 0:
 * too few. scratch: n values. */
struct weights_usual {
	double median, spread;
};
static struct weights_usual weights_usual(
	struct plumb_weights_tensor **with, int64_t n, int which, double *scratch)
{
	int64_t have = 0;
	for (int64_t i = 0; i < n; i++)
		if (isfinite(weights_statistic(with[i], which)))
			scratch[have++] = weights_statistic(with[i], which);
	if (have < LEAST)
		return (struct weights_usual){ 0, 0 };
	double median = plumb_median_double(scratch, have);
	for (int64_t i = 0; i < have; i++)
		scratch[i] = fabs(scratch[i] - median);
	return (struct weights_usual){ median, 1.4826 * plumb_median_double(scratch, have) + 0.05 };
}

static void weights_note_unlike(struct plumb_weights_result *w, struct plumb_weights_tensor *t,
	const struct weights_usual usual[STATISTICS])
{
	char text[192] = "";
	double loudest = 0;
	for (int which = 0; which < STATISTICS; which++) {
		double away = weights_statistic(t, which) - usual[which].median, ratio = exp(away),
			   score = fabs(away) / usual[which].spread;
		if (!(usual[which].spread > 0) || !isfinite(away) || score < DEVIATIONS || fabs(away) < log(RATIO))
			continue;
		int decimals = ratio < 0.1 ? 3 : ratio < 1 ? 2 : ratio < 100 ? 1 : 0;
		plumb_append(
			text, sizeof text, "%s%s %.*fx", *text ? ", " : "", statistic_name[which], decimals, ratio);
		loudest = score > loudest ? score : loudest;
	}
	if (!*text)
		return;
	plumb_append(text, sizeof text, " the median of layers");
	weights_note(w, t, loudest, text);
}

static enum plumb_status weights_compare_layers(struct plumb_weights_result *w)
{
	struct plumb_weights_tensor **with = malloc(sizeof *with * (size_t)w->tensors);
	double *scratch = malloc(sizeof *scratch * (size_t)w->tensors);
	bool room = with && scratch;
	for (int64_t i = 0; room && i < w->tensors; i++) {
		struct weights_usual usual[STATISTICS];
		int64_t n = 0;
		for (int64_t j = i; w->tensor[i].leads && j < w->tensors; j++)
			if (w->tensor[j].layer >= 0 && !strcmp(w->tensor[i].role, w->tensor[j].role))
				with[n++] = &w->tensor[j];
		for (int which = 0; which < STATISTICS; which++)
			usual[which] = weights_usual(with, n, which, scratch);
		for (int64_t j = 0; j < n; j++)
			weights_note_unlike(w, with[j], usual);
	}
	free(with);
	free(scratch);
	return room ? PLUMB_OK
				: plumb_fail(PLUMB_E_MEMORY, "no memory to compare %lld tensors", (long long)w->tensors);
}

/* --- what is there --- */

/* A tensor's layer and role: "ffn_down", or "ffn_down.bias" as a bias keeps its ending. */
static void weights_place(
	struct plumb_diag *d, struct plumb_weights_result *w, struct plumb_weights_tensor *t)
{
	const char *why;
	struct plumb_span role;
	int64_t layer = plumb_tensor_layer((struct plumb_span){ t->name, strlen(t->name) }, &role);
	t->layer = layer < d->config->layers ? (int)layer : -1;
	bool weight = role.n > 7 && !strcmp(role.p + role.n - 7, ".weight");
	plumb_format(t->role, sizeof t->role, "%.*s", (int)(weight ? role.n - 7 : role.n), role.p);
	if (plumb_model_tensor_use(plumb_model_file(d->port), t->file, &why) != PLUMB_USE_READ)
		plumb_texts_add(&w->extra, "%s: not used (%s)", t->name, why);
	w->has_qk_norm |= t->layer >= 0 && (!strcmp(t->role, "attn_q_norm") || !strcmp(t->role, "attn_k_norm"));
	t->leads = t->layer >= 0;
	for (const struct plumb_weights_tensor *other = w->tensor; t->leads && other < t; other++)
		t->leads = other->layer < 0 || strcmp(other->role, t->role) != 0;
}

/* A tensor that some layers have and this one lacks. */
static void weights_find_missing(struct plumb_diag *d, struct plumb_weights_result *w)
{
	const struct plumb_file *file = plumb_model_file(d->port);
	for (int64_t i = 0; i < w->tensors; i++) {
		const struct plumb_weights_tensor *t = &w->tensor[i];
		char name[PLUMB_TENSOR_NAME];
		struct plumb_span role;
		plumb_tensor_layer((struct plumb_span){ t->name, strlen(t->name) }, &role);
		for (int layer = 0; t->leads && layer < w->layers; layer++) {
			if (plumb_file_find(file, plumb_tensor_name(layer, role.p, name)))
				continue;
			plumb_texts_add(&w->missing, "%s: layer %d has one, this layer has not", name, t->layer);
			plumb_texts_add(&w->unusual[layer], "%s: missing", t->role);
		}
	}
}

static enum plumb_status weights_gather(struct plumb_diag *d, struct plumb_weights_result *w)
{
	const struct plumb_file *file = plumb_model_file(d->port);
	double done = 0;
	for (int64_t i = 0; i < w->tensors; i++) {
		struct plumb_weights_tensor *t = &w->tensor[i];
		t->file = plumb_file_tensor(file, i);
		plumb_format(t->name, sizeof t->name, "%.*s",
			(int)(t->file->name.n < sizeof t->name ? t->file->name.n : sizeof t->name - 1), t->file->name.p);
		weights_place(d, w, t);
		PLUMB_TRY(plumb_diag_progress(d, "reading the weights", done, (double)plumb_file_size(file)));
		PLUMB_TRY(plumb_moments_of(&t->m, t->file, plumb_model_context(d->port)->pool));
		weights_note_alone(w, t);
		done += (double)t->file->bytes;
	}
	weights_find_missing(d, w);
	return weights_compare_layers(w);
}

/* --- the text --- */

static int weights_loudest_first(const void *a, const void *b)
{
	const struct plumb_weights_tensor *x = *(struct plumb_weights_tensor *const *)a,
									  *y = *(struct plumb_weights_tensor *const *)b;
	return x->score > y->score ? -1 : x->score < y->score ? 1 : (x > y) - (x < y);
}

static void weights_describe_unusual(struct plumb_weights_result *w)
{
	int64_t n = 0;
	struct plumb_string *f = &w->text;
	const struct plumb_weights_tensor **t = malloc(sizeof *t * (size_t)w->tensors);
	f->failed |= !t;
	for (int64_t i = 0; t && i < w->tensors; i++)
		if (*w->tensor[i].unusual)
			t[n++] = &w->tensor[i];
	if (n)
		qsort(t, (size_t)n, sizeof *t, weights_loudest_first);
	for (int64_t i = 0; i < n && i < DESCRIBED; i++) {
		plumb_string_put(f, i ? "; " : " Unusual: ");
		if (t[i]->layer >= 0)
			plumb_string_format(f, "layer %d ", t[i]->layer);
		plumb_string_format(f, "%s: %s", t[i]->role, t[i]->unusual);
	}
	if (n > DESCRIBED)
		plumb_string_format(f, "; and %lld more", (long long)(n - DESCRIBED));
	plumb_string_put(f,
		n                       ? "."
			: w->layers < LEAST ? " Too few layers to call one unlike the others."
								: " No layer's weights are unlike the others'.");
	free(t);
}

/* "Q, K, V" and the like; "no matrix". */
static const char *weights_bias_text(unsigned biases, char text[80])
{
	static const char *const names[] = { "Q", "K", "V", "attention's output", "gate", "up", "down",
		"logits" };
	size_t n = 0;
	for (int i = 0; i < 8; i++)
		if (biases >> i & 1)
			n += (size_t)plumb_format(text + n, 80 - n, "%s%s", n ? ", " : "", names[i]);
	return n ? text : "no matrix";
}

static void weights_describe(const struct plumb_diag *d, struct plumb_weights_result *w)
{
	struct plumb_string *f = &w->text;
	char biases[80];
	plumb_string_format(f, "%lld tensors, %d layers, biases on %s, %s QK-norm, %s.", (long long)w->tensors,
		w->layers, weights_bias_text(d->config->biases, biases), w->has_qk_norm ? "with" : "no",
		d->config->tied ? "the embedding serves as output matrix" : "an output matrix of its own");
	if (w->missing.n || w->extra.n)
		plumb_string_format(f, " %d missing, %d left over:", w->missing.n, w->extra.n);
	else
		plumb_string_put(f, " Every layer has the same tensors; none is missing, none is left over.");
	for (int i = 0; i < w->missing.n; i++)
		plumb_string_format(f, " %s.", w->missing.text[i]);
	for (int i = 0; i < w->extra.n; i++)
		plumb_string_format(f, " %s.", w->extra.text[i]);
	weights_describe_unusual(w);
}

/* --- the result --- */

static enum plumb_status weights_find(struct plumb_diag *d, void *result)
{
	struct plumb_weights_result *w = result;
	w->tensors = plumb_file_tensors(plumb_model_file(d->port));
	w->layers = (int)d->config->layers;
	w->tensor = calloc((size_t)w->tensors, sizeof *w->tensor);
	w->unusual = calloc((size_t)w->layers, sizeof *w->unusual);
	bool failed = !w->tensor || !w->unusual;
	if (!failed) {
		PLUMB_TRY(weights_gather(d, w));
		weights_describe(d, w);
		failed = w->text.failed || w->missing.failed || w->extra.failed;
		for (int i = 0; i < w->layers; i++)
			failed |= w->unusual[i].failed;
	}
	return !failed
		? PLUMB_OK
		: plumb_fail(PLUMB_E_MEMORY, "no memory for the statistics of %lld tensors", (long long)w->tensors);
}

static json_t *weights_tensor_json(struct plumb_diag *d, const struct plumb_weights_tensor *t)
{
	const struct plumb_file_tensor *f = t->file;
	int64_t columns = f->dim[f->rank - 1];
	json_t *shape = json_array();
	for (int i = 0; i < f->rank; i++)
		plumb_diag_add(d, shape, json_integer(f->dim[i]));
	bool some = t->m.n > 0;
	return json_pack("{s:o, s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:[I, I], s:I, s:I, s:I, s:o, s:f}",
		"name", plumb_json_text(t->name), "layer", t->layer, "role", plumb_json_text(t->role), "shape", shape,
		"type", plumb_type_name(f->type), "mean", plumb_json_number(some ? t->m.mean : NAN), "std",
		plumb_json_number(plumb_moments_std(&t->m)), "max", plumb_json_number(some ? t->m.max : NAN),
		"kurtosis", plumb_json_number(plumb_moments_kurtosis(&t->m)), "max_at",
		(json_int_t)(t->m.at / columns), (json_int_t)(t->m.at % columns), "nan", (json_int_t)t->m.nan, "inf",
		(json_int_t)t->m.inf, "zero_rows", (json_int_t)t->m.zero_rows, "unusual",
		*t->unusual ? plumb_json_text(t->unusual) : json_null(), "score", t->score);
}

static json_t *weights_biases_json(struct plumb_diag *d, int layer)
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
		plumb_diag_put(d, biases, rows[i].matrix,
			json_boolean(plumb_model_tensor(d->port, rows[i].role, layer) != NULL));
	return biases;
}

static json_t *weights_emit(struct plumb_diag *d, const void *result)
{
	const struct plumb_weights_result *w = result;
	json_t *tensors = json_array(), *layers = json_array();
	for (int64_t i = 0; i < w->tensors; i++)
		plumb_diag_add(d, tensors, weights_tensor_json(d, &w->tensor[i]));
	for (int i = 0; i < w->layers; i++)
		plumb_diag_add(d, layers,
			json_pack("{s:i, s:o, s:o}", "layer", i, "unusual", plumb_texts_json(&w->unusual[i]), "biases",
				weights_biases_json(d, i)));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:o}", "part", "weights", "tensors", tensors, "missing",
		plumb_texts_json(&w->missing), "extra", plumb_texts_json(&w->extra), "layers", layers, "has_qk_norm",
		w->has_qk_norm, "text", plumb_json_text(w->text.text));
}

static void weights_free(void *result)
{
	struct plumb_weights_result *w = result;
	for (int i = 0; w->unusual && i < w->layers; i++)
		plumb_texts_free(&w->unusual[i]);
	plumb_texts_free(&w->missing);
	plumb_texts_free(&w->extra);
	free(w->unusual);
	free(w->tensor);
	free(w->text.text);
}

const struct plumb_check plumb_check_weights = { "weights",
	"What do the tensors hold, and which layers are unlike the others? (needs no prompt)", false,
	sizeof(struct plumb_weights_result), weights_find, weights_emit, weights_free };
