/* SPDX-License-Identifier: Apache-2.0 */
/* Zeros where weights should be: what an interrupted download leaves is refused, what may be meant is named.
 * Files that are no model are called what they are. */
#include <unistd.h>
#include "made.h"
#include "model/model.h"

static char heard[512];

static void hear(void *user, const char *line)
{
	(void)user;
	snprintf(heard, sizeof heard, "%s", line);
}

/* Load a made file with some of its bytes set to 0: those of a tensor, from a share of it on, and all behind
 * it where `rest`. */
static enum plumb_status load_with_zeros(const char *tensor, double from, bool rest)
{
	static struct made_model numbers;
	static const struct made plain = {
		.name = "plain", .vectors = PLUMB_F32, .turns = 1, .own_output = true
	};
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_file *file;
	char path[64];
	made_write(&plain, &numbers, path);
	ck_good(plumb_file_open(&file, path));
	const struct plumb_file_tensor *t = plumb_file_find(file, tensor);
	ck_assert_ptr_nonnull(t);
	const struct plumb_file_tensor *first = plumb_file_tensor(file, 0);
	const uint64_t size = plumb_file_size(file);
	int64_t end = 0; /* of the data, from the first tensor on */
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		const struct plumb_file_tensor *o = plumb_file_tensor(file, i);
		int64_t at = (const char *)o->data + o->bytes - (const char *)first->data;
		end = at > end ? at : end;
	}
	int64_t skip = (const char *)t->data - (const char *)first->data + (int64_t)(from * (double)t->bytes);
	int64_t n = rest ? end - skip : (int64_t)t->bytes - (int64_t)(from * (double)t->bytes);
	plumb_file_close(file);
	FILE *f = fopen(path, "r+b");
	ck_assert(f && !fseek(f, (long)((int64_t)size - end + skip), SEEK_SET));
	for (int64_t i = 0; i < n; i++)
		fputc(0, f);
	ck_assert(!fclose(f));
	heard[0] = 0;
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .notice = hear)));
	enum plumb_status s = plumb_model_load(&model, ctx, path, NULL, NULL);
	plumb_model_free(model);
	plumb_close(ctx);
	unlink(path);
	return s;
}

static const struct {
	const char *tensor;
	double from;
	bool rest, refused;
	const char *text;
} cases[] = {
	{ "blk.0.ffn_up.weight", 0, true, true, "from byte 0 of the tensor blk.0.ffn_up.weight" },
	{ "blk.0.ffn_up.weight", 0.5, true, true, "of the tensor blk.0.ffn_up.weight to the end of the file" },
	{ "blk.1.ffn_down.weight", 0, false, false, "1 weight is all zero: blk.1.ffn_down.weight" },
	{ "blk.0.attn_norm.weight", 0, false, false, "1 weight is all zero: blk.0.attn_norm.weight" },
	{ "blk.0.attn_norm.weight", 0.5, false, false, "" },
	{ "blk.0.ffn_up.weight", 0.5, false, false,
		"1 weight is zero in part, as after an interrupted download: "
		"blk.0.ffn_up.weight from byte " },
	{ "token_embd.weight", 0.25, false, false, "token_embd.weight from byte " },
	{ "blk.0.ffn_up.weight", 0.9, false, false, "" }, /* as rows of padding tokens */
};

START_TEST(zeros_in_weights)
{
	enum plumb_status s = load_with_zeros(cases[_i].tensor, cases[_i].from, cases[_i].rest);
	ck_assert_msg(
		s == (cases[_i].refused ? PLUMB_E_FORMAT : PLUMB_OK), "status %d: %s", s, plumb_last_error());
	const char *text = cases[_i].refused ? plumb_last_error() : heard;
	ck_assert_msg(strstr(text, cases[_i].text) && !*text == !*cases[_i].text, "\"%s\" does not say \"%s\"",
		text, cases[_i].text);
}
END_TEST

/* Two parts of a matrix each; one of them, whichever is mapped first, ends in zeros. */
START_TEST(zeros_at_the_end_of_a_part)
{
	char folder[] = "/tmp/plumb-zeros-XXXXXX", path[2][64];
	struct plumb_context *ctx;
	struct plumb_file *file;
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (int part = 0; part < 2; part++) {
		struct gguf_builder g;
		g_header(&g, 3, 1, 2);
		g_key(&g, "split.count", G_U16);
		g_uint(&g, 2, 2);
		g_key(&g, "split.no", G_U16);
		g_uint(&g, (uint64_t)part, 2);
		g_tensor(&g, part ? "second" : "first", 0, 16, 4, 0);
		g_data(&g, 32, 256);
		memset(g.bytes + g.n - 256, 1, part == _i ? 100 : 256);
		memset(g.bytes + g.n - 156, part == _i ? 0 : 1, 156);
		snprintf(path[part], sizeof path[part], "%s/m-%05d-of-00002.gguf", folder, part + 1);
		FILE *f = fopen(path[part], "wb");
		ck_assert(f && fwrite(g.bytes, 1, g.n, f) == g.n && !fclose(f));
	}
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_file_open(&file, path[0]));
	ck_bad(plumb_zeros_check(ctx, file, path[0]), PLUMB_E_FORMAT,
		_i ? "byte 100 of the tensor second to the end of part 2 of 2"
		   : "byte 100 of the tensor first to the end of part 1 of 2");
	plumb_file_close(file);
	plumb_close(ctx);
	for (int part = 0; part < 2; part++)
		unlink(path[part]);
	rmdir(folder);
}
END_TEST

static const struct {
	const char *key, *value, *text;
	bool vocabulary;
} kinds[] = {
	{ "general.type", "adapter", "an adapter", false },
	{ "adapter.type", "lora", "a LoRA adapter", false },
	{ "general.type", "mmproj", "mmproj", false },
	{ "general.architecture", "clip", "clip", false },
	{ "x", "y", "a vocabulary only", true },
};

START_TEST(files_that_are_no_model)
{
	struct gguf_builder g;
	struct plumb_file *file;
	g_header(&g, 3, 0, kinds[_i].vocabulary ? 2 : 1);
	g_key(&g, kinds[_i].key, G_STRING);
	g_string(&g, kinds[_i].value);
	if (kinds[_i].vocabulary) {
		g_array(&g, "tokenizer.ggml.tokens", G_STRING, 1);
		g_string(&g, "a");
	}
	void *bytes = malloc(g.n);
	memcpy(bytes, g.bytes, g.n);
	ck_good(plumb_file_from_memory(&file, bytes, g.n));
	ck_bad(plumb_model_check(file), PLUMB_E_UNSUPPORTED, kinds[_i].text);
	plumb_file_close(file);
	free(bytes);
}
END_TEST

void add_zero_tests(Suite *suite)
{
	TCase *tc = tcase_create("zeros");
	tcase_add_loop_test(tc, zeros_in_weights, 0, (int)(sizeof cases / sizeof *cases));
	tcase_add_loop_test(tc, zeros_at_the_end_of_a_part, 0, 2);
	tcase_add_loop_test(tc, files_that_are_no_model, 0, (int)(sizeof kinds / sizeof *kinds));
	suite_add_tcase(suite, tc);
}
