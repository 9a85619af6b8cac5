/* SPDX-License-Identifier: Apache-2.0 */
/* Is a value of the reference what its name says? Hypotheses are tried per file, then for the set as a whole,
 * and the values are put where they really belong (d->fixed). Says nothing about the port.
 *
 * The judge is the trusted run, never the port: a convention is a property of the reference alone, and a
 * fault of the port would then shift the evidence. Where both are the same run and it is broken itself, two
 * rules keep a break from passing for a convention: what a name says is believed unless another reading is
 * four times nearer, which no reading is once the judge is far from all of them; and a normed vector is known
 * by itself, since divided by the norm's weights its mean square is 1. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define BETTER 4.0 /* another reading must be so many times nearer */
#define FITS 0.5   /* and this near at least */

static bool convention_is_declared(const struct plumb_file_case *f, const struct plumb_guess *g)
{
	return g->first == f->captured->first && g->scale == 1;
}

/* --- the set as a whole --- */
static double convention_least(const struct plumb_file_case *f, int shift, bool same)
{
	double e = INFINITY;
	for (int i = 0; i < f->guesses; i++)
		if ((f->guess[i].shift == shift) == same)
			e = fmin(e, f->guess[i].error);
	return e;
}

/* Layers that all are one off: more files say so, by a clear margin, than say the opposite. */
static int convention_vote_shift(const struct plumb_judge *j, int layers)
{
	int votes[3] = { 0 }, best = 0;
	for (int i = 0; i < j->found->files; i++) {
		const struct plumb_file_case *f = &j->found->file[i];
		if (f->layer >= layers)
			return -1; /* the model has no such layer, so the count begins with the embeddings */
		if (f->layer < 0)
			continue;
		for (int s = -1; s <= 1; s++)
			votes[s + 1] += convention_least(f, s, true) * BETTER < convention_least(f, s, false) &&
				isfinite(convention_least(f, s, false));
	}
	for (int s = -1; s <= 1; s += 2)
		if (votes[s + 1] >= 2 && votes[s + 1] > votes[1] && votes[s + 1] > votes[best + 1])
			best = s;
	return best;
}

/* All rows so many positions away from the declared ones, by the same rule; 0: as declared. */
static int64_t convention_vote_position(const struct plumb_judge *j)
{
	int stay = 0, most = 0, decided = 0;
	int64_t by = 0;
	int64_t *moves = calloc((size_t)j->found->files + 1, sizeof *moves);
	for (int i = 0; moves && i < j->found->files; i++) {
		const struct plumb_file_case *f = &j->found->file[i];
		double declared = INFINITY, other = INFINITY;
		int64_t first = 0;
		for (int k = 0; k < f->guesses; k++) {
			const struct plumb_guess *g = &f->guess[k];
			if (g->first == f->captured->first)
				declared = fmin(declared, g->error);
			else if (g->error < other) {
				other = g->error;
				first = g->first;
			}
		}
		if (other * BETTER < declared && isfinite(declared))
			moves[decided++] = first - f->captured->first;
		else
			stay += declared * BETTER < other && isfinite(other);
	}
	for (int i = 0; i < decided; i++) {
		int same = 0;
		for (int k = 0; k < decided; k++)
			same += moves[k] == moves[i];
		if (same > most) {
			most = same;
			by = moves[i];
		}
	}
	free(moves);
	return most > stay && (most >= 2 || j->found->files == 1) ? by : 0;
}

/* --- the verdict on one file --- */
/* A normed vector, divided by the norm's weights, has the mean square 1, whatever the layers before it did.
 */
static bool convention_looks_normed(const struct plumb_judge *j, const struct plumb_captured *p)
{
	for (int64_t r = 0; r < p->rows; r++) {
		double sum = 0;
		int64_t n = 0;
		for (int64_t i = 0; i < p->width; i++) {
			double w = j->weight[i], u = w != 0 ? p->v[r * p->width + i] / w : 0;
			sum += u * u;
			n += w != 0;
		}
		if (!n || fabs(sqrt(sum / (double)n) - 1) > 0.01)
			return false;
	}
	return true;
}

