#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The command line as people meet it: each command, option, exit code and complaint, with the small models of
# tests/data. PLUMB: the program; srcdir: the source folder. Needs no big model and no network.
# shellcheck disable=SC2015,SC2317 # `a && b || c` is meant; functions are called by name
set -u
check='check cli'
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
model=$data/tiny-q8_0.gguf
[ -r "$model" ] || { echo "SKIP: $model is not there"; exit 77; }
unset AR_HARDWARE_LIBS PLUMB_THREADS PLUMB_NATIVE_ISA
PLUMB_MODE=exact && export PLUMB_MODE # else 16-bit activations may turn a near tie of a made-up model
no_opencl # check_placement.sh and others have that

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
says() { [ "$code" -eq 0 ] && grep -q -- "$1" out; report $? "$2"; }
json() { # what
	[ "$code" -eq 0 ] && { if [ -n "$python" ]; then "$python" -m json.tool out >/dev/null 2>&1; else head -c 1 out | grep -q '[[{]'; fi; }
	report $? "$1 --json is JSON"
}
# A value of a JSON result, by a Python expression on j; needs python3.
value() { "$python" -c 'import json, sys; j = json.load(open("out")); print(eval(sys.argv[1]))' "$1" 2>/dev/null; }

help_texts() {
	run --help; says "plumb COMMAND" "plumb --help"
	run --version; says "^plumb [0-9]" "plumb --version"
	run; expect 2 "Usage" "no command"
	run nonsense; expect 2 '"nonsense" is no command' "unknown command"
	for command in run chat info tokenize perplexity bench env; do
		run $command --help; says "^Usage: plumb $command" "$command --help"
		grep -q "^Examples:" out; report $? "$command --help has examples"
		run --help; says "^  $command " "plumb --help lists $command"
		run $command --nonsense; expect 2 "plumb $command: unrecognized option" "$command: unknown option"
		grep -q "plumb $command --help" err; report $? "$command: the complaint points to its help"
		[ $command = env ] || { run $command; expect 2 "needs a model file" "$command without a model"; }
	done
}

options() {
	run run "$model" hi -n many; expect 2 'whole number.*"many"' "run -n many"
	run run "$model" hi -n 12x; expect 2 '"12x"' "run -n 12x"
	run run "$model" hi --temp hot; expect 2 '"hot"' "run --temp hot"
	run run "$model" hi --temp nan; expect 2 '"nan"' "run --temp nan"
	run run "$model" hi --top-p 2; expect 2 "from 0 to 1" "run --top-p 2"
	run run "$model" hi --kv q4; expect 2 'f32 or f16, not "q4"' "run --kv q4"
	run run "$model" hi there; expect 2 "quote the prompt" "run with two prompts"
	run run "$model" hi --tokens 1; expect 2 "leave out PROMPT" "run with prompt and tokens"
	run run "$model" --tokens 1,x; expect 2 'not "x"' "run --tokens 1,x"
	run run "$model" --tokens ,; expect 2 "no token id" "run --tokens ,"
	run run "$model" --tokens 320; expect 2 "token 320.*outside the vocabulary" "run with a token past the vocabulary"
	run run "$model" hi --ctx 100000; expect 2 "100000.*256" "run --ctx beyond the model's"
	run run "$model" hi --raw --system x; expect 2 "leave out --system" "run --raw --system"
	run run "$model" hi -t 0; expect 2 "PLUMB_THREADS\|threads" "run -t 0"
	run run "$model" hi --precision FP12; expect 2 "FP12" "run --precision FP12"
	run info "$model" more; expect 2 '"more" follows' "info with two files"
	run info "$model" --template --json; expect 2 "leave out --json" "info --template --json"
	run tokenize "$model" a b; expect 2 "quote the text" "tokenize with two texts"
	run tokenize "$model" --decode 1 text; expect 2 "leave out TEXT" "tokenize --decode with text"
	run tokenize "$model" --decode 320; expect 2 "320.*ends at 319" "tokenize --decode past the vocabulary"
	run chat "$model" hello; expect 2 "standard input" "chat with a message as argument"
	run perplexity "$model"; expect 2 "a text file" "perplexity without a text"
	run perplexity "$model" /dev/null --ctx 1; expect 2 "from 2" "perplexity --ctx 1"
	run bench "$model" --prefill 0 --decode 0; expect 2 "nothing to measure" "bench of nothing"
	run bench "$model" --modes --mode fast; expect 2 "leave out --mode" "bench --modes --mode"
	run bench "$model" --rounds 0; expect 2 "from 1" "bench --rounds 0"
	run bench "$model" --depth 250 --decode 64; expect 5 "256" "bench beyond the context"
	run env more; expect 2 "no argument" "env with an argument"
}

