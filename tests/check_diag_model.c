/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the diagnosis that look at the model itself: weights, biography and what is special. What they
 * must find is planted in small models; the real model is asked, too, where it is on the machine. */
#include "replant.h"

/* --- weights --- */

static const char *const types[] = { "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "k" };

static void against_plain_loop(const struct plumb_file_tensor *t, const json_t *declared)
{
	int64_t n = t->dim[0] * t->dim[1], columns = t->dim[t->rank - 1], at = 0;
	float *v = malloc(sizeof *v * (size_t)n);
	long double sum = 0, m2 = 0, m4 = 0;
	ck_good(plumb_type_to_f32(t->type, t->data, v, n));
	for (int64_t i = 0; i < n; i++) {
		sum += (long double)v[i];
		at = fabsf(v[i]) > fabsf(v[at]) ? i : at;
	}
	for (int64_t i = 0; i < n; i++) {
		long double d = (long double)v[i] - sum / n;
		m2 += d * d;
		m4 += d * d * d * d;
	}
	double std = (double)sqrtl(m2 / n);
	ck_assert_msg(fabs(number(declared, "mean") - (double)(sum / n)) <= 1e-12 * std, "%s: mean %.15g",
		word(declared, "name"), number(declared, "mean"));
	ck_near(number(declared, "std"), std, 1e-12);
	ck_near(number(declared, "kurtosis") + 3, (double)(m4 * n / (m2 * m2)), 1e-11);
	ck_assert_double_eq(number(declared, "max"), (double)fabsf(v[at]));
	ck_assert_int_eq(
		json_integer_value(json_array_get(json_object_get(declared, "max_at"), 0)), at / columns);
	ck_assert_int_eq(
		json_integer_value(json_array_get(json_object_get(declared, "max_at"), 1)), at % columns);
	free(v);
}

START_TEST(weights_by_plain_loop)
{
	char name[64];
	snprintf(name, sizeof name, "tiny-%s.gguf", types[_i]);
	struct loaded l = load(data_path(name), tokens, TOKENS);
	const struct plumb_file *file = plumb_model_file(l.model);
	json_t *tensors = json_object_get(part(l.diag, "weights"), "tensors");
	ck_assert_uint_eq(json_array_size(tensors), plumb_file_tensors(file));
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		json_t *declared = json_array_get(tensors, (size_t)i);
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		ck_assert_ptr_eq(plumb_file_find(file, word(declared, "name")), t);
		ck_assert_str_eq(word(declared, "type"), plumb_type_name(t->type));
		ck_assert_int_eq(
			json_integer_value(json_array_get(json_object_get(declared, "shape"), 0)), t->dim[0]);
		against_plain_loop(t, declared);
		ck_assert(json_is_null(json_object_get(declared, "unusual")));
	}
	ck_assert_uint_eq(json_array_size(json_object_get(part(l.diag, "weights"), "missing")), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(part(l.diag, "weights"), "extra")), 0);
	unload(&l);
}
END_TEST

START_TEST(weights_that_are_wrong)
{
	struct replant r = { .layers = 6,
		.add = "blk.2.attn_rot_embd.weight",
		.sets = 6,
		.set = { { "blk.1.attn_k.bias", -1, 0, 0 }, { "blk.3.attn_v.weight", 4, 9, NAN },
			{ "blk.3.attn_v.weight", 20, 1, INFINITY }, { "blk.4.ffn_down.weight", -1, 0, 7 },
			{ "blk.5.ffn_up.weight", 2, 3, 40 }, { "token_embd.weight", -1, 0, 1 } } };
	struct loaded l = load_planted(&r);
	json_t *w = part(l.diag, "weights"), *tensors = json_object_get(w, "tensors"), *t;
	const char *text = word(w, "text");
	char line[512];
	ck_assert_str_eq(word(row_of(tensors, 1, "role", "attn_k.bias"), "unusual"), "all zero");
	t = row_of(tensors, 3, "role", "attn_v");
	ck_assert_str_eq(word(t, "unusual"), "1 NaN and 1 infinite values, the first at [4, 9]");
	ck_assert_double_lt(number(t, "max"), 10); /* of the finite ones */
	ck_says(word(row_of(tensors, 4, "role", "ffn_down"), "unusual"), "largest weight ");
	ck_says(word(row_of(tensors, 4, "role", "ffn_down"), "unusual"),
		"standard deviation 7.0x the median of layers");
	ck_says(word(row_of(tensors, 5, "role", "ffn_up"), "unusual"), "kurtosis");
	ck_assert_str_eq(word(row_of(tensors, 0, "role", "ffn_down"), "unusual"), "");
	snprintf(line, sizeof line, "ffn_down: %s", word(row_of(tensors, 4, "role", "ffn_down"), "unusual"));
	ck_assert_str_eq(json_string_value(json_array_get(
						 json_object_get(json_array_get(json_object_get(w, "layers"), 4), "unusual"), 1)),
		line);
	ck_assert_uint_eq(json_array_size(json_object_get(w, "missing")), 5);
	ck_says(json_string_value(json_array_get(json_object_get(w, "missing"), 0)),
		"blk.0.attn_rot_embd.weight: layer 2 has one");
	ck_assert_uint_eq(json_array_size(json_object_get(w, "extra")), 1);
	ck_says(json_string_value(json_array_get(json_object_get(w, "extra"), 0)),
		"blk.2.attn_rot_embd.weight: not used (RoPE's angles");
	snprintf(line, sizeof line, "Unusual: layer 3 attn_v: %s",
		word(row_of(tensors, 3, "role", "attn_v"), "unusual")); /* the worst first */
	ck_says(text, line);
	snprintf(line, sizeof line, "layer 1 attn_k.bias: %s",
		word(row_of(tensors, 1, "role", "attn_k.bias"), "unusual"));
	ck_says(text, line);
	unload(&l);
}
END_TEST

