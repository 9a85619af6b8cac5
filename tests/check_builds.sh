#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The other ways to build: gcc and clang without a warning, sanitizers with the tests, distcheck. Each out of tree, in
# check-builds/NAME of the build folder; the log of a failure is shown.
set -u
if [ -n "${SANITIZE_FLAGS:-}" ] || [ -n "${PLUMB_NO_BUILDS:-}" ]; then echo "SKIP: other builds are checked from the main build only"; exit 77; fi
top=$(cd "${srcdir:-.}" && pwd)
here=$PWD/check-builds
checks=0 failed=0
export PLUMB_NO_BUILDS=1 PLUMB_TEST_MODEL=/nonexistent
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS

build() { # build NAME MAKE_ARGUMENTS... -- CONFIGURE_ARGUMENTS...
	local name=$1 args=() log
	shift
	while [ "$1" != -- ]; do args+=("$1"); shift; done
	shift
	checks=$((checks + 1)) log=$here/$name.log
	mkdir -p "$here/$name"
	if (cd "$here/$name" && { [ -f Makefile ] || "$top/configure" -q --disable-dependency-tracking "$@"; } && make -j"$(nproc)" "${args[@]}") > "$log" 2>&1 < /dev/null
	then echo "ok - $name"
	else failed=$((failed + 1)); echo "not ok - $name: the last lines of $log"; tail -25 "$log" | sed 's/^/    /'
	fi
}
tests="check_core check_format check_model check_op_special check_text tests/check_fuzz.sh tests/check_cli.sh"
build gcc-werror all -- CC=gcc --enable-werror CFLAGS=-O2
if command -v clang > /dev/null; then
	build clang-werror check TESTS= -- CC=clang --enable-werror CFLAGS=-O2
else
	echo "SKIP: no clang here, so its warnings are not checked"
fi
build asan-ubsan check "TESTS=$tests" -- --enable-sanitize=address,undefined CFLAGS=-O1
build tsan check "TESTS=check_core check_model" -- --enable-sanitize=thread CFLAGS=-O1
build no-opencl all -- --disable-opencl --disable-shared CFLAGS=-O0
build distcheck distcheck "TESTS=check_core tests/check_install.sh" -- CFLAGS=-O1
echo "$checks checks, $failed failed"
[ "$failed" = 0 ]