drivers() {
	run run "$model" hi --driver warp; expect 4 "Unknown driver warp" "--driver warp"
	grep -q native err; report $? "the complaint lists the known drivers"
	AR_HARDWARE_DRIVER=warp run run "$model" hi; expect 4 "warp" "AR_HARDWARE_DRIVER=warp"
	AR_HARDWARE_DRIVER=warp run run "$model" hi -n 2 --driver native; expect 0 "tokens read" "--driver overrides the variable"
	AR_HARDWARE_DRIVER=" Native , native" run run "$model" hi -n 2; works "names in any case, with blanks, twice"
	AR_HARDWARE_DRIVER='' run run "$model" hi -n 2; works "an empty variable counts as unset"
	AR_HARDWARE_DRIVER=mtl run run "$model" hi; expect 4 "mtl" "mtl is known, but not on this system"
	AR_HARDWARE_DRIVER='*' run run "$model" hi -n 2; works "the list *"
	AR_HARDWARE_PRECISION=FP12 run run "$model" hi; expect 2 "AR_HARDWARE_PRECISION" "AR_HARDWARE_PRECISION=FP12"
	AR_HARDWARE_MEMORY_SCALE=big run run "$model" hi; expect 2 "AR_HARDWARE_MEMORY_SCALE.*big" "AR_HARDWARE_MEMORY_SCALE=big"
	PLUMB_THREADS=none run run "$model" hi; expect 2 "PLUMB_THREADS" "PLUMB_THREADS=none"

	run env; says "AR_HARDWARE_DRIVER.*(default)" "env: default"
	AR_HARDWARE_DRIVER=cl,native run env; says "AR_HARDWARE_DRIVER .*cl,native.*(environment)" "env: environment"
	AR_HARDWARE_DRIVER=cl run env --driver native; says "AR_HARDWARE_DRIVER .*native.*(command line)" "env: command line"
	for name in AR_HARDWARE_DRIVER AR_HARDWARE_PRECISION AR_HARDWARE_MEMORY_SCALE AR_HARDWARE_MEMORY_LOCATION AR_HARDWARE_LIBS PLUMB_THREADS PLUMB_NATIVE_ISA; do
		run env; says "^$name " "env lists $name"
	done
	run env --json; json env
}

# Every command that opens a model meets the same broken ones.
models() {
	: >empty
	head -c 1000 "$model" >short
	size=$(wc -c <"$model")
	head -c $((size - 100)) "$model" >cut-off
	head -c 5000 /dev/zero >zeros
	printf 'text' >text
	for command in run chat info tokenize perplexity bench; do
		more=''
		[ $command != perplexity ] || more=text
		for what in "missing:No such file" "$base:regular file\|directory" "empty:empty\|0 bytes\|too short\|not a model" "short:." "cut-off:." "zeros:."; do
			file=${what%%:*}
			run $command "$file" $more; expect 3 "${what#*:}" "$command of a bad model: $(basename "$file")"
		done
	done
	cp "$model" locked && chmod 000 locked
	if [ "$(id -u)" -ne 0 ]; then
		run info locked; expect 3 "Permission denied" "info of an unreadable model"
	elif command -v setpriv >/dev/null && chmod 755 "$base" && setpriv --reuid 65534 --clear-groups test -x "$plumb" 2>/dev/null; then
		setpriv --reuid 65534 --clear-groups "$plumb" info "$base/locked" >out 2>err; code=$?
		expect 3 "Permission denied" "info of an unreadable model"
	else
		skip "unreadable model: this is root, who may read everything"
	fi
	set -- "$data"/tiny-*-single.safetensors
	if [ -r "$1" ]; then
		run run "$1" hi; expect 3 . "run of a safetensors file without a configuration"
		run info "$1"; says "no configuration" "info of a safetensors file"
		run info "$1" --tensors; says "^logits  *f32  *{1, 320}" "info --tensors of a safetensors file"
		run info "$1" --json; json "info of safetensors"
	fi
}

# A folder as Hugging Face has them does what the GGUF file of the same model does, with every command.
folders() {
	pair=$data/families/qwen2
	[ -r "$pair/hf/config.json" ] || { skip "folders: no tests/data/families"; return; }
	head -c 300 "$top/README.md" >text
	for way in "run MODEL --tokens 5,9,77 -n 12" "run MODEL Hello --raw -n 8" "tokenize MODEL Hello --ids" "diag dump MODEL --tokens 1,2,3 --out NAME.ref --json"; do
		for name in model.gguf hf; do
			# shellcheck disable=SC2086 # words are meant
			run $(echo "$way" | sed "s|MODEL|$pair/$name|; s|NAME|$name|")
			[ "$code" -eq 0 ] && [ -s out ]; report $? "${way%% MODEL*} of $name"
			sed "s|$name|NAME|g" out >"$name.out"
		done
		cmp -s hf.out model.gguf.out; report $? "${way%% MODEL*}: the folder as the file"
	done
	run diag verdict "$pair/hf" model.gguf.ref; [ "$code" -eq 0 ] && grep -q '^The port is right' out; report $? "diag verdict of a folder"
	run diag verdict "$pair/model.gguf" "$pair/hf"; [ "$code" -eq 23 ] && grep -q 'unknown names' out; report $? "a model's folder is no reference"
	run perplexity "$pair/hf" text --json; json "perplexity of a folder"
	run bench "$pair/hf" --prefill 2 --decode 2 --rounds 1 --json; json "bench of a folder"
	run info "$pair/hf" --json; [ "$(value 'j["format"]')" = "safetensors folder" ]; report $? "info of a folder"
	run info "$pair/hf/config.json"; expect 0 "" "a folder's config.json means the folder"
	run run "$pair" hi; expect 3 "a directory without config.json" "run of a folder that is none"
	run run "$pair/hf/model.safetensors" hi; expect 3 "give the folder" "run of a folder's tensors alone"
}

