/* SPDX-License-Identifier: Apache-2.0 */
/* What a file says is computed, or refused by name, or named as not used: every form of a model against plain
 * loops. */
#include <unistd.h>
#include "made.h"

#define QKV (PLUMB_BIAS_Q | PLUMB_BIAS_K | PLUMB_BIAS_V)
#define OTHERS \
	(PLUMB_BIAS_ATTN_OUT | PLUMB_BIAS_FFN_GATE | PLUMB_BIAS_FFN_UP | PLUMB_BIAS_FFN_DOWN | PLUMB_BIAS_OUTPUT)
#define TOLERANCE 1e-5
static const int32_t tokens[MADE_TOKENS] = { 3, 47, 12, 0, 31, 8, 8, 20, 41, 5, 30, 17, 2, 44, 9, 9, 26, 11,
	38, 1, 22, 13, 40, 7, 35, 19, 4, 28, 46, 15, 33, 6, 24, 10, 43, 18, 29, 0, 37, 21 };

static void window_of_no_layer(struct gguf_builder *g)
{
	g_key(g, "qwen2.attention.sliding_window", G_U32), g_u32(g, 4);
	g_array(g, "qwen2.attention.sliding_window_pattern", G_BOOL, 2), g_uint(g, 0, 2);
}

static void neutral_keys(struct gguf_builder *g)
{
	g_key(g, "qwen2.attention.sliding_window", G_U32), g_u32(g, 64);
	g_key(g, "qwen2.attention.causal", G_BOOL), g_uint(g, 1, 1);
	g_key(g, "qwen2.rope.dimension_count", G_U32), g_u32(g, 4);
	g_key(g, "qwen2.logit_scale", G_F32), g_u32(g, 0x3f800000);
	g_key(g, "qwen2.expert_count", G_U32), g_u32(g, 0);
	g_key(g, "qwen2.pooling_type", G_U32), g_u32(g, 0);
	g_key(g, "training.seed", G_U64), g_u64(g, UINT64_MAX);
	g_key(g, "general.file_type", G_U32), g_u32(g, 0);
}

static const struct made forms[] = {
	{ .name = "as usual", .biases = QKV },
	{ .name = "no bias" },
	{ .name = "Q alone", .biases = PLUMB_BIAS_Q },
	{ .name = "K and V", .biases = PLUMB_BIAS_K | PLUMB_BIAS_V },
	{ .name = "attention's output", .biases = QKV | PLUMB_BIAS_ATTN_OUT },
	{ .name = "gate", .biases = PLUMB_BIAS_FFN_GATE },
	{ .name = "up", .biases = PLUMB_BIAS_FFN_UP },
	{ .name = "down", .biases = PLUMB_BIAS_FFN_DOWN },
	{ .name = "logits", .biases = PLUMB_BIAS_OUTPUT },
	{ .name = "all biases", .biases = QKV | OTHERS, .own_output = true },
	{ .name = "half vectors", .biases = QKV | OTHERS, .vectors = PLUMB_F16 },
	{ .name = "bfloat16 vectors", .biases = QKV | OTHERS, .vectors = PLUMB_BF16 },
	{ .name = "linear", .biases = QKV, .scaling = "linear", .factor = 4, .turns = 4 },
	{ .name = "factor alone", .factor = 2.5, .turns = 2.5 },
	{ .name = "old name", .old_factor = 8, .turns = 8 },
	{ .name = "linear, old name", .scaling = "linear", .old_factor = 3, .turns = 3 },
	{ .name = "two names", .factor = 2, .old_factor = 8, .turns = 2 },
	{ .name = "none", .scaling = "none", .factor = 4 },
	{ .name = "wide heads", .biases = QKV, .key = 12, .value = 12 },
	{ .name = "wide keys, no word of values", .biases = QKV | PLUMB_BIAS_ATTN_OUT, .key = 10 },
	{ .name = "narrow values", .biases = QKV, .key = 8, .value = 3 },
	{ .name = "wide values", .value = 7 },
	{ .name = "lists", .biases = QKV, .lists = true },
	{ .name = "neutral keys", .biases = QKV, .more = neutral_keys, .more_keys = 8 },
	{ .name = "a window of no layer", .more = window_of_no_layer, .more_keys = 2 },
	{ .name = "a tensor without use", .biases = QKV, .extra = "blk.0.attn_rot_embd.weight" },
};

