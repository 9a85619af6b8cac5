/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: convention, precision, growth, components and, when the run diverges, the fingerprint, joined
 * to one code and a few sentences. Measures nothing itself. */
#include <math.h>
#include <string.h>
#include "diag/check/check.h"

#define DIFFERS 1e-4 /* relative, from the trusted run: more than another driver's order of sums */
#define LIKE 0.6     /* score from which a cause is named */
#define FITS 0.9     /* from which it is believed to lie where the fingerprint puts it */

struct work {
	struct plumb_diag *d;
	const struct plumb_errors *errors;
	const struct plumb_convention_result *convention;
	const struct plumb_precision_result *precision;
	const struct plumb_growth_result *growth;
	const struct plumb_fingerprint_result *fingerprint; /* NULL: none could be taken */
	struct plumb_verdict_result *v;
	double score; /* of the cause, or of what is nearest to one */
};

/* The whole text of a check is one of the sentences. */
static void verdict_say_check(
	struct plumb_verdict_result *v, const struct plumb_check *check, const char *text)
{
	plumb_texts_add(&v->sentences, "%s", text);
	v->said[v->says++] = check;
}

/* --- where --- */
/* Of the layer to blame, or of what is outside the layers, the first point that fails by itself. */
static void verdict_find_point(struct work *w)
{
	int layers = (int)w->d->config->layers, layer = w->v->layer < layers ? w->v->layer : -1;
	enum plumb_gap_kind kind = w->errors->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED;
	w->v->point = -1;
	for (int k = kind; k >= PLUMB_ISOLATED;
		 k--) /* an output may fail where none of the few inner points does */
		for (int point = 0; point < PLUMB_POINT_COUNT && w->v->point < 0; point++) {
			const struct plumb_gap *gap = plumb_gap_at(w->errors, (enum plumb_gap_kind)k, layer, point);
			bool here = w->v->layer >= 0 || point == PLUMB_POINT_EMBEDDINGS;
			w->v->point = gap && !gap->ok && here && (w->v->layer < layers || point != PLUMB_POINT_EMBEDDINGS)
				? point
				: -1;
		}
}

/* Nothing fails by itself: the first that is beyond its floor as errors accumulate. */
static bool verdict_find_accumulated(struct work *w)
{
	const struct plumb_gap *gap;
	for (int layer = -1, point = -1; (gap = plumb_gap_next(w->errors, w->d->layers, &layer, &point));) {
		if (gap->ok)
			continue;
		w->v->layer = layer < 0 && point != PLUMB_POINT_EMBEDDINGS ? (int)w->d->config->layers : layer;
		w->v->point = point;
		return true;
	}
	return false;
}

/* Does the reference look into the layer to blame? */
static bool verdict_has_inner(const struct work *w)
{
	for (int point = 0; point < PLUMB_POINT_OUTPUT; point++)
		if (plumb_gap_at(w->errors, PLUMB_COMPONENT, w->v->layer, point))
			return true;
	return false;
}

static void verdict_place(const struct work *w, char *text, size_t size)
{
	const char *point = w->v->point >= 0 ? plumb_point_name(w->v->point) : NULL;
	if (w->v->layer < 0)
		plumb_format(text, size, "The embeddings");
	else if (w->v->layer >= w->d->config->layers)
		plumb_format(text, size, "After the layers, %s", point ? point : "the head");
	else if (!point || (w->v->point == PLUMB_POINT_OUTPUT && !verdict_has_inner(w)))
		plumb_format(text, size, "Layer %d", w->v->layer);
	else
		plumb_format(text, size, "Layer %d, %s", w->v->layer, point);
}

