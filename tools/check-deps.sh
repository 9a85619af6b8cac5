#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The arrows of doc/design.md: each folder of src includes only the headers of folders to its right. Also: only
# core/env.c reads the environment, only core/number.c makes text of numbers with a fraction, only core/json.c and cli/json.c give jansson text
# that is no literal (which may be no UTF-8), and the library neither prints nor exits.
cd "$(dirname "$0")/.." || exit 1
bad=0
allow() { # allow FOLDER FOLDERS...
	from=$1; shift
	for f in $(find "src/$from" -name '*.[ch]'); do
		for i in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$f"); do
			case " $from $* " in *" $i "*) ;; *) echo "$f includes \"$i/\": $from may include only: $from $*"; bad=1;; esac
		done
	done
}
allow core
allow op core
allow native op core
allow cl op core drivers # drivers: its doctor and its tuning open contexts
allow drivers op core
allow format core
allow text core
allow model format text op core
allow diag model drivers core
allow report diag core
allow cli
# The rooms of a folder: `room FOLDER ROOMS...`: of its own folder's headers a room includes only its own and those named, rooms or single headers.
rooms=
room() {
	from=$1; shift
	top=${from%%/*} rooms="$rooms $from"
	[ -d "src/$from" ] && set -- "$from" "$@"
	for f in src/"$from"/*.[ch] src/"$from".[ch]; do
		[ -e "$f" ] || continue
		for i in $(sed -n "s,^#include \"\($top/[^\"]*\)\".*,\1,p" "$f"); do
			case " $* " in *" ${i%/*} "*|*" $i "*) ;; *) echo "$f includes \"$i\": of $top it may include only: $*"; bad=1;; esac
		done
	done
}
room native/simd
room cl/device
room cl/driver cl/device
room cl/tune cl/driver cl/device
room cl/op cl/tune cl/driver cl/device
room cl/doctor cl/device # asks a child process, not the driver
room cl/canary cl/canary.h cl/tune cl/driver cl/device
room diag/reference
room diag/run diag/reference
room diag/measure diag/run diag/reference
room diag/context diag/context.h diag/measure diag/run diag/reference
room diag/check diag/context.h diag/measure diag/run diag/reference
for f in src/*/*/; do
	f=${f#src/}
	case " $rooms " in *" ${f%/} "*) ;; *) echo "src/$f: tools/check-deps.sh does not say what this room may include"; bad=1;; esac
done
for f in $(find src -name '*.c' ! -path 'src/cli/*'); do
	case $f in
	src/core/env.c) ;;
	*) grep -nE '\b(secure_)?getenv *\(' "$f" /dev/null && { echo "  only src/core/env.c reads the environment"; bad=1; } ;;
	esac
	grep -nE '\b(printf|puts|putchar|perror|exit|abort|assert) *\(|\bfprintf *\( *std(out|err)' "$f" /dev/null && { echo "  the library must not print or exit"; bad=1; }
	[ "$f" = src/core/number.c ] && continue
	grep -nE '\b(strto(d|f|ld)|atof|vsnprintf|json_sprintf) *\(|\b[sf]n?printf *\(.*%[-+ #0-9.*]*l?[aefgAEFG]' "$f" /dev/null && {
		echo "  the library's numbers do not depend on the locale: plumb_format, plumb_vformat, plumb_number (src/core/number.c)"; bad=1; }
done
for f in $(find src -name '*.c'); do
	case $f in src/core/json.c|src/cli/json.c) continue;; esac
	grep -nE '\bjson_stringn?(_nocheck)? *\([^")]' "$f" /dev/null && { echo "  text that may be no UTF-8: plumb_json_text (core/json.h), cli_json_text (cli/json.c)"; bad=1; }
done
# Undefined behaviour that no compiler here warns of, and that no run shows: a pointer made of one that may be NULL, and one looked at after free.
for f in $(find src -name '*.c'); do
	grep -nE '([a-z_]+) = (m|c|re)alloc\(.*\), *\*?[a-z_]+ = \1 \+' "$f" /dev/null && { echo "  what malloc gives is checked before anything is made of it"; bad=1; }
	awk -v f="$f" 'gone != "" && $0 ~ "return !?" gone " *[?=!&|;]" { print f ":" NR ":" $0; found = 1 }
		{ gone = "" } /^\t*free\([a-z_]+\);/ { gone = $0; gsub(/^\t*free\(|\);.*/, "", gone) } END { exit found }' "$f" || { echo "  a pointer is not looked at after free"; bad=1; }
done
[ $bad = 0 ] && echo "the arrows hold"
exit $bad
