/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: convention, precision, growth, components and, when the run diverges, the fingerprint, joined to one code and a few
 * sentences. Measures nothing itself. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "diag/check/check.h"

#define DIFFERS 1e-4 /* relative, from the trusted run: more than another driver's order of sums */
#define LIKE 0.6     /* score from which a cause is named */
#define FITS 0.9     /* from which it is believed to lie where the fingerprint puts it */

struct verdict {
	struct plumb_diag *d;
	const struct plumb_errors *errors;
	json_t *convention, *precision, *growth, *fingerprint; /* borrowed; fingerprint may be NULL */
	json_t *answer;
	enum plumb_judgement code;
	int layer, point; /* layer as plumb_culprit tells it; point -1: not known */
	int bad;          /* layers that are wrong by themselves */
	const char *cause;
	double score;     /* of the cause, or of what is nearest to one */
	char text[1024];
	json_t *sentences;
	json_t *said; /* names of checks whose whole text is among them */
};

static void say(struct verdict *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct verdict *v, const char *format, ...)
{
	char text[1024];
	va_list list;
	va_start(list, format);
	plumb_vformat(text, sizeof text, format, list);
	va_end(list);
	plumb_diag_add(v->d, v->sentences, plumb_json_text(text));
}

static const char *text_of(const json_t *part)
{
	const char *text = json_string_value(json_object_get(part, "text"));
	return text ? text : "";
}

static void say_check(struct verdict *v, const struct plumb_check *check, const json_t *result)
{
	plumb_diag_add(v->d, v->sentences, plumb_json_text(text_of(result)));
	plumb_diag_add(v->d, v->said, plumb_json_text(check->name));
}

static bool plain(const struct verdict *v)
{
	const char *name = json_string_value(json_object_get(v->convention, "convention"));
	return !name || !strcmp(name, "raw");
}

/* --- where --- */
static int compared(const struct verdict *v)
{
	int n = 0;
	for (int layer = -1; layer < v->d->layers; layer++)
		for (int point = 0; point < PLUMB_POINT_COUNT; point++)
			n += plumb_gap_at(v->errors, PLUMB_ACCUMULATED, layer, point) != NULL;
	return n;
}

/* Of the layer to blame, or of what is outside the layers, the first point that fails by itself. */
static void find_point(struct verdict *v)
{
	int layers = (int)v->d->config->layers, layer = v->layer < layers ? v->layer : -1;
	enum plumb_gap_kind kind = v->errors->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED;
	v->point = -1;
	for (int k = kind; k >= PLUMB_ISOLATED; k--) /* an output may fail where none of the few inner points does */
		for (int point = 0; point < PLUMB_POINT_COUNT && v->point < 0; point++) {
			const struct plumb_gap *gap = plumb_gap_at(v->errors, (enum plumb_gap_kind)k, layer, point);
			bool here = v->layer >= 0 || point == PLUMB_POINT_EMBEDDINGS;
			v->point = gap && !gap->ok && here && (v->layer < layers || point != PLUMB_POINT_EMBEDDINGS) ? point : -1;
		}
}

/* Nothing fails by itself: the first that is beyond its floor as errors accumulate. */
static bool find_accumulated(struct verdict *v)
{
	int layers = v->d->layers;
	for (int stage = 0; stage < layers + 2; stage++)
		for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
			int layer = stage && stage <= layers ? stage - 1 : -1;
			const struct plumb_gap *gap = plumb_gap_at(v->errors, PLUMB_ACCUMULATED, layer, point);
			if (!gap || gap->ok || (layer < 0 && (stage == 0) != (point == PLUMB_POINT_EMBEDDINGS)))
				continue;
			v->layer = stage > layers ? (int)v->d->config->layers : layer;
			v->point = point;
			return true;
		}
	return false;
}

/* Does the reference look into the layer to blame? */
static bool has_inner(const struct verdict *v)
{
	for (int point = 0; point < PLUMB_POINT_OUTPUT; point++)
		if (plumb_gap_at(v->errors, PLUMB_COMPONENT, v->layer, point))
			return true;
	return false;
}

