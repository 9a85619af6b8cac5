/* SPDX-License-Identifier: Apache-2.0 */
/* The words for what convention.c found, and whether the reference is of this model and these tokens at all.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define OTHER 0.3 /* embeddings farther than this (relative) are not those of the tokens */
/* Embeddings are a look-up: beyond the rounding of the reference's own precision they are of other weights.
 */
#define ROUNDED_FP32 3e-6
#define ROUNDED_BF16 0.008
#define ROUNDED_FP16 0.001

struct words {
	char *text;
	size_t size, n;
};
#define WORDS(text) \
	{ \
		text, sizeof text, 0 \
	}

static void convention_text_say(struct words *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void convention_text_say(struct words *w, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = w->n < w->size ? plumb_vformat(w->text + w->n, w->size - w->n, format, args) : 0;
	va_end(args);
	w->n += n > 0 ? (size_t)n : 0;
}

static bool moved(const struct plumb_file_case *f) { return f->winner.first != f->declared; }

/* "final-normed, position 3", or "raw". */
static void convention_text_winner_name(const struct plumb_convention_result *j,
	const struct plumb_file_case *f, const struct plumb_guess *g, struct words *w)
{
	if (g->shift == 1)
		convention_text_say(w, "one layer later");
	else if (g->shift == -1)
		convention_text_say(w,
			j->shift != -1 && f->point == PLUMB_POINT_OUTPUT ? "input instead of output"
															 : "one layer earlier");
	if (g->normed)
		convention_text_say(w, "%sfinal-normed", w->n ? ", " : "");
	if (g->first != f->declared)
		convention_text_say(w, "%sother position", w->n ? ", " : "");
	if (g->scale != 1)
		convention_text_say(w, "%sscaled", w->n ? ", " : "");
	if (!w->n && g == &f->winner)
		convention_text_say(w, "%s", *f->storage ? f->storage : "raw");
	else if (!w->n)
		convention_text_say(w, "raw");
}

bool plumb_convention_raw(const struct plumb_file_case *f)
{
	const struct plumb_guess *w = &f->winner;
	return !w->shift && !w->normed && w->first == f->declared && w->scale == 1 && !*f->storage;
}

const char *plumb_convention_name(
	const struct plumb_convention_result *c, const struct plumb_file_case *f, char text[64])
{
	struct words w = { text, 64, 0 };
	convention_text_winner_name(c, f, &f->winner, &w);
	return text;
}

/* --- the set --- */
static const struct plumb_file_case *convention_text_find(const struct plumb_convention_result *j,
	bool (*is)(const struct plumb_convention_result *, const struct plumb_file_case *))
{
	for (int i = 0; i < j->files; i++)
		if (is(j, &j->file[i]))
			return &j->file[i];
	return NULL;
}

static bool convention_text_is_embeddings(
	const struct plumb_convention_result *j, const struct plumb_file_case *f)
{
	return j->shift && f->layer == 0 && f->real_layer < 0;
}

static bool convention_text_is_first(const struct plumb_convention_result *j, const struct plumb_file_case *f)
{
	return j->shift == -1 && f->layer == 0 && f->point == PLUMB_POINT_OUTPUT && f->winner.shift == -1;
}

static bool convention_text_is_normed_last(
	const struct plumb_convention_result *j, const struct plumb_file_case *f)
{
	return f->winner.normed && f->layer + f->winner.shift == j->layers - 1;
}

static bool convention_text_is_stored(
	const struct plumb_convention_result *j, const struct plumb_file_case *f)
{
	(void)j;
	return *f->storage;
}

static bool convention_text_is_scaled(
	const struct plumb_convention_result *j, const struct plumb_file_case *f)
{
	(void)j;
	return f->winner.scale != 1;
}

static bool convention_text_is_of_embeddings(
	const struct plumb_convention_result *j, const struct plumb_file_case *f)
{
	(void)j;
	return f->real_point == PLUMB_POINT_EMBEDDINGS;
}

/* What no word about the whole set covers. */
static bool convention_text_is_single(
	const struct plumb_convention_result *j, const struct plumb_file_case *f)
{
	int shift = f->layer < 0 ? 0 : j->shift;
	bool edge = f->winner.normed && convention_text_is_normed_last(j, f);
	return (f->winner.shift != shift && !edge) || (f->winner.normed && !edge) ||
		f->winner.first != f->captured->first;
}

static void convention_text_name_set(const struct plumb_convention_result *j, struct words *w)
{
	const struct plumb_file_case *f;
	if (j->shift)
		convention_text_say(w, "%s",
			j->shift > 0 ? "one layer later"
				: convention_text_find(j, convention_text_is_first) ||
					convention_text_find(j, convention_text_is_embeddings)
				? "embeddings counted as layer 0"
				: "layers counted from 1");
	if (j->move)
		convention_text_say(w, "%sposition %+lld", w->n ? ", " : "", (long long)j->move);
	if (convention_text_find(j, convention_text_is_normed_last))
		convention_text_say(w, "%sfinal-normed last", w->n ? ", " : "");
	if ((f = convention_text_find(j, convention_text_is_scaled)))
		convention_text_say(w, "%sscaled by %.3g", w->n ? ", " : "", f->winner.scale);
	if ((f = convention_text_find(j, convention_text_is_single))) {
		char one[64];
		convention_text_say(w, "%s%s: %s", w->n ? ", " : "", f->name, plumb_convention_name(j, f, one));
	}
	if ((f = convention_text_find(j, convention_text_is_stored)))
		convention_text_say(w, "%s%s", w->n ? ", " : "", f->storage);
}

static void convention_text_describe_file(
	const struct plumb_convention_result *j, const struct plumb_file_case *f, struct words *w)
{
	char name[64];
	plumb_convention_name(j, f, name);
	if (isfinite(f->winner.error) && isfinite(f->raw_error))
		convention_text_say(w, " %s is %s: so read, it is %.2g from the trusted run, as its name says %.2g.",
			f->name, name, f->winner.error, f->raw_error);
	else
		convention_text_say(w, " %s is %s.", f->name, name);
}

static void convention_text_describe_set(const struct plumb_convention_result *j, struct words *w)
{
	const struct plumb_file_case *f;
	int odd = 0, judged = 0;
	for (int i = 0; i < j->files; i++) {
		odd += j->file[i].winner.normed || j->file[i].winner.scale != 1 ||
			convention_text_is_single(j, &j->file[i]);
		judged += isfinite(j->file[i].winner.error);
	}
	if (j->shift < 0)
		convention_text_say(w,
			"The set counts layers one too high%s: what is called layer 1 is the output of layer 0.",
			convention_text_find(j, convention_text_is_first) ||
					convention_text_find(j, convention_text_is_embeddings)
				? " (its layer 0 is the embeddings)"
				: "");
	else if (j->shift > 0)
		convention_text_say(
			w, "The set counts layers one too low: what is called layer 0 is the output of layer 1.");
	if (j->move)
		convention_text_say(
			w, "%sThe set is of another position than declared: %+lld.", w->n ? " " : "", (long long)j->move);
	if ((f = convention_text_find(j, convention_text_is_normed_last))) {
		convention_text_describe_file(j, f, w);
		convention_text_say(w, " Transformers' hidden_states do that: the last one is already normed.");
	}
	for (int i = 0, declared = 0; i < j->files && declared < 4; i++) {
		f = &j->file[i];
		if (!convention_text_is_normed_last(j, f) &&
			(f->winner.normed || f->winner.scale != 1 || convention_text_is_single(j, f))) {
			convention_text_describe_file(j, f, w);
			declared++;
		}
	}
	if ((f = convention_text_find(j, convention_text_is_stored)))
		convention_text_say(w, " %s is stored with %s, and was read so.", f->name, f->storage);
	if (!odd && !j->shift && !j->move)
		convention_text_say(
			w, " Every value is what its name says (%d of %d could be judged).", judged, j->files);
	else if (judged < j->files)
		convention_text_say(w, " %d of %d could be judged.", judged, j->files);
}

/* --- is it of this model and these tokens? --- */
static double convention_text_rounded(const struct plumb_diag *d)
{
	enum plumb_stored stored = plumb_reference_stored(d->reference);
	return stored == PLUMB_STORED_FP32 ? ROUNDED_FP32
		: stored == PLUMB_STORED_BF16  ? ROUNDED_BF16
									   : ROUNDED_FP16;
}

/* Other weights, and whether the type that the file holds them in explains it. */
static enum plumb_status convention_text_describe_weights(struct plumb_diag *d, double away, struct words *w)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(d->port, PLUMB_ROLE_EMBEDDING, -1);
	double step = 0;
	if (t)
		PLUMB_TRY(plumb_weight_step(t, d->tokens, d->n, &step));
	convention_text_say(
		w, " Its embeddings are %.2g from the model's: it was made from other weights, ", away);
	if (step > 0 && away < 2 * step && away > step / 2)
		convention_text_say(w,
			"those before they were rounded to %s as this file holds them (which explains %.2g).",
			plumb_type_name(t->type), step);
	else
		convention_text_say(w, "such as another quantisation.");
	return PLUMB_OK;
}

