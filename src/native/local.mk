# SPDX-License-Identifier: Apache-2.0
# Each instruction set is a convenience library of its own, because its flags must reach its file only.
libplumb_all_la_SOURCES += \
	%D%/native.h %D%/driver.c %D%/work.c %D%/add.c %D%/argmax.c %D%/attention.c %D%/attn_mix.c %D%/attn_scores.c \
	%D%/embed.c %D%/f16_overflow.c %D%/f16_round.c %D%/kv_store.c %D%/gate_up.c %D%/geglu.c %D%/matmul.c %D%/matmul_add.c %D%/matmul_small_batch.c %D%/matmul_finish.c %D%/matmul_large_batch.c \
	%D%/matmul_packed.h %D%/matmul_packed.c %D%/qkv.c %D%/packed.c %D%/rmsnorm.c %D%/rope.c %D%/scale.c %D%/softmax.c %D%/swiglu.c \
	%D%/simd/simd.h %D%/simd/simd.c %D%/simd/c.c \
	%D%/simd/packed.h %D%/simd/packed_x16.h %D%/simd/packed_kernels.h %D%/simd/packed_c.c

if HAVE_AVX2
noinst_LTLIBRARIES += libplumb-avx2.la
libplumb_avx2_la_SOURCES = %D%/simd/avx2.c %D%/simd/avx2_blocks.h %D%/simd/avx2_plain.h %D%/simd/avx2_rows.h %D%/simd/packed_avx2.c
libplumb_avx2_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mf16c
libplumb_all_la_LIBADD += libplumb-avx2.la
endif

if HAVE_AVXVNNI
noinst_LTLIBRARIES += libplumb-avxvnni.la
libplumb_avxvnni_la_SOURCES = %D%/simd/packed_avxvnni.c
libplumb_avxvnni_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mf16c -mavxvnni
libplumb_all_la_LIBADD += libplumb-avxvnni.la
endif

if HAVE_AVX512
noinst_LTLIBRARIES += libplumb-avx512.la
libplumb_avx512_la_SOURCES = %D%/simd/packed_avx512.c
libplumb_avx512_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vnni
libplumb_all_la_LIBADD += libplumb-avx512.la
endif

if HAVE_NEON
noinst_LTLIBRARIES += libplumb-neon.la
libplumb_neon_la_SOURCES = %D%/simd/neon.c %D%/simd/neon_blocks.h %D%/simd/neon_rows.h %D%/simd/packed_neon.c
libplumb_neon_la_CFLAGS = $(AM_CFLAGS)
libplumb_all_la_LIBADD += libplumb-neon.la
endif

if HAVE_NEONDOT
noinst_LTLIBRARIES += libplumb-neondot.la
libplumb_neondot_la_SOURCES = %D%/simd/packed_neondot.c
libplumb_neondot_la_CFLAGS = $(AM_CFLAGS) -march=armv8.2-a+dotprod
libplumb_all_la_LIBADD += libplumb-neondot.la
endif
