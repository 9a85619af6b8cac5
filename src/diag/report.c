/* SPDX-License-Identifier: Apache-2.0 */
/* The report: every check that has something to say, in one object, with one verdict. A check that fails says
 * why in its place and stops nothing; cancelling stops everything. Judges nothing itself but a reference that
 * is absent. */
#include <stdio.h>
#include <string.h>
#include <plumb/version.h>
#include "diag/diag.h"
#include "diag/checks.h"

/* Progress of the whole report, made of that of its checks. */
struct scaled {
	struct plumb_diag_options options; /* the user's */
	double before, share;
};

static bool report_scale_progress(void *user, const char *what, double done, double total)
{
	const struct scaled *s = user;
	double share = total > 0 && done > 0 ? done / total : 0;
	return s->options.progress(s->options.user, what, s->before + s->share * (share < 1 ? share : 1), 100);
}

/* Whether what failed is a matter of the reference, so that a verdict can say so. */
static bool report_reference_fault(enum plumb_status s)
{
	return s == PLUMB_E_ARGUMENT || s == PLUMB_E_IO || s == PLUMB_E_FORMAT || s == PLUMB_E_SHAPE ||
		s == PLUMB_E_TYPE || s == PLUMB_E_UNSUPPORTED;
}

static json_t *report_no_verdict(const char *text, const char *sentence)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:[o], s:n, s:n, s:n}", "part", "verdict", "code",
		(int)PLUMB_UNUSABLE, "word", "unusable", "text", text, "sentences", plumb_json_text(sentence),
		"layer", "point", "cause");
}

static json_t *report_describe_driver(const struct plumb_model *model)
{
	const struct plumb_context *ctx = plumb_model_context(model);
	char text[256] = "";
	for (int i = 0; plumb_driver_name(ctx, i); i++) {
		size_t n = strlen(text);
		if (n + 40 < sizeof text)
			plumb_format(text + n, sizeof text - n, "%s%.30s", i ? "," : "", plumb_driver_name(ctx, i));
	}
	return plumb_json_text(text);
}

static json_t *report_describe_trusted(const struct plumb_diag *d)
{
	if (d->trusted != d->port)
		return json_string("native, float32, the same file");
	return d->broken ? json_string("the same driver without the break") : json_string("the port itself");
}

static json_t *report_describe_model(const struct plumb_config *c)
{
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "name",
		plumb_json_text(c->name), "family", c->family, "layers", (json_int_t)c->layers, "hidden",
		(json_int_t)c->hidden, "ffn", (json_int_t)c->ffn, "heads", (json_int_t)c->heads, "kv_heads",
		(json_int_t)c->kv_heads, "head_dim", (json_int_t)c->head_dim, "vocab", (json_int_t)c->vocab,
		"rope_base", c->kind[0].rope_base, "rope_factor", c->rope_factor, "norm_eps", c->norm_eps);
}

static json_t *report_describe_tokens(struct plumb_diag *d)
{
	json_t *array = json_array();
	for (int64_t i = 0; i < d->n; i++)
		plumb_diag_add(d, array, json_integer(d->tokens[i]));
	return array;
}

static bool report_wanted(struct plumb_diag *d, enum plumb_when when, int code)
{
	const struct plumb_errors *errors;
	switch (when) {
	case PLUMB_WHEN_ASKED: return false;
	case PLUMB_WHEN_ALWAYS: return true;
	case PLUMB_WHEN_COMPARED: return d->reference;
	case PLUMB_WHEN_INNER: return d->reference && !plumb_diag_errors(d, &errors) && errors->inner;
	case PLUMB_WHEN_JUDGED: return d->reference && code != PLUMB_UNUSABLE;
	case PLUMB_WHEN_DIVERGED: return d->reference && code == PLUMB_DIVERGES;
	}
	return false;
}

/* A verdict of the report's own: that of the cache must not have what add_blindspots adds. */
static enum plumb_status report_make_verdict(struct plumb_diag *d, json_t **json, int *code)
{
	const struct plumb_verdict_result *verdict;
	PLUMB_TRY(plumb_diag_verdict(d, &verdict));
	*code = (int)verdict->code;
	*json = plumb_check_verdict.emit(d, verdict);
	return *json ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a verdict");
}