static const struct {
	const char *precision, *mode;
	int64_t batch;
	bool tap;
	double tolerance;
} ways[] = {
	{ NULL, "exact", 0, false, TOLERANCE },
	{ NULL, "default", 0, false, TOLERANCE },
	{ NULL, "default", 1, false, TOLERANCE },
	{ NULL, "default", 0, true, TOLERANCE }, /* by basic operators */
	{ "FP64", "exact", 0, false, 1e-6 },
};
#define WAYS (int)(sizeof ways / sizeof *ways)

static enum plumb_status look(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	(void)layer;
	(void)point;
	(void)t;
	++*(int *)user;
	return PLUMB_OK;
}

static void compare(const struct made *m, int way, const char *path, const float *right)
{
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *session;
	const float *logits;
	int64_t rows;
	int seen = 0;
	ck_good(plumb_open(&ctx,
		PLUMB_OPTIONS(.driver = ways[way].precision ? "native" : test_driver(), .threads = 2,
			.precision = ways[way].precision, .mode = ways[way].mode)));
	ck_good(plumb_model_load(&model, ctx, path, NULL, NULL));
	ck_assert_uint_eq(plumb_model_config(model)->biases, m->biases);
	ck_good(plumb_session_new(&session, model, PLUMB_SESSION_OPTIONS(.batch = ways[way].batch)));
	if (ways[way].tap)
		plumb_session_tap(session, PLUMB_POINTS_ALL, look, &seen);
	for (int i = 0; i < MADE_TOKENS; i += ways[way].batch ? 1 : MADE_TOKENS) {
		ck_good(plumb_session_eval(session, tokens + i, ways[way].batch ? 1 : MADE_TOKENS, PLUMB_LOGITS_ALL));
		ck_good(plumb_session_logits(session, &logits, &rows));
		double error = relative_l2(logits, right + i * MADE_VOCAB, rows * MADE_VOCAB);
		ck_assert_msg(error <= ways[way].tolerance, "%s, %s %s, batch %d: %.3g", m->name, ways[way].mode,
			ways[way].precision ? "FP64" : "", (int)ways[way].batch, error);
	}
	ck_assert(!ways[way].tap || seen > 0);
	plumb_session_free(session);
	plumb_model_free(model);
	plumb_close(ctx);
}

START_TEST(forms_of_models)
{
	static struct made_model numbers;
	float right[MADE_TOKENS * MADE_VOCAB];
	char path[64];
	struct made m = forms[_i];
	m.turns = m.turns ? m.turns : 1;
	made_write(&m, &numbers, path);
	if (m.key && !m.value) /* hidden / heads, as GGUF says */
		ck_assert_int_ne(m.key, MADE_HIDDEN / MADE_HEADS);
	made_logits(&m, &numbers, tokens, right);
	for (int way = 0; way < WAYS; way++)
		compare(&m, way, path, right);
	unlink(path);
}
END_TEST

/* --- what is refused or only named --- */

static char notices[4096];
static void hear(void *user, const char *line)
{
	size_t n = strlen(notices);
	(void)user;
	snprintf(notices + n, sizeof notices - n, "%s\n", line);
}

static enum plumb_status load(const struct made *m)
{
	static struct made_model numbers;
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_file *file;
	char path[64];
	*notices = 0;
	made_write(m, &numbers, path);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 1, .notice = hear)));
	enum plumb_status s = plumb_model_load(&model, ctx, path, NULL, NULL);
	ck_assert(!s == (model != NULL));
	plumb_model_free(model);
	plumb_close(ctx);
	ck_good(plumb_file_open(&file, path)); /* and a program that only lists it can */
	plumb_file_close(file);
	unlink(path);
	return s;
}

static const char *key_name, *key_text;
static uint32_t key_type;
static double key_value;
static void one_key(struct gguf_builder *g)
{
	float f = (float)key_value;
	g_key(g, key_name, key_type);
	if (key_type == G_STRING)
		g_string(g, key_text);
	else if (key_type == G_F32)
		g_bytes(g, &f, sizeof f);
	else if (key_type == G_ARRAY) {
		g_u32(g, G_U32);
		g_u64(g, 2);
		g_u32(g, (uint32_t)key_value);
		g_u32(g, 0);
	} else
		g_uint(g, (uint64_t)key_value, key_type == G_BOOL ? 1 : 4);
}