# What plumb does not compute is refused by name, by every command that computes; info and tokenize go on.
refusals() {
	LC_ALL=C sed 's/qwen2.rope.freq_base/qwen2.residual_scale/' <"$data/tiny-f32.gguf" >scaled
	LC_ALL=C sed 's/blk.1.attn_q.bias/blk.1.attn_q.norm/' <"$data/tiny-f32.gguf" >normed
	printf 'some text to read' >text
	for file in scaled:qwen2.residual_scale normed:blk.1.attn_q.norm; do
		for command in "run" "chat" "perplexity" "bench" "diag weights" "diag stability" "diag report" \
			"diag bisect --tokens 1,2"; do
			more=''
			[ "$command" != perplexity ] || more=text
			[ "$command" != "diag report" ] || more=$data/tiny-f32.safetensors
			# shellcheck disable=SC2086 # words
			run $command ${file%%:*} $more </dev/null; expect 3 "${file#*:}" "$command of a model that is not computed: ${file#*:}"
		done
		run info ${file%%:*}; expect 0 "" "info of it"
		says "^refused .*${file#*:}" "... says what is refused"
		run tokenize ${file%%:*} Hello; expect 0 "" "tokenize with it"
	done
	LC_ALL=C sed 's/qwen2.rope.freq_base/qwen2.rope.freq_what/' <"$data/tiny-f32.gguf" >unknown
	run run unknown Hello -n 2; expect 0 "qwen2.rope.freq_what is not used" "an unknown key is named, and the model runs"
}

information() {
	run info "$model"; says "^family *qwen2" "info: family"
	says "^type .*tensors" "info: sums per type"
	says "q8_0" "info: weight type"
	run info "$model" --tensors; says "^token_embd.weight *q8_0 *{320, " "info --tensors"
	run info "$model" --meta; says "^qwen2.block_count" "info --meta"
	run info "$model" --template; says "im_start" "info --template"
	run info "$model" --json; json info
	[ -z "$python" ] || {
		[ "$(value 'sum(t["bytes"] for t in j["tensors"]) == sum(t["bytes"] for t in j["types"].values()) < j["bytes"]')" = True ]; report $? "info --json: bytes add up"
		[ "$(value 'j["config"]["vocab"]')" = 320 ]; report $? "info --json: configuration"
	}
}

tokens() {
	run tokenize "$model" "Hello"; expect 0 "" "tokenize"
	says '"' "tokenize shows pieces"
	run tokenize "$model" --ids 'Hé 世界 <|im_end|>'; ids=$(cat out)
	[ "$(wc -l <out)" -eq 1 ] && ! grep -q '[^0-9,]' out; report $? "tokenize --ids: one line, ids and commas"
	run tokenize "$model" --decode "$ids"; [ "$(cat out)" = 'Hé 世界 <|im_end|>' ]; report $? "tokenize --decode gives the text back"
	run tokenize "$model" --ids '<|im_end|>'; [ "$(cat out)" = 318 ]; report $? "tokenize: a special token"
	run tokenize "$model" --ids --no-special '<|im_end|>'; grep -q ',' out && ! grep -qw 318 out; report $? "tokenize --no-special"
	feed 'a\nb\n' tokenize "$model" --ids; cp out ids; feed "$(cat ids)" tokenize "$model" --decode -
	printf 'a\nb\n' | cmp -s - out; report $? "tokenize and --decode through standard input, to the last byte"
	run tokenize "$model" --ids ''; expect 0 "" "tokenize of nothing"
	feed 'a\377b' tokenize "$model"; expect 3 "UTF-8.*1" "tokenize of invalid UTF-8 names the byte"
	run tokenize "$model" --json 'Hé'; json tokenize
	run tokenize "$model" --decode 72 --json; json "tokenize --decode"
}

