#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The other ways to build: gcc and clang without a warning, sanitizers with tests, no OpenCL, the package. Each out of tree, in
# check-builds/NAME of the build folder; the log of a failure is shown. One build serves as many questions as it can.
set -u
if [ -n "${SANITIZE_FLAGS:-}" ] || [ -n "${PLUMB_NO_BUILDS:-}" ]; then echo "SKIP: other builds are checked from the main build only"; exit 77; fi
top=$(cd "${srcdir:-.}" && pwd)
here=$PWD/check-builds
checks=0 failed=0
export PLUMB_NO_BUILDS=1 PLUMB_TEST_MODEL=/nonexistent
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS

build() { # build NAME MAKE_ARGUMENTS... [+ MAKE_ARGUMENTS...] -- CONFIGURE_ARGUMENTS...: make, and make once more
	local name=$1 first=() then=() log from=$SECONDS
	shift
	while [ "$1" != -- ] && [ "$1" != + ]; do first+=("$1"); shift; done
	if [ "$1" = + ]; then
		shift
		while [ "$1" != -- ]; do then+=("$1"); shift; done
	fi
	shift
	checks=$((checks + 1)) log=$here/$name.log
	mkdir -p "$here/$name"
	if (cd "$here/$name" && { [ -f Makefile ] || "$top/configure" -q --disable-dependency-tracking "$@"; } && make -j"$(nproc)" "${first[@]}" &&
		{ [ ${#then[@]} = 0 ] || make -j"$(nproc)" "${then[@]}"; }) > "$log" 2>&1 < /dev/null
	then echo "ok - $name, $((SECONDS - from)) s"
	else failed=$((failed + 1)); echo "not ok - $name: the last lines of $log"; tail -25 "$log" | sed 's/^/    /'
	fi
}
# What ./quickstart wrote when it made this build: the one with gcc and its optimiser, whose warnings the builds here don't see.
warned() {
	[ -f make.log ] || { echo "no make.log of ./quickstart here, so warnings of gcc -O2 are not looked for"; return; }
	checks=$((checks + 1))
	if cat make.log check.log 2> /dev/null | grep -E '^[^ ]+:[0-9]+(:[0-9]+)?: warning: '; then failed=$((failed + 1)); echo "not ok - gcc warned, see above"
	else echo "ok - gcc -O2 did not warn"
	fi
}
# Two builds that differ by little share their objects, where ccache is.
export CCACHE_DIR=$here/ccache
clang="$(command -v ccache) clang"
warned
if command -v clang > /dev/null; then
	build clang-werror check TESTS= -- CC="${clang# }" --enable-werror --disable-shared CFLAGS=-O0
	build no-opencl all -- CC="${clang# }" --enable-werror --disable-opencl --disable-shared CFLAGS=-O0
else
	echo "SKIP: no clang here, so its warnings are not checked"
	build no-opencl all -- --disable-opencl --disable-shared CFLAGS=-O0
fi
tests="check_core check_format check_model check_op_special check_text"
# shellcheck disable=SC2086 # several
build asan-ubsan plumb fuzz-replays $tests + check-TESTS "TESTS=$tests tests/check_fuzz.sh tests/check_cli.sh" -- \
	--enable-sanitize=address,undefined --disable-shared CFLAGS=-O1
build tsan check_core check_model + check-TESTS "TESTS=check_core check_model" -- --enable-sanitize=thread --disable-shared CFLAGS=-O1
# That the package is whole and builds where its sources can't be written; what is built was looked at by all other checks. Without the
# optimiser gcc does not see what text can be printed, and warns of what cannot be.
build distcheck distcheck 'DISTCHECK_CONFIGURE_FLAGS=--enable-werror --disable-static CFLAGS="-O0 -Wno-format-truncation"' "TESTS=check_core tests/check_install.sh" -- CC=gcc CFLAGS=-O0
echo "$checks checks, $failed failed"
[ "$failed" = 0 ]
