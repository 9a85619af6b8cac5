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
# Exit code 0, a result, and rates or notes on standard error; what.
works() { [ "$code" -eq 0 ] && [ -s out ] && grep -q '[0-9]' err; report $? "$1"; }
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

# Refused before an operator has run, with both numbers; --placement would list it.
fits() {
	long=$(printf 'x %.0s' 1 2 3 4 5 6 7 8 9 10)
	n=$("$plumb" tokenize "$model" --ids "$long" | tr ',' '\n' | wc -l)
	run run "$model" --raw "$long" --ctx 12 --placement; expect 5 "prompt has $n tokens.*context of 12" "run: a prompt longer than the context"
	! grep -q '^matmul' err && [ ! -s out ]; report $? "run: nothing was computed, nothing printed"
	grep -q -- "--ctx N, at most the model's 256" err; report $? "run: what makes it longer"
	run run "$model" --tokens 1,2,3,4,5 --ctx 4 --placement; expect 5 " 5 .* 4\b" "run --tokens: a prompt longer than the context"
	! grep -q '^matmul' err; report $? "run --tokens: nothing was computed"
	run run "$model" --tokens 1,2,3,4 --ctx 4; expect 0 "^4 " "run --tokens: the last position gives one token more"
	run run "$model" --tokens 1,2,3,4 --ctx 4 -n 2; expect 5 "4 tokens.*no room.* 4\b" "run: no room for an answer of more than one token"
	run run "$model" --raw "$long" --ctx "$n"; expect 5 "\b$n\b" "run: a prompt that fills the context"
	ids=$(i=0; while [ $i -lt 300 ]; do printf '%d,' $((i % 200)); i=$((i + 1)); done)
	run run "$model" --tokens "$ids" --placement; expect 5 " 300 .* 256\b" "run: longer than the model's own context, in more than one pass"
	! grep -q '^matmul' err && ! grep -q -- '--ctx' err; report $? "run: nothing was computed, and no advice that cannot help"
	feed "$long\n" chat "$model" --ctx 16; expect 5 "conversation.* [0-9]* .* 16\b" "chat: a message longer than the context"
	run run "$model" --tokens 320; expect 2 "token 320.*outside the vocabulary of 320" "run --tokens: an id that is no token is the command line's fault"
	AR_HARDWARE_MEMORY_SCALE=0 run bench "$model" --prefill 300; expect 5 "\b256\b" "bench: more than the context"
}

