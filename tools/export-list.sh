#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the names that the public headers mark with PLUMB_API, one a line: the export list.
LC_ALL=C sed -n 's/^PLUMB_API .*[ *]\(plumb_[a-z0-9_]*\)(.*/\1/p' "$1"/*.h | LC_ALL=C sort -u