/* --- what --- */
static void verdict_unusable(struct work *w)
{
	const struct plumb_convention_result *c = w->convention;
	w->v->code = PLUMB_UNUSABLE;
	const char *why = c->other_model ? "is of another model"
		: c->other_tokens            ? "is of other tokens than the prompt's"
		: w->d->other_prompt         ? "declares other tokens than the prompt's"
		: c->weights_differ > 0      ? NULL
									 : "has no value at a point that was evaluated";
	if (why)
		plumb_format(w->v->text, sizeof w->v->text, "The reference cannot be used: it %s.", why);
	else
		plumb_format(w->v->text, sizeof w->v->text,
			"The reference cannot be used to judge the port: it was made from other weights. Its embeddings, which "
			"no layer has touched, are %.2g away. Make one from this very file.",
			c->weights_differ);
	if (*c->text)
		verdict_say_check(w->v, &plumb_check_convention, c->text);
	const struct plumb_problem *problem;
	for (int i = 0; i < 3 && (problem = plumb_diag_problem(w->d, i)); i++)
		plumb_texts_add(&w->v->sentences, "%s: %s.", problem->file, problem->text);
}

/* Every layer differs by what rounding of the weights explains, no bug of the library fits well, and the
 * trusted run does the same. Where the reference is known to be of this very file it is no excuse. */
static enum plumb_status verdict_is_rounded(struct work *w, bool *rounded)
{
	const struct plumb_capture *ours, *trusted_run;
	struct plumb_gap gap;
	enum plumb_type type = PLUMB_F32;
	*rounded = false;
	if (w->score > FITS || w->convention->same_file == PLUMB_SAME || w->v->layer < 0 ||
		w->v->layer >= w->d->config->layers)
		return PLUMB_OK;
	PLUMB_TRY(plumb_diag_ours(w->d, &ours));
	PLUMB_TRY(plumb_diag_trusted(w->d, &trusted_run));
	PLUMB_TRY(plumb_gap_measure(&gap, plumb_capture_at(ours, w->v->layer, PLUMB_POINT_OUTPUT),
		plumb_capture_at(trusted_run, w->v->layer, PLUMB_POINT_OUTPUT), false, PLUMB_F32));
	if (fmax(gap.rel, gap.elementwise) > DIFFERS)
		return PLUMB_OK;
	PLUMB_TRY(plumb_known_rounded(w->d, w->errors, rounded, &type));
	if (!*rounded)
		return PLUMB_OK;
	w->v->code = PLUMB_UNUSABLE;
	plumb_format(w->v->text, sizeof w->v->text,
		"The reference cannot be used to judge the port: every layer differs, and by no more than rounding its weights to "
		"%s explains. It was probably made from other weights: those before they were rounded. Make one from this very file.",
		plumb_type_name(type));
	return PLUMB_OK;
}

static bool verdict_is_unusable(const struct work *w)
{
	const struct plumb_convention_result *c = w->convention;
	bool wrong = w->v->layer != PLUMB_NONE_WRONG;
	int layer = -1, point = -1;
	return !plumb_gap_next(w->errors, w->d->layers, &layer, &point) || (w->d->other_prompt && wrong) ||
		c->other_model || c->other_tokens || (wrong && c->weights_differ > 0);
}

/* Is it the driver (or a change put into its run), or do both runs agree? */
static enum plumb_status verdict_say_who(struct work *w)
{
	const struct plumb_capture *ours, *trusted_run;
	struct plumb_gap gap;
	bool head = w->v->layer >= w->d->config->layers;
	int layer = head ? -1 : w->v->layer,
		point = w->v->point >= 0 ? w->v->point
		: head                   ? PLUMB_POINT_FINAL_NORM
								 : PLUMB_POINT_OUTPUT;
	if (w->d->port == w->d->trusted && !w->d->broken) {
		plumb_texts_add(&w->v->sentences,
			"The run is the trusted one itself (native, float32), so no driver is to blame: the file, the "
			"reference or this program differ.");
		return PLUMB_OK;
	}
	PLUMB_TRY(plumb_diag_ours(w->d, &ours));
	PLUMB_TRY(plumb_diag_trusted(w->d, &trusted_run));
	PLUMB_TRY(plumb_gap_measure(&gap, plumb_capture_at(ours, layer, point),
		plumb_capture_at(trusted_run, layer, point), point == PLUMB_POINT_ATTN_SCORES, PLUMB_F32));
	if (!gap.have)
		return PLUMB_OK;
	if (fmax(gap.rel, gap.elementwise) > DIFFERS)
		plumb_texts_add(&w->v->sentences,
			"The trusted run of the same file (native, float32) is %.2g away from this run there: the run that is "
			"judged is at fault, not the file or the reference.",
			fmax(gap.rel, gap.elementwise));
	else
		plumb_texts_add(&w->v->sentences,
			"The trusted run of the same file (native, float32) gives the same there, to %.1e: no kernel of the "
			"driver is at fault; the file, the reference or this program differ.",
			fmax(gap.rel, gap.elementwise));
	return PLUMB_OK;
}