static const struct {
	const char *key;
	uint32_t type;
	double value;
	const char *text;
	enum plumb_status status;
	const char *says;
} key_cases[] = {
	{ "qwen2.rope.scaling.type", G_STRING, 0, "yarn", PLUMB_E_FORMAT, "rope.scaling.factor is missing" },
	{ "qwen2.rope.scaling.type", G_STRING, 0, "longrope", PLUMB_E_FORMAT,
		"rope.scaling.original_context_length is missing" },
	{ "qwen2.rope.scaling.type", G_STRING, 0, "llama3", PLUMB_E_FORMAT, "rope.scaling.factor is missing" },
	{ "qwen2.rope.scaling.type", G_STRING, 0, "factors", PLUMB_E_FORMAT, "rope_freqs.weight, are missing" },
	{ "qwen2.rope.scaling.type", G_STRING, 0, "dynamic", PLUMB_E_UNSUPPORTED,
		"rope.scaling.type is \"dynamic\": a scaling" },
	{ "qwen2.rope.scaling.type", G_U32, 1, NULL, PLUMB_E_FORMAT, "rope.scaling.type" },
	{ "qwen2.rope.scaling.factor", G_F32, -4, NULL, PLUMB_E_FORMAT, "rope.scaling.factor is -4" },
	{ "qwen2.rope.scaling.attn_factor", G_F32, 1.2, NULL, PLUMB_E_UNSUPPORTED, "attn_factor" },
	{ "qwen2.rope.dimension_count", G_U32, 2, NULL, PLUMB_OK, "" },
	{ "qwen2.rope.dimension_count", G_U32, 3, NULL, PLUMB_E_FORMAT,
		"rope.dimension_count is 3, must be even" },
	{ "qwen2.rope.dimension_count", G_U32, 6, NULL, PLUMB_E_FORMAT, "at most 4" },
	{ "qwen2.plumb.rope_layers", G_ARRAY, 1, NULL, PLUMB_OK, "" },
	{ "qwen2.plumb.rope_layers", G_STRING, 0, "all", PLUMB_E_FORMAT, "must be a list of yes and no" },
	{ "plumb.rope.pairs", G_STRING, 0, "interleaved", PLUMB_OK, "" },
	{ "plumb.rope.pairs", G_STRING, 0, "thirds", PLUMB_E_FORMAT, "plumb.rope.pairs must be" },
	{ "plumb.norm.offset", G_F32, 1, NULL, PLUMB_OK, "" },
	{ "plumb.norm.offset", G_F32, 2, NULL, PLUMB_E_FORMAT, "plumb.norm.offset must be" },
	{ "plumb.other", G_U32, 1, NULL, PLUMB_E_UNSUPPORTED, "plumb.other" },
	{ "qwen2.rope.dimension_sections", G_ARRAY, 2, NULL, PLUMB_E_UNSUPPORTED, "rope.dimension_sections" },
	{ "qwen2.attention.sliding_window", G_U32, 63, NULL, PLUMB_E_UNSUPPORTED,
		"attention.sliding_window is 63" },
	{ "qwen2.attention.sliding_window", G_U32, 64, NULL, PLUMB_OK, "" },
	{ "qwen2.attention.sliding_window", G_U32, 0, NULL, PLUMB_OK, "" },
	{ "qwen2.attention.causal", G_BOOL, 0, NULL, PLUMB_E_UNSUPPORTED, "attention.causal is false" },
	{ "qwen2.attention.scale", G_F32, 0.25, NULL, PLUMB_OK, "" },
	{ "qwen2.attention.scale", G_F32, -1, NULL, PLUMB_E_FORMAT, "attention.scale is -1" },
	{ "qwen2.attention.clamp_kqv", G_F32, 8, NULL, PLUMB_E_UNSUPPORTED, "clamp_kqv" },
	{ "qwen2.attention.max_alibi_bias", G_F32, 8, NULL, PLUMB_E_UNSUPPORTED, "max_alibi_bias" },
	{ "qwen2.attention.kv_lora_rank", G_U32, 8, NULL, PLUMB_E_UNSUPPORTED, "kv_lora_rank" },
	{ "qwen2.attn_logit_softcapping", G_F32, 50, NULL, PLUMB_E_UNSUPPORTED, "attn_logit_softcapping is 50" },
	{ "qwen2.final_logit_softcapping", G_F32, 30, NULL, PLUMB_E_UNSUPPORTED, "final_logit_softcapping" },
	{ "qwen2.logit_scale", G_F32, 0.0625, NULL, PLUMB_E_UNSUPPORTED, "logit_scale" },
	{ "qwen2.embedding_scale", G_F32, 12, NULL, PLUMB_E_UNSUPPORTED, "embedding_scale" },
	{ "qwen2.residual_scale", G_F32, 0.22, NULL, PLUMB_E_UNSUPPORTED, "residual_scale" },
	{ "qwen2.pooling_type", G_U32, 3, NULL, PLUMB_E_UNSUPPORTED, "pooling_type is 3" },
	{ "qwen2.expert_count", G_U32, 8, NULL, PLUMB_E_UNSUPPORTED, "expert_count" },
	{ "qwen2.expert_used_count", G_U32, 2, NULL, PLUMB_E_UNSUPPORTED, "expert_used_count" },
	{ "qwen2.use_parallel_residual", G_BOOL, 1, NULL, PLUMB_OK,
		"use_parallel_residual is not used: early converters" },
	{ "qwen2.use_parallel_residual", G_BOOL, 0, NULL, PLUMB_OK, "" },
	{ "qwen2.hidden_activation", G_STRING, 0, "gelu", PLUMB_E_UNSUPPORTED, "hidden_activation is \"gelu\"" },
	{ "qwen2.hidden_activation", G_STRING, 0, "silu", PLUMB_OK, "" },
	{ "qwen2.swin_norm", G_BOOL, 1, NULL, PLUMB_E_UNSUPPORTED, "swin_norm is true" },
	{ "qwen2.rescale_every_n_layers", G_U32, 6, NULL, PLUMB_E_UNSUPPORTED, "rescale_every_n_layers is 6" },
	{ "qwen2.wkv.head_size", G_U32, 64, NULL, PLUMB_E_UNSUPPORTED, "recurrent" },
	{ "qwen2.rope.scaling.low_freq_factor", G_F32, 4, NULL, PLUMB_E_UNSUPPORTED, "low_freq_factor" },
	{ "qwen2.rope.freq_scale", G_F32, 0.5, NULL, PLUMB_E_UNSUPPORTED, "freq_scale is 0.5" },
	{ "qwen2.nextn_predict_layers", G_U32, 1, NULL, PLUMB_E_UNSUPPORTED, "nextn_predict_layers" },
	{ "qwen2.attention.key_length", G_U32, 5, NULL, PLUMB_E_FORMAT, "a head of 5" },
	{ "qwen2.attention.key_length", G_ARRAY, 4, NULL, PLUMB_E_UNSUPPORTED,
		"attention.key_length differs between layers" },
	{ "general.type", G_STRING, 0, "adapter", PLUMB_E_UNSUPPORTED, "general.type" },
	{ "adapter.type", G_STRING, 0, "lora", PLUMB_E_UNSUPPORTED, "adapter" },
	{ "general.type", G_STRING, 0, "model", PLUMB_OK, "" },
	/* named, not refused */
	{ "qwen2.attention.new_thing", G_U32, 1, NULL, PLUMB_OK, "qwen2.attention.new_thing is not used" },
	{ "tokenizer.ggml.new_thing", G_U32, 1, NULL, PLUMB_OK, "tokenizer.ggml.new_thing" },
	{ "general.quantization_version", G_U32, 3, NULL, PLUMB_OK, "quantization_version" },
	/* neither */
	{ "tokenizer.ggml.add_eos_token", G_BOOL, 0, NULL, PLUMB_OK, "" },
	{ "general.quantization_version", G_U32, 2, NULL, PLUMB_OK, "" },
	{ "qwen2.odd\033[31m", G_U32, 1, NULL, PLUMB_OK, "qwen2.odd?[31m is" }, /* a terminal keeps its colours */
	{ "somebody.note", G_STRING, 0, "made on a Friday", PLUMB_OK, "" },
};

