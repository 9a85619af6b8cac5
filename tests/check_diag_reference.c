/* SPDX-License-Identifier: Apache-2.0 */
/* References: what is read, what is refused or left out, and with which words. */
#include "diag/reference.h"

/* --- what is read --- */
START_TEST(reads_bins)
{
	struct plumb_reference *r;
	good_bins();
	ck_good(plumb_reference_open(&r, dir, config));
	ck_assert_int_eq(r->problems.n, 0);
	ck_assert_int_eq(r->files.n, 5);
	ck_assert(r->token_count == N && !memcmp(r->tokens, prompt, sizeof prompt) && r->position == LAST &&
		!strcmp(r->dtype, "float32"));
	for (int layer = -1; layer < 3; layer++) {
		const struct plumb_captured *p = plumb_capture_at(
			&r->raw, layer, layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT);
		ck_assert(p && p->rows == 1 && p->width == 64);
		ck_assert_mem_eq(p->v, out(layer), 4 * 64);
	}
	plumb_reference_place(&r->raw, r->position, N);
	ck_assert_int_eq(plumb_capture_at(&r->raw, 0, PLUMB_POINT_OUTPUT)->first, LAST);
	json_t *j = plumb_reference_json(r, NULL);
	ck_assert(json_integer_value(json_object_get(j, "tensors")) == 5 &&
		json_array_size(json_object_get(j, "tokens")) == (size_t)N);
	json_decref(j);
	plumb_reference_free(r);
}
END_TEST

START_TEST(reads_tensors)
{
	struct plumb_reference *r;
	ck_good(plumb_reference_open(&r, data_path("tiny-f32.safetensors"), config));
	ck_assert_int_eq(r->problems.n, 0);
	ck_assert(r->token_count == N && !memcmp(r->tokens, prompt, sizeof prompt) && r->position < 0);
	int seen = 0;
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point); seen++) {
		const struct plumb_captured *p = plumb_capture_at(&r->raw, layer, point),
									*q = plumb_capture_at(&trusted_run, layer, point);
		ck_assert(p->rows == q->rows && p->width == q->width);
		ck_assert(relative_l2(q->v, p->v, p->rows * p->width) < 1e-5);
	}
	ck_assert_int_eq(seen, 3 * 17 + 3);
	plumb_reference_free(r);
}
END_TEST

