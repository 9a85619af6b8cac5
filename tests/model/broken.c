/* SPDX-License-Identifier: Apache-2.0 */
/* Broken models: a good file with bytes changed, and one that ends early. */
#include <unistd.h>
#include "made.h"

struct patch {
	const char *after;
	size_t skip;
	uint64_t value;
	size_t width;
	enum plumb_status status;
	const char *text;
};
static const struct patch patches[] = {
	/* a key's value follows its name and 4 bytes of type */
	{ "qwen2.block_count", 4, 0, 4, PLUMB_E_FORMAT, "block_count is 0" },
	{ "qwen2.block_count", 4, 2000000000, 4, PLUMB_E_FORMAT, "block_count is 2000000000" },
	{ "qwen2.block_count", 4, 4, 4, PLUMB_E_FORMAT, "blk.3.attn_norm.weight is missing" },
	{ "qwen2.block_count", 4, 1000, 4, PLUMB_E_FORMAT, "1000 layers cannot be" },
	{ "qwen2.block_count", 4, 60000, 4, PLUMB_E_UNSUPPORTED, "60000, at most 1024 layers" },
	{ "qwen2.embedding_length", 4, 128, 4, PLUMB_E_SHAPE, "must be" },
	{ "qwen2.attention.head_count", 4, 3, 4, PLUMB_E_FORMAT, "heads" },
	{ "qwen2.attention.head_count_kv", 4, 1, 4, PLUMB_E_SHAPE, "attn_k.weight" },
	{ "qwen2.attention.head_count_kv", 4, 3, 4, PLUMB_E_FORMAT, "cannot share" },
	{ "qwen2.feed_forward_length", 4, 161, 4, PLUMB_E_SHAPE, "ffn_gate" },
	{ "qwen2.rope.freq_base", 4, 0x7fc00000, 4, PLUMB_E_FORMAT, "freq_base" },
	{ "qwen2.attention.layer_norm_rms_epsilon", 4, 0xbf800000, 4, PLUMB_E_FORMAT, "epsilon is -1" },
	{ "qwen2.rope.freq_bas", 0, 'x', 1, PLUMB_OK, "" }, /* optional: the default serves */
	{ "qwen2.context_lengt", 0, 'x', 1, PLUMB_E_FORMAT, "context_length is missing" },
	{ "general.architecture", 12, 'l', 1, PLUMB_E_UNSUPPORTED, "lwen2" },
	{ "blk.1.ffn_down.weigh", 0, 'x', 1, PLUMB_E_UNSUPPORTED, "blk.1.ffn_down.weighx" },
	{ "blk.2.attn_q.bia", 0, 'x', 1, PLUMB_E_UNSUPPORTED, "blk.2.attn_q.biax" },
	{ "output_norm.weigh", 0, 'x', 1, PLUMB_E_UNSUPPORTED, "output_norm.weighx" },
	{ "token_embd.weigh", 0, 'x', 1, PLUMB_E_UNSUPPORTED, "token_embd.weighx" },
};

static char *slurp(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	ck_assert_msg(f != NULL, "cannot open %s", path);
	fseek(f, 0, SEEK_END);
	*size = (size_t)ftell(f);
	rewind(f);
	char *bytes = malloc(*size);
	ck_assert_uint_eq(fread(bytes, 1, *size, f), *size);
	fclose(f);
	return bytes;
}

static enum plumb_status load_bytes(const char *bytes, size_t size)
{
	char path[] = "/tmp/plumb-check-XXXXXX";
	int fd = mkstemp(path);
	struct plumb_context *ctx;
	struct plumb_model *model;
	ck_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = test_driver(), .threads = 1)));
	enum plumb_status s = plumb_model_load(&model, ctx, path, NULL, NULL);
	ck_assert(!s == (model != NULL));
	plumb_model_free(model);
	plumb_close(ctx);
	unlink(path);
	return s;
}

START_TEST(broken_models)
{
	const struct patch *p = &patches[_i];
	size_t size;
	char *bytes = slurp(data_path("tiny-f32.gguf"), &size), *at = NULL;
	for (size_t i = 0; !at && i + 64 < size; i++)
		if (!memcmp(bytes + i, p->after, strlen(p->after)))
			at = bytes + i + strlen(p->after) + p->skip;
	ck_assert_msg(at != NULL, "%s is not in the file", p->after);
	memcpy(at, &p->value, p->width); /* little-endian, like the file */
	enum plumb_status s = load_bytes(bytes, size);
	ck_assert_msg(s == p->status && (!s || strstr(plumb_last_error(), p->text)), "%s = %llu: %s (%s)",
		p->after, (unsigned long long)p->value, plumb_strerror(s), plumb_last_error());
	free(bytes);
}
END_TEST

START_TEST(truncated_models)
{
	size_t size;
	char *bytes = slurp(data_path("tiny-q4_0.gguf"), &size);
	for (size_t n = 0; n < size; n += size / 97)
		ck_assert_msg(load_bytes(bytes, n) < 0, "the first %zu of %zu bytes load", n, size);
	ck_good(load_bytes(bytes, size));
	free(bytes);
}
END_TEST

void add_broken_tests(Suite *suite)
{
	TCase *tc = tcase_create("broken");
	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, broken_models, 0, (int)(sizeof patches / sizeof *patches));
	tcase_add_test(tc, truncated_models);
	suite_add_tcase(suite, tc);
}
