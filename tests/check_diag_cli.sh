#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# plumb diag as people meet it: each part with text and JSON, verdicts as exit codes, bad references, wrong command lines, the page.
# The references are dumped from the small models of tests/data. PLUMB: the program; srcdir: the source folder.
# shellcheck disable=SC2015,SC2317 # `a && b || c` is meant; functions are called by name
set -u
check='check diag'
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
model=$data/tiny-f32.gguf
[ -r "$model" ] || { echo "SKIP: $model is not there"; exit 77; }
unset AR_HARDWARE_LIBS PLUMB_THREADS PLUMB_NATIVE_ISA PLUMB_AVOID
no_opencl
AR_HARDWARE_DRIVER=native && export AR_HARDWARE_DRIVER

diag() { "$plumb" diag "$@" >out 2>err </dev/null; code=$?; }
# Exit code; a pattern in the result and on standard error together; what.
expect() { [ "$code" -eq "$1" ] && cat out err | grep -q -- "$2"; report $? "$3"; }
# The exit code, and JSON with this value: a Python expression on j that is true.
json() { # code, expression, what
	if [ -n "$python" ]; then
		[ "$code" -eq "$1" ] && "$python" -c 'import json, sys; j = json.load(open("out")); sys.exit(0 if eval(sys.argv[1]) else 1)' "$2" 2>err
	else
		[ "$code" -eq "$1" ] && head -c 1 out | grep -q '[[{]'
	fi
	report $? "$3"
}

dumps() {
	diag dump "$model" --tokens 1,2,3,4,5 --out all; expect 0 "5 tokens" "dump"
	diag dump "$model" --tokens 1,2,3,4,5 --out last --format bin; expect 0 "last position" "dump --format bin"
	[ -s last/after_layer_0.bin ] && [ -s last/final_logits.bin ] && [ -s last/reference.json ]; report $? ".bin files and a manifest are there"
	diag dump "$model" --tokens 1,2,3,4,5 --out some --points embeddings,output; expect 0 . "dump --points"
	diag dump "$model" --prompt Hello --out text --json; json 0 'j["part"] == "dump" and len(j["tokens"]) > 0' "dump --prompt --json"
	diag dump "$model" --chat Hello --out talk; expect 0 . "dump --chat"
	diag dump "$model" --tokens 1,2,3,4,5 --fault k_bias@1 --out broken; expect 0 . "dump --fault"
	diag dump "$model" --tokens 1 --out none/deep/deep; expect 3 "none/deep" "dump into a folder that is not there"
}

parts() {
	for part in report verdict growth diverge isolate components convention precision blindspots fingerprint trace stability biography weights special; do
		diag $part "$model" all; expect 0 "[a-z]\{3,\}" "$part"
		[ ! -s err ]; report $? "$part says nothing on standard error"
		awk 'length($0) > 130 { exit 1 }' out; report $? "$part keeps within the terminal" # bytes; a character may have three
		diag $part "$model" all --json; json 0 "j['part'] == '$part'" "$part --json"
		diag $part "$model" last --json; json 0 "j['part'] == '$part'" "$part --json with .bin files"
	done
	for part in trace stability biography; do
		diag $part "$model" --tokens 1,2,3; expect 0 . "$part without a reference"
		diag $part "$model"; expect 2 "--tokens, --prompt or --chat" "$part without a prompt"
	done
	diag special "$model" --tokens 1,2,3; expect 0 "^What each layer does$" "special is a table"
	diag weights "$model"; expect 0 "tensors" "weights needs no prompt"
	diag isolate "$model" all --layer 1 --json; json 0 '[x["layer"] for x in j["layers"]] == [1]' "isolate --layer 1"
	diag components "$model" all --layer 2 --json; json 0 '{x["layer"] for x in j["layers"]} == {2}' "components --layer 2"
	diag growth "$model" all --layers 2 --json; json 0 'max(x["layer"] for x in j["layers"]) == 1' "growth --layers 2"
	diag faults; expect 0 "^k_bias " "faults"
	diag faults --json; json 0 'len(j) > 10 and all(x["name"] and x["what"] for x in j)' "faults --json"
}