static enum plumb_status convention_text_ask_matrix(
	struct plumb_diag *d, const struct plumb_captured *p, struct plumb_convention_result *c, struct words *w)
{
	int32_t *token = malloc(sizeof *token * (size_t)p->rows);
	double *away = malloc(sizeof *away * (size_t)p->rows);
	int64_t found = 0;
	enum plumb_status s = token && away
		? plumb_embedding_nearest(plumb_model_file(d->port), d->config, p->v, p->rows, token, away)
		: plumb_fail(PLUMB_E_MEMORY, "no memory for %lld tokens", (long long)p->rows);
	for (int64_t i = 0; i < p->rows && !s; i++)
		found += token[i] >= 0;
	c->other_model = !s && 2 * found < p->rows;
	free(away);
	if (!s && !c->other_model) {
		c->other_tokens = token;
		c->others = p->rows;
		convention_text_say(w,
			" Its embeddings are those of other tokens than the prompt's: token %d where the prompt has %d.",
			token[p->rows - 1], d->tokens[p->first + p->rows - 1 < d->n ? p->first + p->rows - 1 : d->n - 1]);
		return PLUMB_OK;
	}
	free(token);
	if (s)
		return s;
	convention_text_say(w,
		" Its embeddings are near no row of the model's matrix: it is of another model, or no hidden state is what it is called.");
	return plumb_problems_add(&d->problems, d->reference->path,
		"nothing that follows from a comparison with it says anything about the port",
		"another model: its embeddings are near no row of this model's embedding matrix");
}