START_TEST(names)
{
	static const struct {
		const char *name;
		int layer, point;
	} rows[] = {
		{ "after_layer_12", 12, PLUMB_POINT_OUTPUT },
		{ "L3.q_proj", 3, PLUMB_POINT_Q_PROJ },
		{ "L0.output", 0, PLUMB_POINT_OUTPUT },
		{ "embeddings", -1, PLUMB_POINT_EMBEDDINGS },
		{ "last_logits", -1, PLUMB_POINT_LOGITS },
		{ "final_norm", -1, PLUMB_POINT_FINAL_NORM },
		{ "after_layer_", 0, -1 },
		{ "after_layer_1x", 0, -1 },
		{ "L.q_proj", 0, -1 },
		{ "L3.final_norm", 0, -1 },
		{ "L3.q_pro", 0, -1 },
		{ "L3", 0, -1 },
		{ "after_layer_1234567", 0, -1 },
		{ "", 0, -1 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int layer, point;
		bool known = plumb_reference_name(rows[i].name, strlen(rows[i].name), &layer, &point);
		ck_assert_msg(
			known == (rows[i].point >= 0) && (!known || (layer == rows[i].layer && point == rows[i].point)),
			"%s", rows[i].name);
	}
}
END_TEST

/* --- what is wrong: each spoils good files, and says which words must be in the problem; "!" for opening
 * that fails --- */
static void truncated(void) { write_values("after_layer_1.bin", 64, out(1), 40); }
static void half_count(void) { write_values("after_layer_1.bin", 32, out(1), 64); }
static void huge_count(void) { write_values("after_layer_1.bin", 0x7fffffff, out(1), 10); }
static void negative_count(void) { write_values("after_layer_1.bin", 0x80000001u, out(1), 10); }
static void trailing(void)
{
	float v[96];
	memcpy(v, out(1), 256);
	memcpy(v + 64, out(2), 128);
	write_values("after_layer_1.bin", 64, v, 96);
}
static void one_short(void) { write_values("after_layer_1.bin", 64, out(1), 63); }
static void empty_file(void) { write_bytes("after_layer_1.bin", "", 0); }
static void tiny_file(void) { write_bytes("after_layer_1.bin", "abc", 3); }
static void halves(void) { write_values("after_layer_1.bin", 64, out(1), 32); }
static void with_nan(void)
{
	float v[64];
	memcpy(v, out(1), 256);
	v[7] = NAN;
	v[9] = INFINITY;
	write_values("after_layer_1.bin", 64, v, 64);
}
static void zeros(void)
{
	float v[64] = { 0 };
	write_values("after_layer_1.bin", 64, v, 64);
}
static void folder_for_file(void)
{
	unlink(in("after_layer_1.bin"));
	mkdir(in("after_layer_1.bin"), 0777);
}
static void missing_layer(void) { unlink(in("after_layer_1.bin")); }
static void dangling(void)
{
	missing_layer();
	ck_assert(!symlink("nowhere", in("after_layer_1.bin")));
}
static void fifo(void)
{
	missing_layer();
	ck_assert(!mkfifo(in("after_layer_1.bin"), 0666));
}
static void odd_name(void) { write_text("attention_\xff.bin", "x"); }
static void layer_77(void) { write_values("after_layer_77.bin", 64, out(1), 64); }
static void wide_layer(void)
{
	float v[128] = { 1 };
	write_values("after_layer_1.bin", 128, v, 128);
}
static void broken_manifest(void) { write_text("reference.json", "{\"token_ids\": [1, 2"); }
static void wild_token(void) { write_text("reference.json", "{\"token_ids\": [1, 320]}"); }
static void wild_position(void) { write_text("reference.json", "{\"token_ids\": [1, 2], \"position\": 2}"); }
static void no_list(void) { write_text("reference.json", "{\"token_ids\": \"1 2\"}"); }
static void clear_all(void)
{
	make_remove(dir);
	mkdir(dir, 0777);
}
static void other_model(void)
{
	clear_all();
	float v[160] = { 1 };
	for (int i = 0; i < 3; i++) {
		char name[32];
		sprintf(name, "after_layer_%d.bin", i);
		write_values(name, 160, v, 160);
	}
}
static void manifest_alone(void)
{
	clear_all();
	write_text("reference.json", "{}");
}
static void gone(void) { make_remove(dir); }
static void broken_tensors(void)
{
	clear_all();
	write_text("x.safetensors", "\377\377\377\377\377\377\377\377{}");
}
static void two_tensors(void)
{
	clear_all();
	make_tensors(dir, &trusted_run, PLUMB_POINTS_ALL);
	write_text("zzz.safetensors", "x");
}

static const struct bad {
	void (*spoil)(void);
	const char *file, *problem, *consequence;
	bool lost;
} bads[] = {
	{ truncated, "after_layer_1.bin", "truncated: the count is 64, but only 40 values",
		"the output of layer 1 cannot be compared", true },
	{ half_count, "after_layer_1.bin", "the count is 32, but the file holds the model's 64",
		"used as they stand", false },
	{ huge_count, "after_layer_1.bin", "the count is 2147483647", "the output of layer 1 cannot", true },
	{ negative_count, "after_layer_1.bin", "the count is -2147483647", "cannot be compared", true },
	{ trailing, "after_layer_1.bin", "128 bytes follow", "used as they stand", false },
	{ one_short, "after_layer_1.bin", "only 63 values", "cannot be compared", true },
	{ empty_file, "after_layer_1.bin", "0 bytes", "cannot be compared", true },
	{ tiny_file, "after_layer_1.bin", "3 bytes", "cannot be compared", true },
	{ halves, "after_layer_1.bin", "16-bit values", "cannot be compared", true },
	{ with_nan, "after_layer_1.bin", "2 of 64 values are NaN or infinite, the first (NaN) at index 7",
		"the output of layer 1 cannot be compared; the others can", true },
	{ zeros, "after_layer_1.bin", "all 64 values are 0", "cannot be compared", true },
	{ folder_for_file, "after_layer_1.bin", "a folder where a file was expected", "cannot be compared",
		true },
	{ missing_layer, "/", "1 of 3 layers are missing: 1", "layer 1 cannot be compared; the others can",
		true },
	{ dangling, "after_layer_1.bin", "No such file", "cannot be compared", true },
	{ fifo, "after_layer_1.bin", "not a regular file", "cannot be compared", true },
	{ odd_name, "attention_\xef\xbf\xbd.bin", "no known name", "not read", false },
	{ layer_77, "after_layer_77.bin", "the model has layers 0 to 2", "not read", false },
	{ wide_layer, "after_layer_1.bin", "128 values, but the model has 64", "cannot be compared", true },
	{ broken_manifest, "reference.json", "line 1", "tokens and position are taken from elsewhere", false },
	{ wild_token, "reference.json", "token_ids[1] is 320; the model has ids 0 to 319", "from elsewhere",
		false },
	{ wild_position, "reference.json", "position 2 is outside the prompt of 2",
		"the last position is assumed", false },
	{ no_list, "reference.json", "no list", "from elsewhere", false },
	{ other_model, "!", "another model", "", true },
	{ clear_all, "!", "holds no reference: a folder of after_layer_N.bin files", "", true },
	{ manifest_alone, "!", "holds no reference", "", true },
	{ gone, "!", "No such file", "", true },
	{ broken_tensors, "!", "x.safetensors", "", true },
	{ two_tensors, "zzz.safetensors", "points.safetensors is read", "not read", false },
};

START_TEST(bad_references)
{
	const struct bad *b = &bads[_i];
	struct plumb_reference *r;
	good_bins();
	b->spoil();
	if (*b->file == '!') {
		enum plumb_status s = plumb_reference_open(&r, dir, config);
		ck_assert(!r && (s == PLUMB_E_IO || s == PLUMB_E_FORMAT));
		ck_assert_msg(strstr(plumb_last_error(), b->problem) && strstr(plumb_last_error(), dir), "%s",
			plumb_last_error());
		return;
	}
	ck_good(plumb_reference_open(&r, dir, config));
	char *text = plumb_reference_problems(r);
	ck_assert_msg(declared(&r->problems, b->file, b->problem, b->consequence), "%s: %s", b->problem, text);
	ck_assert((plumb_capture_at(&r->raw, 1, PLUMB_POINT_OUTPUT) == NULL) == b->lost);
	ck_assert(
		plumb_capture_at(&r->raw, 0, PLUMB_POINT_OUTPUT) && plumb_capture_at(&r->raw, 2, PLUMB_POINT_OUTPUT));
	free(text);
	plumb_reference_free(r);
	rmdir(in("after_layer_1.bin"));
}
END_TEST

/* .bin files with all positions: the count tells how many values there are, the tokens how many positions. */
static void all_bins(bool logits, bool header)
{
	char name[32];
	make_remove(dir);
	mkdir(dir, 0777);
	for (int layer = -1; layer < 3; layer++) {
		const struct plumb_captured *p = plumb_capture_at(
			&trusted_run, layer, layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT);
		snprintf(name, sizeof name, layer < 0 ? "after_embeddings.bin" : "after_layer_%d.bin", layer);
		if (header)
			write_values(name, (uint32_t)(p->rows * p->width), p->v, p->rows * p->width);
		else
			write_bytes(name, p->v, sizeof *p->v * (size_t)(p->rows * p->width));
	}
	const struct plumb_captured *p = plumb_capture_at(&trusted_run, -1, PLUMB_POINT_LOGITS);
	int64_t n = (logits ? p->rows : 1) * p->width;
	write_values("final_logits.bin", (uint32_t)n, p->v + p->rows * p->width - n, n);
}

START_TEST(bins_of_all_positions)
{
	bool logits = _i & 1, tells = _i & 2, header = !(_i & 4);
	struct plumb_reference *r;
	struct plumb_diag *d;
	json_t *verdict;
	all_bins(logits, header);
	if (tells)
		write_text("reference.json", "{\"token_ids\":[3,147,9,234,98,197,183,112,58,97,258]}");
	enum plumb_status s = plumb_reference_open(&r, dir, config);
	if (!header && !tells) { /* nothing tells positions from a wider model */
		ck_assert(s == PLUMB_E_FORMAT || !plumb_capture_at(&r->raw, 0, PLUMB_POINT_OUTPUT));
		plumb_reference_free(r);
		return;
	}
	ck_good(s);
	for (int layer = -1; layer < 3; layer++) {
		const struct plumb_captured *p = plumb_capture_at(
			&r->raw, layer, layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT);
		ck_assert(p && p->rows == N && p->width == 64);
	}
	ck_assert_int_eq(plumb_capture_at(&r->raw, -1, PLUMB_POINT_LOGITS)->rows, logits ? N : 1);
	for (int cut = 0; cut < 2; cut++) { /* also a prompt of the first positions only */
		ck_good(plumb_diag_new(&d, model, NULL, r,
			PLUMB_DIAG_OPTIONS(.layer = -1, .tokens = cut ? prompt : NULL, .token_count = cut ? 8 : 0)));
		ck_assert_int_eq(d->n, cut ? 8 : N);
		ck_good(plumb_diag_result(d, "verdict", &verdict));
		int code = (int)json_integer_value(json_object_get(verdict, "code"));
		ck_assert_msg(
			code == (header ? PLUMB_RIGHT : PLUMB_CONVENTION), "%d: %d %s", _i, code, text(verdict, "text"));
		ck_assert_int_eq(
			strcmp(text(json_object_get(
							plumb_capture_at(&d->fixed, 0, PLUMB_POINT_OUTPUT) ? verdict : NULL, "answer"),
					   "text"),
				"") != 0,
			!cut || logits);
		plumb_diag_free(d);
	}
	plumb_reference_free(r);
}
END_TEST

/* Tokens that the reference tells and the user's are compared before any layer is. */
START_TEST(another_prompt_is_told)
{
	int32_t other[N];
	struct plumb_reference *r;
	struct plumb_diag *d;
	json_t *verdict;
	memcpy(other, prompt, sizeof other);
	other[3] = 5; /* the reference is of the last position, whose token is the same */
	good_bins();
	ck_good(plumb_reference_open(&r, dir, config));
	ck_good(plumb_diag_new(
		&d, model, NULL, r, PLUMB_DIAG_OPTIONS(.layer = -1, .tokens = other, .token_count = N)));
	ck_good(plumb_diag_result(d, "verdict", &verdict));
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "code")), PLUMB_UNUSABLE);
	ck_assert(declared(&d->problems, "", "token 234 at position 3, where the prompt has 5", "two prompts"));
	plumb_diag_free(d);
	plumb_reference_free(r);
}
END_TEST