verdicts() {
	for reference in all last some; do
		diag verdict "$model" $reference --json; json 0 'j["word"] == "right" and j["code"] == 0' "verdict of an own dump: right ($reference)"
	done
	diag verdict "$model" all --fault k_bias@1 --json; json 22 'j["layer"] == 1 and "k_bias" in str(j["cause"])' "--fault k_bias@1: a divergence, in layer 1, by its name"
	diag verdict "$model" "$data/tiny-f32.safetensors" --precision FP16; expect 21 "right, as far as a run in fp16 can tell" "a port in FP16 is right as far as fp16 can tell"
	diag verdict "$model" "$data/tiny-f32.safetensors" --precision FP16 --fault k_bias@1 --json
	json 22 'j["layer"] == 1 and "k_bias" in str(j["cause"])' "... and a fault in it is found all the same"
	diag report "$model" all --fault v_bias@2 --json
	json 22 'j["verdict"]["layer"] == 2 and j["fingerprint"]["causes"][0]["name"] == "v_bias" and j["fault"] == "v_bias@2"' "report --fault: layer and cause"
	diag report "$model" all --fault k_bias@1; expect 22 "K bias" "report --fault in words"
	diag verdict "$model" broken --json; json 22 'j["layer"] == 1' "a broken reference is noticed, too"
	diag report "$model" all last --json; json 0 'len(j) == 2 and all(x["verdict"]["code"] == 0 for x in j)' "two references: an array"
	diag report "$model" all broken --json; json 22 '[x["verdict"]["code"] for x in j] == [0, 22]' "two references: the gravest verdict is the exit code"
	diag report "$model" broken empty all; expect 22 "=== all ===" "a divergence counts more than a reference that cannot be used"
	diag report "$model" all --json
	json 0 'set("plumb model driver trusted fault tokens seconds reference verdict convention precision growth components weights biography stability blindspots fingerprint special".split()) <= set(j)' \
		"report --json has every part"
	json 0 'not [k for k, v in j.items() if isinstance(v, dict) and "failed" in v]' "no part of it failed"
	json 0 'j["model"]["file"].endswith("tiny-f32.gguf") and j["tokens"] == [1, 2, 3, 4, 5]' "report --json: model and tokens"
	diag verdict "$data/tiny-q8_0.gguf" all --json; json 23 'j["word"] == "unusable"' "the reference of other weights"
}

# Named, with what can still be concluded.
bad_references() {
	mkdir -p empty one other && : >empty/.keep
	cp -r last cut && head -c 100 last/after_layer_1.bin >cut/after_layer_1.bin
	cp last/after_layer_0.bin one/
	printf 'no safetensors' >text.safetensors
	for reference in empty missing text.safetensors "$model"; do
		name=$(basename "$reference")
		diag verdict "$model" "$reference"; expect 23 "$name" "verdict: unusable: $name"
		diag report "$model" "$reference"; expect 23 "$name" "report: unusable: $name"
		grep -q '38 tensors' out; report $? "... and the weights are told"
		diag growth "$model" "$reference"; expect 3 "$name" "growth: unusable: $name"
		diag report "$model" "$reference" --json; json 23 'j["verdict"]["word"] == "unusable" and j["reference"]["problems"] and j["weights"]["tensors"]' "report --json: $name"
	done
	diag verdict "$model" cut; expect 0 "after_layer_1.bin" "a truncated file is named, the others are compared"
	diag report "$model" cut --json; json 0 'j["reference"]["problems"][0]["file"] == "after_layer_1.bin" and j["reference"]["problems"][0]["consequence"]' "... with its consequence"
	diag verdict "$model" one; expect 23 "tokens" "a single file without tokens"
	diag verdict "$model" one --tokens 1,2,3,4,5; expect 0 "right" "... with tokens it is of use"
	diag verdict "$model" "$data/real/hello-bf16"; expect 23 "hello-bf16.*\|another model" "the reference of another model"
	diag report "$model" missing --tokens 1,2 --json; json 23 'len(j["stability"]["points"]) > 10' "without a reference, but with tokens: stability, too"
}

