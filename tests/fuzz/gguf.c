/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for GGUF bytes, and for what the model families read in them; inputs of the other format
 * are left to safetensors.c. */
#include <plumb/model.h>
#include "walk.h"

/* Of every entry a use with a reason, unless it is read; the check refuses if and only if one of them is
 * refused. */
static void understand(const struct plumb_file *file)
{
	struct plumb_config config;
	struct plumb_tokenizer *tokenizer;
	const char *why;
	int refused = 0;
	for (int64_t i = 0; i < plumb_file_metas(file); i++) {
		enum plumb_use use = plumb_model_key_use(file, plumb_file_meta(file, i), &why);
		insist(use == PLUMB_USE_READ || *why);
		refused += use == PLUMB_USE_REFUSED;
	}
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		enum plumb_use use = plumb_model_tensor_use(file, plumb_file_tensor(file, i), &why);
		insist(use == PLUMB_USE_READ || *why);
		refused += use == PLUMB_USE_REFUSED;
	}
	insist(!plumb_model_check(file) == !refused);
	if (plumb_config_read(&config, file) == PLUMB_OK)
		insist(config.layers > 0 && config.heads % config.kv_heads == 0 && config.head_dim > 0 &&
			config.value_dim > 0 && config.rope_factor > 0);
	if (plumb_tokenizer_from_file(&tokenizer, file) == PLUMB_OK)
		plumb_tokenizer_free(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plumb_file *file;
	if (size > 8 && memcmp(data, "GGUF", 4) != 0)
		return 0;
	walk(data, size);
	if (plumb_file_from_memory(&file, data, size) == PLUMB_OK) {
		understand(file);
		plumb_file_close(file);
	}
	return 0;
}
