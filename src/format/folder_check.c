/* SPDX-License-Identifier: Apache-2.0 */
/* What config.json says of the tensors, compared with what is there: where the two contradict each other,
 * neither is believed. */
#include "format/folder.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum plumb_status folder_check_rows(const struct plumb_folder *f)
{
	const struct plumb_file_tensor *t = plumb_file_find(f->file, "token_embd.weight");
	int64_t rows;
	PLUMB_TRY(plumb_folder_whole(f->config, "vocab_size", 1, INT32_MAX, 0, &rows));
	if (!t || rows == 0 || t->dim[0] == rows)
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_FORMAT, "vocab_size is %" PRId64 ", embed_tokens.weight has %" PRId64 " rows",
		rows, t->dim[0]);
}

/* A key that tells whether there are biases, asked of one tensor or the other; of layers, of the first: the
 * others must be as that one. Absent it is false, and Transformers then leaves biases out that files have. */
static enum plumb_status folder_check_bias(
	const struct plumb_folder *f, const char *key, const char *const names[2])
{
	bool said;
	PLUMB_TRY(plumb_folder_flag(f->config, key, false, &said));
	const bool has = plumb_file_find(f->file, names[0]) || plumb_file_find(f->file, names[1]);
	const bool absent = !plumb_folder_value(f->config, key);
	if (said == has)
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_FORMAT, "%s is %s, and the files have %s", key,
		absent     ? "absent, which means false"
			: said ? "true"
				   : "false",
		has ? "such biases" : "none");
}

/* A tied model whose files hold the output matrix all the same: it must be the embedding, and is left out. */
static enum plumb_status folder_check_tied(struct plumb_folder *f)
{
	struct plumb_file *file = f->file;
	const struct plumb_file_tensor *in = plumb_file_find(file, "token_embd.weight"),
								   *out = plumb_file_find(file, "output.weight");
	bool tied, inner;
	PLUMB_TRY(plumb_folder_flag(f->whole, "tie_word_embeddings", f->family->tied, &inner));
	PLUMB_TRY(plumb_folder_flag(f->config, "tie_word_embeddings", inner, &tied));
	if (!tied && !out)
		return plumb_fail(
			PLUMB_E_FORMAT, "tie_word_embeddings is false, and there is no tensor lm_head.weight");
	if (!tied || !out || !in)
		return PLUMB_OK;
	if (in->type != out->type || in->bytes != out->bytes || memcmp(in->data, out->data, in->bytes) != 0)
		return plumb_fail(PLUMB_E_FORMAT,
			"tie_word_embeddings is true, and lm_head.weight is another matrix than embed_tokens.weight");
	plumb_file_release(file, in->data, in->bytes);
	plumb_file_release(file, out->data, out->bytes);
	const int64_t at = out - file->tensor;
	file->tensors--;
	memmove(file->tensor + at, file->tensor + at + 1, (size_t)(file->tensors - at) * sizeof *file->tensor);
	free(file->tensor_names.slot);
	file->tensor_names.slot = NULL;
	return plumb_file_index_tensors(file);
}

enum plumb_status plumb_folder_check(struct plumb_folder *f)
{
	static const char *const attention[] = { "blk.0.attn_q.bias", "blk.0.attn_qkv.bias" },
							 *const mlp[] = { "blk.0.ffn_down.bias", "blk.0.ffn_up.bias" },
							 *const output[] = { "output.bias", "output.bias" };
	if (!f->family)
		return PLUMB_OK;
	PLUMB_TRY(folder_check_rows(f));
	if (f->type != PLUMB_FOLDER_QWEN2) /* whose class has these biases and no key */
		PLUMB_TRY(folder_check_bias(f, "attention_bias", attention));
	PLUMB_TRY(folder_check_bias(f, "mlp_bias", mlp));
	PLUMB_TRY(folder_check_bias(f, "lm_head_bias", output));
	return folder_check_tied(f);
}
