#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The cache of compiled kernels in AR_HARDWARE_LIBS: made when missing, used by the second start, and never in the way: broken
# or stale entries, folders that can't be written and ten processes at once all give the right tokens, silently.
# PLUMB: the program; PLUMB_OCL: where other stacks than Debian's are (default /opt/ocl).
# shellcheck disable=SC2015,SC2016 # `a && b || c` is meant; single quotes are for an inner shell
set -u
check='check-cache'
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
model=$data/tiny-q8_0.gguf
chmod 755 "$base"

tokens() { # prefix of the command
	# shellcheck disable=SC2086
	timeout 600 ${1:-} "$plumb" run "$model" --driver "${driver:-cl}" --tokens 1,2,3 -n 4 --ids >out 2>err </dev/null
	code=$?
}
# The right tokens, and nothing on standard error but the speed.
right() { # what
	[ "$code" -eq 0 ] && cmp -s out want && ! grep -qv "^[0-9]* tokens\{0,1\} read at" err
	report $? "$1"
}
entries() { find "$AR_HARDWARE_LIBS" -name '*.clbin' | sort; }
left_over() { [ -z "$(find "$AR_HARDWARE_LIBS" -type f ! -name '*.clbin' ! -name lock)" ]; report $? "$1: no temporary file stays"; }
state() { find "$AR_HARDWARE_LIBS" -type f -printf '%f %T@ %i\n' | sort; }
now() { date +%s%3N; }

driver=native tokens
[ "$code" -eq 0 ] || { echo "not ok - the native driver runs the model"; exit 1; }
cp out want

need_stack
# PoCL and others keep caches of their own: cold means these, too.
XDG_CACHE_HOME=$base/cache POCL_CACHE_DIR=$base/pocl
export XDG_CACHE_HOME POCL_CACHE_DIR
cold() { rm -rf "$base/pocl" "$base/cache" "$1"; mkdir "$base/pocl"; AR_HARDWARE_LIBS=$1; export AR_HARDWARE_LIBS; }

first_and_second() {
	cold "$base/a/b/libs"
	t0=$(now); tokens; t1=$(now)
	right "a cold start"
	[ -n "$(entries)" ]; report $? "the folder is made, with entries in it"
	left_over "a cold start"
	state >before
	t2=$(now); tokens; t3=$(now)
	right "a warm start"
	state >after
	cmp -s before after; report $? "a warm start rewrites nothing"
	t4=$(now); "$plumb" devices >/dev/null; t5=$(now)
	# What the kernels take: all but the process and the OpenCL implementation coming up.
	cold_ms=$((t1 - t0 - t5 + t4)) warm_ms=$((t3 - t2 - t5 + t4))
	echo "# kernels: cold $cold_ms ms, warm $warm_ms ms; start-up without kernels $((t5 - t4)) ms"
	[ $((3 * warm_ms)) -lt $cold_ms ]; report $? "a warm start takes less than a third of the cold start's kernel time"
	rm -rf "$base/pocl"/* "$base/cache"
	t0=$(now); tokens; t1=$(now)
	echo "# with our cache alone, the implementation's own emptied: $((t1 - t0)) ms"
	right "a warm start without the implementation's own cache"
}

# The same with standard error on a terminal, kept in err: the first start says what is compiled, in a line that is gone afterwards.
on_terminal() {
	export plumb model
	SHELL=/bin/sh timeout 600 script -qec '"$plumb" run "$model" --driver cl --tokens 1,2,3 -n 4 --ids >out </dev/null' /dev/null >err
	code=$?
}
terminal() {
	command -v script >/dev/null || { skip "progress on a terminal: no script(1)"; return; }
	mkdir "$base/tty" # the implementation's own cache stays, so it is quick
	AR_HARDWARE_LIBS=$base/tty on_terminal
	[ "$code" -eq 0 ] && cmp -s out want && grep -q "compiling matmul.cl for .* (once)" err
	report $? "a cold start on a terminal: it says what is compiled"
	esc=$(printf '\033')
	sed -n '/compiling/{s/.*(once)//;p;q}' err >after # each is drawn over the one before
	grep -q "^.$esc\[K" after
	report $? "a cold start on a terminal: the line is erased when all is there"
	[ -n "$(find "$base/tty" -name '*.clbin')" ] && AR_HARDWARE_LIBS=$base/tty on_terminal
	[ "$code" -eq 0 ] && cmp -s out want && ! grep -q compiling err
	report $? "a warm start on a terminal compiles nothing and says nothing of it"
}

damage() { # what to do to every entry ($1: the entry), name
	cp -r "$AR_HARDWARE_LIBS" "$base/hurt" || return
	for f in "$base"/hurt/*.clbin; do eval "$1"; done
	(AR_HARDWARE_LIBS=$base/hurt; export AR_HARDWARE_LIBS; state >hurt_before; tokens; echo $code >code; state >hurt_after)
	code=$(cat code)
	right "entries that are $2: right tokens"
	changed=$(comm -13 hurt_before hurt_after | wc -l)
	[ "$changed" -gt 0 ]; report $? "entries that are $2: built anew"
	(AR_HARDWARE_LIBS=$base/hurt; export AR_HARDWARE_LIBS; tokens; state >hurt_again)
	cmp -s hurt_after hurt_again; report $? "entries that are $2: good from then on"
	rm -rf "$base/hurt"
}

# shellcheck disable=SC2016 # $f is meant for later
damaged() {
	damage ': >"$f"' "empty"
	damage 'truncate -s 10 "$f"' "cut in the header"
	damage 'truncate -s -7 "$f"' "cut near the end"
	damage 'echo more >>"$f"' "too long"
	damage 'head -c 5000 /dev/urandom >"$f"' "noise"
	damage 'printf "\377\377\377\377\377\377\377\177" | dd of="$f" bs=1 seek=16 conv=notrunc 2>/dev/null' "of an absurd size"
	damage 'printf X | dd of="$f" bs=1 seek=40 conv=notrunc 2>/dev/null' "of another key"
	damage 'printf "\125\252" | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") - 20)) conv=notrunc 2>/dev/null' "flipped in the binary"
	damage '[ "$f" = "$(ls "$base"/hurt/*.clbin | head -n 1)" ] || cp "$(ls "$base"/hurt/*.clbin | head -n 1)" "$f"' "those of other kernels"
	[ -n "$python" ] || { skip "entries that only the implementation can refuse: no python3"; return; }
	cat >forge.py <<'END'
import struct, sys
f = open(sys.argv[1], "r+b"); b = f.read()
magic, n, size, _ = struct.unpack("<8sQQQ", b[:32])
if size > 1: # not a canary's verdict
    body = b"not a program of any implementation" * 8
    h = 0xcbf29ce484222325
    for c in body: h = (h ^ c) * 0x100000001b3 % 2**64
    f.seek(0); f.truncate(); f.write(struct.pack("<8sQQQ", magic, n, len(body), h) + b[32:32 + n] + body)
END
	damage '"$python" forge.py "$f"' "well formed but no program"
}

stale() {
	mkdir other && cp "$top"/cl/*.cl other/
	for f in other/*.cl; do chmod u+w "$f"; echo "/* changed */" >>"$f"; done
	state >before
	PLUMB_CL_PATH=$base/other; export PLUMB_CL_PATH; tokens; unset PLUMB_CL_PATH
	right "changed sources"
	state >after
	[ -z "$(comm -23 before after)" ] && [ -n "$(comm -13 before after)" ]; report $? "changed sources get entries of their own"
}

