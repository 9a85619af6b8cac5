/* SPDX-License-Identifier: Apache-2.0 */
/* What the verdict may claim: nothing of layers where the weights differ, nothing of what a reference of some
 * positions cannot show, and no alarm for a difference that cancels. Each with the case beside it in which
 * the claim is right. */
#include "diag_make.h"
#include "diag_part.h"
#include "replant.h"

static const int32_t prompt[] = { 3, 147, 9, 234, 98, 197, 183, 112, 58, 97, 258 };
#define N ((int64_t)(sizeof prompt / sizeof *prompt))
#define LAYERS 6

static char dir[64];

static struct loaded load_plain(const char *path)
{
	struct loaded l = { .diag = NULL };
	ck_good(plumb_open(&l.ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&l.model, l.ctx, path, NULL, NULL));
	return l;
}

static struct loaded load_deep(void)
{
	struct replant r = { .layers = LAYERS };
	replant(&r);
	struct loaded l = load_plain(r.path);
	unlink(r.path);
	return l;
}

static void capture(struct loaded *l, const char *fault, struct plumb_capture *c)
{
	struct plumb_fault f;
	if (fault)
		ck_good(plumb_fault_parse(&f, fault, plumb_model_config(l->model)));
	struct plumb_run run = { .model = l->model,
		.tokens = prompt,
		.n = N,
		.last_layer = -1,
		.all_logits = true,
		.points = PLUMB_POINTS_ALL,
		.fault = fault ? &f : NULL,
		.out = c };
	*c = (struct plumb_capture){ .layers = 0 };
	ck_good(plumb_run_watched(&run));
}