usage() {
	diag --help; expect 0 "^Usage: plumb diag" "diag --help"
	sed -n '/^Parts/,/^Also/s/^  \([a-z]*\) *\(.*\)/\1 \2/p' out | sed 's/ (\*)$//' >parts
	[ "$(wc -l <parts)" -gt 10 ]; report $? "... lists the parts"
	sed 's/^\.It Cm \([a-z]*\)$/@\1/; /^\./d; s/\\&//' "$srcdir/doc/plumb.1" | tr '\n' ' ' >man
	while read -r name question; do
		grep -qF -- "@$name $question" man && grep -qF -- "| \`$name\` | $question |" "$srcdir/doc/diagnosis.md"
		report $? "plumb(1) and doc/diagnosis.md have $name with its question"
	done <parts
	diag growth --help; expect 0 "^How does the error grow" "help of one check"
	diag; expect 2 "needs a check" "no check"
	diag nonsense "$model"; expect 2 '"nonsense" is no check' "unknown check"
	diag report; expect 2 "needs a model file" "no model"
	diag report "$model"; expect 2 "needs a reference" "no reference"
	diag growth "$model" all last; expect 2 "takes one reference" "two references for one check"
	diag dump "$model" all --out x --tokens 1; expect 2 "takes no reference" "dump with a reference"
	diag report "$model" all --fault rust; expect 2 "k_bias" "unknown fault: the list is given"
	diag report "$model" all --fault k_bias@99; expect 2 "0 to 2" "a fault in a layer past the model"
	diag report "$model" all --tokens 1,x; expect 2 'not "x"' "--tokens 1,x"
	diag stability "$model" --tokens 320; expect 2 "320" "a token past the vocabulary"
	diag isolate "$model" all --layer 3; expect 2 "layers 0 to 2" "--layer past the model"
	diag growth "$model" all --layers 4; expect 2 "4 layers" "--layers past the model"
	diag dump "$model" --tokens 1; expect 2 "needs --out" "dump without --out"
	diag dump "$model" --out x; expect 2 "needs a prompt" "dump without a prompt"
	diag dump "$model" --tokens 1 --out x --format pickle; expect 2 '"pickle"' "dump --format pickle"
	diag dump "$model" --tokens 1 --out x --points output,nose; expect 2 '"nose" is no capture point' "dump --points nose"
	diag growth "$model" all --html x; expect 2 "of report only" "--html of another check"
	diag growth "$model" all --out x; expect 2 "of dump and report" "--out of another check"
	diag trace "$model" --tokens 1 --prompt x; expect 2 "one prompt only" "two prompts"
	diag trace "$model" --prompt ""; expect 2 "the prompt is empty" "an empty prompt"
	latin=$(printf 'caf\351')
	diag trace "$model" --prompt "$latin"; expect 3 "the prompt is not valid UTF-8 at byte 3 (0xe9)" "a prompt in Latin-1, as of run"
	diag dump "$model" --chat "$latin" --out latin; expect 3 " 3 (0xe9)" "a message in Latin-1"
	diag bisect "$model" --tokens 1 --driver native; expect 2 "in place of --driver" "bisect --driver"
	diag bisect "$model" --tokens 1 --bad cl; expect 4 "cl" "bisect with a driver that does not open"
	diag report missing.gguf all; expect 3 "missing.gguf" "no such model"
}

