# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# What the checks by injection share: the program with a library preloaded that runs it once per point of failure (tests/inject/serve.c).
# make check takes a sample of the points, always the same one (PLUMB_TEST_SEED=n takes another); make check-large takes all.
# One point alone, into a debugger: LD_PRELOAD=.libs/inject.so INJECT=alloc INJECT_ONLY=n INJECT_BOX=folder .libs/plumb ...
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
real=$(dirname "$plumb")/.libs/plumb
[ -x "$real" ] || real=$plumb
shim=$(dirname "$plumb")/.libs/inject.so
[ -r "$shim" ] || { echo "SKIP: $shim is not built (a shared library is needed)"; exit 77; }
case ${SANITIZE_FLAGS:-} in *sanitize*) echo "SKIP: sanitizers have a malloc of their own"; exit 77 ;; esac
libraries=$(dirname "$plumb")/.libs
unset AR_HARDWARE_LIBS PLUMB_NATIVE_ISA PLUMB_AVOID
no_opencl
AR_HARDWARE_DRIVER=native PLUMB_THREADS=1 && export AR_HARDWARE_DRIVER PLUMB_THREADS
seed=${PLUMB_TEST_SEED:-1}
f32=$data/tiny-f32.gguf q4=$data/tiny-q4_0.gguf
total=0

# inject HOW MOST NAME ARGUMENTS...: HOW: alloc, alloc+ or io; MOST: points, of each kind (large: all of them).
inject() {
	how=$1 most=$2 called=$3
	shift 3
	[ -z "${PLUMB_TEST_LARGE:-}" ] || most=${large_most:-0}
	rm -rf box && mkdir box || exit 99
	LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} LD_PRELOAD=$shim INJECT=$how INJECT_BOX=$base/box INJECT_NAME="$called, $how" \
		INJECT_MOST=$most INJECT_SEED=$seed INJECT_STDIN=${input:-/dev/null} XDG_CACHE_HOME=$base/box/.cache HOME=$base/box LC_ALL=C \
		"$real" "$@" >out 2>err
	code=$?
	[ "$code" -ne 77 ] || { echo "SKIP: no seccomp here"; exit 77; }
	n=$(sed -n 's/^.*: \([0-9]*\) points, .*/\1/p' out | tail -n 1)
	total=$((total + ${n:-0}))
	[ "$code" -eq 0 ]
	report $? "$called, $how: ${n:-0} points"
}

references() {
	LD_LIBRARY_PATH=$libraries "$real" diag dump "$f32" --tokens 1,2,3 --out all >/dev/null && LD_LIBRARY_PATH=$libraries "$real" diag dump "$f32" --tokens 1,2,3 --out last --format bin >/dev/null
	report $? "references to compare with"
	printf 'Hello\nAnd you?\n' >talk
	head -c 300 "$top/README.md" >text
}

# every HOW MOST: every command.
every() {
	inject "$1" "$2" run run "$f32" hello -n 4
	inject "$1" "$2" "run --json" run "$q4" hello -n 3 --json
	inject "$1" "$2" "run --tokens" run "$q4" --tokens 1,2,3 -n 2
	input=$base/talk inject "$1" "$2" chat chat "$f32" -n 3
	inject "$1" "$2" info info "$f32"
	inject "$1" "$2" "info --json" info "$f32" --json
	inject "$1" "$2" "info --template" info "$f32" --template
	inject "$1" "$2" "info --tensors" info "$data/tiny-f32.safetensors" --tensors
	inject "$1" "$2" "info of a folder" info "$data/families/qwen3/hf" --json
	inject "$1" "$2" tokenize tokenize "$f32" "Hello world"
	input=$base/text inject "$1" "$2" "tokenize --json" tokenize "$f32" --json
	inject "$1" "$2" "tokenize --decode" tokenize "$f32" --decode 40,41,42 --json
	inject "$1" "$2" perplexity perplexity "$f32" "$base/text" --json
	inject "$1" "$2" bench bench "$q4" --prefill 2 --decode 2 --rounds 1 --json
	inject "$1" "$2" env env
	inject "$1" "$2" "env --json" env --json
	inject "$1" "$2" devices devices --json
	inject "$1" "$2" tune tune "$f32"
	INJECT_FINDS=1 && export INJECT_FINDS
	inject "$1" "$2" doctor doctor --no-kernels
	inject "$1" "$2" "doctor --json" doctor --no-kernels --json
	unset INJECT_FINDS
	inject "$1" "$2" "diag dump" diag dump "$f32" --tokens 1,2,3 --out mine
	inject "$1" "$2" "diag dump --format bin" diag dump "$f32" --prompt Hello --out mine --format bin --json
	inject "$1" "$2" "diag faults" diag faults --json
}

# parts HOW MOST: every part of a diagnosis; these are slow, and what is common to them is in all.
parts() {
	for part in verdict growth diverge isolate components convention precision blindspots fingerprint trace stability biography weights; do
		inject "$1" "$2" "diag $part" diag $part "$f32" "$base/all"
	done
	INJECT_TIMES=1 && export INJECT_TIMES
	inject "$1" "$2" "diag report --html" diag report "$f32" "$base/all" --html page.html
	inject "$1" "$2" "diag report --json" diag report "$f32" "$base/last" --json
	unset INJECT_TIMES
	inject "$1" "$2" "diag verdict --fault" diag verdict "$f32" "$base/all" --fault k_bias@1
	inject "$1" "$2" "diag bisect" diag bisect "$f32" --good native --bad native --tokens 1,2
}

survived() {
	[ "$failed" -eq 0 ] && echo "$total points, all survived (seed $seed)" || echo "$total points, $failed of the commands failed (seed $seed)"
	finish
}