/* A check's result, or why there is none; *code: of the verdict, when this is it. */
static enum plumb_status report_put_item(
	struct plumb_diag *d, json_t *report, const struct plumb_check *check, bool wants, int *code)
{
	json_t *made = NULL;
	const bool verdict = check == &plumb_check_verdict;
	enum plumb_status s = PLUMB_OK;
	if (wants)
		s = verdict ? report_make_verdict(d, &made, code) : plumb_check_json(d, check, &made);
	/* No fault of the check: what a report says must not depend on the memory left. */
	if (s == PLUMB_E_CANCELLED || s == PLUMB_E_MEMORY)
		return s;
	if (s && verdict) {
		if (!report_reference_fault(s))
			return s;
		made = report_no_verdict(
			"No verdict: the reference cannot be compared with this model.", plumb_last_error());
	} else if (s)
		made = json_pack("{s:s, s:o}", "part", check->name, "failed", plumb_json_text(plumb_last_error()));
	else if (!made)
		made = json_null();
	else if (!verdict)
		json_incref(made);
	return made && !json_object_set_new(report, check->name, made)
		? PLUMB_OK
		: plumb_fail(PLUMB_E_MEMORY, "no memory for a report");
}

/* What the reference cannot notice belongs to the verdict, but only a verdict tells whether it is worth
 * trying. */
static void report_add_blindspots(struct plumb_diag *d, json_t *report)
{
	json_t *text = json_object_get(json_object_get(report, "blindspots"), "text"),
		   *verdict = json_object_get(report, "verdict");
	if (!text)
		return;
	plumb_diag_add(d, json_object_get(verdict, "sentences"), json_incref(text));
	plumb_diag_add(d, json_object_get(verdict, "said"), json_string("blindspots"));
}

static const struct plumb_check_row *report_of_turn(int turn)
{
	const struct plumb_check_row *row;
	for (int i = 0; (row = plumb_check_row(i)); i++)
		if (row->turn == turn)
			break;
	return row;
}

/* The verdict decides what is worth doing after it. */
static enum plumb_status report_put_items(struct plumb_diag *d, json_t *report, struct scaled *scaled)
{
	const struct plumb_check_row *row;
	int code = PLUMB_UNUSABLE;
	for (int turn = 1; (row = report_of_turn(turn)); turn++) {
		scaled->share = row->share;
		PLUMB_TRY(plumb_diag_progress(d, row->check->name, 0, 1));
		PLUMB_TRY(report_put_item(d, report, row->check, report_wanted(d, row->when, code), &code));
		scaled->before += scaled->share;
	}
	report_add_blindspots(d, report);
	return PLUMB_OK;
}

static enum plumb_status report_run(struct plumb_diag *d, void *made)
{
	json_t **result = made;
	struct scaled scaled = { d->options, 0, 0 };
	double start = plumb_seconds();
	json_t *report = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "part", "report", "plumb",
		plumb_version_text(), "model", report_describe_model(d->config), "driver",
		report_describe_driver(d->port), "trusted", report_describe_trusted(d), "fault",
		d->options.fault ? plumb_json_text(d->options.fault) : json_null(), "tokens",
		report_describe_tokens(d), "reference", json_null());
	if (!report)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a report");
	if (d->options.progress) {
		d->options.progress = report_scale_progress;
		d->options.user = &scaled;
	}
	enum plumb_status s = report_put_items(d, report, &scaled);
	d->options = scaled.options;
	if (d->reference) /* checks find problems, too */
		plumb_diag_put(d, report, "reference", plumb_reference_json(d->reference, &d->problems));
	if (!s && json_is_null(json_object_get(report, "verdict")))
		plumb_diag_put(d, report, "verdict",
			report_no_verdict("No verdict: there is no reference to compare with.",
				"What can be said of the model alone is below."));
	plumb_diag_put(d, report, "seconds", json_real(plumb_seconds() - start));
	if (s)
		json_decref(report);
	else
		*result = report;
	return s;
}

/* Asks for no reference: without one it says what can be said of the model alone. */
const struct plumb_check plumb_diag_report = { "report",
	"Is the port right, and if not, why? All checks, one verdict; several references may follow", false,
	sizeof(json_t *), report_run, plumb_made_emit, plumb_made_free };
