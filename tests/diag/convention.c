/* SPDX-License-Identifier: Apache-2.0 */
/* Conventions and layouts: found in references of good, narrow and broken runs, and no break passes for one.
 */
#include "diag/reference.h"
#include "replant.h"

/* --- other layouts of .bin files --- */
static void swap(void *bytes, size_t words)
{
	uint32_t *w = bytes;
	for (size_t i = 0; i < words; i++)
		w[i] = __builtin_bswap32(w[i]);
}

static size_t java(uint32_t *w, const float *v)
{
	w[0] = 64;
	memcpy(w + 1, v, 256);
	swap(w, 65);
	return 65;
}
static size_t bare(uint32_t *w, const float *v)
{
	memcpy(w, v, 256);
	return 64;
}
static size_t bare_java(uint32_t *w, const float *v)
{
	memcpy(w, v, 256);
	swap(w, 64);
	return 64;
}
static size_t wide_count(uint32_t *w, const float *v)
{
	w[0] = 64;
	w[1] = 0;
	memcpy(w + 2, v, 256);
	return 66;
}
static size_t shape(uint32_t *w, const float *v)
{
	w[0] = 2;
	w[1] = 1;
	w[2] = 64;
	memcpy(w + 3, v, 256);
	return 67;
}
static size_t mixed(uint32_t *w, const float *v)
{
	w[0] = 64;
	memcpy(w + 1, v, 256);
	swap(w, 1);
	return 65;
}

static const struct {
	size_t (*make)(uint32_t *, const float *);
	const char *storage;
} layouts[] = {
	{ java, "big-endian" },
	{ bare, "no header" },
	{ bare_java, "no header, big-endian" },
	{ wide_count, "a header of 8 bytes" },
	{ shape, "a header of 12 bytes" },
	{ mixed, "" },
};

START_TEST(other_layouts)
{
	uint32_t words[80];
	good_bins();
	write_bytes("after_layer_1.bin", words, 4 * layouts[_i].make(words, out(1)));
	struct opened o = judge(NULL, NULL);
	json_t *f = find_file(o.part, "after_layer_1.bin");
	ck_assert_int_eq(o.r->problems.n, 0);
	ck_assert_mem_eq(plumb_capture_at(&o.d->fixed, 1, PLUMB_POINT_OUTPUT)->v, out(1), 256);
	ck_assert_str_eq(text(f, "storage"), layouts[_i].storage);
	ck_assert_str_eq(text(f, "winner"), *layouts[_i].storage ? layouts[_i].storage : "raw");
	ck_assert_str_eq(text(o.part, "convention"), *layouts[_i].storage ? layouts[_i].storage : "raw");
	finish(&o);
}
END_TEST

/* --- conventions: what is written, the name it must get, and how many points must be in their places --- */
static void normed(void)
{
	raw_set(0, LAST, 1);
	put("after_layer_2", -1, PLUMB_POINT_FINAL_NORM, LAST, 1);
}
static void earlier(void) { raw_set(-1, LAST, 1); }
static void later(void) { raw_set(1, LAST, 1); }
static void states(void) { make_bins(dir, source, LAST, MAKE_HIDDEN_STATES, true); }
static void one_based(void)
{
	raw_set(-1, LAST, 1);
	unlink(in("after_layer_0.bin"));
	put("after_layer_3", 2, PLUMB_POINT_OUTPUT, LAST, 1);
}
static void one_input(void)
{
	raw_set(0, LAST, 1);
	put("after_layer_1", 0, PLUMB_POINT_OUTPUT, LAST, 1);
}
static void elsewhere(void) { raw_set(0, 4, 1); }
static void elsewhere_normed(void)
{
	raw_set(0, 4, 1);
	put("after_layer_2", -1, PLUMB_POINT_FINAL_NORM, 4, 1);
}
static void scaled(void) { raw_set(0, LAST, 8); }
static void two_states(void)
{
	states();
	unlink(in("after_layer_0.bin"));
	unlink(in("after_layer_1.bin"));
}
static void tensors(void) { make_tensors(dir, source, PLUMB_POINTS_ALL); }