START_TEST(keys_of_files)
{
	struct made m = { .turns = 1, .biases = QKV, .more = one_key, .more_keys = 1 };
	key_name = key_cases[_i].key;
	key_type = key_cases[_i].type;
	key_value = key_cases[_i].value;
	key_text = key_cases[_i].text;
	const char *says = key_cases[_i].says;
	enum plumb_status s = load(&m);
	ck_assert_msg(s == key_cases[_i].status, "%s: %s (%s)", key_name, plumb_strerror(s), plumb_last_error());
	if (s)
		ck_assert_msg(strstr(plumb_last_error(), says) != NULL, "%s: \"%s\" does not say \"%s\"", key_name,
			plumb_last_error(), says);
	else
		ck_assert_msg(*says ? strstr(notices, says) != NULL : !*notices, "%s: the notices are \"%s\"",
			key_name, notices);
}
END_TEST

static const char *const refused_tensors[] = {
	"blk.0.attn_q_norm.weight",
	"blk.1.attn_k_norm.weight",
	"blk.0.attn_norm.bias",
	"output_norm.bias",
	"blk.1.ffn_gate_inp.weight",
	"blk.0.ffn_up_exps.weight",
	"blk.0.attn_q.scale",
	"blk.2.attn_norm.weight",
	"blk.01.attn_q.bias",
	"nobody.knows.it",
	"token_embd.bias",
	"blk.0.attn_q.weight.lora_a",
};

