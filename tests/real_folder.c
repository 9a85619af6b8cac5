/* SPDX-License-Identifier: Apache-2.0 */
#include "real_folder.h"
#include "core/core.h"
#include "suite.h"

static const struct {
	const char *gguf, *hf;
} names[] = {
	{ "token_embd.weight", "model.embed_tokens.weight" },
	{ "output_norm.weight", "model.norm.weight" },
	{ "output.weight", "lm_head.weight" },
	{ "attn_norm.weight", "input_layernorm.weight" },
	{ "attn_q.weight", "self_attn.q_proj.weight" },
	{ "attn_k.weight", "self_attn.k_proj.weight" },
	{ "attn_v.weight", "self_attn.v_proj.weight" },
	{ "attn_output.weight", "self_attn.o_proj.weight" },
	{ "ffn_norm.weight", "post_attention_layernorm.weight" },
	{ "ffn_gate.weight", "mlp.gate_proj.weight" },
	{ "ffn_up.weight", "mlp.up_proj.weight" },
	{ "ffn_down.weight", "mlp.down_proj.weight" },
};

/* "model.layers.3.self_attn.q_proj.weight"; *pairs: its rows are in another order there. */
static void name_of(const struct plumb_file_tensor *t, char text[128], bool *pairs)
{
	char name[96];
	int layer = -1, skip = 0;
	snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
	if (sscanf(name, "blk.%d.%n", &layer, &skip) < 1)
		skip = 0;
	*pairs = !strcmp(name + skip, "attn_q.weight") || !strcmp(name + skip, "attn_k.weight");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(names[i].gguf, name + skip)) {
			if (layer < 0)
				snprintf(text, 128, "%s", names[i].hf);
			else
				snprintf(text, 128, "model.layers.%d.%s", layer, names[i].hf);
			return;
		}
	ck_abort_msg("no name for %s", name);
}

static FILE *create(const char *folder, const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	ck_assert_msg(f != NULL, "%s", path);
	return f;
}

static void write_config(const struct plumb_config *c, bool bf16, const char *folder)
{
	FILE *f = create(folder, "config.json");
	ck_assert(c->rope_pairs == PLUMB_ROPE_INTERLEAVED && c->tied && !c->biases);
	fprintf(f,
		"{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":%lld,"
		"\"intermediate_size\":%lld,\"num_hidden_layers\":%lld,\"num_attention_heads\":%lld,"
		"\"num_key_value_heads\":%lld,\"rms_norm_eps\":%.9g,\"rope_theta\":%.9g,\"max_position_embeddings\":%lld,"
		"\"vocab_size\":%lld,\"tie_word_embeddings\":true,\"hidden_act\":\"silu\",\"torch_dtype\":\"%s\"}",
		(long long)c->hidden, (long long)c->ffn, (long long)c->layers, (long long)c->heads,
		(long long)c->kv_heads, c->norm_eps, c->kind[0].rope_base, (long long)c->context, (long long)c->vocab,
		bf16 ? "bfloat16" : "float32");
	ck_assert(!fclose(f));
}

static void write_header(FILE *f, const struct plumb_file *file, bool bf16)
{
	const int64_t n = plumb_file_tensors(file);
	char *head = calloc(1, 64 + 256 * (size_t)n), name[128];
	size_t used = 1, at = 0;
	bool pairs;
	ck_assert_ptr_nonnull(head);
	head[0] = '{';
	for (int64_t i = 0; i < n; i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		const size_t bytes = (size_t)(t->dim[0] * (t->rank > 1 ? t->dim[1] : 1)) * (bf16 ? 2 : 4);
		name_of(t, name, &pairs);
		used += (size_t)sprintf(head + used, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%lld", i ? "," : "", name,
			bf16 ? "BF16" : "F32", (long long)t->dim[0]);
		if (t->rank > 1)
			used += (size_t)sprintf(head + used, ",%lld", (long long)t->dim[1]);
		used += (size_t)sprintf(head + used, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
		at += bytes;
	}
	head[used++] = '}';
	while (used % 8)
		head[used++] = ' ';
	const uint64_t length = used;
	ck_assert(fwrite(&length, 8, 1, f) == 1 && fwrite(head, 1, used, f) == used);
	free(head);
}

/* Row j of a head's first half and row j of its second are rows 2j and 2j + 1 in a GGUF file. */
static int64_t source_row(int64_t row, int64_t head_dim)
{
	const int64_t in_head = row % head_dim, half = head_dim / 2;
	return row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
}

static void write_tensor(FILE *f, const struct plumb_file_tensor *t, int64_t head_dim, bool bf16)
{
	const int64_t columns = t->rank > 1 ? t->dim[1] : t->dim[0], rows = t->rank > 1 ? t->dim[0] : 1;
	const size_t row_bytes = t->bytes / (size_t)rows;
	float *v = malloc(sizeof *v * (size_t)columns);
	uint16_t *h = malloc(sizeof *h * (size_t)columns);
	char name[128];
	bool pairs;
	name_of(t, name, &pairs);
	ck_assert(v && h);
	for (int64_t i = 0; i < rows; i++) {
		const int64_t from = pairs ? source_row(i, head_dim) : i;
		ck_good(plumb_type_to_f32(t->type, (const char *)t->data + row_bytes * (size_t)from, v, columns));
		for (int64_t k = 0; bf16 && k < columns; k++)
			h[k] = plumb_f32_to_bf16(v[k]);
		ck_assert(fwrite(bf16 ? (const void *)h : v, bf16 ? 2 : 4, (size_t)columns, f) == (size_t)columns);
	}
	free(v);
	free(h);
}

void real_folder_write(const struct plumb_model *model, bool bf16, const char *folder)
{
	const struct plumb_file *file = plumb_model_file(model);
	const struct plumb_config *c = plumb_model_config(model);
	write_config(c, bf16, folder);
	FILE *f = create(folder, "model.safetensors");
	write_header(f, file, bf16);
	for (int64_t i = 0; i < plumb_file_tensors(file); i++)
		write_tensor(f, plumb_file_tensor(file, i), c->head_dim, bf16);
	ck_assert(!fclose(f));
}
