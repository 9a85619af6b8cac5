/* SPDX-License-Identifier: Apache-2.0 */
/* Model folders as Hugging Face has them. Here main(), and a model of the family qwen2: the folder that is
 * made of a GGUF file computes the same bits, whole, in parts, and through links as Hugging Face's cache has
 * them. */
#include "folder/parts.h"

char made_folder[64];

/* --- tests/data/tiny-f32.gguf as a folder --- */

enum { MOST = 64, TOKENS = 7, VOCAB = 320 };

static const struct {
	const char *gguf, *hf;
} names[] = {
	{ "token_embd.weight", "model.embed_tokens.weight" },
	{ "output_norm.weight", "model.norm.weight" },
	{ "attn_norm.weight", "input_layernorm.weight" },
	{ "attn_q.weight", "self_attn.q_proj.weight" },
	{ "attn_k.weight", "self_attn.k_proj.weight" },
	{ "attn_v.weight", "self_attn.v_proj.weight" },
	{ "attn_q.bias", "self_attn.q_proj.bias" },
	{ "attn_k.bias", "self_attn.k_proj.bias" },
	{ "attn_v.bias", "self_attn.v_proj.bias" },
	{ "attn_output.weight", "self_attn.o_proj.weight" },
	{ "ffn_norm.weight", "post_attention_layernorm.weight" },
	{ "ffn_gate.weight", "mlp.gate_proj.weight" },
	{ "ffn_up.weight", "mlp.up_proj.weight" },
	{ "ffn_down.weight", "mlp.down_proj.weight" },
};

static const char config[] =
	"{\"architectures\":[\"Qwen2ForCausalLM\"],\"model_type\":\"qwen2\",\"hidden_size\":64,"
	"\"intermediate_size\":160,\"num_hidden_layers\":3,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
	"\"rms_norm_eps\":1e-06,\"rope_theta\":1000000.0,\"max_position_embeddings\":256,\"vocab_size\":320,"
	"\"tie_word_embeddings\":true,\"hidden_act\":\"silu\",\"use_sliding_window\":false,\"sliding_window\":32768,"
	"\"max_window_layers\":21,\"torch_dtype\":\"float32\",\"bos_token_id\":316,\"eos_token_id\":318}";

/* Hugging Face's name of a tensor; from static memory by its index. */
static const char *hf_name(const struct plumb_file_tensor *t, int index)
{
	static char text[MOST][96];
	char name[96];
	int layer = -1, skip = 0;
	snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
	if (sscanf(name, "blk.%d.%n", &layer, &skip) < 1)
		skip = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(names[i].gguf, name + skip)) {
			if (layer < 0)
				snprintf(text[index], sizeof text[0], "%s", names[i].hf);
			else
				snprintf(text[index], sizeof text[0], "model.layers.%d.%s", layer, names[i].hf);
			return text[index];
		}
	ck_abort_msg("no name for %s", name);
	return NULL;
}

/* parts 0: the single file; else so many, and an index. */
static void write_model(int parts)
{
	struct plumb_file *gguf;
	struct made_tensor t[MOST];
	static char index[MOST * 160];
	size_t used = 0;
	ck_good(plumb_file_open(&gguf, data_path("tiny-f32.gguf")));
	const int n = (int)plumb_file_tensors(gguf);
	ck_assert_int_le(n, MOST);
	for (int i = 0; i < n; i++) {
		const struct plumb_file_tensor *from = plumb_file_tensor(gguf, i);
		t[i] = (struct made_tensor){ hf_name(from, i), "F32",
			{ from->dim[0], from->rank > 1 ? from->dim[1] : 0 }, from->data, from->bytes };
	}
	folder_begin();
	folder_text("config.json", config);
	if (!parts)
		folder_safetensors("model.safetensors", t, n);
	used += (size_t)sprintf(index, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
	for (int p = 0; p < parts; p++) {
		char name[64];
		const int first = p * n / parts, end = (p + 1) * n / parts;
		snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", p + 1, parts);
		folder_safetensors(name, t + first, end - first);
		for (int i = first; i < end; i++)
			used += (size_t)sprintf(index + used, "%s\"%s\":\"%s\"", i ? "," : "", t[i].name, name);
	}
	strcpy(index + used, "}}");
	if (parts)
		folder_text("model.safetensors.index.json", index);
	plumb_file_close(gguf);
}

static void logits_of(const char *path, float logits[TOKENS * VOCAB])
{
	static const int32_t tokens[TOKENS] = { 5, 9, 77, 0, 255, 316, 41 };
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *session;
	const float *made;
	int64_t rows;
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&model, ctx, path, NULL, NULL));
	ck_good(plumb_session_new(&session, model, NULL));
	ck_good(plumb_session_eval(session, tokens, TOKENS, PLUMB_LOGITS_ALL));
	ck_good(plumb_session_logits(session, &made, &rows));
	memcpy(logits, made, TOKENS * VOCAB * sizeof *logits);
	plumb_session_free(session);
	plumb_model_free(model);
	plumb_close(ctx);
}

static void check_same(const char *path)
{
	static float want[TOKENS * VOCAB], got[TOKENS * VOCAB];
	logits_of(data_path("tiny-f32.gguf"), want);
	logits_of(path, got);
	ck_assert_mem_eq(got, want, sizeof want);
}

/* --- tests --- */

START_TEST(same_bits)
{
	static const char *const ways[] = { "", "config.json" };
	write_model(0);
	check_same(_i ? folder_path(ways[_i]) : made_folder);
	folder_end();
}
END_TEST

START_TEST(same_bits_in_parts)
{
	struct plumb_file *file;
	write_model(3);
	check_same(_i ? folder_path("model.safetensors.index.json") : made_folder);
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_str_eq(plumb_file_format(file), "safetensors folder");
	ck_assert_int_eq(plumb_file_shards(file), 3);
	plumb_file_close(file);
	folder_end();
}
END_TEST

/* As in the cache: each name a link to a file of another name elsewhere. */
START_TEST(same_bits_through_links)
{
	static const char *const files[] = { "config.json", "model.safetensors" };
	char blobs[64], path[128];
	write_model(0);
	strcpy(blobs, made_folder);
	folder_begin();
	for (int i = 0; i < 2; i++) {
		char from[128];
		snprintf(from, sizeof from, "%s/%s", blobs, files[i]);
		snprintf(path, sizeof path, "%s/blob%d", blobs, i);
		ck_assert_int_eq(rename(from, path), 0);
		ck_assert_int_eq(symlink(path, folder_path(files[i])), 0);
	}
	check_same(made_folder);
	folder_end();
	strcpy(made_folder, blobs);
	folder_end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("folder");
	TCase *tests = tcase_create("qwen2");
	tcase_add_loop_test(tests, same_bits, 0, 2);
	tcase_add_loop_test(tests, same_bits_in_parts, 0, 2);
	tcase_add_test(tests, same_bits_through_links);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, folder_config_tests());
	suite_add_tcase(suite, folder_tensor_tests());
	suite_add_tcase(suite, folder_family_tests());
	suite_add_tcase(suite, folder_hostile_tests());
	return run_suite(suite);
}
