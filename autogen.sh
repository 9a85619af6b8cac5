#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes ./configure. Needs autoconf, automake, libtool, pkg-config (Debian package names).
set -e
cd "$(dirname "$0")"
for tool in autoconf automake libtoolize pkg-config; do
	command -v $tool >/dev/null 2>&1 || { echo "autogen.sh: $tool is missing; install the packages autoconf automake libtool pkg-config" >&2; exit 1; }
done
exec autoreconf --install --force
