/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for model folders. The input is a list of files: a byte that chooses the name, two bytes of
 * size (little-endian), the bytes; the last may be cut. Names of weights that it does not write are there all
 * the same, with one embedding, so that an input of a few bytes of config.json comes to an end. */
#include "folder.h"
#include <plumb/model.h>
#include "walk_file.h"

static const char *const names[] = { "config.json", "model.safetensors", "model.safetensors.index.json",
	"generation_config.json", "tokenizer_config.json", "tokenizer.json", "chat_template.jinja",
	"a.safetensors", "b.safetensors" };
enum { NAMES = sizeof names / sizeof *names, SINGLE = 1, INDEX = 2 };

static void put_weights(void)
{
	static const char head[] =
		"{\"model.embed_tokens.weight\":{\"dtype\":\"BF16\",\"shape\":[4,8],\"data_offsets\":[0,64]}}";
	uint8_t bytes[8 + 88 + 64] = { 88 };
	memset(bytes + 8, ' ', 88);
	_Static_assert(sizeof head <= 88 + 1, "the header");
	memcpy(bytes + 8, head, sizeof head - 1);
	folder_put(names[SINGLE], bytes, sizeof bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool there[NAMES] = { false };
	struct plumb_file *file;
	while (size > 3) {
		int name = data[0] % NAMES;
		size_t n = data[1] | (size_t)data[2] << 8, have = n < size - 3 ? n : size - 3;
		folder_put(names[name], data + 3, have);
		there[name] = true;
		data += 3 + have;
		size -= 3 + have;
	}
	if (!there[SINGLE] && !there[INDEX]) {
		put_weights();
		there[SINGLE] = true;
	}
	enum plumb_status s = plumb_file_open(&file, folder_path());
	if (s == PLUMB_OK) {
		walk_file(file);
		enum plumb_status m = plumb_model_check(file);
		insist(m == PLUMB_OK || *plumb_last_error());
		plumb_file_close(file);
	} else {
		insist(!file && *plumb_last_error() &&
			(s == PLUMB_E_FORMAT || s == PLUMB_E_UNSUPPORTED || s == PLUMB_E_IO));
	}
	for (int i = 0; i < NAMES; i++)
		insist(!there[i] || !unlink(folder_file(names[i])));
	return 0;
}
