#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Functions to 60 lines, files to about 400, lines to 110 columns with tabs of 4, in the C and OpenCL sources. Part of `make check`: fails for a
# function or a file beyond its limit, and for more wide lines than there are; that figure may only go down. Files over 400 lines are named.
cd "$(dirname "$0")/.." || exit 1
most_function=60 most_file=500 most_columns=110 wide_lines=3194
find src include tests examples cl -name '*.[ch]' -o -name '*.cl' -o -name '*.def' | LC_ALL=C sort | LC_ALL=C xargs awk \
	-v most_function=$most_function -v most_file=$most_file -v most_columns=$most_columns -v wide_lines=$wide_lines '
	function columns(line,   n, at) {
		gsub(/[\200-\277]/, "", line) # the later bytes of a character
		for (n = 0; (at = index(line, "\t")); line = substr(line, at + 1))
			n += at - 1 + 4 - (n + at - 1) % 4
		return n + length(line)
	}
	function of_file() {
		if (lines > most_file)
			bad = 1
		if (lines > 400)
			printf "%s has %d lines%s\n", name, lines, (lines > most_file ? ", more than " most_file : "")
	}
	FNR == 1 { of_file(); name = FILENAME; start = 0 }
	{ lines = FNR }
	columns($0) > most_columns { wide++ }
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
	END {
		of_file()
		printf "%d lines over %d columns, %d allowed\n", wide, most_columns, wide_lines
		exit bad || wide > wide_lines
	}'