static const struct convention {
	void (*make)(void);
	const char *name, *file, *winner;
	int good;
} conventions[] = {
	{ as_named, "raw", "after_layer_1.bin", "raw", 5 },
	{ normed, "final-normed last", "after_layer_2.bin", "final-normed", 5 },
	{ earlier, "embeddings counted as layer 0", "after_layer_1.bin", "one layer earlier", 4 },
	{ later, "one layer later", "after_layer_1.bin", "one layer later", 4 },
	{ states, "embeddings counted as layer 0, final-normed last", "after_layer_3.bin",
		"one layer earlier, final-normed", 5 },
	{ one_based, "layers counted from 1", "after_layer_2.bin", "one layer earlier", 5 },
	{ one_input, "after_layer_1.bin: input instead of output", "after_layer_1.bin", "input instead of output",
		4 },
	{ elsewhere, "position -6", "after_layer_1.bin", "other position", 5 },
	{ elsewhere_normed, "position -6, final-normed last", "after_layer_2.bin", "final-normed, other position",
		5 },
	{ scaled, "scaled by 8", "after_layer_1.bin", "scaled", 5 },
	{ two_states, "layers counted from 1, final-normed last", "after_layer_3.bin",
		"one layer earlier, final-normed", 3 },
	{ tensors, "raw", "L1.q_proj", "raw", 54 },
};

/* Every value in `fixed` is that of the run at the very point; returns how many points there are. */
static int check_fixed(const struct opened *o, const struct plumb_capture *c)
{
	int n = 0;
	for (int layer = -1, point = -1; plumb_capture_next(&o->d->fixed, &layer, &point); n++) {
		const struct plumb_captured *p = plumb_capture_at(&o->d->fixed, layer, point);
		const float *a, *b;
		int64_t count;
		ck_assert_msg(plumb_captured_common(p, plumb_capture_at(c, layer, point), &a, &b, &count) &&
				count == p->rows * p->width,
			"L%d.%s", layer, plumb_point_name(point));
		ck_assert_msg(relative_l2(b, a, count) < 1e-6, "L%d.%s", layer, plumb_point_name(point));
	}
	return n;
}

START_TEST(finds_conventions)
{
	const struct convention *c = &conventions[_i];
	source = &trusted_run;
	c->make();
	struct opened o = judge(prompt, NULL);
	json_t *f = find_file(o.part, c->file);
	ck_assert_str_eq(text(o.part, "convention"), c->name);
	ck_assert_str_eq(text(f, "winner"), c->winner);
	ck_assert(json_real_value(json_object_get(f, "error")) < 1e-5); /* the judge is a run of its own */
	ck_assert(json_is_true(json_object_get(o.part, "other_model")) == 0 &&
		json_is_null(json_object_get(o.part, "other_tokens")));
	ck_assert_int_eq(check_fixed(&o, &trusted_run), c->good);
	finish(&o);
}
END_TEST

/* The port is broken, the trusted run is not: the same answers. */
START_TEST(finds_them_with_a_broken_port)
{
	static const char *const breaks[] = { "k_bias", "layer_order@1", "final_norm", "attn_residual",
		"cache_slot" };
	const struct convention *c = &conventions[_i];
	source = &trusted_run;
	c->make();
	for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
		struct opened o = judge(prompt, breaks[i]);
		ck_assert_str_eq(text(o.part, "convention"), c->name);
		ck_assert_int_eq(check_fixed(&o, &trusted_run), c->good);
		finish(&o);
	}
}
END_TEST

/* The judge itself is broken, which is the same as a reference of a broken run: no break may pass for a
 * convention, and the norm is still found. One break per row of the library. */
START_TEST(no_break_is_a_convention)
{
	struct plumb_capture broken = { 0 };
	struct plumb_fault fault;
	const struct plumb_fault_kind *kind = plumb_fault_at(_i % plumb_fault_count());
	char name[64];
	bool last = _i >= plumb_fault_count(); /* the layer that is broken */
	snprintf(name, sizeof name, "%s%s", kind->name,
		kind->scope == PLUMB_FAULT_HEAD ? ""
			: last                      ? "@1"
										: "@0");
	if (plumb_fault_parse(&fault, name, config)) { /* this model has no such part */
		ck_assert_msg(strstr(plumb_last_error(), "this model") != NULL, "%s: %s", name, plumb_last_error());
		return;
	}
	capture(&broken, &fault);
	source = &broken;
	static void (*const makes[])(void) = { as_named, tensors, normed };
	for (int i = 0; i < 3; i++) {
		bool unnormed = i == 2 &&
			kind->scope == PLUMB_FAULT_HEAD; /* then what is written is the layer's output */
		make_remove(dir);
		mkdir(dir, 0777);
		makes[i]();
		struct opened o = judge(prompt, NULL);
		ck_assert_msg(!strcmp(text(o.part, "convention"), i == 2 && !unnormed ? "final-normed last" : "raw"),
			"%s: %s", name, text(o.part, "text"));
		finish(&o);
	}
	plumb_capture_free(&broken);
}
END_TEST

