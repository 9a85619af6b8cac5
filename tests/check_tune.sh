#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# plumb tune: it measures, keeps, explains and never changes a token; what is broken in its file is ignored; CLBlast gives the same
# tokens, and its absence is said. And bench, which says what the kernels reach. PLUMB: the program; PLUMB_OCL: where other
# stacks than Debian's are (default /opt/ocl).
# shellcheck disable=SC2015 # `a && b || c` is meant
set -u
check='check-tune'
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
model=$data/tiny-q8_0.gguf
[ -r "$model" ] || { echo "SKIP: $model is not there"; exit 77; }
unset PLUMB_CL_MATMUL PLUMB_CL_CLASS

do_plumb() { timeout 600 "$plumb" "$@" >out 2>err </dev/null; code=$?; }
has() { [ "$code" -eq "$1" ] && cat out err | grep -q "$2"; report $? "$3"; }

do_plumb tune --driver native "$model"
if grep -q "no OpenCL driver" err; then echo "SKIP: this build has no OpenCL driver"; exit 77; fi
has 2 "nothing to tune" "native has nothing to tune, and that is said"
do_plumb tune; has 2 "needs a model" "a model is needed"

need_stack
AR_HARDWARE_LIBS=$base/libs
export AR_HARDWARE_LIBS
"$plumb" devices | sed -n 's/^\*/# device/p'
name_devices && named=yes || named=no # its name is in the tuning file's key and in what bench says

ids=1; i=2; while [ $i -le 40 ]; do ids=$ids,$i; i=$((i + 1)); done # 40 tokens: several rows in one product
tokens() { do_plumb run "$model" --driver cl --tokens "$ids" -n 6 --ids; }
right() { # what
	[ "$code" -eq 0 ] && cmp -s out want && ! grep -qv "^[0-9]* tokens\{0,1\} read at" err
	report $? "$1"
}
do_plumb run "$model" --driver native --tokens "$ids" -n 6 --ids
[ "$code" -eq 0 ] || { report 1 "the native driver runs the model"; exit 1; }
cp out want

tokens; right "the fixed choice gives the right tokens"
do_plumb tune "$model" --explain; has 1 "nothing was measured" "--explain before anything was measured"
LC_ALL=C sed 's/qwen2.rope.freq_base/qwen2.residual_scale/' <"$data/tiny-f32.gguf" >scaled
do_plumb tune scaled; has 3 "scaled: .*qwen2.residual_scale" "a model that is not computed is refused by name"
[ -z "$(find "$AR_HARDWARE_LIBS" -name '*.tune.json')" ]; report $? "... and leaves no file"

do_plumb tune "$model" --quick; has 0 "q8_0 .*block" "tuning"
file=$(find "$AR_HARDWARE_LIBS" -name '*.tune.json')
[ -s "$file" ] && [ -z "$(find "$AR_HARDWARE_LIBS" -name '*.json.*' -o -name '*.clbin.*')" ]; report $? "one file is kept, nothing temporary"
cp out table
do_plumb tune "$model" --explain; cmp -s out table; report $? "--explain shows the same"
tokens; right "tokens with the tuning file"
do_plumb tune "$model" --explain --json; has 0 '"taken"' "--explain --json"
[ "$named" = no ] || { grep -q "\"device\": \"$good" out; report $? "--explain --json: a device whose name is no UTF-8"; }
# Another variant than the fixed one only where it was clearly faster.
tr -d ' ,"' <out | awk -F: '$1 == "fixed" { fixed = $2; split("", time) } $1 == "taken" { taken = $2 } $2 == "{" { variant = $1 } $1 == "seconds" { time[variant] = $2 }
	$1 == "}" && variant != "" && fixed != taken && (fixed in time) && (taken in time) && time[taken] > time[fixed] { print taken, time[taken], fixed, time[fixed] }' >slower
[ ! -s slower ]; report $? "no variant is taken that was slower than the fixed one"
cp "$file" kept
do_plumb tune "$top/tests/data/tiny-q5_0.gguf" --quick; has 0 q5_0 "tuning for a second model"
do_plumb tune "$model" --explain; has 0 q8_0 "... keeps the rows of the first"

# Every variant, and a file that chooses it: the same tokens.
for variant in own mt1 mt4 mt8 block; do
	PLUMB_CL_MATMUL=$variant; export PLUMB_CL_MATMUL; tokens; unset PLUMB_CL_MATMUL
	case "$variant/$code" in
	mt8/2) grep -q "for CPUs" err; report $? "PLUMB_CL_MATMUL=$variant is refused on a GPU" ;;
	*) right "PLUMB_CL_MATMUL=$variant" ;;
	esac
	[ $variant = own ] && continue
	sed "s/\"chosen\": \"[a-z0-9]*\"/\"chosen\": \"$variant\"/" kept >"$file"
	tokens; right "a tuning file that says $variant"
done
PLUMB_CL_MATMUL=fast; export PLUMB_CL_MATMUL; tokens; unset PLUMB_CL_MATMUL; has 2 "must be own" "an unknown word in PLUMB_CL_MATMUL"

# A file that is read: --explain shows what stands in it.
ignored() { # what
	do_plumb tune "$model" --explain; has 1 "nothing was measured" "$1: ignored"
	tokens; right "$1: right tokens"
}
sed 's/"seconds": [0-9.e-]*/"seconds": 123.5/' kept >"$file"; do_plumb tune "$model" --explain; has 0 123500 "the file is what counts"
: >"$file"; ignored "an empty file"
head -c 300 kept >"$file"; ignored "a file cut short"
head -c 5000 /dev/urandom >"$file"; ignored "noise"
sed 's/"chosen": "[a-z0-9]*"/"chosen": "magic"/' kept >"$file"; ignored "a variant that does not exist"
sed 's/"m_low": [0-9]*/"m_low": -5/' kept >"$file"; ignored "a negative number of rows"
sed 's/"key": "/&x/' kept >"$file"; ignored "a file for another device, driver or kernel"
echo '{"rows": 7}' >"$file"; ignored "JSON of another kind"
do_plumb tune "$model" --quick; has 0 q8_0 "tuning mends the file"

