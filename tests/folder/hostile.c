/* SPDX-License-Identifier: Apache-2.0 */
/* Model folders whose files are missing, cut, too large, of the wrong kind or contradict each other; and the
 * files beside config.json. */
#include "parts.h"

#define CONFIG \
	"{\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":16,\"num_hidden_layers\":4," \
	"\"num_attention_heads\":2,\"vocab_size\":4,\"tie_word_embeddings\":true,\"eos_token_id\":1}"
#define INDEX "model.safetensors.index.json"

static const uint16_t numbers[64] = { 1, 2, 3 };
static const struct made_tensor tensor[] = {
	{ "model.embed_tokens.weight", "BF16", { 4, 8 }, numbers, 64 },
	{ "model.norm.weight", "BF16", { 8, 0 }, numbers, 16 },
	{ "model.layers.0.input_layernorm.weight", "BF16", { 8, 0 }, numbers, 16 },
};

/* The first two tensors in a.safetensors, the third in b.safetensors; no index yet. */
static void write_parts(void)
{
	folder_begin();
	folder_text("config.json", CONFIG);
	folder_safetensors("a.safetensors", tensor, 2);
	folder_safetensors("b.safetensors", tensor + 2, 1);
}

#define MAP(rows) "{\"weight_map\":{" rows "}}"
#define A1 "\"model.embed_tokens.weight\":\"a.safetensors\""
#define A2 "\"model.norm.weight\":\"a.safetensors\""
#define B1 "\"model.layers.0.input_layernorm.weight\":\"b.safetensors\""
#define IN(name, file) "\"model." name ".weight\":\"" file "\""

START_TEST(good_index)
{
	struct plumb_file *file;
	write_parts();
	folder_text(INDEX, MAP(A1 "," A2 "," B1));
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_int_eq(plumb_file_tensors(file), 3);
	ck_assert_int_eq(plumb_file_shards(file), 2);
	ck_assert_ptr_nonnull(plumb_file_find(file, "blk.0.attn_norm.weight"));
	plumb_file_close(file);
	folder_end();
}
END_TEST

static const struct {
	const char *index, *text;
	enum plumb_status status;
} indexes[] = {
	{ "{}", "weight_map is missing", PLUMB_E_FORMAT },
	{ MAP(""), "weight_map is missing, empty or not an object", PLUMB_E_FORMAT },
	{ "{\"weight_map\":[1]}", "weight_map is missing, empty or not an object", PLUMB_E_FORMAT },
	{ "{\"weight_map\":{", "not JSON", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2), "weight_map", PLUMB_OK }, /* b.safetensors is nobody's */
	{ MAP(A1 "," B1), "a.safetensors has a tensor 'model.norm.weight' that the index does not name",
		PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," B1 "," IN("more", "b.safetensors")),
		"b.safetensors lacks the tensor 'model.more.weight'", PLUMB_E_FORMAT },
	{ MAP(A1 "," IN("norm", "b.safetensors") "," B1), "b.safetensors lacks the tensor 'model.norm.weight'",
		PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," B1 "," IN("more", "c.safetensors")), "c.safetensors: cannot open: No such file",
		PLUMB_E_IO },
	{ MAP(A1 "," A1 "," A2 "," B1), "duplicate object key", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," IN("more", "../a.safetensors")),
		"'../a.safetensors' is no name of a file in the folder", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," IN("more", "/etc/passwd")), "'/etc/passwd' is no name of a file", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," IN("more", "..")), "'..' is no name of a file", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," IN("more", "")), "'' is no name of a file", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," IN("more", "a\\u0000b")), "not JSON", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 ",\"model.more.weight\":7"), "the file is not text", PLUMB_E_FORMAT },
	{ MAP(A1 "," A2 "," IN("more", "config.json")), "neither GGUF nor safetensors", PLUMB_E_FORMAT },
};

START_TEST(wrong_index)
{
	struct plumb_file *file;
	write_parts();
	folder_text(INDEX, indexes[_i].index);
	const enum plumb_status s = plumb_file_open(&file, made_folder);
	ck_assert_msg(s == indexes[_i].status, "%s: status %d, expected %d: %s", indexes[_i].index, s,
		indexes[_i].status, plumb_last_error());
	if (s)
		ck_assert_msg(strstr(plumb_last_error(), indexes[_i].text) != NULL, "\"%s\" does not say \"%s\"",
			plumb_last_error(), indexes[_i].text);
	plumb_file_close(file);
	folder_end();
}
END_TEST

