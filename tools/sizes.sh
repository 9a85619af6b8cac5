#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lists functions over 60 lines (a forward pass may have 130) and files over 400, of the C and OpenCL sources.
cd "$(dirname "$0")/.." || exit 1
find src include tests examples cl -name '*.[ch]' -o -name '*.cl' 2>/dev/null | sort | while read -r f; do
	awk -v f="$f" '
		/^[a-zA-Z].*[)]$/ { head = $0 }
		/^[{]/ { start = NR; name = head }
		/^[}]/ && start { n = NR - start; if (n > 60) { split(name, a, "("); m = split(a[1], b, " "); printf "%s:%d %s has %d lines\n", f, start, b[m], n } start = 0 }
		END { if (NR > 400) printf "%s has %d lines\n", f, NR }' "$f"
done