static void place(const struct verdict *v, char *text, size_t size)
{
	const char *point = v->point >= 0 ? plumb_point_name(v->point) : NULL;
	if (v->layer < 0)
		plumb_format(text, size, "The embeddings");
	else if (v->layer >= v->d->config->layers)
		plumb_format(text, size, "After the layers, %s", point ? point : "the head");
	else if (!point || (v->point == PLUMB_POINT_OUTPUT && !has_inner(v)))
		plumb_format(text, size, "Layer %d", v->layer);
	else
		plumb_format(text, size, "Layer %d, %s", v->layer, point);
}

/* --- what --- */
static void unusable(struct verdict *v)
{
	double weights = json_number_value(json_object_get(v->convention, "weights_differ"));
	v->code = PLUMB_UNUSABLE;
	if (json_is_true(json_object_get(v->convention, "other_model")))
		plumb_format(v->text, sizeof v->text, "The reference cannot be used: it is of another model.");
	else if (json_is_array(json_object_get(v->convention, "other_tokens")))
		plumb_format(v->text, sizeof v->text, "The reference cannot be used: it is of other tokens than the prompt's.");
	else if (v->d->other_prompt)
		plumb_format(v->text, sizeof v->text, "The reference cannot be used: it tells other tokens than the prompt's.");
	else if (weights > 0)
		plumb_format(v->text, sizeof v->text, "The reference cannot be used to judge the port: it was made from other "
			"weights. Its embeddings, which no layer has touched, are "
			"%.2g away. Make one from this very file.", weights);
	else
		plumb_format(v->text, sizeof v->text, "The reference cannot be used: it has no value at a point that was evaluated.");
	if (*text_of(v->convention))
		say_check(v, &plumb_check_convention, v->convention);
	const json_t *problem;
	size_t i;
	json_array_foreach(v->d->problems, i, problem)
		if (i < 3)
			say(v, "%s: %s.", json_string_value(json_object_get(problem, "file")), json_string_value(json_object_get(problem, "problem")));
}

/* Every layer differs by what rounding of the weights explains, no bug of the library fits well, and the trusted run does the same. Where
 * the reference is known to be of this very file it is no excuse. */
static enum plumb_status is_rounded(struct verdict *v, bool *rounded)
{
	const struct plumb_capture *ours, *truth;
	struct plumb_gap gap;
	enum plumb_type type = PLUMB_F32;
	*rounded = false;
	if (v->score > FITS || json_is_true(json_object_get(v->convention, "same_file")) || v->layer < 0 || v->layer >= v->d->config->layers)
		return PLUMB_OK;
	PLUMB_TRY(plumb_diag_ours(v->d, &ours));
	PLUMB_TRY(plumb_diag_truth(v->d, &truth));
	PLUMB_TRY(plumb_gap_measure(&gap, plumb_capture_at(ours, v->layer, PLUMB_POINT_OUTPUT), plumb_capture_at(truth, v->layer, PLUMB_POINT_OUTPUT),
		false, PLUMB_F32));
	if (fmax(gap.rel, gap.even) > DIFFERS)
		return PLUMB_OK;
	PLUMB_TRY(plumb_known_rounded(v->d, v->errors, rounded, &type));
	if (!*rounded)
		return PLUMB_OK;
	v->code = PLUMB_UNUSABLE;
	plumb_format(v->text, sizeof v->text, "The reference cannot be used to judge the port: every layer differs, and by no more than rounding its weights to "
		"%s explains. It was probably made from other weights: those before they were rounded. Make one from this very file.", plumb_type_name(type));
	return PLUMB_OK;
}

static bool is_unusable(const struct verdict *v)
{
	return !compared(v) || (v->d->other_prompt && v->layer != PLUMB_NO_CULPRIT) || json_is_true(json_object_get(v->convention, "other_model")) ||
		json_is_array(json_object_get(v->convention, "other_tokens")) ||
		(v->layer != PLUMB_NO_CULPRIT && json_number_value(json_object_get(v->convention, "weights_differ")) > 0);
}

