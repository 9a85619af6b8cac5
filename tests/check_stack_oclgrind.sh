#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Oclgrind, an interpreter that must find no race, uninitialised value, wrong address or wrong API call; see tests/stack.sh.
stack=oclgrind
. "${srcdir:-$(dirname "$0")/..}/tests/stack.sh"

# Each report fails. A process that forks would cut off a plain log, so they come through a
# pipe. Version 21.10 can't execute all that it makes of its default, -O2 ("noalias.scope.decl", "freeze"), crashes on structs
# passed by value, and takes a value for uninitialised where its shadow of a buffer is that of an earlier, smaller one: hence
# no optimisation, pointers in cl/, and no canary (which makes buffers; tests/check_doctor.sh has it).
export PLUMB_CANARY=0 OCLGRIND_BUILD_OPTIONS=-cl-opt-disable OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=1 OCLGRIND_CHECK_API=1
watched() { # CLASS
	local pipe=$work/pipe found=$work/$1.found reader
	rm -f "$pipe"
	mkfifo "$pipe" || return
	cat "$pipe" > "$found" &
	reader=$!
	exec 8<> "$pipe"
	OCLGRIND_LOG=$pipe operators "$1" "$(small 1 1)" 8>&-
	exec 8>&-
	wait $reader
	if [ -s "$found" ]; then
		failed=1
		echo "oclgrind $1: $(grep -c '^	Kernel: ' "$found") reports (all of them: $found)"
		head -n 20 "$found" | sed 's/^/    /'
	fi
}
watched cpu
watched gpu
unset OCLGRIND_DATA_RACES OCLGRIND_UNINITIALIZED OCLGRIND_CHECK_API
# With `delegate` kernels work in the host's own bytes, and Oclgrind starts them as late as it may.
export PLUMB_CL_CLASS=gpu
places delegate
finish
