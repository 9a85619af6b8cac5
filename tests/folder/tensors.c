/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of a model folder: the names they get, and where they and config.json contradict each other. */
#include "parts.h"

static const uint16_t numbers[64] = { 1, 2, 3 };

static const struct {
	const char *type, *from, *to;
} tensors[] = {
	{ "llama", "model.norm.weight", "output_norm.weight" },
	{ "llama", "model.layers.12.input_layernorm.weight", "blk.12.attn_norm.weight" },
	{ "llama", "layers.12.input_layernorm.weight", "blk.12.attn_norm.weight" },
	{ "llama", "model.layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight" },
	{ "gemma3_text", "model.layers.0.post_attention_layernorm.weight", "blk.0.post_attention_norm.weight" },
	{ "olmo2", "model.layers.0.post_attention_layernorm.weight", "blk.0.post_attention_norm.weight" },
	{ "olmo2", "model.layers.0.post_feedforward_layernorm.weight", "blk.0.post_ffw_norm.weight" },
	{ "gemma3_text", "model.language_model.layers.1.pre_feedforward_layernorm.weight",
		"blk.1.ffn_norm.weight" },
	{ "gemma3_text", "language_model.model.layers.1.self_attn.q_norm.weight", "blk.1.attn_q_norm.weight" },
	{ "phi3", "model.layers.1.self_attn.qkv_proj.weight", "blk.1.attn_qkv.weight" },
	{ "phi3", "model.layers.1.mlp.gate_up_proj.weight", "blk.1.ffn_up.weight" },
	/* Names that stay. */
	{ "llama", "model.layers.01.input_layernorm.weight", "model.layers.01.input_layernorm.weight" },
	{ "llama", "model.layers..input_layernorm.weight", "model.layers..input_layernorm.weight" },
	{ "llama", "model.layers.99999999999999999999.input_layernorm.weight",
		"model.layers.99999999999999999999.input_layernorm.weight" },
	{ "llama", "model.layers.0.mlp.experts.gate_up_proj", "model.layers.0.mlp.experts.gate_up_proj" },
	{ "llama", "lm_head.weight_scale", "lm_head.weight_scale" },
	{ "llama", "score.weight", "score.weight" },
	{ "bert", "model.norm.weight", "model.norm.weight" },
};

START_TEST(each_name)
{
	char config[512];
	struct plumb_file *file;
	const struct made_tensor more = { tensors[_i].from, "F32", { 8, 0 }, numbers, 32 };
	snprintf(config, sizeof config, "{\"model_type\":\"%s\"," SIZES "}", tensors[_i].type);
	folder_write(config, &more);
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_msg(
		plumb_file_find(file, tensors[_i].to) != NULL, "%s is not %s", tensors[_i].from, tensors[_i].to);
	ck_assert_int_eq(plumb_file_tensors(file), 2);
	plumb_file_close(file);
	folder_end();
}
END_TEST

/* Biases that the class would leave out, and those that it has without a key. */
START_TEST(biases)
{
	static const struct {
		const char *config, *name, *text;
	} cases[] = {
		{ OF("llama", ""), "model.layers.0.self_attn.q_proj.bias",
			"attention_bias is absent, which means false, and the files have such biases" },
		{ OF("llama", ",\"attention_bias\":false"), "model.layers.0.self_attn.q_proj.bias",
			"attention_bias is false" },
		{ OF("llama", ",\"attention_bias\":true"), "model.layers.0.self_attn.q_proj.bias", NULL },
		{ OF("phi3", ""), "model.layers.0.mlp.down_proj.bias", "mlp_bias is absent" },
		{ OF("qwen2", ""), "model.layers.0.self_attn.q_proj.bias", NULL },
		{ OF("qwen2", ""), "lm_head.bias", "lm_head_bias is absent" },
	};
	const struct made_tensor more = { cases[_i].name, "F32", { 8, 0 }, numbers, 32 };
	struct plumb_file *file;
	folder_write(cases[_i].config, &more);
	if (cases[_i].text)
		ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, cases[_i].text);
	else
		ck_good(plumb_file_open(&file, made_folder));
	plumb_file_close(file);
	folder_end();
}
END_TEST

/* A Gemma 3 that reads pictures runs without what it reads them with. */
START_TEST(pictures_left_out)
{
	static const char *const names[] = { "vision_tower.vision_model.post_layernorm.bias",
		"model.multi_modal_projector.mm_input_projection_weight" };
	const struct made_tensor more = { names[_i], "F32", { 8, 0 }, numbers, 32 };
	struct plumb_file *file;
	struct plumb_context *ctx;
	struct plumb_model *model;
	folder_write("{\"model_type\":\"gemma3\",\"boi_token_index\":255999,\"text_config\":{" SIZES
				 ",\"model_type\":\"gemma3_text\"},\"vision_config\":{\"hidden_size\":9}}",
		&more);
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_ptr_nonnull(plumb_file_find(file, names[_i]));
	ck_good(plumb_model_check(file));
	ck_assert_ptr_null(plumb_file_meta_find(file, "config.json.vision_config"));
	plumb_file_close(file);
	/* Its weights alone are no model, and the error says what is. */
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_bad(plumb_model_load(&model, ctx, folder_path("model.safetensors"), NULL, NULL), PLUMB_E_FORMAT,
		"give the folder that it is in");
	plumb_close(ctx);
	folder_end();
}
END_TEST

/* --- tied --- */

START_TEST(tied_output)
{
	static const uint16_t others[32] = { 1, 2, 4 };
	struct made_tensor more = { "lm_head.weight", "BF16", { 4, 8 }, numbers, 64 };
	struct plumb_file *file;
	folder_write(OF("llama", ""), &more); /* the embedding again */
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_ptr_null(plumb_file_find(file, "output.weight"));
	ck_assert_int_eq(plumb_file_tensors(file), 1);
	ck_assert_ptr_eq(plumb_file_find(file, "token_embd.weight"), plumb_file_tensor(file, 0));
	plumb_file_close(file);
	folder_end();
	more.data = others;
	folder_write(OF("llama", ""), &more);
	ck_bad(plumb_file_open(&file, made_folder), PLUMB_E_FORMAT, "lm_head.weight is another matrix");
	folder_end();
	folder_write(
		"{\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":16,\"num_hidden_layers\":4,"
		"\"num_attention_heads\":2,\"vocab_size\":4}",
		&more);
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_ptr_nonnull(plumb_file_find(file, "output.weight"));
	plumb_file_close(file);
	folder_end();
}
END_TEST

TCase *folder_tensor_tests(void)
{
	TCase *tests = tcase_create("tensors");
	tcase_add_loop_test(tests, each_name, 0, (int)(sizeof tensors / sizeof *tensors));
	tcase_add_loop_test(tests, biases, 0, 6);
	tcase_add_loop_test(tests, pictures_left_out, 0, 2);
	tcase_add_test(tests, tied_output);
	return tests;
}