/* Two parts may not both have a tensor, whatever name it then gets. */
START_TEST(tensor_in_two_parts)
{
	struct made_tensor again = tensor[1];
	struct plumb_file *file;
	write_parts();
	folder_safetensors("b.safetensors", &again, 1);
	folder_text(INDEX, MAP(A1 "," A2));
	ck_good(plumb_file_open(&file, made_folder)); /* it does not name b.safetensors */
	plumb_file_close(file);
	again.name = "layers.0.input_layernorm.weight";
	const struct made_tensor both[] = { tensor[2], again };
	folder_safetensors("b.safetensors", both, 2);
	folder_text(INDEX, MAP(A1 "," A2 "," B1 ",\"layers.0.input_layernorm.weight\":\"b.safetensors\""));
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT,
		"tensor 'blk.0.attn_norm.weight' is there twice");
	folder_end();
}
END_TEST

START_TEST(cut_part)
{
	struct plumb_file *file;
	struct stat st;
	write_parts();
	folder_text(INDEX, MAP(A1 "," A2 "," B1));
	ck_assert_int_eq(stat(folder_path("b.safetensors"), &st), 0);
	ck_assert_int_eq(truncate(folder_path("b.safetensors"), st.st_size - 1), 0);
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, "b.safetensors: tensor 'model.layers.0");
	ck_assert_ptr_nonnull(strstr(plumb_last_error(), "fetch it again"));
	ck_assert_int_eq(truncate(folder_path("b.safetensors"), 0), 0);
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, "b.safetensors: empty: 0 bytes");
	/* A link of Hugging Face's cache whose blob is not there (yet). */
	ck_assert_int_eq(unlink(folder_path("b.safetensors")), 0);
	ck_assert_int_eq(symlink("../../blobs/0123", folder_path("b.safetensors")), 0);
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_IO, "b.safetensors: cannot open");
	folder_end();
}
END_TEST

START_TEST(other_weights)
{
	struct plumb_file *file;
	char gguf[600];
	folder_begin();
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_IO, "a directory without config.json");
	folder_text("config.json", CONFIG);
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_IO, "neither model.safetensors nor");
	folder_text("pytorch_model.bin", "x");
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_IO, "save them as safetensors");
	ck_bad(plumb_file_open(&file, folder_path("config.json")), PLUMB_E_IO, "neither model.safetensors nor");
	ck_assert_ptr_nonnull(realpath(data_path("tiny-f32.gguf"), gguf));
	ck_assert_int_eq(symlink(gguf, folder_path("model.safetensors")), 0);
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, "GGUF v3, expected safetensors");
	folder_end();
}
END_TEST

/* --- sizes and depth --- */

static void nested(const char *name, const char *before, const char *after)
{
	enum { DEPTH = 100000 };
	char *text = malloc(DEPTH + 512);
	ck_assert_ptr_nonnull(text);
	const size_t n = (size_t)sprintf(text, "%s", before);
	memset(text + n, '[', DEPTH);
	strcpy(text + n + DEPTH, after);
	folder_text(name, text);
	free(text);
}

START_TEST(too_large)
{
	static const char *const files[] = { "config.json", INDEX, "generation_config.json",
		"tokenizer_config.json", "tokenizer.json", "chat_template.jinja" };
	struct plumb_file *file;
	write_parts();
	folder_text(INDEX, MAP(A1 "," A2 "," B1));
	folder_text(files[_i], "{}");
	ck_assert_int_eq(truncate(folder_path(files[_i]), (off_t)1 << 30), 0); /* a hole: takes no disk */
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, "1073741824 bytes, expected at most");
	ck_assert_ptr_nonnull(strstr(plumb_last_error(), files[_i]));
	folder_end();
}
END_TEST

START_TEST(too_deep)
{
	static const char *const files[] = { "config.json", INDEX, "generation_config.json",
		"tokenizer_config.json" };
	struct plumb_file *file;
	write_parts();
	folder_text(INDEX, MAP(A1 "," A2 "," B1));
	nested(files[_i], "{\"a\":", "");
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, "not JSON");
	ck_assert_ptr_nonnull(strstr(plumb_last_error(), files[_i]));
	folder_end();
}
END_TEST

/* --- the files for text --- */