/* The port beside the trusted run shows every row, not only those of the reference; and a cause that fits
 * well may lie before the first place where the reference sees it. */
static void verdict_look_before(struct work *w)
{
	const struct plumb_fingerprint_result *f = w->fingerprint;
	bool fits = f->causes && f->cause->score > FITS;
	int at = f->port ? f->layer : fits && f->cause->layer >= 0 ? f->cause->layer : PLUMB_NONE_WRONG;
	if (at < 0 || (w->v->layer >= 0 && at >= w->v->layer))
		return;
	if (w->v->layer >= 0 && w->v->layer < w->d->config->layers)
		plumb_texts_add(&w->v->sentences,
			"The reference shows it from layer %d on; it begins in layer %d, where the values that the reference "
			"has are still right.",
			w->v->layer, at);
	w->v->layer = at;
	w->v->point = -1;
}

static enum plumb_status verdict_diverges(struct work *w)
{
	char where[96], unused[160];
	const char *likely = "";
	enum plumb_status s = plumb_diag_fingerprint(w->d, &w->fingerprint);
	if (s && s != PLUMB_E_UNSUPPORTED)
		return s;
	int layers = (int)w->d->config->layers, seen = w->v->layer < layers ? w->v->layer : -1,
		at = w->v->point >= 0 ? w->v->point : PLUMB_POINT_OUTPUT;
	if (!s)
		verdict_look_before(w);
	const struct plumb_cause *best = !s && w->fingerprint->causes ? w->fingerprint->cause : NULL;
	w->score = best ? best->score : 0;
	if (best && w->score >= LIKE) {
		w->v->cause = best->kind->name;
		likely = w->fingerprint->text;
	}
	bool rounded;
	PLUMB_TRY(verdict_is_rounded(w, &rounded));
	if (rounded)
		return PLUMB_OK;
	w->v->code = PLUMB_DIVERGES;
	if (plumb_known_unused(w->d, unused, sizeof unused))
		plumb_texts_add(&w->v->sentences,
			"The file holds what plumb does not use and what may matter: %s. Look there first.", unused);
	verdict_place(w, where, sizeof where);
	const struct plumb_gap *all = plumb_gap_at(w->errors, PLUMB_ACCUMULATED, seen, at);
	const struct plumb_gap *one = plumb_gap_at(
		w->errors, w->errors->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED, seen, at);
	const struct plumb_gap *gap = one && !one->ok ? one : all;
	plumb_format(w->v->text, sizeof w->v->text,
		"%s: %s%s%.3g times as far from the reference as rounding explains%s.", where, likely,
		*likely ? "; " : "", gap ? gap->excess : 0.0, w->v->bad > 1 ? ", and other layers, too" : "");
	if (w->v->bad && seen >= 0 && w->errors->sure < w->d->layers - 1)
		plumb_texts_add(&w->v->sentences,
			"Layer %d is the first that is wrong by itself: given the reference's input, it does not make the reference's output. Of the "
			"layers after it nothing can be said: the reference has not all positions of the prompt, and attention sees those that it "
			"lacks. A reference of all positions would tell.",
			seen);
	else if (w->v->bad == 1)
		plumb_texts_add(&w->v->sentences,
			"Of %d layers only this one is wrong by itself: given the reference's input, it does not make the "
			"reference's output. Others only carry its error.",
			w->d->layers);
	else if (w->v->bad)
		plumb_texts_add(&w->v->sentences,
			"%d of %d layers are wrong by themselves: given the reference's input, they do not make the "
			"reference's output.",
			w->v->bad, w->d->layers);
	if (w->errors->hybrid && !w->d->reference->tokens && w->errors->sure < w->d->layers - 1)
		plumb_texts_add(&w->v->sentences,
			"The reference does not declare its tokens: if one before the positions that it has is another, this is what it looks like.");
	if (w->v->layer >= 0 && w->v->layer < layers &&
		plumb_isolation_input(w->d, w->v->layer) == PLUMB_INPUT_OURS)
		plumb_texts_add(&w->v->sentences,
			"The reference has no input of layer %d, so an earlier layer whose output is missing, too, may be the one.",
			w->v->layer);
	if (!s && !w->v->cause)
		plumb_texts_add(&w->v->sentences, "The pattern %s.", w->fingerprint->text);
	return verdict_say_who(w);
}