runs() {
	run run "$model" "Hello" -n 8; expect 0 "8 written at" "run: rates on standard error"
	cp out text1
	run run "$model" "Hello" -n 8; cmp -s out text1; report $? "run twice, same text"
	for threads in 1 2 3; do
		run run "$model" "Hello" -n 32 --ids --ignore-end -t $threads; cp out ids$threads
	done
	[ -s ids1 ] && cmp -s ids1 ids2 && cmp -s ids1 ids3; report $? "1, 2 and 3 threads, same tokens"
	AR_HARDWARE_PRECISION=FP64 run run "$model" "Hello" -n 32 --ids --ignore-end; cmp -s ids1 out; report $? "FP64, same greedy tokens"
	run run "$model" "Hello" -n 32 --ids --ignore-end --precision FP64; cmp -s ids1 out; report $? "--precision FP64, same greedy tokens"
	PLUMB_MODE=fast run run "$model" "Hello" -n 32 --ids --ignore-end --mode exact; cmp -s ids1 out; report $? "--mode wins over PLUMB_MODE"
	run run "$model" "Hello" -n 32 --ids --ignore-end --mode default; [ $code -eq 0 ] && [ "$(wc -w <out)" -eq 32 ]; report $? "--mode default"
	run run "$model" "Hello" -n 1 --mode quick; [ $code -eq 2 ] && grep -q "quick" err && grep -q "exact" err; report $? "--mode quick is refused, with the names there are"
	run run "$model" "Hello" -n 32 --ids --ignore-end --kv f16; expect 0 "32 written" "run --kv f16"
	[ "$(wc -w <out)" -eq 32 ]; report $? "run --ids -n 32 writes 32 ids"
	feed 'Hello\n' run "$model" -n 8; cmp -s out text1; report $? "the prompt from standard input"
	feed 'Hello\n' run "$model" - -n 8; cmp -s out text1; report $? "the prompt from standard input as -"
	run run "$model" Hello -n 8 --system "Be brief."; works "run --system"
	run run "$model" Hello -n 16 --ids --ignore-end --temp 1 --seed 7; cp out seed7
	run run "$model" Hello -n 16 --ids --ignore-end --temp 1 --seed 7; cmp -s out seed7; report $? "one seed, one text"
	run run "$model" Hello -n 16 --ids --ignore-end --temp 1 --seed 8; ! cmp -s out seed7; report $? "another seed, another text"
	run run "$model" Hello -n 16 --ids --ignore-end --temp 1 --seed 8 --top-k 1; run_top=$(cat out)
	[ "$run_top" = "$(cut -d' ' -f1-16 ids1)" ]; report $? "--top-k 1 is greedy"
	run run "$model" --tokens 72; first=$(cat out)
	[ "$(wc -w <out)" -eq 1 ]; report $? "--tokens writes one id"
	run run "$model" --tokens 72 --expect-token "$first"; works "--expect-token, right"
	run run "$model" --tokens 72 --expect-token $((first + 1)); expect 6 "first token is $first, $((first + 1)) was expected" "--expect-token, wrong"
	run run "$model" Hello -n 8 --json; json run
	[ -z "$python" ] || { [ "$(value 'len(j["tokens"]) in range(1, 9) and j["stop"] in ("end", "length")')" = True ]; report $? "run --json: tokens and why it stopped"; }
	run run "$model" ''; expect 2 "prompt is empty" "an empty prompt"
	run run "$model"; expect 3 "prompt is empty" "an empty standard input"
	feed 'a\377b' run "$model"; expect 3 "UTF-8" "a prompt of invalid UTF-8"
	feed 'a\000b' run "$model"; expect 3 "NUL" "a prompt with a NUL byte"
	run run "$model" Hello --ctx 4; expect 5 "[0-9].* 4\b" "a prompt longer than the context"
	run run "$model" --raw Hello --ctx 16 --ignore-end; expect 0 "context.*full" "an answer that fills the context"
}

# Copies that may go on for a million tokens: the number stands behind the key and its 4 bytes of type.
long_model() {
	for name in q8_0 k; do
		at=$(LC_ALL=C grep -abo 'qwen2.context_length' "$data/tiny-$name.gguf" | head -n 1 | cut -d: -f1)
		cp "$data/tiny-$name.gguf" long-$name && chmod 644 long-$name
		printf '\000\000\020\000' | dd of=long-$name bs=1 seek=$((at + 24)) conv=notrunc 2>/dev/null
		run info long-$name; says "1,048,576 positions" "a model with a long context (made for the checks below), $name"
	done
}

limits() {
	AR_HARDWARE_MEMORY_SCALE=0 run bench long-q8_0 --prefill 100000 --decode 0 --rounds 1; expect 5 "memory" "more than the memory limit"
	grep -q 'AR_HARDWARE_MEMORY_SCALE' err; report $? "the complaint names AR_HARDWARE_MEMORY_SCALE"
	AR_HARDWARE_MEMORY_SCALE=0 run run "$model" hi -n 2; works "within the memory limit"
}

