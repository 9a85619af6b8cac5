# SPDX-License-Identifier: Apache-2.0
# Each instruction set is a convenience library of its own, because its flags must reach its file only.
libplumb_all_la_SOURCES += \
	%D%/native.h %D%/driver.c %D%/add.c %D%/argmax.c %D%/attention.c %D%/attn_mix.c %D%/attn_scores.c \
	%D%/embed.c %D%/kv_store.c %D%/matmul.c %D%/rmsnorm.c %D%/rope.c %D%/softmax.c %D%/swiglu.c \
	%D%/simd/simd.h %D%/simd/simd.c %D%/simd/c.c

if HAVE_AVX2
noinst_LTLIBRARIES += libplumb-avx2.la
libplumb_avx2_la_SOURCES = %D%/simd/avx2.c %D%/simd/avx2_blocks.h
libplumb_avx2_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mf16c
libplumb_all_la_LIBADD += libplumb-avx2.la
endif

if HAVE_NEON
noinst_LTLIBRARIES += libplumb-neon.la
libplumb_neon_la_SOURCES = %D%/simd/neon.c
libplumb_neon_la_CFLAGS = $(AM_CFLAGS)
libplumb_all_la_LIBADD += libplumb-neon.la
endif