/* --- biography --- */

#define CHANNEL 21
#define SPIKE 6000.0

struct element {
	int64_t row, column;
	float x;
};

/* Of this row (-1: any) and column (-1: any) the element that most outdoes the other rows' in its column. */
static struct element strongest(struct replant *r, int layer, int point, int64_t row, int64_t column)
{
	const struct plumb_capture *c;
	struct element best = { -1, -1, 0 };
	double most = 0;
	struct loaded l = load_planted(r);
	ck_good(plumb_diag_trusted(l.diag, &c));
	const struct plumb_captured *p = plumb_capture_at(c, layer, point);
	for (int64_t i = 0; i < p->rows * p->width; i++) {
		double others = 1e-3;
		for (int64_t k = i % p->width; k < p->rows * p->width; k += p->width)
			others = k == i ? others : fmax(others, fabs((double)p->v[k]));
		if ((row >= 0 && i / p->width != row) || (column >= 0 && i % p->width != column) ||
			fabs((double)p->v[i]) / others <= most)
			continue;
		most = fabs((double)p->v[i]) / others;
		best = (struct element){ i / p->width, i % p->width, p->v[i] };
	}
	unload(&l);
	return best;
}

/* The norm's weight at the channel by a plain loop: its size over the median is the sentences', its rank the
 * number of larger ones and one. */
static int64_t rank_in(const struct loaded *l, const char *norm)
{
	const struct plumb_file_tensor *t = plumb_file_find(plumb_model_file(l->model), norm);
	const float *w = t->data;
	int64_t rank = 1;
	ck_assert_int_eq(t->type, PLUMB_F32);
	for (int64_t i = 0; i < t->dim[0]; i++)
		rank += fabsf(w[i]) > fabsf(w[CHANNEL]);
	return rank;
}

/* Every number of the sentences stands in a column. weight: of the neuron that does it; NULL: none does. */
static void check_facts(const json_t *special, int64_t row, const float *weight, int64_t rank, int64_t hidden)
{
	const json_t *writes = json_array_get(json_object_get(special, "facts"), 0),
				 *lead = json_object_get(special, "lead");
	ck_assert_int_eq(whole(writes, "layer"), 1);
	ck_assert_int_eq(whole(writes, "channel"), CHANNEL);
	ck_assert_int_eq(whole(writes, "position"), row);
	ck_near(number(writes, "after"), SPIKE, 0.01);
	/* One value of n is all of the deviation, so without it little is left. */
	ck_near(number(writes, "std_after"), SPIKE * sqrt((double)hidden - 1) / (double)hidden, 0.01);
	ck_assert_double_lt(number(writes, "std_without"), number(writes, "std_after") / 10);
	ck_assert_double_gt(number(writes, "std_without"), number(writes, "std_before") / 10);
	ck_assert_int_eq(whole(writes, "norm_rank"), rank);
	ck_assert_int_eq(whole(writes, "norm_rank_of"), hidden);
	if (weight) {
		ck_near(number(writes, "neuron_value"), SPIKE / (double)*weight, 1e-4);
		ck_assert_int_eq(json_is_true(json_object_get(writes, "largest")), 1);
		ck_assert_double_gt(number(writes, "weight_over_std"), number(writes, "weight_over_std_usual"));
	}
	ck_assert_uint_ge(json_array_size(lead), 4);
	const char *wording = strstr(word(special, "text"), "Layer 1 writes a massive activation: channel 21"),
			   *first = json_string_value(json_array_get(lead, 1));
	ck_assert_msg(wording && !strncmp(wording, first, strlen(first)),
		"\"%s\" does not say what the columns say: \"%s\"", word(special, "text"), first);
}

