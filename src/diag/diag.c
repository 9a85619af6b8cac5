/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis: its checks by name, the tokens it works on, and the results as text. */
#include <stdlib.h>
#include <string.h>
#include "diag/diag.h"
#include "diag/checks.h"
#include "core/json.h"

/* The report is of all checks, so it is none of the table's. */
static const struct plumb_check *diag_check_at(int index)
{
	const struct plumb_check_row *row = plumb_check_row(index - 1);
	return !index ? &plumb_diag_report : row && row->check->find ? row->check : NULL;
}

bool plumb_diag_row(int index, const char **name, const char **question, bool *needs_reference)
{
	const struct plumb_check *check = diag_check_at(index);
	if (!check)
		return false;
	*name = check->name;
	*question = check->question;
	*needs_reference = check->reference;
	return true;
}

bool plumb_fault_row(int index, const char **name, const char **what)
{
	const struct plumb_fault_kind *kind = index >= 0 && index < plumb_fault_count() ? plumb_fault_at(index)
																					: NULL;
	if (!kind)
		return false;
	*name = kind->name;
	*what = kind->what;
	return true;
}

static enum plumb_status diag_find_tokens(struct plumb_diag *d)
{
	const struct plumb_reference *r = d->reference;
	PLUMB_TRY(plumb_reference_find_tokens(r, plumb_model_file(d->port), d->config, &d->tokens, &d->n));
	if (d->n != 1 || r->position >= 0)
		return PLUMB_OK;
	return plumb_problems_add(&d->problems, r->path,
		"if it is of a later position of a longer prompt, every layer will differ: give the tokens then",
		"it declares neither tokens nor position; its embeddings are those of token %d, which is taken for position 0",
		d->tokens[0]);
}

/* The user gave tokens: are they those that the reference declares, and as many as it holds positions?
 * Attention looks back only, so a prompt that is cut short is no fault where all positions are there. */
static enum plumb_status diag_check_declared(struct plumb_diag *d)
{
	const struct plumb_reference *r = d->reference;
	int64_t length = plumb_reference_length(r, d->n), at = 0;
	if (r->tokens) {
		while (at < d->n && at < r->token_count && d->tokens[at] == r->tokens[at])
			at++;
		if (at < d->n && at < r->token_count)
			PLUMB_TRY(plumb_problems_add(&d->problems, r->path, "what is compared is of two prompts",
				"it declares token %d at position %lld, where the prompt has %d", r->tokens[at],
				(long long)at, d->tokens[at]));
		d->other_prompt = at < d->n && at < r->token_count;
	}
	if (length > d->n)
		return plumb_problems_add(&d->problems, r->path, "what the prompt has not is not compared",
			"it has %lld positions, the prompt has %lld tokens", (long long)length, (long long)d->n);
	return PLUMB_OK;
}

/* The user's tokens, else the reference's, else found in the reference's embeddings. */
static enum plumb_status diag_choose_tokens(struct plumb_diag *d)
{
	const struct plumb_reference *r = d->reference;
	bool own = d->options.tokens || !r;
	const int32_t *from = own ? d->options.tokens : r->tokens;
	d->n = own ? d->options.token_count : r->token_count;
	if (!own && !from)
		return diag_find_tokens(d);
	if (!from || d->n < 1)
		return plumb_fail(PLUMB_E_ARGUMENT, "the tokens of the prompt are not known: give them");
	for (int64_t i = 0; i < d->n; i++)
		if (from[i] < 0 || from[i] >= d->config->vocab)
			return plumb_fail(PLUMB_E_ARGUMENT, "token %d is outside the vocabulary of %lld", from[i],
				(long long)d->config->vocab);
	if (r && r->position >= d->n)
		return plumb_fail(PLUMB_E_ARGUMENT, "the reference is of position %lld, the prompt has %lld tokens",
			(long long)r->position, (long long)d->n);
	if (!(d->tokens = malloc(sizeof *from * (size_t)d->n)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld tokens", (long long)d->n);
	memcpy(d->tokens, from, sizeof *from * (size_t)d->n);
	return own && r ? diag_check_declared(d) : PLUMB_OK;
}

static enum plumb_status diag_set_up(struct plumb_diag *d)
{
	const struct plumb_diag_options *o = &d->options;
	if (o->layers < 0 || o->layers > d->config->layers)
		return plumb_fail(PLUMB_E_ARGUMENT, "%lld layers asked, the model has %lld", (long long)o->layers,
			(long long)d->config->layers);
	if (o->layer < -1 || o->layer >= d->config->layers)
		return plumb_fail(PLUMB_E_ARGUMENT, "layer %d asked, the model has layers 0 to %lld", o->layer,
			(long long)d->config->layers - 1);
	d->layers = (int)(o->layers ? o->layers : d->config->layers);
	if (!(d->cache = json_object()))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a diagnosis");
	if (o->fault) {
		PLUMB_TRY(plumb_fault_parse(&d->fault, o->fault, d->config));
		if (plumb_fault_fits(d->fault.kind, d->port))
			return PLUMB_E_ARGUMENT;
		d->broken = &d->fault;
	}
	return d->reference || o->tokens ? diag_choose_tokens(d) : PLUMB_OK; /* weights alone need no prompt */
}

enum plumb_status plumb_diag_new(struct plumb_diag **out, struct plumb_model *port,
	struct plumb_model *trusted, const struct plumb_reference *reference,
	const struct plumb_diag_options *options)
{
	*out = NULL;
	struct plumb_diag_options taken;
	PLUMB_TRY(plumb_options_take("plumb_diag_options", &taken, sizeof taken, sizeof taken, options));
	if (!options)
		taken.layer = -1;
	struct plumb_diag *d = calloc(1, sizeof *d);
	if (!d)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a diagnosis");
	d->port = port;
	d->trusted = trusted ? trusted : port;
	d->config = plumb_model_config(port);
	d->reference = reference;
	d->options = taken;
	enum plumb_status s = diag_set_up(d);
	if (s) {
		plumb_diag_free(d);
		return s;
	}
	*out = d;
	return PLUMB_OK;
}

void plumb_diag_free(struct plumb_diag *d)
{
	if (!d)
		return;
	plumb_capture_free(&d->ours);
	plumb_capture_free(&d->trusted_run);
	plumb_capture_free(&d->plain);
	plumb_capture_free(&d->control);
	plumb_capture_free(&d->given);
	plumb_capture_free(&d->fixed);
	plumb_errors_free(d->errors);
	plumb_problems_free(&d->problems);
	json_decref(d->cache);
	plumb_found_free(d->found);
	free(d->tokens);
	free(d);
}

enum plumb_status plumb_diag_result(struct plumb_diag *d, const char *name, json_t **result)
{
	*result = NULL;
	const struct plumb_check *check;
	for (int i = 0; (check = diag_check_at(i)); i++)
		if (!strcmp(check->name, name))
			return plumb_check_json(d, check, result);
	return plumb_fail(PLUMB_E_ARGUMENT, "\"%s\" is no check of the diagnosis", name);
}

enum plumb_status plumb_diag_json(struct plumb_diag *d, const char *check, char **json)
{
	json_t *result;
	*json = NULL;
	PLUMB_TRY(plumb_diag_result(d, check, &result));
	*json = plumb_json_write(result, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	return *json ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the text of \"%s\"", check);
}