/* Is it the driver (or a change put into its run), or do both runs agree? */
static enum plumb_status say_who(struct verdict *v)
{
	const struct plumb_capture *ours, *truth;
	struct plumb_gap gap;
	bool head = v->layer >= v->d->config->layers;
	int layer = head ? -1 : v->layer, point = v->point >= 0 ? v->point : head ? PLUMB_POINT_FINAL_NORM : PLUMB_POINT_OUTPUT;
	if (v->d->port == v->d->trusted && !v->d->broken) {
		say(v, "The run is the trusted one itself (native, float32), so no driver is to blame: the file, the "
			"reference or this program differ.");
		return PLUMB_OK;
	}
	PLUMB_TRY(plumb_diag_ours(v->d, &ours));
	PLUMB_TRY(plumb_diag_truth(v->d, &truth));
	PLUMB_TRY(plumb_gap_measure(&gap, plumb_capture_at(ours, layer, point), plumb_capture_at(truth, layer, point),
		point == PLUMB_POINT_ATTN_SCORES, PLUMB_F32));
	if (!gap.have)
		return PLUMB_OK;
	if (fmax(gap.rel, gap.even) > DIFFERS)
		say(v, "The trusted run of the same file (native, float32) is %.2g away from this run there: the run that is "
			"judged is at fault, not the file or the reference.", fmax(gap.rel, gap.even));
	else
		say(v, "The trusted run of the same file (native, float32) gives the same there, to %.1e: no kernel of the "
			"driver is at fault; the file, the reference or this program differ.",
			fmax(gap.rel, gap.even));
	return PLUMB_OK;
}

/* The port beside the trusted run shows every row, not only those of the reference; and a cause that fits well may lie before the
 * first place where the reference sees it. */
static void look_before(struct verdict *v)
{
	const char *explains = json_string_value(json_object_get(v->fingerprint, "explains"));
	json_t *best = json_array_get(json_object_get(v->fingerprint, "causes"), 0);
	bool fits = best && json_number_value(json_object_get(best, "score")) > FITS;
	json_t *layer = json_object_get(explains && !strcmp(explains, "port") ? v->fingerprint : fits ? best : NULL, "layer");
	int at = json_is_integer(layer) ? (int)json_integer_value(layer) : PLUMB_NO_CULPRIT;
	if (at < 0 || (v->layer >= 0 && at >= v->layer))
		return;
	if (v->layer >= 0 && v->layer < v->d->config->layers)
		say(v, "The reference shows it from layer %d on; it begins in layer %d, where the values that the reference "
			"has are still right.", v->layer, at);
	v->layer = at;
	v->point = -1;
}