START_TEST(single_files)
{
	struct plumb_reference *r;
	good_bins();
	ck_bad(plumb_reference_open(&r, in("after_layer_1.bin"), config), PLUMB_E_FORMAT, "give its folder");
	ck_bad(plumb_reference_open(&r, data_path("tiny-f32.gguf"), config), PLUMB_E_FORMAT,
		"a model, not a reference");
	ck_bad(plumb_reference_open(&r, data_path("types.safetensors"), config), PLUMB_E_FORMAT,
		"nothing that can be used");
	ck_bad(
		plumb_reference_open(&r, data_path("tiny-k.safetensors"), config), PLUMB_E_FORMAT, "another model");
	ck_bad(plumb_reference_open(&r, "", config), PLUMB_E_ARGUMENT, "0 characters");
}
END_TEST

/* A safetensors file of two tensors: one good output, and one as given. */
static void write_pair(const char *name, const char *dtype, const char *shape, const void *data, size_t bytes)
{
	char header[400];
	int n = snprintf(header, sizeof header,
		"{\"L0.output\":{\"dtype\":\"F32\",\"shape\":[1,1,64],\"data_offsets\":[0,256]},"
		"\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[256,%zu]}}",
		name, dtype, shape, 256 + bytes);
	uint64_t size = (uint64_t)(n + 7) / 8 * 8;
	memset(header + n, ' ', size - (size_t)n);
	FILE *f = fopen(in("a.safetensors"), "wb");
	ck_assert(f && fwrite(&size, 8, 1, f) == 1 && fwrite(header, 1, size, f) == size &&
		fwrite(out(0), 4, 64, f) == 64 && fwrite(data, 1, bytes, f) == bytes && !fclose(f));
}