# signal NAME after a moment, to a command in the background
interrupt() {
	name=$1; shift
	"$plumb" "$@" >out 2>err </dev/null &
	process=$!
	sleep 1
	kill -s "$name" $process 2>/dev/null
	wait $process; code=$?
}
signals() {
	interrupt INT run long-q8_0 --raw Hello --ignore-end -n 1000000; expect 130 "written at" "Ctrl-C ends an answer with rates"
	[ -s out ] && [ "$(tail -c 1 out | wc -l)" -eq 1 ]; report $? "Ctrl-C: the text so far is there, with a line end"
	interrupt TERM run long-q8_0 --raw Hello --ignore-end -n 1000000; expect 130 "written at" "SIGTERM ends an answer cleanly"
	interrupt INT run long-q8_0 --raw Hello --ignore-end -n 1000000 --json; expect 130 "" "Ctrl-C with --json"
	grep -q '"stop": "cancelled"' out; report $? "--json says that it was cancelled"
	interrupt INT bench "$model" --rounds 1000; expect 130 . "Ctrl-C ends bench"
	i=0; while [ $i -lt 40 ]; do cat "$data/real/GPL-3.txt"; i=$((i + 1)); done >big.txt
	interrupt INT perplexity "$model" big.txt; expect 130 "interrupted: nll .* after" "Ctrl-C ends perplexity with the result so far"
}

full_disk() {
	[ -w /dev/full ] || { skip "no /dev/full"; return; }
	: >out
	for command in "--help" "run $model Hello -n 4" "run $model Hello -n 4 --json" "info $model" "info $model --json" "tokenize $model Hello" \
		"env" "env --json" "bench $model --rounds 1 --decode 4 --prefill 4"; do
		# shellcheck disable=SC2086 # words are meant; the paths hold no blanks but base's, which is not in them
		"$plumb" $command >/dev/full 2>err </dev/null; code=$?
		expect 1 "standard output" "full disk: ${command%%[ /]*}"
	done
	printf 'hi\nho\n' | "$plumb" chat "$model" -n 4 >/dev/full 2>err; code=$?
	expect 1 "standard output" "full disk: chat"
}

chats() {
	feed 'Hello\nAnd you?\n' chat "$model" -n 8; expect 0 "" "chat with two turns from a pipe, no prompt signs"
	[ "$(wc -l <out)" -ge 2 ]; report $? "chat: an answer each"
	feed 'Hello' chat "$model" -n 8; expect 0 "" "chat: a last line without an end"
	feed '' chat "$model"; expect 0 "" "chat with nothing to say"
	feed 'Hello\n/quit\nmore\n' chat "$model" -n 8 --json; [ "$code" -eq 0 ] && [ "$(wc -l <out)" -eq 1 ]; report $? "chat: /quit ends"
	feed '/nonsense\n' chat "$model"; expect 2 "/help" "chat: unknown /command"
	feed '/help\n' chat "$model"; expect 0 "/reset" "chat: /help"
	feed 'Hello\n' chat "$model" --ctx 8; expect 5 "[0-9].* 8\b" "chat: a message longer than the context"
	grep -q "/reset" err; report $? "chat: the complaint says what to do"
	feed 'Hello\nHello\nHello\nHello\nHello\nHello\nHello\nHello\nHello\nHello\n' chat "$model" -n 30; expect 5 "context" "chat: the context fills up"
	feed 'a\377b\n' chat "$model"; expect 3 "UTF-8" "chat: invalid UTF-8"
	[ -n "$python" ] || { skip "chat's tokens: no python3"; return; }
	feed 'Hello\nAnd you?\n/reset\nHello\n"""\ntwo\nlines\n"""\n' chat "$model" -n 12 --json --system 'Be brief.'
	cat >chat.py <<'END'
import json, subprocess, sys
plumb, model = sys.argv[1:]
turns = [json.loads(line) for line in open("out")]
assert len(turns) == 4, len(turns)
def tokenize(text, *options):
	return json.loads(subprocess.run([plumb, "tokenize", model, "--json", *options], input=text.encode(), capture_output=True, check=True).stdout)["ids"]
def render(*messages):
	"""All at once. Contents are plain text, markers are tokens."""
	ids = []
	for role, content in messages:
		ids += tokenize("<|im_start|>") + tokenize(role + "\n" + content, "--no-special") + tokenize("<|im_end|>") + tokenize("\n")
	return ids + tokenize("<|im_start|>assistant\n")
system = ("system", "Be brief.")
one = ("user", "Hello"), ("assistant", turns[0]["answer"])
assert turns[0]["prompt_tokens"] == render(system, one[0]), "first prompt"
assert turns[1]["prompt_tokens"] == render(system, *one, ("user", "And you?")), "second prompt"
assert turns[2]["prompt_tokens"] == render(system, one[0]), "after /reset"
assert turns[2]["tokens"] == turns[0]["tokens"], "answer after /reset"
assert turns[3]["prompt_tokens"] == render(system, *one, ("user", "\ntwo\nlines\n")), "block"
# reused: never more than was there before, at least the whole previous prompt but its last token
assert turns[0]["reused"] == 0
first = len(turns[0]["prompt_tokens"])
assert first <= turns[1]["reused"] <= first + len(turns[0]["tokens"]), turns[1]["reused"]
assert len(render(system)) - 3 <= turns[2]["reused"] < first, turns[2]["reused"]
# what was kept from earlier turns gives what reading everything anew gives
fresh = subprocess.run([plumb, "run", model, "--tokens", ",".join(map(str, turns[1]["prompt_tokens"])), "-n", "12"], capture_output=True, check=True)
assert [int(x) for x in fresh.stdout.split()] == turns[1]["tokens"], "kept cache against a fresh one"
END
	"$python" chat.py "$plumb" "$model" >err 2>&1; report $? "chat: tokens as when all is rendered at once, cache reused, same answers as without"
}

