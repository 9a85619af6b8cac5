/* SPDX-License-Identifier: Apache-2.0 */
/* One hash. In tables of names that come from a file it begins with a number that nobody can know beforehand:
 * a file made of names that all meet in one slot would otherwise take the square of its size to open. */
#ifndef PLUMB_CORE_HASH_H
#define PLUMB_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t plumb_hash_seed(void); /* another one at each call */

/* Where a hash that is kept begins, which must be the same tomorrow. */
#define PLUMB_HASH_BASIS UINT64_C(0xcbf29ce484222325)

/* FNV-1a of 64 bits; what is hashed may come in parts. */
static inline uint64_t plumb_hash_bytes(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* Folded: linear probing takes the low bits. */
static inline size_t plumb_hash_end(uint64_t h) { return (size_t)(h ^ h >> 32); }

#endif
