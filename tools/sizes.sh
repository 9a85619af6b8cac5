#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Functions to 60 lines, files to about 400 and never over 500, lines to 110 columns with tabs of 4: C, OpenCL and documents.
# Part of `make check`; fails for what is beyond a limit and names files over 400 lines. A line of C that holds one string
# may be wider, so that a message can be found by its words; so may tables and examples of output in documents.
cd "$(dirname "$0")/.." || exit 1
limits='-v most_function=60 -v most_file=500 -v most_columns=110'
width='
	function columns(line,   n, at) {
		gsub(/[\200-\277]/, "", line) # the later bytes of a character
		for (n = 0; (at = index(line, "\t")); line = substr(line, at + 1))
			n += at - 1 + 4 - (n + at - 1) % 4
		return n + length(line)
	}
	function too_wide() {
		if (columns($0) <= most_columns)
			return
		printf "%s:%d has %d columns, more than %d\n", FILENAME, FNR, columns($0), most_columns
		bad = 1
	}'
code='
	function of_file() {
		if (lines > most_file)
			bad = 1
		if (lines > 400)
			printf "%s has %d lines%s\n", name, lines, (lines > most_file ? ", more than " most_file : "")
	}
	FNR == 1 { of_file(); name = FILENAME; start = 0 }
	{ lines = FNR }
	!/^[ \t]*[?:{]? ?"([^"\\]|\\.)*"[^"]*$/ { too_wide() }
	/^[a-zA-Z].*[)]$/ { head = $0 }
	/^[{]/ { start = FNR; function_head = head }
	/^[}]/ && start {
		if (FNR - start > most_function) {
			split(function_head, a, "(")
			m = split(a[1], b, " ")
			printf "%s:%d %s has %d lines, more than %d\n", name, start, b[m], FNR - start, most_function
			bad = 1
		}
		start = 0
	}
	END { of_file(); exit bad }'
text='
	FNR == 1 { fenced = 0 }
	/^ *```/ { fenced = !fenced }
	!fenced && !/^(\||    )/ { too_wide() }
	END { exit bad }'
bad=0
# shellcheck disable=SC2086
find src include tests examples cl -name '*.[ch]' ! -name embedded.c -o -name '*.cl' -o -name '*.def' | LC_ALL=C sort |
	LC_ALL=C xargs awk $limits "$width$code" || bad=1
# shellcheck disable=SC2086
LC_ALL=C awk $limits "$width$text" ./*.md doc/*.md NEWS || bad=1
exit $bad
