#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines that would read model files wrongly are refused with the reason, by configure and by the compiler where that was gone round.
# Big-endian s390x, with Debian's cross compiler.
set -u
[ -z "${PLUMB_NO_BUILDS:-}" ] || { echo "SKIP: from the main build only"; exit 77; }
top=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
command -v s390x-linux-gnu-gcc >/dev/null || { echo "SKIP: no cross compiler s390x-linux-gnu-gcc"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/plumb-portable.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT INT TERM
failed=0
refused() { # what words: by its exit code and by the words in log
	if [ $code -ne 0 ] && grep -q "$2" "$dir/log"; then echo "ok - $1"; else failed=1; echo "not ok - $1"; tail -n 5 "$dir/log"; fi
}
(cd "$dir" && "$top/configure" --host=s390x-linux-gnu CC=s390x-linux-gnu-gcc) >"$dir/log" 2>&1 </dev/null
code=$?
refused "configure refuses a big-endian machine" "needs a little-endian machine"
s390x-linux-gnu-gcc -D_GNU_SOURCE -I"$top/include" -I"$top/src" -fsyntax-only "$top/src/core/type.c" >"$dir/log" 2>&1
code=$?
refused "so does the compiler" "needs a little-endian machine"
if command -v i686-linux-gnu-gcc >/dev/null && [ -e /usr/i686-linux-gnu/include/stdlib.h ]; then
	(cd "$dir" && "$top/configure" --host=i686-linux-gnu CC=i686-linux-gnu-gcc) >"$dir/log" 2>&1 </dev/null
	code=$?
	refused "configure refuses 32-bit addresses" "needs a machine with 64-bit addresses"
else
	echo "SKIP: 32-bit machines: no cross compiler i686-linux-gnu-gcc (gcc-i686-linux-gnu, libc6-dev-i386-cross)"
fi
exit $failed