unwritable() {
	cold "$base/locked"; mkdir "$base/locked"; chmod 555 "$base/locked"; chmod 777 "$base/pocl"
	if [ "$(id -u)" -ne 0 ]; then tokens; right "a read-only folder"
	elif setpriv --reuid=65534 --regid=65534 --clear-groups "$plumb" --version >/dev/null 2>&1; then
		tokens "setpriv --reuid=65534 --regid=65534 --clear-groups"; right "a read-only folder"
	else skip "a read-only folder: root writes everywhere, and nobody can't run $plumb"
	fi
	[ -z "$(ls "$base/locked")" ]; report $? "nothing is in the read-only folder"
	: >file; AR_HARDWARE_LIBS=$base/file tokens; right "AR_HARDWARE_LIBS that is a file"
	AR_HARDWARE_LIBS=/proc/nothing/here tokens; right "AR_HARDWARE_LIBS that can't be made"
	(unset AR_HARDWARE_LIBS XDG_CACHE_HOME HOME; tokens; echo $code >code); code=$(cat code); right "no cache folder at all"
	long=$(printf '/%01100d' 0)
	AR_HARDWARE_LIBS=$long tokens
	[ "$code" -eq 2 ] && grep -q "AR_HARDWARE_LIBS has 1101 bytes, the path of a folder has 1023 at most" err; report $? "AR_HARDWARE_LIBS that is too long is refused by name"
	(unset AR_HARDWARE_LIBS XDG_CACHE_HOME; HOME=$long tokens; echo $code >code); code=$(cat code)
	[ "$code" -eq 0 ] && cmp -s out want && grep -q "note: cl: HOME is too long for the path of a cache" err; report $? "HOME that is too long leaves the cache away, and that is told"
}

full_disk() {
	away="unshare -m"
	unshare -m true 2>/dev/null || away="unshare -rm"
	$away sh -c 'mount -t tmpfs none "$1"' sh "$base/pocl" 2>/dev/null || { skip "a full disk: this user can't mount a small one"; return; }
	cold "$base/full"; mkdir "$base/full"
	cat >in_full <<'END'
folder=$1; shift
mount -t tmpfs -o size=32k none "$folder" || exit 99
head -c 28k /dev/zero >"$folder/filler" 2>/dev/null
"$@"
s=$?
find "$folder" -type f ! -name filler ! -name lock ! -name '*.clbin' >temporary
find "$folder" -name '*.clbin' -size +8k >whole
exit $s
END
	# shellcheck disable=SC2086
	tokens "$away sh in_full $base/full"
	right "a full disk"
	[ -e temporary ] && [ ! -s temporary ] && [ ! -s whole ]; report $? "nothing half written stays on the full disk"
}

ten_at_once() {
	cold "$base/ten"
	for i in 0 1 2 3 4 5 6 7 8 9; do
		(timeout 600 "$plumb" run "$model" --driver cl --tokens 1,2,3 -n 4 --ids >"out$i" 2>"err$i" </dev/null; echo $? >"code$i") &
	done
	wait
	for i in 0 1 2 3 4 5 6 7 8 9; do
		cp "out$i" out; cp "err$i" err; code=$(cat "code$i")
		right "process $i of ten on a cold cache"
	done
	left_over "ten processes"
	state >before; tokens; state >after
	right "the start after the ten"
	cmp -s before after; report $? "the ten left whole entries"
}

"$plumb" devices | sed -n 's/^\*/# device/p'
first_and_second
terminal
damaged
stale
unwritable
full_disk
ten_at_once
finish