static const struct {
	const char *name, *text, *key, *value; /* key NULL: an error that says value */
} texts[] = {
	{ "tokenizer.json", "{\"model\":1}", "tokenizer.huggingface.json", "{\"model\":1}" },
	{ "generation_config.json", "{\"eos_token_id\":[2,3],\"temperature\":0.7}", "tokenizer.ggml.eos_token_id",
		"2" },
	{ "generation_config.json", "{\"eos_token_id\":[2,3]}", "tokenizer.ggml.eog_token_ids", "[2,3]" },
	{ "generation_config.json", "{\"bos_token_id\":2}", "tokenizer.ggml.eos_token_id", "1" },
	{ "generation_config.json", "{\"bos_token_id\":2}", "tokenizer.ggml.bos_token_id", "2" },
	{ "generation_config.json", "{\"eos_token_id\":[]}", "tokenizer.ggml.eos_token_id", NULL },
	{ "generation_config.json", "{\"eos_token_id\":\"x\"}", NULL, "eos_token_id is no token id" },
	{ "generation_config.json", "{\"eos_token_id\":[0,\"x\"]}", NULL,
		"eos_token_id: value 1 is no token id" },
	{ "generation_config.json", "{\"suppress_tokens\":[3]}", "tokenizer.ggml.suppress_tokens", "[3]" },
	{ "generation_config.json", "{\"suppress_tokens\":[]}", "tokenizer.ggml.suppress_tokens", NULL },
	{ "generation_config.json", "{\"suppress_tokens\":[-1]}", NULL,
		"suppress_tokens: value 0 is no token id" },
	{ "generation_config.json", "[]", NULL, "generation_config.json: not an object" },
	{ "tokenizer_config.json",
		"{\"add_bos_token\":false,\"model_max_length\":1000000000000000019884624838656}",
		"tokenizer.ggml.add_bos_token", "false" },
	{ "tokenizer_config.json", "{\"add_bos_token\":null}", "tokenizer.ggml.add_bos_token", NULL },
	{ "tokenizer_config.json", "{\"add_bos_token\":1}", NULL, "add_bos_token is neither true nor false" },
	{ "tokenizer_config.json", "{\"add_eos_token\":true}", "tokenizer.ggml.add_eos_token", "true" },
	{ "tokenizer_config.json", "{\"chat_template\":\"{{ x }}\"}", "tokenizer.chat_template", "{{ x }}" },
	{ "tokenizer_config.json",
		"{\"chat_template\":[{\"name\":\"tools\",\"template\":\"T\"},{\"name\":\"default\",\"template\":\"D\"}]}",
		"tokenizer.chat_template", "D" },
	{ "tokenizer_config.json", "{\"chat_template\":[{\"name\":\"tools\",\"template\":\"T\"}]}",
		"tokenizer.chat_template", NULL },
	{ "tokenizer_config.json", "{\"chat_template\":[{\"name\":\"tools\"}]}", NULL, "entry 0 has no name" },
	{ "tokenizer_config.json", "{\"chat_template\":[5]}", NULL, "entry 0 has no name" },
	{ "tokenizer_config.json", "{\"chat_template\":5}", NULL, "chat_template is neither text nor a list" },
	{ "chat_template.jinja", "{% j %}\n", "tokenizer.chat_template", "{% j %}" },
	{ "chat_template.jinja", "{% j %}\n\n", "tokenizer.chat_template", "{% j %}\n" },
	{ "chat_template.jinja", "\n", "tokenizer.chat_template", "" },
	{ "special_tokens_map.json", "no JSON", "tokenizer.ggml.eos_token_id", "1" },
};

START_TEST(text_file)
{
	struct plumb_file *file;
	write_parts();
	folder_text(INDEX, MAP(A1 "," A2 "," B1));
	folder_text(texts[_i].name, texts[_i].text);
	if (!texts[_i].key) {
		ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, texts[_i].value);
		folder_end();
		return;
	}
	ck_good(plumb_file_open(&file, made_folder));
	const char *value = folder_value(file, texts[_i].key);
	ck_assert_msg(texts[_i].value ? value && !strcmp(value, texts[_i].value) : !value, "%s: %s is %s",
		texts[_i].text, texts[_i].key, value ? value : "absent");
	plumb_file_close(file);
	folder_end();
}
END_TEST

/* A file of its own holds before the one in tokenizer_config.json. */
START_TEST(two_templates)
{
	struct plumb_file *file;
	write_parts();
	folder_text(INDEX, MAP(A1 "," A2 "," B1));
	folder_text("tokenizer_config.json", "{\"chat_template\":\"old\"}");
	folder_text("chat_template.jinja", "new");
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_str_eq(folder_value(file, "tokenizer.chat_template"), "new");
	plumb_file_close(file);
	folder_end();
}
END_TEST

#define COUNT(list) (int)(sizeof list / sizeof *list)
TCase *folder_hostile_tests(void)
{
	TCase *tests = tcase_create("files");
	tcase_add_test(tests, good_index);
	tcase_add_loop_test(tests, wrong_index, 0, COUNT(indexes));
	tcase_add_test(tests, tensor_in_two_parts);
	tcase_add_test(tests, cut_part);
	tcase_add_test(tests, other_weights);
	tcase_add_loop_test(tests, too_large, 0, 6);
	tcase_add_loop_test(tests, too_deep, 0, 4);
	tcase_add_loop_test(tests, text_file, 0, COUNT(texts));
	tcase_add_test(tests, two_templates);
	return tests;
}
