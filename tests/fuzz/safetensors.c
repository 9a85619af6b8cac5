/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for safetensors bytes; inputs of the other format are left to gguf.c. */
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4 || memcmp(data, "GGUF", 4) != 0)
		walk(data, size);
	return 0;
}
