/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of names that come from a file. They begin with a number that nobody can know beforehand: a file made of names that all meet in one
 * slot would otherwise take the square of its size to open. */
#ifndef PLUMB_CORE_HASH_H
#define PLUMB_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t plumb_hash_seed(void); /* another one at each call */

/* FNV-1a; a text may come in parts. */
static inline uint64_t plumb_hash_bytes(uint64_t h, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
	return h;
}

/* Folded: linear probing takes the low bits. */
static inline size_t plumb_hash_end(uint64_t h) { return (size_t)(h ^ h >> 32); }

#endif