/* Layer 1 writes SPIKE through one weight of the FFN (or of the attention's output), layer 4 takes it back
 * through another. */
START_TEST(planted_spike)
{
	const char *writer = _i ? "blk.1.attn_output.weight" : "blk.1.ffn_down.weight";
	const int point = _i ? PLUMB_POINT_ATTN_CONTEXT : PLUMB_POINT_FFN_ACT,
			  in = _i ? 37 : 99; /* 37: head 2 of 16 elements */
	struct replant r = { .layers = 6 };
	const struct element source = strongest(&r, 1, point, -1, in);
	const int64_t row = source.row;
	const float weight = (float)SPIKE / source.x;
	r.set[r.sets++] = (struct replant_value){ writer, CHANNEL, in, weight };
	const struct element drain = strongest(&r, 4, PLUMB_POINT_FFN_ACT, row, -1);
	const float back = -(float)SPIKE / drain.x;
	r.set[r.sets++] = (struct replant_value){ "blk.4.ffn_down.weight", CHANNEL, drain.column, back };
	struct loaded l = load_planted(&r);
	json_t *b = part(l.diag, "biography"), *life = json_array_get(json_object_get(b, "channels"), 0),
		   *special;
	json_t *written = json_array_get(json_object_get(life, "written"), 0),
		   *removed = json_array_get(json_object_get(life, "removed"), 0);
	ck_assert_int_eq(whole(life, "channel"), CHANNEL);
	ck_assert_int_eq(whole(life, "token"), row);
	ck_assert_int_eq(whole(life, "token_id"), tokens[row]);
	ck_near(number(life, "peak"), SPIKE, 0.01);
	ck_assert_uint_eq(json_array_size(json_object_get(life, "life")), 7);
	ck_assert_uint_eq(json_array_size(json_object_get(life, "written")), 1);
	ck_assert_int_eq(whole(written, "layer"), 1);
	ck_assert_str_eq(word(written, "by"), _i ? "attention" : "ffn");
	ck_near(number(written, "after"), SPIKE, 0.01);
	if (_i) {
		ck_assert_int_eq(whole(written, "head"), 2);
		ck_near(number(written, "head_share"), 1.0, 0.02);
	} else {
		ck_assert_int_eq(whole(written, "neuron"), in);
		ck_near(number(written, "neuron_share"), 1.0, 0.02);
		ck_near(number(written, "weight"), (double)weight, 1e-6);
		ck_near(number(written, "neuron_value"), SPIKE / (double)weight, 1e-4);
		ck_assert_int_eq(whole(written, "weight_rank_in_row"), 1);
		ck_assert_int_eq(whole(written, "weight_rank_in_column"), 1);
	}
	ck_assert_int_eq(whole(json_object_get(life, "carried"), "from"), 2);
	ck_assert_int_eq(whole(json_object_get(life, "carried"), "to"), 3);
	ck_assert_uint_eq(json_array_size(json_object_get(life, "removed")), 1);
	ck_assert_int_eq(whole(removed, "layer"), 4);
	ck_assert_int_eq(whole(removed, "neuron"), drain.column);
	ck_near(number(removed, "weight"), (double)back, 1e-6);
	ck_assert(json_is_null(json_object_get(life, "error_share")));
	ck_says(word(b, "text"), _i ? "Layer 1's attention writes it" : "Layer 1's FFN writes it");
	ck_says(word(b, "text"), "Layers 2 to 3 carry it");
	ck_says(word(b, "text"), "Layer 4's FFN removes it");
	special = part(l.diag, "special");
	ck_says(word(special, "text"), "taken back by layer 4");
	if (!_i)
		ck_says(word(special, "text"), "neuron 99 gives 100% of that");
	check_facts(special, row, _i ? NULL : &weight,
		rank_in(&l, _i ? "blk.1.attn_norm.weight" : "blk.1.ffn_norm.weight"),
		plumb_model_config(l.model)->hidden);
	unload(&l);
}
END_TEST

START_TEST(no_spike)
{
	struct loaded l = load(data_path("tiny-f32.gguf"), tokens, TOKENS);
	json_t *special;
	ck_assert_uint_eq(json_array_size(json_object_get(part(l.diag, "biography"), "channels")), 0);
	ck_says(word(part(l.diag, "biography"), "text"), "No massive activation");
	special = part(l.diag, "special");
	ck_says(word(special, "text"), "No layer writes or removes a massive activation");
	ck_says(word(special, "text"), "All 3 layers have the same tensors");
	ck_assert_uint_ge(json_array_size(json_object_get(special, "facts")), 1);
	unload(&l);
}
END_TEST

/* --- the real model --- */

static char model_path[1024];