static bool convention_normed_last(const struct plumb_judge *j, const struct plumb_file_case *f,
	const struct plumb_guess *normed, double plain)
{
	bool last = f->point == PLUMB_POINT_OUTPUT && f->layer + j->found->shift == j->found->layers - 1;
	return last && j->weight && !(normed && normed->error > plain) && convention_looks_normed(j, f->captured);
}

static void convention_decide(const struct plumb_judge *j, struct plumb_file_case *f)
{
	int shift = f->layer < 0 ? 0 : j->found->shift;
	struct plumb_guess plain = { shift, false, f->captured->first, 1, INFINITY };
	const struct plumb_guess *best = NULL, *normed = NULL;
	f->raw_error = INFINITY;
	for (int i = 0; i < f->guesses; i++) {
		const struct plumb_guess *g = &f->guess[i];
		if (g->shift == shift && convention_is_declared(f, g)) {
			if (g->normed)
				normed = g;
			else
				plain = *g;
		}
		if (!g->shift && !g->normed && g->scale == 1 && g->first == f->declared)
			f->raw_error = g->error;
		if ((!best || g->error < best->error) &&
			(g->scale == 1 || g->shift == shift)) /* one single oddity at most */
			best = g;
	}
	f->winner = plain;
	bool outside = f->layer + shift < -1 ||
		f->layer + shift >= j->found->layers; /* else it may only not have been evaluated */
	if (best && best->error < FITS && (isfinite(plain.error) ? best->error * BETTER < plain.error : outside))
		f->winner = *best;
	if (!f->winner.normed && convention_normed_last(j, f, normed, plain.error))
		f->winner = normed ? *normed : (struct plumb_guess){ shift, true, f->captured->first, 1, INFINITY };
	f->runner_up = (struct plumb_guess){ 0, false, 0, 1, INFINITY };
	for (int i = 0; i < f->guesses; i++) {
		const struct plumb_guess *g = &f->guess[i], *w = &f->winner;
		bool same = g->shift == w->shift && g->normed == w->normed && g->first == w->first &&
			g->scale == w->scale;
		if (!same && g->error < f->runner_up.error)
			f->runner_up = *g;
	}
}

/* --- putting things where they belong --- */
static enum plumb_status convention_settle(struct plumb_diag *d, struct plumb_file_case *f, int layers)
{
	const struct plumb_guess *w = &f->winner;
	int point = f->point, layer = f->layer + (point < PLUMB_POINT_FINAL_NORM ? w->shift : 0);
	if (plumb_point_chained(point))
		point = layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT;
	f->real_point = -1;
	if (layer < -1 || layer >= layers || (w->normed && layer != layers - 1))
		return PLUMB_OK; /* no point of the model */
	if (w->normed) {
		layer = -1;
		point = PLUMB_POINT_FINAL_NORM;
		if (plumb_capture_at(&d->given, -1, PLUMB_POINT_FINAL_NORM))
			return PLUMB_OK;
	}
	/* Two files of one point: the one that keeps its place comes first in evaluation or is met later and
	 * wins. */
	if (plumb_capture_at(&d->fixed, layer, point) && (layer != f->layer || point != f->point))
		return PLUMB_OK;
	struct plumb_captured *p;
	PLUMB_TRY(
		plumb_capture_put(&d->fixed, layer, point, f->captured->rows, f->captured->width, w->first, &p));
	for (int64_t i = 0; i < p->rows * p->width; i++)
		p->v[i] = w->scale == 1 ? f->captured->v[i] : (float)(f->captured->v[i] / w->scale);
	f->real_layer = layer;
	f->real_point = point;
	return PLUMB_OK;
}