/* A narrow run's own rounding is no convention either, and hides none. */
START_TEST(rounded_references)
{
	struct plumb_capture narrow = { 0 };
	capture(&narrow, NULL);
	for (int layer = -1, point = -1; plumb_capture_next(&narrow, &layer, &point);) {
		struct plumb_captured *p = plumb_capture_at(&narrow, layer, point);
		for (int64_t i = 0; i < p->rows * p->width; i++)
			p->v[i] = plumb_round_to(PLUMB_STORED_BF16, p->v[i]);
	}
	source = &narrow;
	conventions[_i].make();
	struct opened o = judge(prompt, NULL);
	ck_assert_str_eq(text(o.part, "convention"), conventions[_i].name);
	finish(&o);
	plumb_capture_free(&narrow);
}
END_TEST

/* A massive channel makes all layers alike, and a narrow run has it a step off: the other channels decide. */
START_TEST(massive_channel_hides_no_shift)
{
	struct replant r = { .layers = 6, .sets = 1, .set = { { "token_embd.weight", 258, 5, 1500 } } };
	struct plumb_capture narrow = { 0 };
	replant(&r);
	plumb_model_free(model);
	ck_good(plumb_model_load(&model, ctx, r.path, NULL, NULL));
	unlink(r.path);
	config = plumb_model_config(model);
	capture(&narrow, NULL);
	for (int layer = 0; layer < 6; layer++) {
		struct plumb_captured *p = plumb_capture_at(&narrow, layer, PLUMB_POINT_OUTPUT);
		for (int64_t i = 0; i < p->rows * p->width; i++)
			p->v[i] = plumb_round_to(PLUMB_STORED_BF16, fabsf(p->v[i]) > 1000 ? p->v[i] * 1.007f : p->v[i]);
	}
	source = &narrow;
	for (int layer = 1; layer < 6; layer++) {
		char name[32];
		sprintf(name, "after_layer_%d", layer);
		put(name, layer - 1, PLUMB_POINT_OUTPUT, LAST, 1);
	}
	struct opened o = judge(prompt, NULL);
	ck_assert_str_eq(text(o.part, "convention"), "layers counted from 1");
	finish(&o);
	plumb_capture_free(&narrow);
}
END_TEST

START_TEST(fewer_layers_judge_less)
{
	struct plumb_reference *r;
	struct plumb_diag *d;
	json_t *part;
	source = &trusted_run;
	as_named();
	float like[64]; /* as in models where a massive channel makes all layers alike */
	for (int i = 0; i < 64; i++)
		like[i] = out(0)[i] * (i % 2 ? 1.02f : 0.98f);
	write_values("after_layer_1.bin", 64, like, 64);
	ck_good(plumb_reference_open(&r, dir, config));
	ck_good(plumb_diag_new(&d, model, NULL, r,
		PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = N, .layer = -1, .layers = 1)));
	ck_good(plumb_diag_result(d, "convention", &part));
	ck_assert_str_eq(text(part, "convention"), "raw");
	ck_assert(json_is_null(json_object_get(find_file(part, "after_layer_2.bin"), "error")) &&
		json_is_real(json_object_get(find_file(part, "after_layer_0.bin"), "error")));
	plumb_diag_free(d);
	plumb_reference_free(r);
}
END_TEST

/* Two files of one point: the one that is named for it counts. */
START_TEST(named_file_counts)
{
	float near[64];
	source = &trusted_run;
	as_named();
	for (int i = 0; i < 64; i++)
		near[i] = out(1)[i] * 1.001f;
	write_values("after_layer_0.bin", 64, near, 64);
	struct opened o = judge(prompt, NULL);
	ck_assert_str_eq(text(find_file(o.part, "after_layer_0.bin"), "winner"), "one layer later");
	ck_assert_mem_eq(plumb_capture_at(&o.d->fixed, 1, PLUMB_POINT_OUTPUT)->v, out(1), 256);
	ck_assert(!plumb_capture_at(&o.d->fixed, 0, PLUMB_POINT_OUTPUT));
	finish(&o);
}
END_TEST

TCase *convention_tests(void)
{
	TCase *tc = tcase_create("convention");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, other_layouts, 0, (int)(sizeof layouts / sizeof *layouts));
	tcase_add_loop_test(tc, finds_conventions, 0, (int)(sizeof conventions / sizeof *conventions));
	tcase_add_loop_test(
		tc, finds_them_with_a_broken_port, 0, (int)(sizeof conventions / sizeof *conventions));
	tcase_add_loop_test(tc, no_break_is_a_convention, 0, 2 * plumb_fault_count());
	tcase_add_loop_test(tc, rounded_references, 0, (int)(sizeof conventions / sizeof *conventions));
	tcase_add_test(tc, massive_channel_hides_no_shift);
	tcase_add_test(tc, fewer_layers_judge_less);
	tcase_add_test(tc, named_file_counts);
	return tc;
}
