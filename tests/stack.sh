# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The cl driver on one OpenCL that runs on a CPU, with the kernels of both device classes: check_cl, part of check_real, and then
# that the kernels' declared variants (tools/check-kernels) are all that was asked for. tests/check_stack_NAME.sh set `stack` and source
# this, so that stacks are tested side by side. Stacks come from tools/install-opencl; one that is not there is a skip.
# PLUMB_TEST_LARGE=1 (make check-large): every shape, every weight type and the whole of check_real, also where that takes many minutes.
set -u
top=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
prefix=${PLUMB_OPENCL_PREFIX:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/plumb/opencl}
large=${PLUMB_TEST_LARGE:-}
# shellcheck disable=SC2154 # stack: of who sources this
work=$PWD/check-stack-$stack
[ -z "${SANITIZE_FLAGS:-}" ] || { echo "SKIP: OpenCL stacks are run by the main build only"; exit 77; }
[ -x ./check_cl ] || { echo "SKIP: no check_cl here: built without OpenCL headers or libcheck"; exit 77; }
[ -x "$prefix/on" ] && [ -d "$prefix/icd/$stack" ] || { echo "SKIP: $stack is not in $prefix (tools/install-opencl)"; exit 77; }
rm -rf "$work/libs" "$work/done"
mkdir -p "$work/libs" "$work/pocl" || exit 1
# Our own cache is empty at the start, so that all programs are built; PoCL's stays, for time.
export AR_HARDWARE_LIBS=$work/libs POCL_CACHE_DIR=$work/pocl
unset AR_HARDWARE_DRIVER AR_HARDWARE_MEMORY_LOCATION PLUMB_CL_DEVICE PLUMB_CL_PATH PLUMB_CL_PROFILE OCLGRIND_LOG
failed=0

# run NAME COMMAND...: one line with the time, then what libcheck counted; 30 minutes at most.
run() {
	local name=$1 log=$work/${1// /-}.log code from=$SECONDS
	shift
	timeout 1800 "$prefix/on" "$stack" "$@" > "$log" 2>&1 < /dev/null
	code=$?
	if [ $code = 77 ]; then
		echo "SKIP: $name: $(tail -n 1 "$log" | sed 's/^\(skipped\|SKIP\): //')"
		return
	fi
	echo "$name: $((SECONDS - from)) s$([ $code = 0 ] || echo ", exit status $code")$(sed -n 's/^on /, on /p' "$log" | head -n 1)"
	grep -E '^[0-9]+%: Checks: ' "$log"
	[ $code = 0 ] && return
	failed=1
	tail -n 15 "$log" | sed 's/^/    /'
}

# small N: how much check_cl leaves out (tests/op_cases.h), unless all is asked for.
small() { [ -n "$large" ] && echo "${2:-0}" || echo "$1"; }

# The operators with a class's kernels.
operators() { PLUMB_CL_CLASS=$1 PLUMB_TEST_SMALL=$2 run "$stack $1" ./check_cl; }

# Buffers elsewhere: what differs is how bytes come and go, not the kernels.
places() {
	local place
	for place; do
		AR_HARDWARE_MEMORY_LOCATION=$place PLUMB_TEST_SMALL=$(small 2 1) run "$stack $place" ./check_cl
	done
}

# Small models of every family, with the numbers of Transformers.
families() { PLUMB_TEST_DRIVER=cl run "$stack families" ./check_family; }

# The real model, with the numbers of PyTorch: CASES of libcheck, or all of it.
real_model() {
	local only
	[ -z "$large" ] || set -- all
	for only; do
		[ "$only" = all ] || export CK_RUN_CASE=$only
		PLUMB_TEST_DRIVER=cl run "$stack real model, $only" ./check_real
		unset CK_RUN_CASE
	done
}

finish() {
	# A device with sub-groups must have got kernels that use them.
	if "$prefix/on" "$stack" ./plumb devices 2> /dev/null | grep -q ' sub-groups' && ! grep -qs -- '-DPLUMB_SUBGROUPS=1' "$work"/libs/*.clbin; then
		echo "$stack: has sub-groups, and no kernel was built for them"
		failed=1
	fi
	if command -v python3 > /dev/null; then
		"$top/tools/check-kernels" --used "$work/libs" || failed=1
	else
		echo "SKIP: no python3, so variants of kernels are not compared with those in use"
	fi
	: > "$work/done"
	exit $failed
}