START_TEST(bad_tensors)
{
	static const struct {
		const char *name, *dtype, *shape;
		size_t bytes;
		const char *problem;
	} rows[] = {
		{ "L1.output", "F32", "1,32", 128, "shape {1, 32}; {positions, 64} was expected: another model" },
		{ "L1.output", "F32", "4,2,8", 256, "shape {4, 2, 8}" },
		{ "L1.output", "I32", "1,64", 256, "type i32" },
		{ "L1.attn_scores", "F32", "4,2,1", 32, "{4, n, n} was expected" },
		{ "L9.output", "F32", "1,64", 256, "layers 0 to 2" },
		{ "model.layers.1", "F32", "1,64", 256, "unknown names: model.layers.1" },
	};
	float v[64];
	memcpy(v, out(1), sizeof v);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct plumb_reference *r;
		write_pair(rows[i].name, rows[i].dtype, rows[i].shape, v, rows[i].bytes);
		ck_good(plumb_reference_open(&r, in("a.safetensors"), config));
		ck_assert(declared(&r->problems, "", rows[i].problem, ""));
		ck_assert(plumb_capture_at(&r->raw, 0, PLUMB_POINT_OUTPUT) &&
			!plumb_capture_at(&r->raw, 1, PLUMB_POINT_OUTPUT));
		plumb_reference_free(r);
	}
}
END_TEST

