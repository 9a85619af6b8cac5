/* SPDX-License-Identifier: Apache-2.0 */
/* packed_neon.c compiled with +dotprod: the same kernels, with sdot for products of bytes (few rows, and the
 * fast mode). */
#define PLUMB_SET_NEONDOT
#include "native/simd/packed_neon.c"
