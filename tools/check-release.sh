#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The version is the same wherever it stands: configure.ac, include/plumb/version.h and the newest entry of NEWS. Part of
# `make check`, and so of `make distcheck`: a release whose NEWS was forgotten is none.
cd "$(dirname "$0")/.." || exit 1
macro() { sed -n "s/^#define PLUMB_VERSION_$1 //p" include/plumb/version.h; }
header=$(macro MAJOR).$(macro MINOR).$(macro PATCH)
package=$(sed -n 's/^AC_INIT(\[plumb\], \[\(.*\)\])$/\1/p' configure.ac)
news=$(sed -n '/^[0-9]/{p;q;}' NEWS)
bad=0
for pair in "configure.ac=$package" "NEWS=$news"; do
	[ "${pair#*=}" = "$header" ] || { echo "${pair%%=*} has version \"${pair#*=}\", include/plumb/version.h has $header"; bad=1; }
done
for file in LICENSE README.md NEWS SECURITY.md CONTRIBUTING.md; do
	[ -s "$file" ] || { echo "$file is not there"; bad=1; }
done
[ $bad = 0 ] && echo "version $header"
exit $bad