static enum plumb_status diverges(struct verdict *v)
{
	char where[96], unused[160];
	const char *likely = "";
	enum plumb_status s = plumb_check_result(v->d, &plumb_check_fingerprint, &v->fingerprint);
	if (s && s != PLUMB_E_UNSUPPORTED)
		return s;
	int layers = (int)v->d->config->layers, seen = v->layer < layers ? v->layer : -1, at = v->point >= 0 ? v->point :
		PLUMB_POINT_OUTPUT;
	if (!s)
		look_before(v);
	json_t *best = json_array_get(json_object_get(s ? NULL : v->fingerprint, "causes"), 0);
	v->score = best ? json_number_value(json_object_get(best, "score")) : 0;
	if (best && v->score >= LIKE)
		v->cause = json_string_value(json_object_get(best, "name"));
	if (!s && v->cause)
		likely = text_of(v->fingerprint);
	bool rounded;
	PLUMB_TRY(is_rounded(v, &rounded));
	if (rounded)
		return PLUMB_OK;
	v->code = PLUMB_DIVERGES;
	if (plumb_known_unused(v->d, unused, sizeof unused))
		say(v, "The file holds what plumb does not use and what may matter: %s. Look there first.", unused);
	place(v, where, sizeof where);
	const struct plumb_gap *all = plumb_gap_at(v->errors, PLUMB_ACCUMULATED, seen, at);
	const struct plumb_gap *one = plumb_gap_at(v->errors, v->errors->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED, seen, at);
	const struct plumb_gap *gap = one && !one->ok ? one : all;
	plumb_format(v->text, sizeof v->text, "%s: %s%s%.3g times as far from the reference as rounding explains%s.", where, likely,
		*likely ? "; " : "", gap ? gap->excess : 0.0,
		v->bad > 1 ? ", and other layers, too" : "");
	if (v->bad && seen >= 0 && v->errors->sure < v->d->layers - 1)
		say(v, "Layer %d is the first that is wrong by itself: given the reference's input, it does not make the reference's output. Of the "
			"layers after it nothing can be said: the reference has not all positions of the prompt, and attention sees those that it "
			"lacks. A reference of all positions would tell.", seen);
	else if (v->bad == 1)
		say(v, "Of %d layers only this one is wrong by itself: given the reference's input, it does not make the "
			"reference's output. Others only carry its error.", v->d->layers);
	else if (v->bad)
		say(v, "%d of %d layers are wrong by themselves: given the reference's input, they do not make the "
			"reference's output.", v->bad, v->d->layers);
	if (v->errors->hybrid && !v->d->reference->tokens && v->errors->sure < v->d->layers - 1)
		say(v, "The reference does not tell its tokens: if one before the positions that it has is another, this is what it looks like.");
	if (v->layer >= 0 && v->layer < layers && plumb_isolation_input(v->d, v->layer) == PLUMB_INPUT_OURS)
		say(v, "The reference has no input of layer %d, so an earlier layer whose output is missing, too, may be the one.",
			v->layer);
	if (!s && !v->cause && *text_of(v->fingerprint))
		say(v, "The pattern %s.", text_of(v->fingerprint));
	return say_who(v);
}

static void short_jumps(const struct verdict *v, char *text, size_t size)
{
	static const char *const numbers[] = { "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine" };
	json_t *jumps = json_object_get(v->growth, "jumps"), *jump;
	size_t i, n = json_array_size(jumps), used;
	if (!n)
		return;
	if (n < 10)
		plumb_format(text, size, " %s apparent jump%s:", numbers[n], n > 1 ? "s" : "");
	else
		plumb_format(text, size, " %zu apparent jumps:", n);
	json_array_foreach(jumps, i, jump) {
		used = strlen(text);
		plumb_format(text + used, size - used, "%s %lld→%lld is %s%s", i ? "," : "",
			(long long)json_integer_value(json_object_get(jump, "from")), (long long)json_integer_value(json_object_get(jump,
			"to")),
			strcmp(json_string_value(json_object_get(jump, "kind")), "massive activation") &&
			strcmp(json_string_value(json_object_get(jump, "kind")), "convention") ? "" : "a ",
			json_string_value(json_object_get(jump, "kind")));
	}
	used = strlen(text);
	plumb_format(text + used, size - used, ".");
}

static void right(struct verdict *v)
{
	char jumps[512] = "";
	bool narrow = v->errors->stored != PLUMB_STORED_FP32, harmless = v->errors->cancels != 0;
	const char *whose = v->errors->reference == v->errors->stored ? ", as far as a reference in " : ", as far as a run in ";
	v->code = narrow ? PLUMB_PRECISION : plain(v) && !harmless ? PLUMB_RIGHT : PLUMB_CONVENTION;
	short_jumps(v, jumps, sizeof jumps);
	plumb_format(v->text, sizeof v->text, "The port is right%s%s%s%s.%s", narrow ? whose : plain(v) ? "" :
		", once the reference's convention (",
		narrow ? plumb_stored_name(v->errors->stored) : plain(v) ? "" : json_string_value(json_object_get(v->convention,
		"convention")),
		narrow ? " can tell" : plain(v) ? "" : ") is undone", harmless ? "; some values inside layers differ in a way that is harmless" : "", jumps);
}