# Ctrl-C and Ctrl-D on a terminal. FP64 is slow, so that the answer, of more than 250 tokens, is still going on at Ctrl-C.
terminal() {
	[ -n "$python" ] || { skip "chat on a terminal: no python3"; return; }
	cat >terminal.py <<'END'
import os, pty, select, signal, sys, time
plumb, model = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
	os.execv(plumb, [plumb, "chat", model, "--precision", "FP64"])
seen = ""
def wait_for(text, seconds=20):
	global seen
	end = time.time() + seconds
	while text not in seen:
		if time.time() > end:
			os.kill(pid, signal.SIGKILL)
			sys.exit(f"{text!r} did not come, but {seen[-300:]!r}")
		if not select.select([fd], [], [], 0.2)[0]:
			continue
		try:
			seen += os.read(fd, 4096).decode(errors="replace")
		except OSError:
			sys.exit(f"ended before {text!r} came: {seen[-300:]!r}")
	seen = seen[seen.index(text) + len(text):]
wait_for("> ")
for _ in range(2): # the second time shows that the first left it armed
	os.write(fd, b"1\n")
	wait_for("\n")
	while not seen: # the answer's first letters
		seen = os.read(fd, 4096).decode(errors="replace")
	os.write(fd, b"\x03")
	wait_for("(stopped)")
	wait_for("> ")
	os.write(fd, b"/reset\n") # the same question again, which has no end
	wait_for("> ")
os.write(fd, b"half a line\x03")
wait_for("Ctrl-D or /quit ends")
wait_for("> ")
os.write(fd, b"/reset\n")
wait_for("a new conversation")
wait_for("> ")
os.write(fd, b"\x04")
_, status = os.waitpid(pid, 0)
sys.exit(0 if os.waitstatus_to_exitcode(status) == 0 else f"exit code {status}")
END
	: >out
	"$python" terminal.py "$plumb" "$base/long-k" >err 2>&1; report $? "chat on a terminal: Ctrl-C stops an answer (twice), gives up a line; /reset; Ctrl-D ends"
}

measures() {
	printf 'The quick brown fox jumps over the lazy dog. The end of it.' >fox
	run perplexity "$model" fox; says "^nll  *[0-9]*\.[0-9]\{6\}" "perplexity: six decimals"
	nll=$(sed -n 's/^nll  *\([0-9.]*\).*/\1/p' out)
	feed 'The quick brown fox jumps over the lazy dog. The end of it.' perplexity "$model" -; says "^nll  *$nll" "perplexity of standard input"
	run perplexity "$model" fox --json; json perplexity
	run perplexity "$model" fox -n 10 --ctx 4 --json; [ "$code" -eq 0 ] && tr -d ' ,' <out | grep -q '^"predictions":7$'; report $? "perplexity: windows of 4, 4 and 2 tokens predict 3, 3 and 1"
	run perplexity "$model" fox --precision FP64; says "^nll  *${nll%???}" "perplexity in FP64: the same to 5 decimals"
	run perplexity "$model" missing; expect 3 "missing: No such file" "perplexity of a missing text"
	: >nothing; run perplexity "$model" nothing; expect 3 "needs two" "perplexity of an empty text"
	printf 'ok\377' >bad; run perplexity "$model" bad; expect 3 "bad is not valid UTF-8 at byte 2" "perplexity of invalid UTF-8"
	run bench "$model" --prefill 32 --decode 8 --rounds 2; says "^prefill .*tokens/s, median of 2 rounds of 32 tokens" "bench: prefill"
	says "^decode .*tokens/s" "bench: decode"
	says "^memory .*GB/s" "bench: memory bandwidth"
	says "^driver .*native" "bench: driver"
	run bench "$model" --prefill 8 --decode 4 --depth 64 --rounds 1 --json; json bench
	[ -z "$python" ] || { [ "$(value 'j["prefill"]["min"] <= j["prefill"]["median"] <= j["prefill"]["max"] and j["memory_bytes_per_second"] > 1e8 and j["depth"] == 64')" = True ]; report $? "bench --json: sensible numbers"; }
	modes

}

# Rounded activations must show, more in fast than in default, and only where weights are quantised.
modes() {
	set -- --modes --driver native --prefill 8 --decode 4 --rounds 1
	run bench "$model" "$@"; says "^exact .*%" "bench --modes: speed"
	says "^fast .*tokens of text" "bench --modes: accuracy"
	run bench "$model" "$@" --json; json "bench --modes"
	[ -n "$python" ] || return
	[ "$(value '[m["mode"] for m in j["modes"]] == ["exact", "default", "fast"] and all(m["decode"]["median"] > 0 for m in j["modes"])')" = True ]; report $? "bench --modes --json: three modes"
	[ "$(value '0 < j["modes"][1]["text"]["kl_mean"] < 1e-5 and j["modes"][1]["text"]["kl_mean"] < j["modes"][2]["text"]["kl_mean"] < j["modes"][2]["text"]["kl_largest"] < 0.1')" = True ]
	report $? "bench --modes --json: default near exact, fast less so"
	run bench "$data/tiny-f32.gguf" "$@" --json
	[ "$(value 'all(m["text"]["kl_largest"] == m["text"]["logit_error"] == 0 and m["text"]["same_top"] == m["text"]["positions"] > 100 for m in j["modes"][1:])')" = True ]
	report $? "bench --modes --json: the same with weights of float32"
}

