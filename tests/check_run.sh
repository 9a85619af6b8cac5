#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Running a model: what is refused before anything is computed, how a run ends and what is said of it, where an error is. With the
# small models of tests/data. PLUMB: the program; srcdir: the source folder.
# shellcheck disable=SC2015,SC2317 # `a && b || c` is meant; functions are called by name
set -u
check='check run'
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
model=$data/tiny-q8_0.gguf
[ -r "$model" ] || { echo "SKIP: $model is not there"; exit 77; }
unset AR_HARDWARE_LIBS PLUMB_THREADS PLUMB_NATIVE_ISA
PLUMB_MODE=exact && export PLUMB_MODE
no_opencl

run() { "$plumb" "$@" >out 2>err </dev/null; code=$?; }
# shellcheck disable=SC2059 # the text is a format, for its escapes
feed() { printf "$1" >in; shift; "$plumb" "$@" >out 2>err <in; code=$?; }
# Exit code; a pattern on standard error ("" for silence there); what.
expect() {
	[ "$code" -eq "$1" ] && { if [ -n "$2" ]; then grep -qi -- "$2" err; else [ ! -s err ]; fi; }
	report $? "$3"
}
# A value of a JSON result, by a Python expression on j; needs python3.
value() { "$python" -c 'import json, sys; j = json.load(open("out")); print(eval(sys.argv[1]))' "$1" 2>/dev/null; }

# Every common option that stands for a variable is shown as given on the command line.
env_options() {
	for pair in driver=AR_HARDWARE_DRIVER=cl,native precision=AR_HARDWARE_PRECISION=FP64 mode=PLUMB_MODE=fast threads=PLUMB_THREADS=3; do
		option=${pair%%=*} rest=${pair#*=}
		name=${rest%%=*} text=${rest#*=}
		run env --"$option" "$text"
		[ "$code" -eq 0 ] && grep -q "^$name  *$text  (command line)" out; report $? "env --$option"
	done
	# ... and there is none besides that is not in this list
	run env --help
	options=$(sed -n 's/^  \(-t, \)\{0,1\}--\([a-z]*\) [A-Z].*/\2/p' out | tr '\n' ' ')
	[ "$options" = "driver precision mode threads " ]; report $? "env: all options that take a value are tried ($options)"
}

for part in env_options; do
	code=0
	: >out; : >err
	$part
done
finish
