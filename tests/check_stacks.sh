#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The cl driver on each OpenCL that runs on a CPU here, with the kernels of both device classes: ./check_cl on PoCL, Intel's
# runtime, rusticl and Oclgrind (which must find no race, uninitialised value, wrong address or wrong API call), ./check_real on
# the first two, and then that the kernels' declared variants (tools/check-kernels) are all that was asked for.
# Stacks come from tools/install-opencl; one that is not there is skipped with a line.
set -u
top=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
prefix=${PLUMB_OPENCL_PREFIX:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/plumb/opencl}
[ -z "${SANITIZE_FLAGS:-}" ] || { echo "SKIP: OpenCL stacks are run by the main build only"; exit 77; }
[ -x ./check_cl ] || { echo "SKIP: no check_cl here: built without OpenCL headers or libcheck"; exit 77; }
[ -x "$prefix/on" ] || { echo "SKIP: no OpenCL stacks in $prefix (tools/install-opencl)"; exit 77; }
work=$PWD/check-stacks
rm -rf "$work/libs"
mkdir -p "$work/libs" "$work/pocl" || exit 1
# Our own cache is empty at the start, so that all programs are built; PoCL's stays, for time.
export AR_HARDWARE_LIBS=$work/libs POCL_CACHE_DIR=$work/pocl
unset AR_HARDWARE_DRIVER AR_HARDWARE_MEMORY_LOCATION PLUMB_CL_DEVICE PLUMB_CL_PATH PLUMB_CL_PROFILE OCLGRIND_LOG
failed=0 ran=0

# run NAME STACK COMMAND...: one line with the time, then what libcheck counted; 20 minutes, since llvmpipe
# compiles for 5 to 10 when its cache is empty
run() {
	local name=$1 stack=$2 log=$work/${1// /-}.log code from=$SECONDS
	shift 2
	timeout 1200 "$prefix/on" "$stack" "$@" > "$log" 2>&1 < /dev/null
	code=$?
	if [ $code = 77 ]; then
		echo "SKIP: $name: $(tail -n 1 "$log" | sed 's/^\(skipped\|SKIP\): //')"
		return
	fi
	ran=$((ran + 1))
	echo "$name: $((SECONDS - from)) s$([ $code = 0 ] || echo ", exit status $code")$(sed -n 's/^on /, on /p' "$log" | head -n 1)"
	grep -E '^[0-9]+%: Checks: ' "$log"
	[ $code = 0 ] && return
	failed=1
	tail -n 15 "$log" | sed 's/^/    /'
}

# check_cl under Oclgrind, where each report fails. A process that forks would cut off a plain log, so they come through a
# pipe. Version 21.10 can't execute all that it makes of its default, -O2 ("noalias.scope.decl", "freeze"), crashes on structs
# passed by value, and takes a value for uninitialised where its shadow of a buffer is that of an earlier, smaller one: hence
# no optimisation, pointers in cl/, and no canary (which makes buffers; tests/check_doctor.sh has it).
oclgrind() { # CLASS
	local pipe=$work/pipe found=$work/oclgrind-$1.found reader
	rm -f "$pipe"
	mkfifo "$pipe" || return
	cat "$pipe" > "$found" &
	reader=$!
	exec 8<> "$pipe"
	run "oclgrind $1" oclgrind env PLUMB_TEST_SMALL=1 PLUMB_CANARY=0 OCLGRIND_BUILD_OPTIONS=-cl-opt-disable OCLGRIND_DATA_RACES=1 \
		OCLGRIND_UNINITIALIZED=1 OCLGRIND_CHECK_API=1 OCLGRIND_LOG="$pipe" ./check_cl 8>&-
	exec 8>&-
	wait $reader
	if [ -s "$found" ]; then
		failed=1
		echo "oclgrind $1: $(grep -c '^	Kernel: ' "$found") reports (all of them: $found)"
		head -n 20 "$found" | sed 's/^/    /'
	fi
}

for stack in pocl intel-cpu rusticl oclgrind; do
	if [ ! -d "$prefix/icd/$stack" ]; then
		echo "SKIP: $stack is not installed (tools/install-opencl)"
		continue
	fi
	for class in cpu gpu; do
		if [ "$stack $class" = "rusticl cpu" ]; then
			echo "SKIP: rusticl cpu: llvmpipe has no vectors of its own and gets a GPU's kernels; a CPU's it compiles for over 20 minutes"
			continue
		fi
		export PLUMB_CL_CLASS=$class
		case $stack in
		oclgrind) oclgrind $class ;;
		rusticl) PLUMB_TEST_SMALL=1 run "$stack $class" $stack ./check_cl ;;
		*) run "$stack $class" $stack ./check_cl ;;
		esac
	done
	unset PLUMB_CL_CLASS
	# Buffers elsewhere: with `delegate` kernels work in the host's own bytes, and Oclgrind starts them as late as it may.
	case $stack in
	pocl|intel-cpu)
		for place in host delegate; do
			AR_HARDWARE_MEMORY_LOCATION=$place PLUMB_TEST_SMALL=1 run "$stack $place" $stack ./check_cl
		done ;;
	oclgrind)
		PLUMB_CL_CLASS=gpu AR_HARDWARE_MEMORY_LOCATION=delegate PLUMB_TEST_SMALL=1 OCLGRIND_BUILD_OPTIONS=-cl-opt-disable \
			run "oclgrind delegate" oclgrind ./check_cl ;;
	esac
	# A device with sub-groups must have got kernels that use them.
	if "$prefix/on" $stack ./plumb devices 2> /dev/null | grep -q ' sub-groups' && ! grep -qs -- '-DPLUMB_SUBGROUPS=1' "$work"/libs/*.clbin; then
		echo "$stack: has sub-groups, and no kernel was built for them"
		failed=1
	fi
	case $stack in
	pocl|intel-cpu)
		if grep -q PLUMB_TEST_DRIVER check_real; then
			PLUMB_TEST_DRIVER=cl run "$stack real model" $stack ./check_real
		else
			echo "SKIP: $stack: check_real knows no PLUMB_TEST_DRIVER"
		fi ;;
	esac
done
if [ $ran = 0 ]; then
	echo "SKIP: no OpenCL stack ran"
	exit 77
elif command -v python3 > /dev/null; then
	"$top/tools/check-kernels" --used "$work/libs" || failed=1
else
	echo "SKIP: no python3, so variants of kernels are not compared with those in use"
fi
exit $failed
