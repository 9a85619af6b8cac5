/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for references: a folder of .bin files, a safetensors file, a manifest beside them. The
 * input is a list of files: a byte that chooses the name, two bytes of size (little-endian), the bytes; the
 * last may be cut. It is opened as a folder, and its safetensors file by itself. */
#include <math.h>
#include "diag/diag.h"
#include "folder.h"

/* As the models of tests/data. */
static const struct plumb_config config = { .family = "qwen2",
	.layers = 3,
	.hidden = 64,
	.ffn = 160,
	.heads = 4,
	.kv_heads = 2,
	.head_dim = 16,
	.value_dim = 16,
	.vocab = 320,
	.context = 256,
	.kind = { { .rope = true, .rope_base = 1e6 } },
	.rotated = 16,
	.rope_factor = 1,
	.norm_eps = 1e-6 };

static const char *const names[] = { "reference.json", "meta.json", "r.safetensors", "s.safetensors",
	"after_embeddings.bin", "after_layer_0.bin", "after_layer_1.bin", "after_layer_2.bin",
	"after_layer_3.bin", "final_norm.bin", "final_logits.bin", "logits.bin", "L0.q_proj.bin",
	"L1.attn_scores.bin", "L2.ffn_act.bin", "other.bin" };
enum { NAMES = sizeof names / sizeof *names, SAFETENSORS = 2 };

/* {320, 64} of halves: row i is i everywhere, so that embeddings of whole numbers are found. */
static const struct plumb_file *matrix(void)
{
	static struct plumb_file *file;
	static uint8_t bytes[8 + 88 + 320 * 64 * 2];
	static const char head[] =
		"{\"model.embed_tokens.weight\":{\"dtype\":\"F16\",\"shape\":[320,64],\"data_offsets\":[0,40960]}}";
	if (file)
		return file;
	memset(bytes + 8, ' ', 88);
	bytes[0] = 88;
	_Static_assert(sizeof head <= 88 + 1, "the header");
	memcpy(bytes + 8, head, sizeof head - 1);
	for (int i = 0; i < 320 * 64; i++) {
		uint16_t half = plumb_f32_to_f16((float)(i / 64));
		memcpy(bytes + 8 + 88 + 2 * i, &half, sizeof half);
	}
	insist(plumb_file_from_memory(&file, bytes, sizeof bytes) == PLUMB_OK);
	return file;
}

static void look_at_planes(struct plumb_reference *r)
{
	int seen = 0;
	plumb_reference_place(&r->raw, r->position, plumb_reference_length(r, 1));
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point); seen++) {
		const struct plumb_captured *p = plumb_capture_at(&r->raw, layer, point);
		int64_t width = plumb_point_width(&config, point);
		bool zero = true;
		insist(layer <= config.layers && p->rows > 0 && p->width > 0 && p->first >= 0 &&
			(!width || p->width == width));
		for (int64_t i = 0; i < p->rows * p->width; i++) {
			insist(isfinite(p->v[i]) || (point == PLUMB_POINT_ATTN_SCORES && p->v[i] == -INFINITY));
			zero &= p->v[i] == 0;
		}
		insist(!zero);
	}
	insist(seen > 0 && seen == r->files.n);
}

/* What an opened reference promises. */
static void look_at(struct plumb_reference *r)
{
	int32_t *tokens;
	int64_t count;
	for (int64_t i = 0; r->tokens && i < r->token_count; i++)
		insist(r->tokens[i] >= 0 && r->tokens[i] < config.vocab);
	insist(r->position >= -1 && (!r->tokens || (r->token_count > 0 && r->position < r->token_count)));
	look_at_planes(r);
	if (plumb_reference_find_tokens(r, matrix(), &config, &tokens, &count) == PLUMB_OK) {
		for (int64_t i = 0; i < count; i++)
			insist(tokens[i] >= 0 && tokens[i] < config.vocab);
		free(tokens);
	} else {
		insist(*plumb_last_error());
	}
	char *problems = plumb_reference_problems(r);
	json_t *all = plumb_reference_json(r, NULL);
	insist(problems && *problems == '[' && all);
	free(problems);
	json_decref(all);
}

static void open_one(const char *path)
{
	struct plumb_reference *r;
	enum plumb_status s = plumb_reference_open(&r, path, &config);
	if (s) {
		insist(!r && *plumb_last_error() &&
			(s == PLUMB_E_FORMAT || s == PLUMB_E_SHAPE || s == PLUMB_E_TYPE || s == PLUMB_E_IO ||
				s == PLUMB_E_LIMIT || s == PLUMB_E_UNSUPPORTED));
		return;
	}
	look_at(r);
	plumb_reference_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool there[NAMES] = { false };
	while (size > 3) {
		int name = data[0] % NAMES;
		size_t n = data[1] | (size_t)data[2] << 8, have = n < size - 3 ? n : size - 3;
		folder_put(names[name], data + 3, have);
		there[name] = true;
		data += 3 + have;
		size -= 3 + have;
	}
	open_one(folder_path());
	if (there[SAFETENSORS])
		open_one(folder_file(names[SAFETENSORS]));
	for (int i = 0; i < NAMES; i++)
		insist(!there[i] || !unlink(folder_file(names[i])));
	return 0;
}
