/* SPDX-License-Identifier: Apache-2.0 */
/* What each key of config.json becomes, in both of Transformers' styles; what a config.json may leave out;
 * what becomes of what no table knows; and a config.json that is wrong or contradicts the tensors. */
#include <plumb/model.h>
#include "parts.h"

/* Nothing but its type. */
#define BARE(type) "{\"model_type\":\"" type "\"}"

/* Values as text; NULL: no such key. */
static const struct {
	const char *config, *key, *value;
} rows[] = {
	/* Families, their defaults, and sizes. */
	{ OF("qwen2", ""), "general.architecture", "qwen2" },
	{ OF("qwen3", ""), "general.architecture", "qwen3" },
	{ OF("llama", ""), "general.architecture", "llama" },
	{ OF("mistral", ""), "general.architecture", "llama" },
	{ OF("smollm3", ""), "general.architecture", "smollm3" },
	{ OF("granite", ""), "general.architecture", "granite" },
	{ OF("gemma3_text", ""), "general.architecture", "gemma3" },
	{ OF("phi3", ""), "general.architecture", "phi3" },
	{ OF("olmo2", ""), "general.architecture", "olmo2" },
	{ OF("qwen2", ",\"architectures\":[\"Qwen2ForCausalLM\"]"), "general.architecture", "qwen2" },
	{ OF("qwen2", ",\"architectures\":[\"Qwen2ForSequenceClassification\"]"), "general.architecture",
		"Qwen2ForSequenceClassification" },
	{ OF("falcon_h1", ""), "general.architecture", "falcon_h1" },
	{ "{\"model_type\":\"gemma3\",\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":{" SIZES
	  ",\"model_type\":\"gemma3_text\"},\"vision_config\":{\"hidden_size\":9}}",
		"gemma3.embedding_length", "8" },
	{ OF("llama", ""), "llama.block_count", "4" },
	{ OF("llama", ""), "llama.embedding_length", "8" },
	{ OF("llama", ""), "llama.feed_forward_length", "16" },
	{ OF("llama", ""), "llama.attention.head_count", "2" },
	{ OF("llama", ""), "llama.attention.head_count_kv", "2" },
	{ OF("llama", ",\"num_key_value_heads\":1"), "llama.attention.head_count_kv", "1" },
	{ OF("mistral", ""), "llama.attention.head_count_kv", "8" },
	{ OF("mistral", ",\"num_key_value_heads\":null"), "llama.attention.head_count_kv", "2" },
	{ OF("smollm3", ""), "smollm3.attention.head_count_kv", "4" },
	{ OF("llama", ""), "llama.attention.key_length", "4" },
	{ OF("llama", ",\"head_dim\":6"), "llama.attention.key_length", "6" },
	{ OF("llama", ",\"head_dim\":6"), "llama.attention.value_length", "6" },
	{ OF("llama", ",\"head_dim\":null"), "llama.attention.key_length", "4" },
	{ OF("qwen3", ""), "qwen3.attention.key_length", "128" },
	{ OF("gemma3_text", ""), "gemma3.attention.key_length", "256" },
	{ OF("gemma3_text", ""), "gemma3.attention.head_count_kv", "4" },
	{ BARE("gemma3_text"), "gemma3.block_count", "26" },
	{ BARE("gemma3_text"), "gemma3.embedding_length", "2304" },
	{ BARE("gemma3_text"), "gemma3.feed_forward_length", "9216" },
	{ BARE("gemma3_text"), "gemma3.attention.head_count", "8" },
	{ OF("llama", ""), "llama.context_length", "2048" },
	{ OF("llama", ",\"max_position_embeddings\":77"), "llama.context_length", "77" },
	{ OF("llama", ""), "llama.vocab_size", "4" },
	{ OF("llama", ""), "llama.attention.layer_norm_rms_epsilon", "1e-06" },
	{ OF("olmo2", ""), "olmo2.attention.layer_norm_rms_epsilon", "1e-05" },
	{ OF("phi3", ""), "phi3.attention.layer_norm_rms_epsilon", "1e-05" },
	{ OF("phi3", ",\"rms_norm_eps\":0.001"), "phi3.attention.layer_norm_rms_epsilon", "0.001" },
	{ OF("llama", ""), "llama.hidden_activation", "silu" },
	{ OF("llama", ",\"hidden_act\":\"gelu\""), "llama.hidden_activation", "gelu" },
	{ OF("gemma3_text", ",\"hidden_act\":\"gelu\""), "gemma3.hidden_activation", "gelu_pytorch_tanh" },
	{ OF("gemma3_text", ",\"hidden_activation\":\"relu\""), "gemma3.hidden_activation", "relu" },
	{ OF("llama", ""), "plumb.rope.pairs", "half" },
	{ OF("llama", ""), "plumb.norm.offset", NULL },
	{ OF("gemma3_text", ""), "plumb.norm.offset", "1" },
	/* Scalars. */
	{ OF("llama", ""), "llama.attention.scale", NULL },
	{ OF("gemma3_text", ",\"query_pre_attn_scalar\":16"), "gemma3.attention.scale", "0.25" },
	{ OF("gemma3_text", ""), "gemma3.attention.scale", "0.0625" },
	{ OF("granite", ",\"attention_multiplier\":0.5"), "granite.attention.scale", "0.5" },
	{ OF("granite", ""), "granite.attention.scale", "1" },
	{ OF("granite", ",\"embedding_multiplier\":12"), "granite.embedding_scale", "12" },
	{ OF("granite", ",\"residual_multiplier\":0.22"), "granite.residual_scale", "0.22" },
	{ OF("granite", ",\"logits_scaling\":8.0"), "granite.logit_scale", "8" },
	{ OF("llama", ",\"logits_scaling\":8.0"), "config.json.logits_scaling", "8" },
	{ OF("gemma3_text", ",\"final_logit_softcapping\":30.0"), "gemma3.final_logit_softcapping", "30" },
	{ OF("gemma3_text", ",\"final_logit_softcapping\":null"), "gemma3.final_logit_softcapping", NULL },
	{ OF("gemma3_text", ",\"attn_logit_softcapping\":50"), "gemma3.attn_logit_softcapping", "50" },
	/* RoPE. */
	{ OF("llama", ""), "llama.rope.freq_base", "10000" },
	{ OF("smollm3", ""), "smollm3.rope.freq_base", "2000000" },
	{ OF("llama", ",\"rope_theta\":500000"), "llama.rope.freq_base", "500000" },
	{ OF("llama", ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500000.0}"),
		"llama.rope.freq_base", "500000" },
	{ OF("llama", ",\"rope_parameters\":{\"rope_type\":\"default\"}"), "llama.rope.scaling.type", NULL },
	{ OF("llama", ",\"rope_scaling\":null"), "llama.rope.scaling.type", NULL },
	{ OF("llama", ""), "llama.rope.dimension_count", "4" },
	{ OF("phi3", ",\"partial_rotary_factor\":0.5"), "phi3.rope.dimension_count", "2" },
	{ OF("phi3", ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}"), "phi3.rope.dimension_count", "2" },
	{ OF("llama", ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"), "llama.rope.scaling.type",
		"linear" },
	{ OF("llama", ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"), "llama.rope.scaling.factor", "2" },
	{ OF("llama", ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}"), "llama.rope.scaling.type",
		"dynamic" },
#define LLAMA3 \
	"\"factor\":32,\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":8192," \
	"\"rope_type\":\"llama3\"}"
	{ OF("llama", ",\"rope_scaling\":{" LLAMA3), "llama.rope.scaling.type", "llama3" },
	{ OF("llama", ",\"rope_scaling\":{" LLAMA3), "llama.rope.scaling.factor", "32" },
	{ OF("llama", ",\"rope_scaling\":{" LLAMA3), "llama.rope.scaling.low_freq_factor", "1" },
	{ OF("llama", ",\"rope_parameters\":{" LLAMA3), "llama.rope.scaling.high_freq_factor", "4" },
	{ OF("llama", ",\"rope_parameters\":{" LLAMA3), "llama.rope.scaling.original_context_length", "8192" },
#define YARN "\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":512}"
	{ OF("qwen2", ",\"rope_scaling\":{" YARN), "qwen2.rope.scaling.type", "yarn" },
	{ OF("qwen2", ",\"rope_scaling\":{" YARN), "qwen2.rope.scaling.factor", "4" },
	{ OF("qwen2", ",\"rope_scaling\":{" YARN), "qwen2.rope.scaling.original_context_length", "512" },
	{ OF("qwen2", ",\"rope_scaling\":{" YARN), "qwen2.rope.scaling.yarn_beta_fast", "32" },
	{ OF("qwen2", ",\"rope_scaling\":{\"beta_slow\":2," YARN), "qwen2.rope.scaling.yarn_beta_slow", "2" },
	{ OF("qwen2", ",\"rope_scaling\":{" YARN), "qwen2.rope.scaling.attn_factor", NULL },
	{ OF("qwen2", ",\"rope_scaling\":{\"attention_factor\":2.2772588722," YARN),
		"qwen2.rope.scaling.attn_factor", "2" }, /* by 0.1 ln 4 + 1 */
	{ OF("qwen2", ",\"max_position_embeddings\":512,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0}"),
		"qwen2.rope.scaling.original_context_length", "512" },
	{ OF("qwen2", ",\"rope_scaling\":{\"truncate\":false," YARN), "config.json.rope_scaling.truncate",
		"false" },
#define LONG "\"short_factor\":[1.0,1.5],\"long_factor\":[2,3]}"
	{ OF("phi3", ",\"rope_scaling\":{\"type\":\"longrope\"," LONG), "phi3.rope.scaling.short_factors",
		"[1,1.5]" },
	{ OF("phi3", ",\"rope_scaling\":{\"type\":\"su\"," LONG), "phi3.rope.scaling.long_factors", "[2,3]" },
	{ OF("phi3", ",\"rope_scaling\":{\"type\":\"yarn\"," LONG), "phi3.rope.scaling.type", "longrope" },
	{ OF("phi3", ",\"rope_scaling\":{\"type\":\"longrope\"," LONG),
		"phi3.rope.scaling.original_context_length", "4096" },
	{ OF("phi3",
		  ",\"max_position_embeddings\":65536,\"original_max_position_embeddings\":256,\"rope_scaling\":"
		  "{\"type\":\"longrope\"," LONG),
		"phi3.rope.scaling.attn_factor", "1.41421356" }, /* sqrt(1 + ln 256 / ln 256) */
	{ OF("phi3", ",\"rope_scaling\":{\"type\":\"longrope\",\"attention_factor\":1.5," LONG),
		"phi3.rope.scaling.attn_factor", "1.5" },
	{ OF("gemma3_text", ""), "gemma3.rope.freq_base", "1000000" },
	{ OF("gemma3_text", ""), "gemma3.rope.freq_base_swa", "10000" },
	{ OF("gemma3_text", ",\"rope_local_base_freq\":20000.0"), "gemma3.rope.freq_base_swa", "20000" },
	{ OF("gemma3_text", ",\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"}"),
		"gemma3.rope.scaling.factor", "8" },
#define BY_KIND \
	",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8,\"rope_theta\":3e6}," \
	"\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":300}}"
	{ OF("gemma3_text", BY_KIND), "gemma3.rope.freq_base", "3000000" },
	{ OF("gemma3_text", BY_KIND), "gemma3.rope.freq_base_swa", "300" },
	{ OF("gemma3_text", BY_KIND), "gemma3.rope.scaling.factor", "8" },
	/* Layers. */
	{ OF("qwen2", ",\"sliding_window\":16"), "qwen2.attention.sliding_window", NULL },
	{ OF("qwen2", ",\"sliding_window\":16,\"use_sliding_window\":true"), "qwen2.attention.sliding_window",
		NULL }, /* max_window_layers is 28 */
	{ OF("qwen2", ",\"sliding_window\":16,\"use_sliding_window\":true,\"max_window_layers\":2"),
		"qwen2.attention.sliding_window", "16" },
	{ OF("qwen3", ",\"sliding_window\":16,\"use_sliding_window\":true,\"max_window_layers\":3"),
		"qwen3.attention.sliding_window_pattern", "[false,false,false,true]" },
#define TYPES \
	",\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\",\"sliding_attention\"]"
	{ OF("qwen2", ",\"sliding_window\":16,\"use_sliding_window\":true" TYPES),
		"qwen2.attention.sliding_window_pattern", "[true,false,false,true]" },
	{ OF("mistral", ""), "llama.attention.sliding_window", "4096" },
	{ OF("mistral", ",\"sliding_window\":null"), "llama.attention.sliding_window", NULL },
	{ OF("mistral", ",\"sliding_window\":9"), "llama.attention.sliding_window_pattern",
		"[true,true,true,true]" },
	{ OF("mistral", ",\"max_position_embeddings\":4096"), "llama.attention.sliding_window", NULL },
	{ OF("llama", ",\"sliding_window\":9"), "config.json.sliding_window", "9" },
	{ OF("llama", ",\"sliding_window\":9"), "llama.attention.sliding_window", NULL },
	{ OF("phi3", ",\"sliding_window\":2047"), "phi3.attention.sliding_window", "2047" },
	{ OF("phi3", ""), "phi3.attention.sliding_window", NULL },
	{ OF("gemma3_text", ",\"sliding_window\":512"), "gemma3.attention.sliding_window", "512" },
	{ OF("gemma3_text", ",\"sliding_window\":512"), "gemma3.attention.sliding_window_pattern",
		"[true,true,true,true]" },
	{ OF("gemma3_text", ",\"sliding_window_pattern\":2"), "gemma3.attention.sliding_window_pattern",
		"[true,false,true,false]" },
	{ OF("gemma3_text", ",\"_sliding_window_pattern\":2"), "gemma3.attention.sliding_window_pattern",
		"[true,false,true,false]" },
	{ OF("gemma3_text", TYPES), "gemma3.attention.sliding_window_pattern", "[true,false,false,true]" },
	{ OF("smollm3", ""), "smollm3.plumb.rope_layers", "[true,true,true,false]" },
	{ OF("smollm3", ",\"no_rope_layer_interval\":2"), "smollm3.plumb.rope_layers",
		"[true,false,true,false]" },
	{ OF("smollm3", ",\"no_rope_layers\":[1,0,0,1]"), "smollm3.plumb.rope_layers",
		"[true,false,false,true]" },
	{ OF("smollm3", ",\"sliding_window\":9,\"use_sliding_window\":true"),
		"smollm3.attention.sliding_window_pattern", "[false,false,false,true]" },
	{ OF("llama", ""), "llama.plumb.rope_layers", NULL },
	/* What no row names. */
	{ OF("llama", ",\"head_gain\":1.5"), "config.json.head_gain", "1.5" },
	{ OF("llama", ",\"head_gain\":3"), "config.json.head_gain", "3" },
	{ OF("llama", ",\"head_gain\":true"), "config.json.head_gain", "true" },
	{ OF("llama", ",\"head_gain\":null"), "config.json.head_gain", NULL },
	{ OF("llama", ",\"head_gain\":\"big\""), "config.json.head_gain", "big" },
	{ OF("llama", ",\"head_gain\":[1,{\"a\":2}]"), "config.json.head_gain", "[1,{\"a\":2}]" },
	{ OF("llama", ",\"quantization_config\":{\"bits\":4}"), "config.json.quantization_config",
		"{\"bits\":4}" },
	{ OF("llama", ",\"is_causal\":true"), "config.json.is_causal", NULL },
	{ OF("llama", ",\"quantization_config\":{}"), "config.json.quantization_config", NULL },
	{ OF("llama", ",\"pretraining_tp\":4,\"torch_dtype\":\"float16\",\"attention_dropout\":0.1"),
		"config.json.pretraining_tp", NULL },
	/* Tokens; a name that no file has. */
	{ OF("llama", ",\"eos_token_id\":3"), "tokenizer.ggml.eos_token_id", "3" },
	{ OF("llama", ",\"eos_token_id\":[3,1]"), "tokenizer.ggml.eos_token_id", "3" },
	{ OF("llama", ",\"eos_token_id\":[3,1]"), "tokenizer.ggml.eog_token_ids", "[3,1]" },
	{ OF("llama", ",\"eos_token_id\":3"), "tokenizer.ggml.eog_token_ids", NULL },
	{ OF("llama", ",\"bos_token_id\":2"), "tokenizer.ggml.bos_token_id", "2" },
	{ OF("llama", ",\"bos_token_id\":null"), "tokenizer.ggml.bos_token_id", NULL },
	{ OF("llama", ",\"pad_token_id\":-1"), "tokenizer.ggml.padding_token_id", NULL },
};

static void value_text(const struct plumb_meta *m, uint64_t i, char *text, size_t size)
{
	const enum plumb_meta_kind kind = m->kind == PLUMB_META_ARRAY ? m->of : m->kind;
	const int64_t whole = m->kind == PLUMB_META_ARRAY ? plumb_meta_int_at(m, i) : m->i;
	switch (kind) {
	case PLUMB_META_BOOL: snprintf(text, size, "%s", whole ? "true" : "false"); break;
	case PLUMB_META_INT: snprintf(text, size, "%lld", (long long)whole); break;
	case PLUMB_META_FLOAT:
		snprintf(text, size, "%.9g", m->kind == PLUMB_META_ARRAY ? plumb_meta_float_at(m, i) : m->f);
		break;
	default: snprintf(text, size, "%.*s", (int)m->s.n, m->s.p);
	}
}

const char *folder_value(const struct plumb_file *file, const char *key)
{
	static char text[4096];
	const struct plumb_meta *m = plumb_file_meta_find(file, key);
	size_t n = 1;
	if (!m)
		return NULL;
	if (m->kind != PLUMB_META_ARRAY) {
		value_text(m, 0, text, sizeof text);
		return text;
	}
	strcpy(text, "[");
	for (uint64_t i = 0; i < m->n; i++) {
		value_text(m, i, text + n, sizeof text - n);
		strcat(text, i + 1 < m->n ? "," : "]");
		n = strlen(text);
	}
	return text;
}

/* One tensor, the embedding, {4, 8}; and what else is given. */
static const uint16_t numbers[64] = { 1, 2, 3 };
static const struct made_tensor embedding = { "model.embed_tokens.weight", "BF16", { 4, 8 }, numbers, 64 };

void folder_write(const char *config, const struct made_tensor *more)
{
	struct made_tensor t[2] = { embedding };
	if (more)
		t[1] = *more;
	folder_begin();
	folder_text("config.json", config);
	folder_safetensors("model.safetensors", t, more ? 2 : 1);
}

START_TEST(each_key)
{
	struct plumb_file *file;
	folder_write(rows[_i].config, NULL);
	ck_good(plumb_file_open(&file, made_folder));
	const char *value = folder_value(file, rows[_i].key);
	if (rows[_i].value)
		ck_assert_msg(value && strcmp(value, rows[_i].value) == 0, "%s: %s is %s, expected %s",
			rows[_i].config, rows[_i].key, value ? value : "absent", rows[_i].value);
	else
		ck_assert_msg(!value, "%s: %s is %s, expected none", rows[_i].config, rows[_i].key, value);
	plumb_file_close(file);
	folder_end();
}
END_TEST

/* --- wrong --- */

static const struct {
	const char *config, *text;
} wrong[] = {
	{ "{" SIZES "}", "config.json: model_type is missing" },
	{ "{\"model_type\":7," SIZES "}", "model_type is not text" },
	{ BARE("llama"), "num_hidden_layers is missing" },
	{ "[1]", "config.json: not an object" },
	{ "{\"model_type\":\"llama\"", "config.json: not JSON" },
	{ "{\"model_type\":\"llama\",\"model_type\":\"qwen2\"," SIZES "}", "duplicate object key" },
	{ OF("llama", ",\"num_key_value_heads\":0"), "num_key_value_heads is 0, expected 1 to" },
	{ OF("llama", ",\"num_key_value_heads\":-1"), "num_key_value_heads is -1, expected 1 to" },
	{ OF("llama", ",\"num_key_value_heads\":1.0"), "num_key_value_heads is not a whole number" },
	{ OF("llama", ",\"num_key_value_heads\":\"1\""), "num_key_value_heads is not a whole number" },
	{ OF("llama", ",\"num_key_value_heads\":[1]"), "num_key_value_heads is not a whole number" },
	{ OF("llama", ",\"head_dim\":3"), "3 elements of a head of 3 are rotated" },
	{ OF("llama", ",\"partial_rotary_factor\":0.1"), "0 elements of a head of 4 are rotated" },
	{ OF("llama", ",\"rms_norm_eps\":-1e-6"), "rms_norm_eps is -1e-06, expected 0 to 1" },
	{ OF("llama", ",\"rope_theta\":0"), "rope_theta is 0" },
	{ OF("llama", ",\"rope_theta\":1e999"), "config.json: not JSON" },
	{ OF("llama", ",\"rope_theta\":1,\"rope_parameters\":{\"rope_theta\":2}"), "rope_theta is there twice" },
	{ OF("llama", ",\"rope_scaling\":7"), "rope_scaling is not an object" },
	{ OF("llama", ",\"rope_scaling\":{\"type\":\"linear\"}"), "factor is missing" },
	{ OF("llama", ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":-2}"), "factor is -2" },
	{ OF("llama", ",\"rope_scaling\":{\"type\":\"linear\",\"rope_type\":\"yarn\",\"factor\":2}"),
		"rope_type and type of RoPE's scaling differ" },
	{ OF("llama",
		  ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
		  "\"rope_parameters\":{\"type\":\"linear\",\"factor\":3}"),
		"factor differs in rope_parameters and rope_scaling" },
	{ OF("llama", ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2}"), "low_freq_factor is missing" },
	{ OF("llama",
		  ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2,\"low_freq_factor\":4,\"high_freq_factor\":4}"),
		"low_freq_factor is not below" },
	{ OF("phi3", ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[1,1]}"),
		"short_factor must be a list of 2 numbers" },
	{ OF("phi3", ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,0],\"long_factor\":[1,1]}"),
		"short_factor: value 1 is no positive number" },
	{ OF("llama", BY_KIND), "rope_parameters by kind of layer" },
	{ OF("qwen2", ",\"layer_types\":[\"full_attention\"]"),
		"layer_types has 1 values, num_hidden_layers is 4" },
	{ OF("qwen2", TYPES), "there is no sliding_window in use" },
	{ OF("qwen2",
		  ",\"layer_types\":[\"full_attention\",\"full_attention\",\"linear_attention\",\"full_attention\"]"),
		"layer_types: layer 2 is \"linear_attention\"" },
	{ OF("smollm3", ",\"no_rope_layers\":[1,1,1,2]"), "no_rope_layers: value 3 is neither 0 nor 1" },
	{ OF("smollm3", ",\"no_rope_layers\":[1,1,1]"), "no_rope_layers has 3 values" },
	{ OF("mistral", ",\"sliding_window\":-5"), "sliding_window is -5" },
	{ OF("llama", ",\"eos_token_id\":\"</s>\""), "eos_token_id is no token id" },
	{ OF("llama", ",\"eos_token_id\":[1,-4]"), "eos_token_id: value 1 is no token id" },
	{ OF("llama", ",\"hidden_act\":false"), "hidden_act is not text" },
	/* Against the tensors. */
	{ OF("llama", ",\"attention_bias\":true"), "attention_bias is true, and the files have none" },
	{ OF("llama", ",\"lm_head_bias\":true"), "lm_head_bias is true, and the files have none" },
	{ OF("llama", ",\"mlp_bias\":true"), "mlp_bias is true, and the files have none" },
	{ "{\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":16,\"num_hidden_layers\":4,"
	  "\"num_attention_heads\":2,\"vocab_size\":5,\"tie_word_embeddings\":true}",
		"vocab_size is 5, embed_tokens.weight has 4 rows" },
	{ "{\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":16,\"num_hidden_layers\":4,"
	  "\"num_attention_heads\":2}",
		"tie_word_embeddings is false, and there is no tensor lm_head.weight" },
};

START_TEST(wrong_config)
{
	struct plumb_file *file;
	char place[80];
	folder_write(wrong[_i].config, NULL);
	const enum plumb_status s = plumb_file_open(&file, made_folder);
	ck_assert_msg(s == PLUMB_E_FORMAT || s == PLUMB_E_UNSUPPORTED, "%s: status %d", wrong[_i].config, s);
	ck_assert_ptr_null(file);
	ck_assert_msg(strstr(plumb_last_error(), wrong[_i].text) != NULL, "%s: \"%s\" does not say \"%s\"",
		wrong[_i].config, plumb_last_error(), wrong[_i].text);
	snprintf(place, sizeof place, "%s", made_folder);
	ck_assert_ptr_nonnull(strstr(plumb_last_error(), place));
	folder_end();
}
END_TEST

/* Not computed, and refused by name where a model is made of the file. */
static const char *const refused[][2] = {
	{ ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}", "config.json.quantization_config" },
	{ ",\"quantization\":{\"group_size\":64}", "config.json.quantization" },
	{ ",\"use_bidirectional_attention\":true", "config.json.use_bidirectional_attention" },
	{ ",\"is_encoder_decoder\":true", "config.json.is_encoder_decoder" },
	{ ",\"add_cross_attention\":true", "config.json.add_cross_attention" },
	{ ",\"cross_attention_hidden_size\":8", "config.json.cross_attention_hidden_size" },
	{ ",\"clip_qkv\":8.0", "config.json.clip_qkv" },
	{ ",\"is_causal\":false", "config.json.is_causal" },
	{ ",\"use_mrope\":true", "config.json.use_mrope" },
	{ ",\"pruned_heads\":{\"1\":[0]}", "config.json.pruned_heads" },
	{ ",\"rope_scaling\":{\"truncate\":false," YARN,
		"qwen2.rope.scaling.type|config.json.rope_scaling.truncate" },
	{ ",\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2}", "qwen2.rope.scaling.type" },
	{ ",\"hidden_act\":\"relu2\"", "qwen2.hidden_activation" },
};

START_TEST(refused_config)
{
	char config[512], names[128];
	struct plumb_file *file;
	snprintf(config, sizeof config, "{\"model_type\":\"qwen2\"," SIZES "%s}", refused[_i][0]);
	folder_write(config, NULL);
	ck_good(plumb_file_open(&file, made_folder));
	ck_assert_int_eq(plumb_model_check(file), PLUMB_E_UNSUPPORTED);
	snprintf(names, sizeof names, "%s", refused[_i][1]);
	bool named = false;
	for (char *name = strtok(names, "|"); name; name = strtok(NULL, "|"))
		named |= strstr(plumb_last_error(), name) != NULL;
	ck_assert_msg(named, "\"%s\" does not name %s", plumb_last_error(), refused[_i][1]);
	plumb_file_close(file);
	folder_end();
}
END_TEST

#define COUNT(list) (int)(sizeof list / sizeof *list)
TCase *folder_config_tests(void)
{
	TCase *tests = tcase_create("config.json");
	tcase_add_loop_test(tests, each_key, 0, COUNT(rows));
	tcase_add_loop_test(tests, wrong_config, 0, COUNT(wrong));
	tcase_add_loop_test(tests, refused_config, 0, COUNT(refused));
	return tests;
}