START_TEST(narrow_tensors)
{
	static const struct {
		enum plumb_type type;
		const char *dtype, *name;
	} rows[] = { { PLUMB_BF16, "BF16", "bfloat16" }, { PLUMB_F16, "F16", "float16" },
		{ PLUMB_F64, "F64", "float64" } };
	unsigned char bytes[512];
	for (int i = 0; i < 3; i++) {
		struct plumb_reference *r;
		float back[64];
		ck_good(plumb_type_from_f32(rows[i].type, out(1), bytes, 64));
		ck_good(plumb_type_to_f32(rows[i].type, bytes, back, 64));
		write_pair("after_layer_1", rows[i].dtype, "64", bytes, 64 * plumb_type_bytes(rows[i].type));
		ck_good(plumb_reference_open(&r, dir, config));
		ck_assert_str_eq(r->dtype, rows[i].name);
		ck_assert_mem_eq(plumb_capture_at(&r->raw, 1, PLUMB_POINT_OUTPUT)->v, back, sizeof back);
		plumb_reference_free(r);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_reference");
	TCase *tc = tcase_create("reference");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reads_bins);
	tcase_add_test(tc, reads_tensors);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, bad_references, 0, (int)(sizeof bads / sizeof *bads));
	tcase_add_loop_test(tc, bins_of_all_positions, 0, 8);
	tcase_add_test(tc, another_prompt_is_told);
	tcase_add_test(tc, single_files);
	tcase_add_test(tc, bad_tensors);
	tcase_add_test(tc, narrow_tensors);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, measure_tests());
	suite_add_tcase(suite, convention_tests());
	suite_add_tcase(suite, token_tests());
	suite_add_tcase(suite, dump_tests());
	return run_suite(suite);
}
