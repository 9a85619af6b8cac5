#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# HACKING.md's table "what a change touches" is true: a toy operator, a toy model family and a toy check of the diagnosis are added to a copy
# of the sources by the edits that it names and no others, and work. The copy is built by hand: plain C, no OpenCL, no optimiser.
set -u
[ -z "${PLUMB_NO_BUILDS:-}" ] || { echo "SKIP: from the main build only"; exit 77; }
check=check_toy
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
toy=$top/tests/toy
flags=$(pkg-config --cflags jansson libpcre2-8 libutf8proc 2>/dev/null) || { echo "SKIP: no pkg-config"; exit 77; }
libs=$(pkg-config --libs jansson libpcre2-8 libutf8proc)
cp -R "$top/src" "$top/include" . && chmod -R u+w src include || exit 99

edit() { # file, sed command: an edit that changes nothing means that the table names the wrong place
	cp "$1" before && sed "$2" before >"$1" && ! cmp -s before "$1" && return
	echo "not ok - $1 takes no edit: $2"
	failed=$((failed + 1))
}
# operator: a line in ops.def, a prototype in op.h, a file per tree (OpenCL's are not built here)
edit include/plumb/ops.def '/^#undef PLUMB_OP$/i\
PLUMB_OP(twice, 1, "y = 2 x")'
edit include/plumb/op.h '/y = a + b, of one shape/i\
/* y = 2 x. */\
PLUMB_API enum plumb_status plumb_twice(struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x);\
'
cp "$toy/op_twice.c" src/op/twice.c
cp "$toy/native_twice.c" src/native/twice.c
# model family: a row, its name in the header, a file
edit src/model/family.c 's/= { &plumb_family_qwen2,/= { \&plumb_family_toy, \&plumb_family_qwen2,/'
edit src/model/family.h 's/^extern const struct plumb_family plumb_family_qwen2,/extern const struct plumb_family plumb_family_toy, plumb_family_qwen2,/'
cp "$toy/family_toy.c" src/model/family_toy.c
# check: a row with its table, its name in the header, a file
edit src/diag/checks.c '/{ &bisect, /i\
	{ \&plumb_check_toy, "Toys", PLUMB_WHEN_ALWAYS, 12, 0, PLUMB_FIGURE_NONE, { \&(const struct plumb_table){ .title = "Toys of layers", .rows = "layers",\
		.column = { { "layer", "layer", N }, { "tensor", "tensor", T } } } } },'
edit src/diag/check/check.h 's/^extern const struct plumb_check plumb_check_weights,/extern const struct plumb_check plumb_check_toy, plumb_check_weights,/'
cp "$toy/check_toy.c" src/diag/check/toy.c

# Not those of instruction sets, which need flags of their own, nor OpenCL's.
mkdir objects
find src -name '*.c' ! -path '*/cl/*' ! -name 'avx*.c' ! -name 'packed_avx*.c' ! -name '*neon*.c' >list
echo src/cl/none.c >>list
xargs -P 2 -I FILE sh -c '${CC:-cc} -std=gnu11 -O0 -D_GNU_SOURCE -Iinclude -Isrc '"$flags"' -c FILE -o objects/$(echo FILE | tr / _).o' <list >out 2>err
code=$?
report $code "what the table names is all that compiles need"
[ $code -eq 0 ] || finish
link() { # output, objects
	# shellcheck disable=SC2086 # lists
	${CC:-cc} -o "$@" $libs -lpthread -ldl -lm >out 2>err
	code=$?
	report $code "$1 links"
}
link plumb-toy objects/*.o
# shellcheck disable=SC2086
${CC:-cc} -std=gnu11 -O0 -D_GNU_SOURCE -Iinclude -Isrc $flags -c "$toy/main.c" -o main.o
find objects -name '*.o' ! -name 'src_cli_*' >library
# shellcheck disable=SC2046
link toy-op main.o $(cat library)

./toy-op >out 2>err
code=$?
grep -q '^twice 0 0 placed 1$' out || code=1
report $code "the operator: its front runs natively, and the generic verification finds it exact"
AR_HARDWARE_DRIVER=native; export AR_HARDWARE_DRIVER
# The same model by the toy family's names.
LC_ALL=C sed 's/qwen2\./toyed./g; s/\(general\.architecture.\{12\}\)qwen2/\1toyed/; s/attn_q\./attn_a./g; s/attn_k\./attn_b./g; s/attn_v\./attn_c./g
	s/ffn_down/ffn_back/g; s/token_embd/token_toys/g' <"$data/tiny-f32.gguf" >toy.gguf
"$plumb" run "$data/tiny-f32.gguf" --tokens 3,147,9,234 -n 8 --ids >right 2>err && ./plumb-toy run toy.gguf --tokens 3,147,9,234 -n 8 --ids >out 2>err && cmp -s right out
report $? "the family: a model by its names answers as the same one by qwen2's"
./plumb-toy diag special toy.gguf --tokens 3,147,9 >out 2>err
code=$?
report $code "the diagnosis asks a family for its tensors by role"
./plumb-toy diag --help >out 2>err && grep -q 'toy .*way back' out
report $? "the check: help lists it"
./plumb-toy diag toy toy.gguf --tokens 3,147,9 >out 2>err && grep -q 'goes back by blk.1.ffn_back.weight' out
report $? "the check: it runs, and finds the family's tensor"
./plumb-toy diag report toy.gguf "$data/tiny-f32-single.safetensors" --html page.html >out 2>err
code=$?
grep -q 'Toys of layers' page.html
report $? "the check: a report has it, and the page its table"
finish
