/* SPDX-License-Identifier: Apache-2.0 */
/* Tells files of weights apart. */
#include "core/hash.h"
#include "diag/reference/reference.h"

void plumb_model_fingerprint(const struct plumb_file *file, char text[32])
{
	uint64_t hash = PLUMB_HASH_BASIS;
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		size_t part = t->bytes < 64 ? t->bytes : 64;
		hash = plumb_hash_bytes(hash, t->name.p, t->name.n);
		hash = plumb_hash_bytes(hash, t->data, part);
		hash = plumb_hash_bytes(hash, (const char *)t->data + t->bytes - part, part);
	}
	plumb_format(text, 32, "fnv1a64:%016llx", (unsigned long long)hash);
}
