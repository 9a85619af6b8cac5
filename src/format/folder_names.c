/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a model folder under GGUF's names. A name that the table lacks stays as it is: what is done
 * about it is not this room's to say. */
#include "format/folder.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct name {
	const char *from, *to;
};

static const struct name top[] = {
	{ "embed_tokens.weight", "token_embd.weight" },
	{ "norm.weight", "output_norm.weight" },
};

/* Of a layer; where families name one thing differently, both are here. */
static const struct name layer[] = {
	{ "input_layernorm.weight", "attn_norm.weight" },
	{ "self_attn.q_proj.weight", "attn_q.weight" },
	{ "self_attn.k_proj.weight", "attn_k.weight" },
	{ "self_attn.v_proj.weight", "attn_v.weight" },
	{ "self_attn.o_proj.weight", "attn_output.weight" },
	{ "self_attn.qkv_proj.weight", "attn_qkv.weight" },
	{ "self_attn.q_proj.bias", "attn_q.bias" },
	{ "self_attn.k_proj.bias", "attn_k.bias" },
	{ "self_attn.v_proj.bias", "attn_v.bias" },
	{ "self_attn.o_proj.bias", "attn_output.bias" },
	{ "self_attn.q_norm.weight", "attn_q_norm.weight" },
	{ "self_attn.k_norm.weight", "attn_k_norm.weight" },
	{ "self_attn.rotary_emb.inv_freq", "attn_rot_embd.weight" },
	{ "mlp.gate_proj.weight", "ffn_gate.weight" },
	{ "mlp.up_proj.weight", "ffn_up.weight" },
	{ "mlp.down_proj.weight", "ffn_down.weight" },
	{ "mlp.gate_up_proj.weight", "ffn_up.weight" },
	{ "mlp.gate_proj.bias", "ffn_gate.bias" },
	{ "mlp.up_proj.bias", "ffn_up.bias" },
	{ "mlp.down_proj.bias", "ffn_down.bias" },
	{ "pre_feedforward_layernorm.weight", "ffn_norm.weight" },
	{ "post_feedforward_layernorm.weight", "post_ffw_norm.weight" },
};

static const char *folder_names_look_up(const struct name *rows, size_t count, struct plumb_span s)
{
	for (size_t i = 0; i < count; i++)
		if (s.n == strlen(rows[i].from) && memcmp(s.p, rows[i].from, s.n) == 0)
			return rows[i].to;
	return NULL;
}

static bool folder_names_skip(struct plumb_span *s, const char *prefix)
{
	const size_t n = strlen(prefix);
	if (s->n < n || memcmp(s->p, prefix, n) != 0)
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

/* "layers.12.": a number as everybody writes it, so that no two names become one. */
static bool folder_names_layer(struct plumb_span *s, int64_t *number)
{
	struct plumb_span rest = *s;
	if (!folder_names_skip(&rest, "layers."))
		return false;
	*number = 0;
	const char *from = rest.p;
	while (rest.n > 0 && rest.p[0] >= '0' && rest.p[0] <= '9' && *number < 1000000) {
		*number = *number * 10 + (rest.p[0] - '0');
		rest.p++;
		rest.n--;
	}
	if (rest.p == from || (from[0] == '0' && rest.p > from + 1) || !folder_names_skip(&rest, "."))
		return false;
	*s = rest;
	return true;
}

/* The new name, from the file's memory; *name unchanged: none. false: no memory. */
static bool folder_names_change(struct plumb_folder *f, struct plumb_span *name)
{
	struct plumb_span s = *name;
	const char *to = NULL;
	int64_t number = -1;
	char text[128];
	folder_names_skip(
		&s, "language_model."); /* where a model of pictures has its text's; all may be absent */
	if (folder_names_skip(&s, "lm_head.")) {
		to = s.n == 6 && !memcmp(s.p, "weight", 6) ? "output.weight" : NULL;
		to = s.n == 4 && !memcmp(s.p, "bias", 4) ? "output.bias" : to;
	} else {
		folder_names_skip(&s, "model.");
		folder_names_skip(&s, "language_model.");
		const bool in_layer = folder_names_layer(&s, &number);
		to = in_layer ? folder_names_look_up(layer, sizeof layer / sizeof *layer, s)
					  : folder_names_look_up(top, sizeof top / sizeof *top, s);
		if (in_layer && !to && s.n == 31 && !memcmp(s.p, "post_attention_layernorm.weight", 31))
			to = f->family->post_norms ? "post_attention_norm.weight" : "ffn_norm.weight";
	}
	if (!to)
		return true;
	const int n = number < 0 ? plumb_format(text, sizeof text, "%s", to)
							 : plumb_format(text, sizeof text, "blk.%" PRId64 ".%s", number, to);
	const char *kept = plumb_file_keep(f->file, text, (size_t)n);
	if (kept)
		*name = (struct plumb_span){ kept, (size_t)n };
	return kept != NULL;
}

enum plumb_status plumb_folder_names(struct plumb_folder *f)
{
	struct plumb_file *file = f->file;
	for (int64_t i = 0; f->family && i < file->tensors; i++)
		if (!folder_names_change(f, &file->tensor[i].name))
			return plumb_fail(
				PLUMB_E_MEMORY, "no memory for the names of %" PRId64 " tensors", file->tensors);
	free(file->tensor_names.slot);
	file->tensor_names.slot = NULL;
	return plumb_file_index_tensors(file);
}