static bool find_model(void)
{
	const char *path = getenv("PLUMB_TEST_MODEL"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (path && *path)
		snprintf(model_path, sizeof model_path, "%s", path);
	else
		snprintf(model_path, sizeof model_path, "%s%s/plumb/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
			cache && *cache ? cache
				: home      ? home
							: "",
			cache && *cache ? "" : "/.cache");
	return !access(model_path, R_OK);
}

static void check_channel_62(const json_t *life)
{
	static const struct {
		int layer, neuron;
		double before, after;
	} written[] = { { 2, 1980, 4.2, 982 }, { 3, 2247, 982, 1567 } };
	static const struct {
		int layer;
		double before, after;
	} removed[] = { { 21, 1583, 942 }, { 22, 942, 432 }, { 23, 432, 338 } };
	ck_assert_int_eq(whole(life, "channel"), 62);
	ck_assert_int_eq(whole(life, "token"), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(life, "written")), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *e = json_array_get(json_object_get(life, "written"), i);
		ck_assert_int_eq(whole(e, "layer"), written[i].layer);
		ck_assert_str_eq(word(e, "by"), "ffn");
		ck_assert_int_eq(whole(e, "neuron"), written[i].neuron);
		ck_near(number(e, "before"), written[i].before, 0.01);
		ck_near(number(e, "after"), written[i].after, 0.001);
	}
	ck_assert_int_eq(whole(json_object_get(life, "carried"), "from"), 4);
	ck_assert_int_eq(whole(json_object_get(life, "carried"), "to"), 20);
	ck_assert_uint_eq(json_array_size(json_object_get(life, "removed")), 3);
	for (size_t i = 0; i < 3; i++) {
		const json_t *e = json_array_get(json_object_get(life, "removed"), i);
		ck_assert_int_eq(whole(e, "layer"), removed[i].layer);
		ck_near(number(e, "before"), removed[i].before, 0.01);
		ck_near(number(e, "after"), removed[i].after, 0.01);
	}
}

START_TEST(real_model)
{
	const int32_t hello = 9707;
	struct plumb_reference *reference;
	json_t *special;
	struct loaded l = load(model_path, &hello, 1);
	plumb_diag_free(l.diag);
	ck_good(plumb_reference_open(&reference, data_path("real/hello-bf16"), plumb_model_config(l.model)));
	ck_good(plumb_diag_new(&l.diag, l.model, NULL, reference,
		PLUMB_DIAG_OPTIONS(.tokens = &hello, .token_count = 1, .layer = -1)));
	json_t *channels = json_object_get(part(l.diag, "biography"), "channels"), *w = part(l.diag, "weights"),
		   *s = part(l.diag, "stability");
	ck_assert_uint_eq(json_array_size(channels), 1);
	check_channel_62(json_array_get(channels, 0));
	ck_assert_double_gt(number(json_array_get(channels, 0), "error_share"), 0.5);
	for (int layer = 0; layer < 24; layer++) /* of all down projections only the two that write are told */
		ck_assert_int_eq(json_is_string(json_object_get(
							 row_of(json_object_get(w, "tensors"), layer, "role", "ffn_down"), "unusual")),
			layer == 2 || layer == 3);
	ck_says(word(w, "text"), "layer 2 ffn_down: kurtosis");
	ck_assert(json_is_false(json_object_get(w, "has_qk_norm")));
	ck_assert(json_is_null(json_object_get(s, "first_offender")));
	ck_assert_str_eq(word(keep_of(s, "fp16", "input_norm"), "keep"), "float32");
	ck_says(word(keep_of(s, "fp16", "input_norm"), "why"), "sum of squares");
	ck_assert_str_eq(word(keep_of(s, "fp16", "ffn_down"), "keep"), "fp16");
	special = part(l.diag, "special");
	ck_says(word(special, "text"), "Layers 2 and 3 write a massive activation: channel 62 at position 0");
	ck_says(word(special, "text"), "standard deviation from 0.387 to 34");
	ck_says(word(special, "text"), "taken back by layers 21, 22 and 23");
	ck_says(word(special, "text"), "Layer 23 is the last");
	plumb_diag_free(l.diag);
	l.diag = NULL;
	plumb_reference_free(reference);
	unload(&l);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_model");
	TCase *tc = tcase_create("planted");
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, weights_by_plain_loop, 0, (int)(sizeof types / sizeof *types));
	tcase_add_test(tc, weights_that_are_wrong);
	tcase_add_loop_test(tc, planted_spike, 0, 2);
	tcase_add_test(tc, no_spike);
	suite_add_tcase(suite, tc);
	if (find_model()) {
		tc = tcase_create("real");
		tcase_set_timeout(tc, 600);
		tcase_add_test(tc, real_model);
		suite_add_tcase(suite, tc);
	} else
		printf("SKIP: the real model is not at %s (tools/get-model fetches it)\n", model_path);
	return run_suite(suite);
}
