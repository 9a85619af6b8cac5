/* SPDX-License-Identifier: Apache-2.0 */
/* Writes GGUF bytes piece by piece, for tests; it lets a test write wrong ones too. Shared by
 * test programs, so everything is static inline. */
#ifndef GGUF_BUILDER_H
#define GGUF_BUILDER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { G_U8, G_I8, G_U16, G_I16, G_U32, G_I32, G_F32, G_BOOL, G_STRING, G_ARRAY, G_U64, G_I64, G_F64 };

struct gguf_builder {
	unsigned char bytes[1 << 16];
	size_t n;
};

static inline void g_bytes(struct gguf_builder *g, const void *p, size_t n)
{
	if (n > sizeof g->bytes - g->n)
		abort(); /* a test's mistake */
	memcpy(g->bytes + g->n, p, n);
	g->n += n;
}

static inline void g_uint(struct gguf_builder *g, uint64_t value, int width)
{
	for (int i = 0; i < width; i++) {
		const unsigned char byte = (unsigned char)(value >> (8 * i));
		g_bytes(g, &byte, 1);
	}
}

static inline void g_u32(struct gguf_builder *g, uint32_t value) { g_uint(g, value, 4); }
static inline void g_u64(struct gguf_builder *g, uint64_t value) { g_uint(g, value, 8); }

static inline void g_string(struct gguf_builder *g, const char *s)
{
	g_u64(g, strlen(s));
	g_bytes(g, s, strlen(s));
}

static inline void g_header(struct gguf_builder *g, uint32_t version, uint64_t tensors, uint64_t metas)
{
	g->n = 0;
	g_bytes(g, "GGUF", 4);
	g_u32(g, version);
	g_u64(g, tensors);
	g_u64(g, metas);
}

/* Key and type of a value; the value itself follows. */
static inline void g_key(struct gguf_builder *g, const char *key, uint32_t type)
{
	g_string(g, key);
	g_u32(g, type);
}

static inline void g_array(struct gguf_builder *g, const char *key, uint32_t of, uint64_t n)
{
	g_key(g, key, G_ARRAY);
	g_u32(g, of);
	g_u64(g, n);
}

/* A row of the tensor table, of rank 2 (rank 1 when rows is 0); innermost dimension first. */
static inline void g_tensor(
	struct gguf_builder *g, const char *name, uint32_t type, uint64_t columns, uint64_t rows, uint64_t offset)
{
	g_string(g, name);
	g_u32(g, rows > 0 ? 2 : 1);
	g_u64(g, columns);
	if (rows > 0)
		g_u64(g, rows);
	g_u32(g, type);
	g_u64(g, offset);
}

/* Zeroes up to the alignment, then n bytes of data 1, 2, 3 ... */
static inline void g_data(struct gguf_builder *g, size_t alignment, size_t n)
{
	while (g->n % alignment != 0)
		g_uint(g, 0, 1);
	for (size_t i = 0; i < n; i++)
		g_uint(g, i + 1, 1);
}

#endif