static void verdict_short_jumps(const struct work *w, char *text, size_t size)
{
	static const char *const numbers[] = { "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven",
		"Eight", "Nine" };
	int n = w->growth->jumps;
	if (!n)
		return;
	if (n < 10)
		plumb_format(text, size, " %s apparent jump%s:", numbers[n], n > 1 ? "s" : "");
	else
		plumb_format(text, size, " %d apparent jumps:", n);
	for (int i = 0; i < n; i++) {
		const struct plumb_jump *jump = &w->growth->jump[i];
		bool article = jump->kind == PLUMB_JUMP_MASSIVE || jump->kind == PLUMB_JUMP_CONVENTION;
		plumb_append(text, size, "%s %d→%d is %s%s", i ? "," : "", jump->step - 1, jump->step,
			article ? "a " : "", plumb_jump_name(jump->kind));
	}
	plumb_append(text, size, ".");
}

static void verdict_right(struct work *w)
{
	char jumps[512] = "", how[sizeof w->convention->name + 64] = "";
	bool narrow = w->errors->stored != PLUMB_STORED_FP32, harmless = w->errors->cancels != 0;
	w->v->code = narrow ? PLUMB_PRECISION : w->convention->raw && !harmless ? PLUMB_RIGHT : PLUMB_CONVENTION;
	verdict_short_jumps(w, jumps, sizeof jumps);
	if (narrow)
		plumb_format(how, sizeof how, ", as far as a %s in %s can tell",
			w->errors->reference == w->errors->stored ? "reference" : "run",
			plumb_stored_name(w->errors->stored));
	else if (!w->convention->raw)
		plumb_format(
			how, sizeof how, ", once the reference's convention (%s) is undone", w->convention->name);
	plumb_format(w->v->text, sizeof w->v->text, "The port is right%s%s.%s", how,
		harmless ? "; some values inside layers differ in a way that is harmless" : "", jumps);
}

