#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds libFuzzer's programs (make fuzz, clang) and runs each reader for a minute, three at a time, from its corpus: the same seed each time, so
# that a failure can be had again. PLUMB_TEST_LARGE=1 (make check-large): ten minutes, another seed each time. A finding stays in
# check-fuzz/ of the build folder; its place is tests/data/fuzz, once mended.
set -u
[ -z "${SANITIZE_FLAGS:-}" ] && [ -z "${PLUMB_NO_BUILDS:-}" ] || { echo "SKIP: the fuzzers run from the main build only"; exit 77; }
command -v clang >/dev/null || { echo "SKIP: no clang here, so no libFuzzer"; exit 77; }
top=$(cd "${srcdir:-.}" && pwd)
echo 'int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n) { return p && n > 9 ? 0 : 0; }' >fuzz-try.c
clang -fsanitize=fuzzer,address -o fuzz-try fuzz-try.c 2>/dev/null || { rm -f fuzz-try.c; echo "SKIP: clang has no libFuzzer here"; exit 77; }
rm -f fuzz-try fuzz-try.c
${MAKE:-make} -s fuzz CC=clang >check-fuzz.log 2>&1 </dev/null || { tail -n 20 check-fuzz.log; echo "make fuzz CC=clang failed"; exit 1; }
[ "${PLUMB_TEST_LARGE:-0}" = 0 ] && seconds=${PLUMB_FUZZ_SECONDS:-60} seed=1 || seconds=${PLUMB_FUZZ_SECONDS:-600} seed=0
rm -rf check-fuzz
mkdir check-fuzz || exit 1

fuzz() { # reader
	mkdir "check-fuzz/$1"
	"./fuzz-$1-live" "check-fuzz/$1" "$top/tests/data/fuzz/$1" -seed=$seed -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4000 -max_len=65536 \
		-artifact_prefix="check-fuzz/$1-" >"check-fuzz/$1.log" 2>&1 </dev/null
	echo $? >"check-fuzz/$1.code"
}
set -- 
for program in ./fuzz-*-live; do
	reader=${program#./fuzz-}
	set -- "$@" "${reader%-live}"
done
failed=0
readers=$*
while [ $# -gt 0 ]; do
	for reader in "$1" "${2:-}" "${3:-}"; do
		[ -z "$reader" ] || fuzz "$reader" &
	done
	wait
	shift $(($# < 3 ? $# : 3))
done
for reader in $readers; do
	inputs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "check-fuzz/$reader.log")
	if [ "$(cat "check-fuzz/$reader.code")" = 0 ] && [ "${inputs:-0}" -gt 0 ]; then
		echo "ok - $reader: $inputs inputs in $seconds s, no finding"
	else
		failed=1
		echo "not ok - $reader: a finding in $PWD/check-fuzz"
		grep -E 'ERROR|SUMMARY|Test unit|insist|    #[0-9] ' "check-fuzz/$reader.log" | head -n 20
	fi
done
exit $failed