static enum plumb_status say_parts(struct verdict *v)
{
	size_t i;
	json_t *one;
	char harmless[700];
	PLUMB_TRY(plumb_cancel_tell(v->d, v->errors, harmless, sizeof harmless));
	if (*harmless)
		say(v, "%s", harmless);
	if (!plain(v) && *text_of(v->convention))
		say_check(v, &plumb_check_convention, v->convention);
	if (v->errors->stored != PLUMB_STORED_FP32)
		say_check(v, &plumb_check_precision, v->precision);
	if (json_number_value(json_object_get(v->convention, "weights_differ")) > 0)
		say(v, "The embeddings differ more than rounding explains, yet nothing else does.");
	say_check(v, &plumb_check_growth, v->growth);
	json_array_foreach(json_object_get(v->growth, "jumps"), i, one)
		say(v, "%s", text_of(one));
	if (*text_of(v->answer))
		say(v, "%s", text_of(v->answer));
	size_t problems = json_array_size(v->d->problems);
	one = json_array_get(v->d->problems, 0);
	if (one)
		say(v, "The reference has %zu problem%s; the first: %s: %s.", problems, problems > 1 ? "s" : "",
			json_string_value(json_object_get(one, "file")), json_string_value(json_object_get(one, "problem")));
	return PLUMB_OK;
}

static const char *word(enum plumb_judgement code)
{
	return code == PLUMB_RIGHT ? "right" : code == PLUMB_CONVENTION ? "convention" : code == PLUMB_PRECISION ? "precision" :
		code == PLUMB_DIVERGES ? "diverges" : "unusable";
}

static enum plumb_status judge(struct verdict *v)
{
	PLUMB_TRY(plumb_check_result(v->d, &plumb_check_convention, &v->convention));
	PLUMB_TRY(plumb_diag_errors(v->d, &v->errors));
	PLUMB_TRY(plumb_check_result(v->d, &plumb_check_precision, &v->precision));
	PLUMB_TRY(plumb_check_result(v->d, &plumb_check_growth, &v->growth));
	PLUMB_TRY(plumb_diag_answer(v->d, &v->answer));
	PLUMB_TRY(plumb_culprit(v->d, &v->layer, &v->bad));
	if (v->layer != PLUMB_NO_CULPRIT)
		find_point(v);
	bool wrong = v->layer != PLUMB_NO_CULPRIT || find_accumulated(v);
	if (is_unusable(v)) {
		unusable(v);
		return PLUMB_OK;
	}
	if (wrong)
		PLUMB_TRY(diverges(v));
	else
		right(v);
	return say_parts(v);
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	struct verdict v = { .d = d, .point = -1, .layer = PLUMB_NO_CULPRIT, .sentences = json_array(), .said = json_array() };
	enum plumb_status s = judge(&v);
	bool in_layer = v.layer >= 0 && v.layer < d->config->layers, found = v.code == PLUMB_DIVERGES;
	if (!s)
		*result = json_pack("{s:s, s:i, s:s, s:o, s:O, s:o, s:o, s:o, "
			"s:i, s:O, s:O}", "part", "verdict", "code", (int)v.code, "word", word(v.code), "text", plumb_json_text(v.text), "sentences", v.sentences,
			"layer", found && in_layer ? json_integer(v.layer) : json_null(), "point", found && v.point >= 0 ?
			plumb_json_text(plumb_point_name(v.point)) : json_null(),
			"cause", found && v.cause ? plumb_json_text(v.cause) : json_null(), "layers_bad", v.bad, "answer", v.answer, "said", v.said);
	json_decref(v.sentences);
	json_decref(v.said);
	json_decref(v.answer);
	return s ? s : *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the verdict");
}

const struct plumb_check plumb_check_verdict = { "verdict", "Is the port right, and if not, where and why? The verdict alone", true, run };
