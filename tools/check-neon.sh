#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Cross-compiles the portable and the NEON micro-kernels, with and without dot products of bytes, with every warning an
# error, and runs them against the definition in an emulator where there is one. Exit 77: no cross compiler.
set -eu
src=${srcdir:-$(dirname "$0")/..}
if [ ! -f "$src/src/native/simd/neon.c" ]; then src=$(dirname "$0")/..; fi
cc=${CROSS_CC:-aarch64-linux-gnu-gcc}
command -v "$cc" >/dev/null 2>&1 || { echo "skipped: no cross compiler $cc"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/plumb-neon.XXXXXX")
trap 'rm -rf "$dir"' EXIT INT TERM
flags="-std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror -ffp-contract=off -fno-math-errno
	-DPLUMB_HAVE_NEON -DPLUMB_HAVE_NEONDOT -I$src/include -I$src/src -I$src/tests"
"$cc" $flags -march=armv8.2-a+dotprod -c -o "$dir/packed_neondot.o" "$src/src/native/simd/packed_neondot.c"
"$cc" $flags -static -o "$dir/cross_simd" "$dir/packed_neondot.o" \
	"$src/src/native/simd/c.c" "$src/src/native/simd/neon.c" "$src/src/native/simd/packed_c.c" "$src/src/native/simd/packed_neon.c" \
	"$src/src/core/type.c" "$src/src/core/status.c" "$src/src/core/number.c" \
	"$src/tests/simd_compare.c" "$src/tests/simd_packed.c" "$src/tests/cross_simd.c" -lm
for emulator in qemu-aarch64-static qemu-aarch64; do
	if command -v "$emulator" >/dev/null 2>&1; then
		"$emulator" "$dir/cross_simd"
		exit
	fi
done
if [ "$(uname -m)" = aarch64 ]; then "$dir/cross_simd"; exit; fi
echo "compiled without a warning; not run: no qemu-aarch64-static"
