# SPDX-License-Identifier: Apache-2.0
# PLUMB_SIMD: which instruction sets the compiler can make code for. Whether the machine has
# them is asked at run time (src/native/simd/simd.c). NEON means that of 64-bit Arm (vaddvq).
AC_DEFUN([PLUMB_SIMD_TRY], [
  AC_MSG_CHECKING([whether $CC takes $2])
  plumb_keep=$CFLAGS; CFLAGS="$2 $CFLAGS -Werror" # in the order of a build
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([#include <$3>], [$4])], [AC_MSG_RESULT([yes]); plumb_simd_$1=yes], [AC_MSG_RESULT([no]); plumb_simd_$1=no])
  CFLAGS=$plumb_keep
])
AC_DEFUN([PLUMB_SIMD], [
  PLUMB_SIMD_TRY([avx2], [-mavx2 -mfma -mf16c], [immintrin.h], [__m256 a = _mm256_setzero_ps(); (void)_mm256_fmadd_ps(a, a, a)])
  PLUMB_SIMD_TRY([avxvnni], [-mavx2 -mfma -mf16c -mavxvnni], [immintrin.h], [__m256i a = _mm256_setzero_si256(); (void)_mm256_dpwssd_avx_epi32(a, a, a)])
  PLUMB_SIMD_TRY([avx512], [-mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vnni], [immintrin.h],
    [__m512i a = _mm512_setzero_si512(); (void)_mm512_dpwssd_epi32(a, a, a)])
  PLUMB_SIMD_TRY([neon], [], [arm_neon.h], [float32x4_t a = vdupq_n_f32(0); (void)vaddvq_f32(vfmaq_f32(a, a, a))])
  PLUMB_SIMD_TRY([neondot], [-march=armv8.2-a+dotprod], [arm_neon.h], [int32x4_t a = vdupq_n_s32(0); (void)vdotq_s32(a, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(a))])
  plumb_simd="c"
  AS_IF([test $plumb_simd_avx2 = yes], [plumb_simd="$plumb_simd avx2"; AC_DEFINE([PLUMB_HAVE_AVX2], [1], [compiler makes AVX2 code])])
  AS_IF([test $plumb_simd_avxvnni = yes], [plumb_simd="$plumb_simd avxvnni"; AC_DEFINE([PLUMB_HAVE_AVXVNNI], [1], [compiler makes AVX-VNNI code])])
  AS_IF([test $plumb_simd_avx512 = yes], [plumb_simd="$plumb_simd avx512"; AC_DEFINE([PLUMB_HAVE_AVX512], [1], [compiler makes AVX-512 code])])
  AS_IF([test $plumb_simd_neon = yes], [plumb_simd="$plumb_simd neon"; AC_DEFINE([PLUMB_HAVE_NEON], [1], [compiler makes NEON code])])
  AS_IF([test $plumb_simd_neondot = yes], [plumb_simd="$plumb_simd neondot"; AC_DEFINE([PLUMB_HAVE_NEONDOT], [1], [compiler makes NEON code with dot products of bytes])])
  AM_CONDITIONAL([HAVE_AVX2], [test $plumb_simd_avx2 = yes])
  AM_CONDITIONAL([HAVE_AVXVNNI], [test $plumb_simd_avxvnni = yes])
  AM_CONDITIONAL([HAVE_AVX512], [test $plumb_simd_avx512 = yes])
  AM_CONDITIONAL([HAVE_NEON], [test $plumb_simd_neon = yes])
  AM_CONDITIONAL([HAVE_NEONDOT], [test $plumb_simd_neondot = yes])
])
