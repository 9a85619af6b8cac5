#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All C of this tree is as .clang-format says, by clang-format 14 (Debian 12: package clang-format); other versions
# format otherwise. `tools/check-format.sh --fix` formats it. Part of `make check`. The kernels in cl/*.cl are macros for the
# most part and formatted by hand; tools/sizes.sh looks at their width.
set -u
cd "$(dirname "$0")/.." || exit 1
format=
for name in clang-format-14 clang-format; do
	case $($name --version 2>/dev/null) in *'version 14.'*) format=$name && break ;; esac
done
[ "$format" ] || { echo 'SKIP: clang-format 14 is not installed (Debian 12: package clang-format)'; exit 77; }
files() { find src include tests examples cl -name '*.[ch]' ! -name embedded.c; }
if [ "${1-}" = --fix ]; then
	files | xargs "$format" -i
else
	files | xargs "$format" --dry-run --Werror || { echo 'tools/check-format.sh --fix formats them'; exit 1; }
	echo "$(files | wc -l) files are formatted"
fi