static enum plumb_status convention_text_check_belongs(
	struct plumb_diag *d, struct plumb_convention_result *c, struct words *w)
{
	char mark[32];
	const struct plumb_file_case *e = convention_text_find(c, convention_text_is_of_embeddings);
	plumb_model_fingerprint(plumb_model_file(d->port), mark);
	if (!strncmp(d->reference->model_hash, "fnv1a64:", 8)) {
		c->same_file = strcmp(d->reference->model_hash, mark) ? PLUMB_SAME_NOT : PLUMB_SAME;
		if (c->same_file == PLUMB_SAME_NOT)
			convention_text_say(w, " It was made from another file of weights than this model's.");
	}
	if (!e || !isfinite(e->winner.error))
		return PLUMB_OK;
	if (e->winner.error > OTHER)
		return convention_text_ask_matrix(d, e->captured, c, w);
	if (e->winner.error <= convention_text_rounded(d))
		return PLUMB_OK;
	c->weights_differ = e->winner.error;
	return convention_text_describe_weights(d, e->winner.error, w);
}

enum plumb_status plumb_convention_describe(struct plumb_diag *d, struct plumb_convention_result *c)
{
	struct words set = WORDS(c->name), text = WORDS(c->text);
	convention_text_name_set(c, &set);
	c->raw = !set.n;
	if (c->raw)
		convention_text_say(&set, "raw");
	convention_text_describe_set(c, &text);
	PLUMB_TRY(convention_text_check_belongs(d, c, &text));
	if (*c->text == ' ')
		memmove(c->text, c->text + 1, strlen(c->text));
	return PLUMB_OK;
}

/* --- as JSON --- */
static json_t *convention_text_file_json(
	const struct plumb_convention_result *c, const struct plumb_file_case *f)
{
	char name[64], runner[64], text[256] = "";
	struct words second = WORDS(runner), detail = WORDS(text);
	plumb_convention_name(c, f, name);
	convention_text_winner_name(c, f, &f->runner_up, &second);
	if (moved(f))
		convention_text_say(
			&detail, "position %lld, not %lld", (long long)f->winner.first, (long long)f->declared);
	if (f->winner.scale != 1)
		convention_text_say(&detail, "%sby %.6g", detail.n ? "; " : "", f->winner.scale);
	if (f->winner.shift || f->winner.normed)
		convention_text_say(&detail,
			f->real_point < 0       ? "%sthe model has no such point"
				: f->real_layer < 0 ? "%sit is %s"
									: "%sit is %s of layer %d",
			detail.n ? "; " : "", f->real_point < 0 ? "" : plumb_point_name(f->real_point), f->real_layer);
	if (*f->storage)
		convention_text_say(&detail, "%sstored with %s", detail.n ? "; " : "", f->storage);
	return json_pack("{s:o, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:o}", "name",
		plumb_json_text(f->name), "layer", f->layer, "point", plumb_point_name(f->point), "winner", name,
		"error", plumb_json_number(f->winner.error), "raw_error", plumb_json_number(f->raw_error),
		"runner_up", isfinite(f->runner_up.error) ? plumb_json_text(runner) : json_null(), "runner_up_error",
		plumb_json_number(f->runner_up.error), "storage", f->storage, "detail", text, "real",
		f->real_point < 0
			? json_null()
			: json_pack("{s:i, s:s}", "layer", f->real_layer, "point", plumb_point_name(f->real_point)));
}

json_t *plumb_convention_json(struct plumb_diag *d, const void *result)
{
	const struct plumb_convention_result *c = result;
	json_t *files = json_array(), *tokens = c->other_tokens ? json_array() : json_null();
	for (int i = 0; i < c->files; i++)
		plumb_diag_add(d, files, convention_text_file_json(c, &c->file[i]));
	for (int64_t i = 0; i < c->others; i++)
		plumb_diag_add(d, tokens, json_integer(c->other_tokens[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:i, s:I, s:b, s:o, s:o, s:o, s:o}", "part", "convention",
		"reference_problems", plumb_problems_json(d->reference, &d->problems), "files", files, "convention",
		plumb_json_text(c->name), "shift", c->shift, "move", (json_int_t)c->move, "other_model",
		c->other_model, "other_tokens", tokens, "weights_differ", plumb_json_number(c->weights_differ),
		"same_file", c->same_file ? json_boolean(c->same_file == PLUMB_SAME) : json_null(), "text",
		plumb_json_text(c->text));
}
