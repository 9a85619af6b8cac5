/* SPDX-License-Identifier: Apache-2.0 */
/* packed_avx2.c compiled with -mavxvnni: the same kernels, with vpdpwssd in the place of vpmaddwd and vpaddd.
 */
#define PLUMB_SET_AVXVNNI
#include "native/simd/packed_avx2.c"