# What a greedy answer says without stop texts; each of its pieces must stop it there.
stops() {
	[ -n "$python" ] || { skip "stop texts: no python3"; return; }
	cat >stops.py <<'END'
import json, subprocess, sys
plumb, model = sys.argv[1:]
base = [plumb, "run", model, "--raw", "Hello", "-n", "60", "--ignore-end"]
def run(*more, command=base):
	return subprocess.run([*command, *more], capture_output=True)
whole = json.loads(run("--json").stdout)
text = whole["text"]
assert whole["stop"] == "length" and len(text) > 20
tried = 0
for at in range(1, len(text) - 3, 3):
	for size in (1, 2, 4):
		stop = text[at:at + size]
		if "\0" in stop or stop.isspace(): continue
		want = text[:text.index(stop)]
		got = run("--stop", "never this", "--stop", stop)
		assert got.returncode == 0 and got.stdout == want.encode() + b"\n", (stop, got.stdout, want)
		tried += 1
assert tried > 20, tried
stop = text[5:7]
j = json.loads(run("--json", "--stop", stop).stdout)
assert j["stop"] == "stop" and j["stop_text"] == stop and j["text"] == text[:text.index(stop)], j
assert j["tokens"] == whole["tokens"][:len(j["tokens"])] and len(j["tokens"]) < 60
ids = run("--ids", "--stop", stop).stdout.split()
assert [int(i) for i in ids] == j["tokens"], "--ids prints all tokens, those of the stop text too"
held = json.loads(run("--json", "--stop", text[-1] + "zzz").stdout) # what was held back comes out at the end
assert held["text"] == text and held["stop"] == "length"
assert run("--stop", text[-1] + "zzz").stdout == text.encode() + b"\n"
# a character that the last token leaves unfinished is said, and passes the stop texts
def said(n): return subprocess.run([plumb, "tokenize", model, "--decode", ",".join(map(str, whole["tokens"][:n]))], capture_output=True).stdout
for n in range(1, 40):
	assert run(command=[*base[:-3], "-n", str(n), "--ignore-end"]).stdout == said(n) + b"\n", n
chat = [plumb, "chat", model, "-n", "20"]
first = json.loads(subprocess.run([*chat, "--json"], input=b"Hello\n", capture_output=True).stdout)["answer"]
stop = first[len(first) // 2:][:2]
both = subprocess.run([*chat, "--json", "--stop", stop], input=b"Hello\nMore\n", capture_output=True).stdout.splitlines()
one = json.loads(both[0])
assert one["stop"] == "stop" and one["answer"] == first[:first.index(stop)], (one, first)
assert len(both) == 2 # and the conversation goes on
END
	cat >ends.py <<'END'
# The token that ends a turn is not shown, whatever its kind: a copy of the model ends with a token that is common text.
import json, struct, subprocess, sys
plumb, model = sys.argv[1:]
def run(file, *more):
	return json.loads(subprocess.run([plumb, "run", file, "--raw", "Hello", "--json", *more], capture_output=True, check=True).stdout)
whole = run(model, "-n", "12", "--ignore-end")["tokens"]
at = next(i for i in range(3, 12) if whole[i] < 256 and whole[i] not in whole[:i])
data, key = bytearray(open(model, "rb").read()), b"tokenizer.ggml.eos_token_id"
struct.pack_into("<I", data, data.index(key) + len(key) + 4, whole[at])
open("ends.gguf", "wb").write(data)
j = run("ends.gguf", "-n", "12")
assert j["stop"] == "end" and j["tokens"] == whole[:at + 1] and j["text"] == run(model, "-n", str(at), "--ignore-end")["text"], (j, whole, at)
END
	"$python" ends.py "$plumb" "$model" >err 2>&1; report $? "the token that ends a turn is not shown"
	"$python" stops.py "$plumb" "$model" >err 2>&1; report $? "--stop: any piece of an answer, text, --json, --ids and chat"
	run run "$model" Hello --stop ''; expect 2 "not empty" "--stop with an empty text"
	special=$("$plumb" tokenize "$model" --decode 318)
	run run "$model" --raw Hello --ignore-end -n 3 --stop "$special" --json; [ "$code" -eq 0 ]; report $? "--stop with a special token's name"
	ids=$(i=250; while [ $i -lt 290 ]; do printf '%d,' $i; i=$((i + 1)); done)290 # the model says that token next
	run run "$model" --tokens "$ids" --ignore-end -n 3 --stop "$special" --json
	[ "$(tr -d ' \n' <out | sed 's/.*\("tokens":\[[^]]*\],"text":"[^"]*","stop":"[a-z]*"\).*/\1/')" = '"tokens":[318],"text":"","stop":"stop"' ]
	report $? "--stop with a special token's name, which the model says"
	run run --help; grep -q -- '--stop TEXT' out; report $? "run --help has --stop"
}

seeds() {
	set -- run "$model" Hello -n 16 --ids --ignore-end --temp 1
	run "$@"; seed=$(sed -n 's/^plumb: seed \([0-9]*\), drawn.*/\1/p' err); cp out drawn
	[ -n "$seed" ]; report $? "without --seed one is drawn, and printed"
	run "$@" --seed "$seed"; cmp -s out drawn && grep -q "seed $seed$" err; report $? "the printed seed gives the same text"
	different=0
	for _ in 1 2 3; do run "$@"; cmp -s out drawn || different=1; done
	[ $different = 1 ]; report $? "another run draws another seed"
	run "$@" --json
	[ -z "$python" ] || { seed=$(value 'j["seed"]'); ids=$(value '" ".join(map(str, j["tokens"]))'); run "$@" --seed "$seed"; [ "$(cat out)" = "$ids" ]; report $? "--json has the seed"; }
	run "$@" --seed 9223372036854775807; expect 0 "seed 9223372036854775807" "the largest seed"
	run "$@" --seed 9223372036854775808; expect 2 "from 0 to 9223372036854775807" "no larger one"
	run run "$model" Hello -n 2; ! grep -q seed err; report $? "no seed where the likeliest token is taken"
	run run "$model" Hello -n 2 --top-p 0.5; expect 0 "--top-p chooses nothing at temperature 0" "--top-p without --temp is told"
	feed 'Hello\n' chat "$model" -n 2 --temp 1; expect 0 "seed [0-9]*, drawn" "chat draws a seed, too"
	feed 'Hello\n' chat "$model" -n 2 --temp 1 --seed 4711 --json; grep -q '"seed": *4711[,}]' out; report $? "chat --json has the seed"
	# The likeliest next token is one of the prompt's.
	ids=$(i=0; while [ $i -lt 60 ]; do printf '%d,' $i; i=$((i + 1)); done)60
	run run "$model" --tokens "$ids"; plain=$(cat out)
	run run "$model" --tokens "$ids" --repeat-penalty 100
	[ "$plain" -le 60 ] && [ "$(cat out)" -gt 60 ]; report $? "--repeat-penalty: the prompt's tokens count, too"
}

ends_with_newline() { [ -s out ] && [ "$(tail -c 1 out | wc -l)" -eq 1 ]; report $? "$1: the text ends with a line end"; }
newlines() {
	run run "$model" Hello -n 3; ends_with_newline "an answer of 3 tokens"
	run run "$model" Hello -n 0; ends_with_newline "an answer of none"
	run run "$model" --raw Hello --ctx 16 --ignore-end; ends_with_newline "an answer that fills the context"
	run run "$model" --tokens 72 -n 3; ends_with_newline "ids"
	run run "$model" --raw Hello -n 8 --stop "$("$plumb" run "$model" --raw Hello -n 1 2>/dev/null)"; ends_with_newline "an answer that is empty before a stop text"
	feed 'Hello\n' chat "$model" -n 3; ends_with_newline "chat"
}

# An offset is that of the user's own bytes; UTF-16 is called by its name.
texts() {
	for command in run chat tokenize; do
		feed 'd\351j\340 vu\n' $command "$model" -n 1; [ $command != tokenize ] || feed 'd\351j\340 vu\n' tokenize "$model"
		expect 3 "at byte 1 (0xe9)" "$command: the byte of the user's text"
		set -- $command "$model"
		feed '\377\376h\000i\000\n\000' "$@"; expect 3 "UTF-16.*" "$command: UTF-16 with its mark"
		feed '\377\376\000\000h\000\000\000' "$@"; expect 3 "UTF-32.*" "$command: UTF-32 with its mark is not called UTF-16"
		feed '\000\000\376\377\000\000\000h' "$@"; expect 3 "UTF-32.*" "$command: the same, big-endian"
		feed '\377\376h\000i\000\n\000' "$@"
		grep -q 'iconv -f UTF-16 -t UTF-8' err && ! grep -q 'raw takes it' err; report $? "$command: advice that fits UTF-16"
		feed 'h\000e\000l\000l\000o\000' "$@"; expect 3 "UTF-16LE.*" "$command: UTF-16 without a mark"
		grep -q 'iconv -f UTF-16LE' err; report $? "$command: advice with the byte order"
		feed '\000h\000e\000l\000l\000o' "$@"; expect 3 "UTF-16BE" "$command: big-endian UTF-16 without a mark"
		feed '\357\273\277Hello\n' "$@"; expect 0 "byte order mark (EF BB BF)" "$command: the mark of UTF-8 is left out, and that is said"
	done
	feed '\357\273\277Hello\n' run "$model" -n 4 --ids; cp out marked
	feed 'Hello\n' run "$model" -n 4 --ids; cmp -s out marked; report $? "the same tokens with and without the mark of UTF-8"
	feed '\357\273\277ok\377' run "$model"; expect 3 " 5 (0xff)" "the offset counts the mark of UTF-8"
	run run "$model" hi --system "$(printf 'caf\351')"; expect 3 "--system.* 3 (0xe9" "--system in Latin-1"
	feed 'hi\n' chat "$model" --system "$(printf 'caf\351')"; expect 3 "--system.* 3 (0xe9" "chat --system in Latin-1"
	feed '"""\nfine\ncaf\351\n"""\n' chat "$model"; expect 3 " 9 (0xe9)" "chat: the byte of a message of several lines"
	feed '"""\na\000b\n"""\n' chat "$model"; expect 3 "NUL.* 2\b" "chat: a NUL byte in a message of several lines"
	printf 'caf\351 noir' >latin; run perplexity "$model" latin; expect 3 "latin .* 3\b" "perplexity: the byte of the file"
	printf '\377\376h\000i\000' >wide; run perplexity "$model" wide; expect 3 "wide is in UTF-16" "perplexity of UTF-16"
	feed 'a\000b' run "$model" --raw -n 1; works "--raw takes a NUL byte"
}

# Copies of a model of float32 in which one value is another: tensor, element, value.
spoil() {
	"$plumb" info "$data/tiny-f32.gguf" --json >spoil.json
	"$python" - "$data/tiny-f32.gguf" "$@" >spoiled.gguf <<'END'
import json, struct, sys
path, name, element, value = sys.argv[1:]
data = bytearray(open(path, "rb").read())
tensors = json.load(open("spoil.json"))["tensors"]
assert all(t["bytes"] % 32 == 0 for t in tensors) # so there is no padding
at = len(data) - sum(t["bytes"] for t in tensors)
for t in tensors:
	if t["name"] == name:
		struct.pack_into("<f", data, at + 4 * int(element), float(value))
	at += t["bytes"]
sys.stdout.buffer.write(data)
END
}
nonfinite() {
	[ -n "$python" ] || { skip "values that are not finite: no python3"; return; }
	printf 'The quick brown fox' >fox
	spoil blk.1.attn_k.bias 3 90000
	for command in "run spoiled.gguf --tokens 72,73,74 -n 4" "perplexity spoiled.gguf fox" "bench spoiled.gguf --prefill 8 --decode 4 --rounds 1"; do
		# shellcheck disable=SC2086 # words are meant
		run $command --kv f16; expect 7 "layer 1, operator kv_store.*past float16" "${command%% *}: a cache of float16 that overflows"
		grep -q 'Try --kv f32' err && [ "$(grep -c 'logits are not finite' err)" -eq 1 ]; report $? "${command%% *}: ... and what to try"
	done
	feed 'Hello\n' chat spoiled.gguf -n 4 --kv f16; expect 7 "layer 1,.*kv_store" "chat: a cache of float16 that overflows"
	run run spoiled.gguf --tokens 72,73,74 -n 4 --kv f32; works "... which float32 holds"
	spoil blk.2.ffn_up.weight 70 nan
	for mode in exact default fast; do
		run run spoiled.gguf --tokens 72,73,74 -n 4 --mode $mode; expect 7 "layer 2,.*matmul (ffn_up),.* 0: -\{0,1\}nan" "a weight that is NaN, mode $mode"
		grep -q 'weight blk.2.ffn_up.weight holds nan at element 70' err && grep -q 'diag weights' err; report $? "... is named"
	done
	run run spoiled.gguf --raw Hello -n 4 --json; expect 7 "ffn_up" "--json: the same code"
	spoil output_norm.weight 5 inf
	run run spoiled.gguf --raw Hello -n 4; expect 7 "rmsnorm (final_norm)" "a weight outside of the layers"
	grep -q 'output_norm.weight .*inf.* 5$\|output_norm.weight .*inf.* 5[^0-9]' err; report $? "... is named"
	ids=$(i=0; while [ $i -lt 100 ]; do printf '%d,' $((i % 200)); i=$((i + 1)); done)
	spoil token_embd.weight $((99 * 64 + 1)) inf
	run run spoiled.gguf --tokens "$ids"; expect 7 "embed (embeddings),.* 99\b" "the position, in a prompt of several passes"
	run run spoiled.gguf --tokens 72,73 --precision FP64; [ "$code" -eq 7 ] || [ "$code" -eq 0 ]; report $? "FP64: never the code of a wrong command line"
	run --help; grep -q '7 values of the model' out; report $? "plumb --help lists exit code 7"
}

half() {
	run run "$data/tiny-f32.gguf" --tokens 72,73,74 -n 4 --precision FP16 --json; expect 0 "" "FP16"
	grep -q '"overflow": null' out; report $? "FP16: nothing overflows, and --json says so"
	AR_HARDWARE_PRECISION=FP16 run run "$data/tiny-f32.gguf" --tokens 72,73,74 -n 4; works "AR_HARDWARE_PRECISION=FP16"
	[ -n "$python" ] || { skip "an overflow in FP16: no python3"; return; }
	printf "The quick brown fox" >fox; spoil blk.1.ffn_norm.weight 7 9e6
	run run spoiled.gguf --tokens 72,73,74 -n 4; works "what float32 holds ..."
	run run spoiled.gguf --tokens 72,73,74 -n 4 --precision FP16; expect 7 "FP16 overflows, first in layer 1, operator rmsnorm (post_attn_norm), at position 0:" "... overflows in FP16: the operator, its layer and the position"
	[ "$(grep -c 'FP16 overflows' err)" -eq 1 ] && grep -q 'keep it in float32' err; report $? "... once, and what to do"
	run perplexity spoiled.gguf fox --precision FP16; expect 7 "layer 1,.*rmsnorm" "perplexity in FP16"
	ids=$(i=0; while [ $i -lt 100 ]; do printf '%d,' $((i % 200)); i=$((i + 1)); done)
	spoil token_embd.weight $((99 * 64 + 1)) 70000
	run run spoiled.gguf --tokens "$ids" --batch 32 --precision FP16 --json; grep -q 'embed (embeddings),.* 99: 70000' err
	report $? "the position, in a prompt of several passes"
}

for part in env_options fits stops seeds newlines texts nonfinite half; do
	code=0
	: >out; : >err
	$part
done
finish