static void new_dir(void)
{
	strcpy(dir, "/tmp/plumb-claims-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

struct judged {
	struct plumb_reference *r;
	struct plumb_diag *d;
	json_t *verdict;
};

static struct judged judge(struct loaded *l, const char *fault)
{
	struct judged j;
	ck_good(plumb_reference_open(&j.r, dir, plumb_model_config(l->model)));
	ck_good(plumb_diag_new(&j.d, l->model, NULL, j.r,
		PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = N, .layer = -1, .fault = fault)));
	j.verdict = part(j.d, "verdict");
	return j;
}

static int code(const struct judged *j)
{
	return (int)json_integer_value(json_object_get(j->verdict, "code"));
}

static void finish(struct judged *j)
{
	plumb_diag_free(j->d);
	plumb_reference_free(j->r);
	make_remove(dir);
}

/* Of how many layers the part isolate tells nothing (unknown), or that they make another output. */
static int isolated(const struct judged *j, bool unknown)
{
	json_t *row;
	size_t i;
	int count = 0;
	json_array_foreach(json_object_get(part(j->d, "isolate"), "layers"), i, row)
		count += unknown ? json_is_null(json_object_get(row, "ok"))
						 : json_is_false(json_object_get(row, "ok"));
	return count;
}

/* Does the verdict, in its text or any sentence, or one of the parts say it? */
static bool says(const struct judged *j, const char *words)
{
	static const char *const parts[] = { "isolate", "components", "growth", "diverge", "fingerprint" };
	bool found = strstr(word(j->verdict, "text"), words) != NULL;
	json_t *one;
	size_t i;
	json_array_foreach(json_object_get(j->verdict, "sentences"), i, one)
		found |= strstr(json_string_value(one), words) != NULL;
	for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
		found |= strstr(word(part(j->d, parts[p]), "text"), words) != NULL;
	json_array_foreach(json_object_get(part(j->d, "growth"), "jumps"), i, one)
		found |= strstr(word(one, "text"), words) != NULL;
	return found;
}

/* --- other weights --- */

/* A weight as it may have been before it was rounded to its type: anywhere within half a step of the grid. */
static int steps_of; /* half: 1 step in all */
static void unround(struct make_model *m, struct plumb_tensor *t, enum plumb_stored stored)
{
	(void)stored;
	if (!t->buffer || t->rank != 2)
		return;
	int64_t n = plumb_tensor_count(t);
	float *v = malloc(sizeof *v * (size_t)n);
	uint64_t state = (uint64_t)n * 7919 + (uint64_t)m->owned;
	ck_good(plumb_tensor_read_f32(t, v, n));
	for (int64_t i = 0; i < n; i += 32) {
		double step = INFINITY;
		for (int64_t a = i; a < i + 32; a++)
			for (int64_t b = i; b < a; b++)
				step = v[a] != v[b] ? fmin(step, fabs((double)v[a] - (double)v[b])) : step;
		for (int64_t k = i; k < i + 32; k++) {
			double one = t->type == PLUMB_F16 ? ldexp(1, ilogb(v[k]) - 10)
				: t->type == PLUMB_BF16       ? ldexp(1, ilogb(v[k]) - 7)
				: isfinite(step)              ? step
											  : 0;
			v[k] = (float)(v[k] + steps_of * one * ((double)(plumb_random(&state) >> 40) / (1 << 24) - 0.5));
		}
	}
	struct plumb_tensor *own = &m->own[m->owned++];
	*own = *t;
	ck_good(plumb_tensor_new(m->ctx, t, PLUMB_F32, own->rank, own->dim));
	ck_good(plumb_tensor_write(t, v, sizeof *v * (size_t)n));
	free(v);
}

static void put_back(struct make_model *m, struct plumb_tensor *t, enum plumb_stored stored)
{
	if (t->buffer && t->rank == 2)
		make_restore(m, t, stored);
}

static const char *const types[] = { "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "k" };
#define TYPES ((int)(sizeof types / sizeof *types))

/* The commonest comparison: the reference is of the checkpoint, the file holds it rounded. Of all positions
 * or the last, with the embeddings and without them. */
static void of_the_checkpoint(const char *type, bool embeddings, bool last, const char *fault)
{
	struct make_model m;
	struct plumb_capture c;
	char name[64], path[128];
	snprintf(name, sizeof name, "tiny-%s.gguf", type);
	make_open(&m, data_path(name), MAKE_PORTABLE);
	struct loaded other = { m.ctx, m.model, NULL };
	steps_of = 1;
	make_each_weight(&m, unround, PLUMB_STORED_FP32);
	capture(&other, NULL, &c);
	m.owned = 0;
	make_each_weight(&m, put_back, PLUMB_STORED_FP32);
	m.owned = 0;
	make_close(&m, MAKE_PORTABLE);
	new_dir();
	if (last)
		make_bins(dir, &c, N - 1, MAKE_RAW, true);
	else
		make_tensors(dir, &c,
			1u << PLUMB_POINT_OUTPUT | 1u << PLUMB_POINT_LOGITS |
				(embeddings ? 1u << PLUMB_POINT_EMBEDDINGS : 0));
	snprintf(path, sizeof path, "%s/after_embeddings.bin", dir);
	if (last && !embeddings)
		ck_assert_int_eq(unlink(path), 0);
	plumb_capture_free(&c);
	struct loaded l = load_plain(data_path(name));
	struct judged j = judge(&l, fault);
	if (fault)
		ck_assert_msg(embeddings ? code(&j) == PLUMB_UNUSABLE : code(&j) == PLUMB_DIVERGES, "%s: %s", type,
			word(j.verdict, "text"));
	else {
		ck_assert_msg(
			code(&j) == PLUMB_UNUSABLE, "%s %d %d: %s", type, embeddings, last, word(j.verdict, "text"));
		ck_assert_msg(says(&j, "made from other weights"), "%s: %s", type, word(j.verdict, "text"));
		ck_assert(!says(&j, "fault, not the file"));
	}
	finish(&j);
	unload(&l);
}

START_TEST(of_the_checkpoint_before_rounding)
{
	of_the_checkpoint(types[_i], true, false, NULL);
	of_the_checkpoint(types[_i], true, true, NULL);
	of_the_checkpoint(types[_i], false, false, NULL);
	of_the_checkpoint(types[_i], false, true, NULL);
}
END_TEST

/* Where a real bug is larger than what rounding explains, or looks like one, other weights are no excuse. */
START_TEST(rounding_excuses_no_bug)
{
	of_the_checkpoint("q8_0", false, false, "scale");
	of_the_checkpoint("q8_0", false, false, "activation");
	of_the_checkpoint("bf16", false, true, "rope_base");
}
END_TEST

/* --- some positions only --- */
static const char *const deep_faults[] = { "k_bias@2", "v_bias@1", "scale@2", "rope_pairs@3", "mask@2",
	"swiglu_order@1", "activation@4", "cache_slot@2", "attn_residual@2", "kv_heads@3" };
#define DEEP ((int)(sizeof deep_faults / sizeof *deep_faults))

static void reference_of(struct loaded *l, const char *fault)
{
	struct plumb_capture c;
	capture(l, fault, &c);
	new_dir();
	make_bins(dir, &c, N - 1, MAKE_RAW, true);
	plumb_capture_free(&c);
}

/* One layer of the reference is unlike ours (or, the same thing, ours and the trusted run are wrong there).
 */
START_TEST(of_one_position_names_the_first_only)
{
	struct loaded l = load_deep();
	int layer = atoi(strchr(deep_faults[_i], '@') + 1);
	reference_of(&l, deep_faults[_i]);
	struct judged j = judge(&l, NULL);
	json_t *row, *isolate = part(j.d, "isolate");
	size_t k;
	ck_assert_msg(code(&j) == PLUMB_DIVERGES, "%s: %s", deep_faults[_i], word(j.verdict, "text"));
	ck_assert_int_le(json_integer_value(json_object_get(j.verdict, "layers_bad")), 1);
	ck_assert_msg(isolated(&j, false) <= 1, "%s: claims more than one layer", deep_faults[_i]);
	ck_assert_msg(
		says(&j, "has not all positions") && !says(&j, "only this one is wrong"), "%s", deep_faults[_i]);
	int at = (int)json_integer_value(json_object_get(j.verdict, "layer"));
	ck_assert_msg(at == layer || at == layer + 1, "%s: layer %d", deep_faults[_i], at);
	json_array_foreach(json_object_get(isolate, "layers"), k, row)
		ck_assert(json_integer_value(json_object_get(row, "layer")) <= at + 1 ||
			!json_is_false(json_object_get(row, "ok")));
	json_array_foreach(json_object_get(part(j.d, "growth"), "layers"), k, row)
		ck_assert(json_integer_value(json_object_get(row, "layer")) <= at + 1 ||
			strcmp(word(row, "role"), "culprit"));
	finish(&j);
	unload(&l);
}
END_TEST

/* Where the port is at fault and the trusted run makes the reference, the other positions are known. */
START_TEST(of_one_position_and_a_broken_port)
{
	struct loaded l = load_deep();
	reference_of(&l, NULL);
	struct judged j = judge(&l, deep_faults[_i]);
	ck_assert_int_eq(code(&j), PLUMB_DIVERGES);
	ck_assert_msg(
		!isolated(&j, true), "%s: %d layers of which nothing is known", deep_faults[_i], isolated(&j, true));
	ck_assert_int_eq(
		json_integer_value(json_object_get(j.verdict, "layer")), atoi(strchr(deep_faults[_i], '@') + 1));
	finish(&j);
	unload(&l);
}
END_TEST

START_TEST(of_all_positions_names_all)
{
	struct loaded l = load_deep();
	struct plumb_capture c;
	capture(&l, "swiglu_order", &c);
	new_dir();
	make_tensors(dir, &c, 1u << PLUMB_POINT_OUTPUT | 1u << PLUMB_POINT_EMBEDDINGS | 1u << PLUMB_POINT_LOGITS);
	plumb_capture_free(&c);
	struct judged j = judge(&l, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(j.verdict, "layers_bad")), LAYERS);
	ck_assert(says(&j, "6 of 6 layers are wrong by themselves") && !isolated(&j, true));
	finish(&j);
	unload(&l);
}
END_TEST

/* --- what cancels --- */

static void turned(struct plumb_captured *p, const struct plumb_config *c, double by)
{
	int64_t d = c->head_dim, half = d / 2;
	for (int64_t at = 0; at < p->rows * p->width; at += d)
		for (int64_t j = 0; j < half; j++) {
			double angle = by * pow(c->kind[0].rope_base, -2.0 * (double)j / (double)d), a = p->v[at + j],
				   b = p->v[at + j + half];
			p->v[at + j] = (float)(a * cos(angle) - b * sin(angle));
			p->v[at + j + half] = (float)(b * cos(angle) + a * sin(angle));
		}
}

static void interleaved(struct plumb_captured *p, int64_t d)
{
	float head[256];
	for (int64_t at = 0; at < p->rows * p->width; at += d) {
		memcpy(head, p->v + at, sizeof *head * (size_t)d);
		for (int64_t j = 0; j < d; j++)
			p->v[at + j] = head[j / 2 + j % 2 * (d / 2)];
	}
}

static void times(struct plumb_captured *p, float by)
{
	for (int64_t i = 0; i < p->rows * p->width; i++)
		p->v[i] *= by;
}

/* What a convention of the reference does to its points in one layer. */
static void from_one(struct plumb_capture *c, int layer, const struct plumb_config *config)
{
	turned(plumb_capture_at(c, layer, PLUMB_POINT_Q_ROPE), config, 1);
	turned(plumb_capture_at(c, layer, PLUMB_POINT_K_ROPE), config, 1);
}
static void pairs(struct plumb_capture *c, int layer, const struct plumb_config *config)
{
	static const int points[] = { PLUMB_POINT_Q_PROJ, PLUMB_POINT_K_PROJ, PLUMB_POINT_Q_ROPE,
		PLUMB_POINT_K_ROPE };
	for (int i = 0; i < 4; i++)
		interleaved(plumb_capture_at(c, layer, points[i]), config->head_dim);
}
static void scaled_q(struct plumb_capture *c, int layer, const struct plumb_config *config)
{
	times(plumb_capture_at(c, layer, PLUMB_POINT_Q_PROJ), (float)(1 / sqrt((double)config->head_dim)));
	times(plumb_capture_at(c, layer, PLUMB_POINT_Q_ROPE), (float)(1 / sqrt((double)config->head_dim)));
}
static void before_bias(struct plumb_capture *c, int layer, const struct plumb_config *config)
{
	struct plumb_captured *p = plumb_capture_at(c, layer, PLUMB_POINT_Q_PROJ);
	(void)config;
	for (int64_t i = 0; i < p->rows * p->width; i++)
		p->v[i] += (float)(i % p->width % 7) - 3;
}
static void neurons(struct plumb_capture *c, int layer, const struct plumb_config *config)
{
	static const int points[] = { PLUMB_POINT_FFN_GATE, PLUMB_POINT_FFN_UP, PLUMB_POINT_FFN_ACT };
	for (int i = 0; i < 3; i++) {
		struct plumb_captured *p = plumb_capture_at(c, layer, points[i]);
		for (int64_t r = 0; r < p->rows; r++)
			for (int64_t j = 0; j < config->ffn / 2; j++) {
				float *a = p->v + r * p->width + j, *b = p->v + r * p->width + config->ffn - 1 - j, t = *a;
				*a = *b;
				*b = t;
			}
	}
}
static void raw_scores(struct plumb_capture *c, int layer, const struct plumb_config *config)
{
	times(plumb_capture_at(c, layer, PLUMB_POINT_ATTN_SCORES), (float)sqrt((double)config->head_dim));
}

static const struct {
	void (*change)(struct plumb_capture *, int, const struct plumb_config *);
	const char *reason;
	unsigned without;
} harmless[] = {
	{ from_one, "positions are counted from 1", 0 },
	{ from_one, "positions are counted from 1",
		1u << PLUMB_POINT_ATTN_SCORES | 1u << PLUMB_POINT_ATTN_SOFTMAX | 1u << PLUMB_POINT_ATTN_CONTEXT |
			1u << PLUMB_POINT_ATTN_OUT },
	{ pairs, "another order", 0 },
	{ scaled_q, "by one factor", 0 },
	{ before_bias, "harmless", 0 },
	{ neurons, "harmless", 0 },
	{ raw_scores, "harmless", 0 },
};
#define HARMLESS ((int)(sizeof harmless / sizeof *harmless))

static void with_convention(struct loaded *l, int i, int only, const char *fault, struct judged *j)
{
	struct plumb_capture c;
	capture(l, NULL, &c);
	for (int layer = 0; layer < LAYERS; layer++)
		if (only < 0 || layer == only)
			harmless[i].change(&c, layer, plumb_model_config(l->model));
	new_dir();
	make_tensors(dir, &c, PLUMB_POINTS_ALL & ~harmless[i].without);
	plumb_capture_free(&c);
	*j = judge(l, fault);
}

START_TEST(what_cancels_is_harmless)
{
	for (int only = -1; only <= 2; only += 3) {
		struct loaded l = load_deep();
		struct judged j;
		with_convention(&l, _i, only, NULL, &j);
		ck_assert_msg(code(&j) == PLUMB_CONVENTION, "case %d: %d %s", _i, code(&j), word(j.verdict, "text"));
		ck_assert_msg(says(&j, harmless[_i].reason) && says(&j, "that is harmless"), "case %d: %s", _i,
			word(part(j.d, "components"), "text"));
		ck_assert(json_is_null(json_object_get(part(j.d, "components"), "first_bad")));
		finish(&j);
		unload(&l);
	}
}
END_TEST

/* A real bug beside such a convention is still found, where it is. */
START_TEST(what_cancels_hides_no_bug)
{
	static const char *const faults[] = { "swiglu_order@3", "v_bias@3", "scale@3", "k_bias@3", "eps@3=1e-3" };
	for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
		struct loaded l = load_deep();
		struct judged j;
		with_convention(&l, _i, -1, faults[f], &j);
		ck_assert_msg(
			code(&j) == PLUMB_DIVERGES && json_integer_value(json_object_get(j.verdict, "layer")) == 3,
			"%s, case %d: %s", faults[f], _i, word(j.verdict, "text"));
		finish(&j);
		unload(&l);
	}
}
END_TEST