page() {
	diag report "$model" all --fault k_bias@1 --html page.html; expect 22 "The page: page.html" "report --html"
	! ls page.html.?* 2>/dev/null; report $? "nothing is left beside the page"
	head -n 1 page.html | grep -q '^<!DOCTYPE html>' && tail -n 1 page.html | grep -q '^</html>'; report $? "the page is whole"
	! grep -qiE 'https?:|<script|<link|<img|<iframe|src=|url\(|@import|javascript:| on[a-z]+=' page.html; report $? "no script and no request in it"
	grep -q '<svg' page.html && grep -q 'prefers-color-scheme:dark' page.html && grep -q 'name=viewport' page.html; report $? "pictures, dark colours, a phone's width"
	for part in fingerprint growth components biography weights stability blindspots convention precision; do
		grep -q "id=r0-$part" page.html; report $? "the page has $part"
	done
	diag report "$model" all --out other.html --json; json 0 'j["part"] == "report"' "report --out --json"
	[ -s other.html ]; report $? "... writes the page, too"
	diag report "$model" all last --html two.html; expect 0 "=== last ===" "a page of two references"
	grep -q 'id=r1' two.html; report $? "... has both"
	diag report "$model" all --html none/x/page.html; expect 1 "none/x/page.html" "a page that cannot be written"
	cp -r all '<b>&"x'\'
	diag report "$model" '<b>&"x'\' --html odd.html; expect 0 . "a reference with an odd name"
	! grep -q '<b>&"x' odd.html && grep -q '&lt;b&gt;&amp;&quot;x&#39;' odd.html; report $? "... is escaped in the page"
	[ -n "$python" ] || { skip "the page's tags: no python3"; return; }
	cat >tags.py <<'END'
import html.parser, sys
class Page(html.parser.HTMLParser):
	open = []
	ids = set()
	def handle_starttag(self, tag, attributes):
		if tag not in ("meta", "br"):
			self.open.append(tag)
		for name, value in attributes:
			assert tag not in ("path", "circle", "rect", "text") or not {"nan", "inf"} & set(value.replace("-", " ").split()), (value, self.getpos())
			if name == "id":
				assert value not in self.ids, value
				self.ids.add(value)
			if name == "href":
				assert value.startswith("#"), value
	def handle_startendtag(self, tag, attributes):
		pass
	def handle_endtag(self, tag):
		assert self.open and self.open.pop() == tag, (tag, self.getpos())
	def handle_data(self, data):
		assert "nan" not in data.split(), (data, self.getpos())
page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
assert not page.open, page.open
END
	for file in page.html two.html odd.html; do
		"$python" tags.py $file 2>err; report $? "tags of $file are closed, its links lead within it"
	done
}

bisects() {
	diag bisect "$model" --good native --bad native --tokens 1; expect 2 "compares two drivers" "bisect of a driver with itself"
	unset OCL_ICD_VENDORS
	"$plumb" devices 2>/dev/null | grep -q '^\*' || { skip "bisect: no OpenCL device"; return; }
	diag bisect "$model" --tokens 1,2,3; expect 0 "right" "bisect of two drivers that agree"
	diag bisect "$model" --tokens 1,2,3 --json; json 0 'j["part"] == "bisect" and j["set"] == []' "bisect --json"
	diag bisect "$model" --tokens 1,2,3 --tolerance 1e-9 --json; json 22 'j["error_before"] > 1e-9' "bisect --tolerance 1e-9: not even rounding is allowed"
	diag verdict "$model" all --driver cl --json; json 0 'j["word"] == "right"' "verdict of the cl driver"
	diag report "$model" all --driver cl --json; json 0 'j["driver"] == "cl" and "native" in j["trusted"]' "report of the cl driver: native is trusted"
}

# The big model, where there is one: Ctrl-C while it works.
real_model() {
	big=$HOME/.cache/plumb/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
	[ -r "$big" ] || { skip "the big model is not there"; return; }
	diag verdict "$big" "$data/real/hello-bf16" --json; json 21 '"2→3" in j["text"] and "22→23" in j["text"] and "23→24" in j["text"]' "hello-bf16: right, the three jumps explained"
	"$plumb" diag report "$big" "$data/real/chat-components.safetensors" >out 2>err </dev/null &
	process=$!
	sleep 2
	kill -s INT $process 2>/dev/null
	wait $process; code=$?
	expect 130 "stopped while" "Ctrl-C"
}

for part in dumps parts verdicts bad_references usage page bisects real_model; do
	code=0
	: >out; : >err
	$part
done
finish