# The value that PyTorch gives for the same text and weights, where the big model is on the machine.
real_model() {
	big=${PLUMB_TEST_MODEL:-${XDG_CACHE_HOME:-${HOME:-/}/.cache}/plumb/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf}
	[ -r "$big" ] && [ -n "$python" ] || { skip "perplexity of the big model: it is not there"; return; }
	run perplexity "$big" "$data/real/GPL-3.txt" --tokens 512 --json
	[ "$(value 'abs(j["mean_nll"] - 1.3719356134773546) < 1e-4 and abs(j["mean_nll_last_half"] - 1.5759894729540784) < 1e-4 and j["predictions"] == 511')" = True ]
	report $? "perplexity of the big model as PyTorch's"
}

# Copies of the model with other bytes: a template or a vocabulary as it came from elsewhere.
patched() { # out, then pairs of Python byte strings, each in place of the other
	"$python" - "$model" "$@" <<'END'
import ast, sys
data = open(sys.argv[1], "rb").read()
for old, new in zip(sys.argv[3::2], sys.argv[4::2]):
    old, new = (ast.literal_eval("b'" + x + "'") for x in (old, new))
    assert len(old) == len(new) and old in data, old
    data = data.replace(old, new, 1)
open(sys.argv[2], "wb").write(data)
END
}
templates() {
	[ -n "$python" ] || { skip "templates: no python3"; return; }
	patched stranger.gguf '{%- if messages' '{%- if massages'
	for command in "run stranger.gguf Hello" "chat stranger.gguf" "diag dump stranger.gguf --chat Hello --out no"; do
		# shellcheck disable=SC2086 # words
		run $command; expect 3 'does not know ("{%- if massages.*SHA-256.*--template NAME (chatml, .*--template FILE' "${command%% *}: a template that is not known is named"
		[ "$(grep -c template err)" -eq 1 ]; report $? "${command%% *}: in one line"
	done
	run run stranger.gguf Hello --raw -n 1; [ "$code" -eq 0 ]; report $? "run --raw needs no template"
	run run stranger.gguf Hello --template qwen2.5 --json -n 2; cp out named; run run "$model" Hello --json -n 2
	[ "$(value 'j["prompt_tokens"]')" = "$(cp named out; value 'j["prompt_tokens"]')" ]; report $? "--template NAME"
	"$plumb" info "$model" --template >own.jinja
	run run stranger.gguf Hello --template own.jinja --json -n 2; [ "$code" -eq 0 ] && [ "$(value 'j["prompt_tokens"]')" = "$(cp named out; value 'j["prompt_tokens"]')" ]
	report $? "--template FILE"
	"$plumb" info stranger.gguf --template >other.jinja
	run run "$model" Hello --template other.jinja; expect 3 "other.jinja: plumb does not know" "--template FILE: a text that is not known"
	run run "$model" Hello --template chatml --json -n 1; [ "$(value 'len(j["prompt_tokens"])')" -lt 30 ]; report $? "--template chatml has no system message"
	run run "$model" Hello --template none-such; expect 2 "neither a name (chatml" "--template: no such name or file"
	run run "$model" Hello --raw --template chatml; expect 2 "leave out --template" "--raw with --template"
	run info "$model"; says "rendered as qwen2.5" "info names the template"
	run info stranger.gguf; says "of no kind that plumb renders" "info: a template that is not known"
	patched bare.gguf 'tokenizer.chat_template' 'tokenizer.chat_tomplate'
	run run bare.gguf Hello; expect 3 'no chat template; --template NAME' "a model without a template"
	feed 'Hello\n' chat bare.gguf --template qwen2.5 -n 2; [ "$code" -eq 0 ]; report $? "chat --template without one of the model's"
}
# Names, keys and paths in any encoding, or none: JSON all the same, and nothing is missing.
not_utf8() {
	[ -n "$python" ] || { skip "text that is no UTF-8: no python3"; return; }
	latin=$(printf 'gr\366\337e.gguf') path='gr\ufffd\ufffde.gguf' # Latin-1
	patched "$latin" 'plumb test' 'pl\xff\xfeb test' 'general.type' 'genera\xff\xff\xff\xff\xff\xff' \
		'general.file_type' 'genera\xf0\x9f\xf0\x9f\xf0\x9f\xf0\x9f\xf0\x9f\xff'
	run info "$latin" --json; json "info: a name that is no UTF-8"
	[ "$(value "j['config']['name'].startswith('pl\\ufffd\\ufffdb test model') and j['file'] == '$path'")" = True ]; report $? "info --json: name and path keep what is text in them"
	[ "$(value "(lambda k, m: m[k] == 'model' and isinstance(m[k + ' (2)'], int))('genera' + 6 * '\\ufffd', j['metadata'])")" = True ]
	report $? "info --json: keys that read the same are both there"
	[ "$(value 'len(j["tensors"]) > 20 and j["parameters"] > 1000 and any("ufffd" in ascii(x["name"]) for x in j["unused"])')" = True ]; report $? "info --json: nothing is missing"
	run diag dump "$latin" --tokens 1,2,3 --out "$latin.ref" --json; json "diag dump: such a path"
	"$python" -m json.tool "$latin.ref/reference.json" >out 2>&1; report $? "a dump's manifest is JSON"
	grep -q '"model": "pl\\ufffd\\ufffdb test model' out; report $? "and has the model's name"
	run diag dump "$model" --tokens 1,2,3 --out plain.ref
	for part in report convention weights; do
		run diag $part "$model" plain.ref --json; cp out plain
		run diag $part "$latin" "$latin.ref" --json; json "diag $part: such a model and reference"
		"$python" -c 'import json, sys
def shape(v):
    return {k: shape(x) for k, x in v.items()} if isinstance(v, dict) else [shape(x) for x in v] if isinstance(v, list) else type(v).__name__
sys.exit(shape(json.load(open("plain"))) != shape(json.load(open("out"))))'; report $? "diag $part: nothing is missing"
	done
	PLUMB_CL_PATH=$latin run env --json; json "env: a value that is no UTF-8"
	[ "$(value "[x['value'] for x in j if x['name'] == 'PLUMB_CL_PATH'] == ['$path']")" = True ]; report $? "env --json: the value keeps what is text in it"
}
vocabularies() {
	[ -n "$python" ] || { skip "vocabularies: no python3"; return; }
	patched odd.gguf 'padding_token_id\x04\0\0\0<\x01\0\0' 'padding_token_id\x04\0\0\0\xff\xff\xff\xff' 'tokenizer.ggml.pre' 'tokenizer.ggml.pro'
	run tokenize odd.gguf Hello --ids; cp out ids; [ "$code" -eq 0 ] && [ "$(grep -c '^plumb: note: odd.gguf: the key' err)" -eq 2 ]; report $? "oddities are told on stderr, once each"
	run tokenize "$model" Hello --ids; cmp -s out ids; report $? "oddities change no token"
	run run odd.gguf Hello -n 1; grep -q 'note: odd.gguf: the key tokenizer.ggml.pre is missing' err; report $? "run tells of a guessed pattern"
	run run odd.gguf Hello -n 1 --json; [ "$(value 'len(j["warnings"])')" = 2 ]; report $? "run --json has the warnings"
	run info odd.gguf; says "padding_token_id is 4294967295" "info lists the warnings"
	run info odd.gguf --json; [ "$(value 'len(j["tokenizer"]["warnings"])')" = 2 ]; report $? "info --json lists the warnings"
	run info "$model" --json; [ "$(value 'j["tokenizer"]["warnings"]')" = "[]" ]; report $? "no warnings where nothing is odd"
	patched eos.gguf 'eos_token_id\x04\0\0\0>\x01\0\0' 'eos_token_id\x04\0\0\0>\x01\x01\0'
	run run eos.gguf Hello; expect 3 "the eos token is 65854" "an eos outside the vocabulary is an error"
	run run eos.gguf --tokens 1,2 -n 1; [ "$code" -eq 0 ]; report $? "token ids still run"
	patched pattern.gguf 'qwen2\x15' 'qwen9\x15'
	run tokenize pattern.gguf Hello; expect 3 '"qwen9"' "a pattern that is not known is refused by name"
	patched bos.gguf 'add_bos_token\x07\0\0\0\0' 'add_bos_token\x07\0\0\0\x01'
	run tokenize bos.gguf Hello --ids; [ "$(cut -d, -f1 out)" = 316 ]; report $? "tokenize: add_bos_token puts the begin-of-text token in front"
	run tokenize bos.gguf Hello --ids --no-bos; cmp -s out ids; report $? "tokenize --no-bos leaves it out"
	run run bos.gguf Hello --raw --json -n 1; [ "$(value 'j["prompt_tokens"][0]')" = 316 ]; report $? "run --raw: so does it"
	run run bos.gguf Hello --json -n 1; cp out with; run run "$model" Hello --json -n 1
	[ "$(value 'j["prompt_tokens"]')" = "$(cp with out; value 'j["prompt_tokens"]')" ]; report $? "a chat begins as its template says"
	run run "$model" Hello --no-bos; expect 2 "for --raw" "run --no-bos without --raw"
}

for part in help_texts options drivers models folders refusals information tokens templates not_utf8 vocabularies runs long_model limits signals full_disk chats terminal measures real_model; do
	code=0
	: >out; : >err
	$part
done
finish