static enum plumb_status verdict_say_checks(struct work *w)
{
	struct plumb_verdict_result *v = w->v;
	char harmless[700];
	PLUMB_TRY(plumb_cancel_describe(w->d, w->errors, harmless, sizeof harmless));
	if (*harmless)
		plumb_texts_add(&v->sentences, "%s", harmless);
	if (!w->convention->raw && *w->convention->text)
		verdict_say_check(v, &plumb_check_convention, w->convention->text);
	if (w->errors->stored != PLUMB_STORED_FP32)
		verdict_say_check(v, &plumb_check_precision, w->precision->text);
	if (w->convention->weights_differ > 0)
		plumb_texts_add(
			&v->sentences, "The embeddings differ more than rounding explains, yet nothing else does.");
	verdict_say_check(v, &plumb_check_growth, w->growth->text);
	for (int i = 0; i < w->growth->jumps; i++)
		plumb_texts_add(&v->sentences, "%s", w->growth->jump[i].text);
	if (v->answer.have)
		plumb_texts_add(&v->sentences, "%s", v->answer.text);
	const struct plumb_problem *one = plumb_diag_problem(w->d, 0);
	const int problems = one ? w->d->reference->problems.n + w->d->problems.n : 0;
	if (one)
		plumb_texts_add(&v->sentences, "The reference has %d problem%s; the first: %s: %s.", problems,
			problems > 1 ? "s" : "", one->file, one->text);
	return PLUMB_OK;
}

static const char *verdict_word(enum plumb_judgement code)
{
	return code == PLUMB_RIGHT     ? "right"
		: code == PLUMB_CONVENTION ? "convention"
		: code == PLUMB_PRECISION  ? "precision"
		: code == PLUMB_DIVERGES   ? "diverges"
								   : "unusable";
}

static enum plumb_status verdict_judge(struct work *w)
{
	struct plumb_verdict_result *v = w->v;
	PLUMB_TRY(plumb_diag_convention(w->d, &w->convention));
	PLUMB_TRY(plumb_diag_errors(w->d, &w->errors));
	PLUMB_TRY(plumb_diag_precision(w->d, &w->precision));
	PLUMB_TRY(plumb_diag_growth(w->d, &w->growth));
	PLUMB_TRY(plumb_answer_find(w->d, &v->answer));
	PLUMB_TRY(plumb_first_wrong(w->d, &v->layer, &v->bad));
	if (v->layer != PLUMB_NONE_WRONG)
		verdict_find_point(w);
	bool wrong = v->layer != PLUMB_NONE_WRONG || verdict_find_accumulated(w);
	if (verdict_is_unusable(w)) {
		verdict_unusable(w);
		return PLUMB_OK;
	}
	if (wrong)
		PLUMB_TRY(verdict_diverges(w));
	else
		verdict_right(w);
	return verdict_say_checks(w);
}

static enum plumb_status verdict_find(struct plumb_diag *d, void *result)
{
	struct plumb_verdict_result *v = result;
	v->point = -1;
	v->layer = PLUMB_NONE_WRONG;
	PLUMB_TRY(verdict_judge(&(struct work){ .d = d, .v = v }));
	return v->sentences.failed ? plumb_fail(PLUMB_E_MEMORY, "no memory for the verdict") : PLUMB_OK;
}

static json_t *verdict_emit(struct plumb_diag *d, const void *result)
{
	const struct plumb_verdict_result *v = result;
	bool in_layer = v->layer >= 0 && v->layer < d->config->layers, found = v->code == PLUMB_DIVERGES;
	json_t *said = json_array();
	for (int i = 0; i < v->says; i++)
		plumb_diag_add(d, said, plumb_json_text(v->said[i]->name));
	return json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o}", "part", "verdict", "code",
		(int)v->code, "word", verdict_word(v->code), "text", plumb_json_text(v->text), "sentences",
		plumb_texts_json(&v->sentences), "layer", found && in_layer ? json_integer(v->layer) : json_null(),
		"point", found && v->point >= 0 ? plumb_json_text(plumb_point_name(v->point)) : json_null(), "cause",
		found && v->cause ? plumb_json_text(v->cause) : json_null(), "layers_bad", v->bad, "answer",
		plumb_answer_json(&v->answer), "said", said);
}

static void verdict_free(void *result)
{
	plumb_texts_free(&((struct plumb_verdict_result *)result)->sentences);
}

const struct plumb_check plumb_check_verdict = { "verdict",
	"Is the port right, and if not, where and why? The verdict alone", true,
	sizeof(struct plumb_verdict_result), verdict_find, verdict_emit, verdict_free };
