#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Replays the fuzz corpora through their targets. Run by make check in the build folder.
failed=0
for program in ${FUZZ:-fuzz_*}; do
	t=${program#fuzz_}
	[ -n "${FUZZ:-}" ] || case $t in *[!a-z]*) continue ;; esac
	"./$program" "${srcdir:-.}/tests/data/fuzz/$t" || { failed=1; echo "$program failed"; }
done
exit $failed
