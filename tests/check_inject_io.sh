#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Files fail: the Nth call that opens, reads, maps, writes, renames, locks ... ends with each errno that fits, or does half of its bytes,
# in every command. Nothing half written stays under its final name, no temporary file is left. PLUMB: the program; srcdir: the source folder.
set -u
check='check inject io'
# shellcheck source=tests/inject.sh
. "${srcdir:-$(dirname "$0")/..}/tests/inject.sh"
references
every io 4
parts io 2
survived
