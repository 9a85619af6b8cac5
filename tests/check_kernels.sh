#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each kernel in each variant is compiled for a GPU of AMD, NVIDIA and Intel, without a spill, and for a CPU, without a warning; the log has the table.
# For a second GPU of each and a CPU with AVX-512 one variant of each file, and all of them with PLUMB_TEST_LARGE=1 (make check-large).
# The rules are in tools/check-kernels. That they bite is tried on a kernel with a mistake and one that spills.
set -u
top=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
command -v python3 >/dev/null || { echo "SKIP: no python3, which tools/check-kernels needs"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
few="gfx90a sm_70 skl skylake-avx512"
[ "${PLUMB_TEST_LARGE:-0}" = 0 ] || few=
"$top/tools/check-kernels" --few "$few"
code=$?
[ $code -eq 0 ] || exit $code

failed=0
expect() { # name pattern [targets]: the kernel on stdin must be refused for this, on every target
	cat >"$work/$1.cl"
	out=$("$top/tools/check-kernels" --targets "${3:-gfx1030 sm_70 dg2}" "$work/$1.cl")
	if [ $? -ne 1 ] || ! echo "$out" | grep -q "$2" || ! echo "$out" | grep -q '^\([0-9]*\) compilations of 1 files, \1 failed$'; then
		echo "not ok - $1 was to fail with '$2':"
		echo "$out" | sed 's/^/    /'
		failed=1
	else
		echo "ok - $1 is refused"
	fi
}
expect undefined 'error.*f' <<'END'
float f(float x);
__kernel void undefined(__global float *y) { y[0] = f(y[0]); }
END
expect too_much_local 'local memory\|shared data' <<'END'
__kernel void too_much_local(__global float *y) {
	__local float part[20000];
	part[get_local_id(0)] = y[0];
	barrier(CLK_LOCAL_MEM_FENCE);
	y[0] = part[get_local_id(0) ^ 1];
}
END
expect spills spills <<'END'
__kernel __attribute__((reqd_work_group_size(1024, 1, 1))) void spills(__global float16 *y, int n) {
	y += get_global_id(0);
	float16 a = y[0], b = y[n], c = y[2 * n], d = y[3 * n], e = y[4 * n], f = y[5 * n], g = y[6 * n], h = y[7 * n];
	float16 i = y[8 * n], j = y[9 * n], k = y[10 * n], l = y[11 * n], m = y[12 * n], o = y[13 * n], p = y[14 * n], q = y[15 * n];
	for (int t = 0; t < n; t++) {
		a = fma(a, b, i); b = fma(b, c, j); c = fma(c, d, k); d = fma(d, e, l); e = fma(e, f, m); f = fma(f, g, o); g = fma(g, h, p);
		h = fma(h, i, q); i = fma(i, j, a); j = fma(j, k, b); k = fma(k, l, c); l = fma(l, m, d); m = fma(m, o, e); o = fma(o, p, f);
		p = fma(p, q, g); q = fma(q, a, h);
	}
	y[0] = a + b + c + d + e + f + g + h + i + j + k + l + m + o + p + q;
}
END
expect wide_argument 'warning.*changes the ABI' haswell <<'END'
__kernel void wide_argument(__global float *y) { vstore16(vload16(0, y) + 1.0f, 0, y); }
END
exit $failed