static enum plumb_status convention_collect(struct plumb_judge *j, const struct plumb_diag *d)
{
	const struct plumb_reference_files *files = &d->reference->files;
	j->found->file = calloc((size_t)files->n + 1, sizeof *j->found->file);
	if (!j->found->file)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for conventions");
	for (int i = 0; i < files->n; i++) {
		struct plumb_file_case *f = &j->found->file[j->found->files];
		f->name = files->file[i].name;
		f->storage = files->file[i].storage;
		f->layer = files->file[i].layer;
		f->point = files->file[i].point;
		f->captured = plumb_capture_at(&d->given, f->layer, f->point);
		f->declared = f->captured->first;
		j->found->files++;
	}
	return PLUMB_OK;
}

static enum plumb_status convention_norm_weight(
	struct plumb_judge *j, const struct plumb_file *file, const struct plumb_config *c)
{
	const struct plumb_file_tensor *t = plumb_file_role(file, PLUMB_ROLE_OUTPUT_NORM, -1);
	if (!t || t->rank != 1 || t->dim[0] != c->hidden)
		return PLUMB_OK; /* then no file can be shown to be normed */
	if (!(j->weight = malloc(sizeof *j->weight * (size_t)c->hidden)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the final norm's weights");
	return plumb_type_to_f32(t->type, t->data, j->weight, c->hidden);
}

static enum plumb_status convention_judge_all(struct plumb_judge *j, struct plumb_diag *d)
{
	PLUMB_TRY(convention_norm_weight(j, plumb_model_file(d->port), d->config));
	PLUMB_TRY(convention_collect(j, d));
	for (int i = 0; i < j->found->files; i++)
		PLUMB_TRY(plumb_convention_consider(j, &j->found->file[i]));
	j->found->move = convention_vote_position(j);
	for (int i = 0; i < j->found->files && j->found->move; i++) {
		struct plumb_captured *p = j->found->file[i].captured;
		if (plumb_point_square(j->found->file[i].point) || p->first + j->found->move < 0 ||
			p->first + j->found->move + p->rows > d->n)
			continue;
		p->first += j->found->move;
		PLUMB_TRY(plumb_convention_consider(j, &j->found->file[i]));
	}
	j->found->shift = convention_vote_shift(j, (int)d->config->layers);
	plumb_capture_free(&d->fixed);
	PLUMB_TRY(plumb_capture_new(&d->fixed, (int)d->config->layers));
	for (int i = 0; i < j->found->files; i++) {
		convention_decide(j, &j->found->file[i]);
		PLUMB_TRY(convention_settle(d, &j->found->file[i], (int)d->config->layers));
	}
	return PLUMB_OK;
}

static enum plumb_status convention_find(struct plumb_diag *d, void *result)
{
	struct plumb_convention_result *found = result;
	struct plumb_judge j = { .eps = d->config->norm_eps, .found = found };
	found->layers = (int)d->config->layers;
	PLUMB_TRY(plumb_diag_trusted(d, &j.trusted_run));
	plumb_capture_free(&d->given);
	PLUMB_TRY(plumb_capture_borrow(&d->given, &d->reference->raw));
	plumb_reference_place(&d->given, d->reference->position, plumb_reference_length(d->reference, d->n));
	enum plumb_status s = convention_judge_all(&j, d);
	if (!s)
		s = plumb_convention_describe(d, found);
	free(j.weight);
	free(j.normed);
	return s;
}

static void convention_free(void *result)
{
	struct plumb_convention_result *found = result;
	free(found->file);
	free(found->other_tokens);
}

const struct plumb_check plumb_check_convention = { "convention",
	"How is each file of the reference to be read: raw, already normed, a layer off ...?", true,
	sizeof(struct plumb_convention_result), convention_find, plumb_convention_json, convention_free };

enum plumb_status plumb_diag_fixed(struct plumb_diag *d, const struct plumb_capture **c)
{
	const struct plumb_convention_result *convention;
	*c = NULL;
	if (!d->reference)
		return plumb_fail(PLUMB_E_ARGUMENT, "this check needs a reference");
	PLUMB_TRY(plumb_diag_convention(d, &convention));
	*c = &d->fixed;
	return PLUMB_OK;
}