/* With one key softmax hides a wrong scale: that is no convention. */
START_TEST(what_does_not_show_is_not_harmless)
{
	static const char *const faults[] = { "scale", "k_bias@1", "q_bias@1" };
	for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
		struct loaded l = load_deep();
		struct plumb_capture c = { .layers = 0 };
		struct plumb_run run = { .model = l.model,
			.tokens = prompt,
			.n = 1,
			.last_layer = -1,
			.all_logits = true,
			.points = PLUMB_POINTS_ALL,
			.out = &c };
		struct judged j;
		ck_good(plumb_run_watched(&run));
		new_dir();
		make_tensors(dir, &c, PLUMB_POINTS_ALL);
		plumb_capture_free(&c);
		ck_good(plumb_reference_open(&j.r, dir, plumb_model_config(l.model)));
		ck_good(plumb_diag_new(&j.d, l.model, NULL, j.r,
			PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = 1, .layer = -1, .fault = faults[f])));
		j.verdict = part(j.d, "verdict");
		ck_assert_msg(code(&j) == PLUMB_DIVERGES, "%s: %s", faults[f], word(j.verdict, "text"));
		finish(&j);
		unload(&l);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_claims");
	TCase *tc = tcase_create("claims");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, of_the_checkpoint_before_rounding, 0, TYPES);
	tcase_add_test(tc, rounding_excuses_no_bug);
	tcase_add_loop_test(tc, of_one_position_names_the_first_only, 0, DEEP);
	tcase_add_loop_test(tc, of_one_position_and_a_broken_port, 0, DEEP);
	tcase_add_test(tc, of_all_positions_names_all);
	tcase_add_loop_test(tc, what_cancels_is_harmless, 0, HARMLESS);
	tcase_add_loop_test(tc, what_cancels_hides_no_bug, 0, HARMLESS);
	tcase_add_test(tc, what_does_not_show_is_not_harmless);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