do_plumb tune "$model" --explain
if grep -q "CLBlast  is there" out; then
	PLUMB_CL_MATMUL=clblast; export PLUMB_CL_MATMUL; tokens; unset PLUMB_CL_MATMUL; right "PLUMB_CL_MATMUL=clblast"
	# One that computes nothing, and says when its cache is cleared, which is every context's.
	mkdir -p blind && printf '%s\n' '#include <stdio.h>' 'int CLBlastSgemm(void) { return 0; }' \
		'int CLBlastClearCache(void) { fputs("cache cleared\n", stderr); return 0; }' >blind/blind.c
	if ${CC:-cc} -shared -fPIC -o blind/libclblast.so.1 blind/blind.c 2>err; then
		LD_LIBRARY_PATH=$base/blind${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} do_plumb tune "$model" --explain; has 0 "CLBlast  is there" "another CLBlast is found"
		! grep -q "cache cleared" err; report $? "a context that did not use CLBlast leaves its cache alone"
		PLUMB_CL_MATMUL=clblast; export PLUMB_CL_MATMUL
		LD_LIBRARY_PATH=$base/blind${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} tokens
		grep -q "matmul.*is wrong" err; report $? "another CLBlast is judged anew, in spite of the verdict on the one before"
		grep -q "cache cleared" err; report $? "a context that used it forgets itself there"
		tokens; right "and so is the first again"
		unset PLUMB_CL_MATMUL
	else
		skip "another CLBlast: no C compiler"
	fi
	# Its FFN's matrices have 32 KB, and one row takes another variant, so what matters is the prompt.
	dense=$top/tests/data/tiny-f32.gguf
	mv want want.q8_0
	"$plumb" run "$dense" --driver native --tokens "$ids" -n 6 --ids >want 2>/dev/null
	for class in cpu gpu; do
		PLUMB_CL_MATMUL=clblast PLUMB_CL_MAX_ALLOC=17000 PLUMB_CL_CLASS=$class; export PLUMB_CL_MATMUL PLUMB_CL_MAX_ALLOC PLUMB_CL_CLASS
		do_plumb run "$dense" --driver cl --tokens "$ids" -n 6 --ids --batch 4
		unset PLUMB_CL_MATMUL PLUMB_CL_MAX_ALLOC PLUMB_CL_CLASS
		right "PLUMB_CL_MATMUL=clblast with weights in several buffers, kernels for a $class"
	done
	mv want.q8_0 want
	sed 's/"chosen": "[a-z0-9]*"/"chosen": "clblast"/' kept >"$file"; tokens; right "a tuning file that says clblast"
	# An empty file of that name comes before the real library.
	mkdir fake && : >fake/libclblast.so.1
	LD_LIBRARY_PATH=$base/fake${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; export LD_LIBRARY_PATH
else
	sed 's/"chosen": "[a-z0-9]*"/"chosen": "clblast"/' kept >"$file"
fi
tokens; right "a tuning file that says clblast, which is not there"
do_plumb tune "$model" --explain; has 0 "libclblast1" "tune names the package that is missing"
PLUMB_CL_MATMUL=clblast; export PLUMB_CL_MATMUL; tokens; unset PLUMB_CL_MATMUL
has 4 "libclblast1" "PLUMB_CL_MATMUL=clblast without CLBlast is an error that names the package"
do_plumb tune "$model" --quick; has 0 q8_0 "tuning without CLBlast"

# The bytes of a kernel are what it must move: all weights once a step, and of the cache what is held, whatever it has room for.
profile() { do_plumb bench "$model" --driver cl --rounds 2 --decode 4 "$@"; }
profile --prefill 0; has 0 "^matvec .*% of the copy" "bench with times of kernels: the products with one row beside a copy"
has 0 "^ .*% .*  attention attention" "... and a row for each kernel"
PLUMB_CL_CLASS=gpu; export PLUMB_CL_CLASS; profile --prefill 0 --depth 252; unset PLUMB_CL_CLASS
has 0 " -  *-  attention attention_join" "... and - where the bytes are not known"
if [ -n "$python" ]; then
	profile --prefill 200 --json; cp out roomy; profile --prefill 0 --json
	"$python" - >err 2>&1 <<'END'
import json
roomy, j = json.load(open("roomy")), json.load(open("out"))
weights = 4 * j["step_bytes"] # steps
assert weights <= j["kernels"]["decode_matmul"]["bytes"] < 1.2 * weights, (weights, j["kernels"]["decode_matmul"])
attention = lambda j: [row["bytes"] for row in j["kernels"]["decode"] if row["kernel"].startswith("attention ")]
assert attention(roomy) == attention(j) and attention(j)[0] > 0, (attention(roomy), attention(j))
END
	report $? "bench counts the bytes of kernels"
	[ "$named" = no ] || { grep -q "\"note\": \"$good" out; report $? "bench --json: a device whose name is no UTF-8"; }
fi

AR_HARDWARE_LIBS=/proc/nothing/here do_plumb tune "$model" --quick; has 3 "AR_HARDWARE_LIBS" "no folder to keep it in"
finish