START_TEST(tensors_of_files)
{
	struct made m = { .turns = 1, .biases = QKV, .extra = refused_tensors[_i] };
	ck_bad(load(&m), PLUMB_E_UNSUPPORTED, refused_tensors[_i]);
}
END_TEST

/* A bias that one layer lacks is a broken file; a matrix that is missing is named, too. */
START_TEST(tensors_missing)
{
	struct made m = { .turns = 1, .biases = QKV | PLUMB_BIAS_FFN_UP, .without = "blk.1.ffn_up.bias" };
	ck_bad(load(&m), PLUMB_E_FORMAT, "blk.1.ffn_up.bias is missing, though");
	m.extra = "rope_freqs.weight";
	m.without = NULL;
	ck_bad(load(&m), PLUMB_E_SHAPE, "rope_freqs.weight must be of 2 numbers");
	m.extra = NULL;
	m.without = "blk.1.ffn_up.weight";
	ck_bad(load(&m), PLUMB_E_FORMAT, "blk.1.ffn_up.weight is missing");
}
END_TEST

/* Of an architecture that is none of plumb's, what is missing for it is named: as plumb knows it, or by the
 * first tensor that no family has. */
static const struct {
	const char *name, *says; /* as long as "qwen2" */
} architectures[] = {
	{ "mamba", "needs what plumb does not compute: recurrent layers (Mamba)" },
	{ "lfm2x", "short convolutions" },
	{ "xyzzy", "\"xyzzy\", and no known one has the tensor blk.0.ssm_a; plumb knows: qwen2, qwen3, llama" },
};

START_TEST(unknown_architectures)
{
	static struct made_model numbers;
	struct made m = { .turns = 1, .extra = "blk.0.ssm_a" };
	struct plumb_context *ctx;
	struct plumb_model *model;
	char path[64], bytes[256];
	made_write(&m, &numbers, path);
	FILE *f = fopen(path, "r+b");
	ck_assert(f && fread(bytes, 1, sizeof bytes, f) == sizeof bytes);
	const char *at = memmem(bytes, sizeof bytes, "qwen2", 5);
	ck_assert(at && !fseek(f, at - bytes, SEEK_SET) && fwrite(architectures[_i].name, 1, 5, f) == 5);
	ck_assert(!fclose(f));
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 1)));
	ck_bad(plumb_model_load(&model, ctx, path, NULL, NULL), PLUMB_E_UNSUPPORTED, architectures[_i].says);
	plumb_close(ctx);
	unlink(path);
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))
void add_file_tests(Suite *suite)
{
	TCase *tc = tcase_create("files");
	tcase_set_timeout(tc, 240);
	LOOP(forms_of_models, forms);
	LOOP(keys_of_files, key_cases);
	LOOP(tensors_of_files, refused_tensors);
	LOOP(unknown_architectures, architectures);
	tcase_add_test(tc, tensors_missing);
	suite_add_tcase(suite, tc);
}
