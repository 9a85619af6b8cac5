#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Memory and threads run out: the Nth allocation fails, or the Nth and all after it, in every command. Never a crash, a hang, or a result
# that lacks something with the exit code of success. PLUMB: the program; srcdir: the source folder.
set -u
check='check inject alloc'
# shellcheck source=tests/inject.sh
. "${srcdir:-$(dirname "$0")/..}/tests/inject.sh"
references
every alloc 60
every alloc+ 24
PLUMB_THREADS=3 inject alloc 60 "run -t 3" run "$q4" hello -n 2
# A diagnosis makes tens of thousands of allocations: those of its parts in full are too many also for check-large.
large_most=400
parts alloc 16
parts alloc+ 8
survived
