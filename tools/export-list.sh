#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tools/export-list.sh HEADERS [--versions]: prints the names that the public headers mark with PLUMB_API, one a line: the
# export list. --versions: as a linker's version script. While the major number is 0 a new minor number may change anything, so all
# names are of the version PLUMB_0.MINOR: a program that was linked with another one is refused by name when it starts.
list() { LC_ALL=C sed -n 's/^PLUMB_API .*[ *]\(plumb_[a-z0-9_]*\)(.*/\1/p' "$1"/*.h | LC_ALL=C sort -u; }
if [ "${2:-}" = --versions ]; then
	number() { sed -n "s/^#define PLUMB_VERSION_$2 //p" "$1/version.h"; }
	printf 'PLUMB_%s.%s {\nglobal:\n' "$(number "$1" MAJOR)" "$(number "$1" MINOR)"
	list "$1" | sed 's/$/;/'
	printf 'local:\n*;\n};\n'
else
	list "$1"
fi
