#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs into a folder, then uses that copy as a stranger would: pkg-config, the examples, each header
# alone (C and C++), the exported names, the man page. Run by make check in the build folder.
set -u
top=$(cd "${srcdir:-.}" && pwd)
dest=$(mktemp -d) || exit 1
trap 'rm -rf "$dest"' EXIT
checks=0 failed=0
check() { # check NAME COMMAND...
	name=$1; shift; checks=$((checks + 1))
	if "$@" > "$dest/log" 2>&1; then echo "ok - $name"; else failed=$((failed + 1)); echo "not ok - $name"; sed 's/^/    /' "$dest/log" | tail -20; fi
}
CC=${CC:-cc}
prefix=/usr/local-plumb-check
${MAKE:-make} install DESTDIR="$dest" prefix=$prefix > "$dest/install.log" 2>&1 || { tail -20 "$dest/install.log"; exit 1; }
PKG_CONFIG_PATH=$dest$prefix/lib/pkgconfig; export PKG_CONFIG_PATH
sed -i "s|^prefix=.*|prefix=$dest$prefix|; s|^libdir=.*|libdir=$dest$prefix/lib|; s|^includedir=.*|includedir=$dest$prefix/include|" "$PKG_CONFIG_PATH/plumb.pc"
flags=$(pkg-config --cflags --libs plumb) || exit 1
san=${SANITIZE_FLAGS:-}
LD_LIBRARY_PATH=$dest$prefix/lib; export LD_LIBRARY_PATH

for e in generate matmul; do
	check "example $e builds" $CC $san -std=c11 -Wall -Wextra -Werror "$top/examples/$e.c" $flags -o "$dest/$e"
done
check "example matmul computes" "$dest/matmul"
check "example matmul on native" env AR_HARDWARE_DRIVER=native "$dest/matmul"
check "example generate answers" sh -c "'$dest/generate' '$top/tests/data/tiny-f32.gguf' hello | grep -q ."
check "example generate says why it fails" sh -c "! '$dest/generate' /nonexistent hello 2> '$dest/err' && grep -q nonexistent '$dest/err'"
for h in "$dest$prefix"/include/plumb/*.h; do
	b=$(basename "$h")
	check "header $b alone" sh -c "echo '#include <plumb/$b>' | $CC -std=c11 -Wall -Wextra -Wpedantic -Werror -I'$dest$prefix/include' -x c -fsyntax-only -"
	if command -v c++ > /dev/null; then
		check "header $b alone in C++" sh -c "echo '#include <plumb/$b>' | c++ -Wall -Wextra -Werror -I'$dest$prefix/include' -x c++ -fsyntax-only -"
	fi
done
sh "$top/tools/export-list.sh" "$top/include/plumb" > "$dest/declared"
nm -D --defined-only --without-symbol-versions "$dest$prefix/lib/libplumb.so" | awk '$2 == "T" && $3 !~ /^_/ { print $3 }' | LC_ALL=C sort > "$dest/exported"
check "exported names are the declared ones" diff "$dest/declared" "$dest/exported"
version=$(sh "$top/tools/export-list.sh" "$top/include/plumb" --versions | sed -n '1s/ {//p')
if grep -q "version-script" Makefile; then
	check "every exported name has the version $version" sh -c "! nm -D --defined-only --with-symbol-versions '$dest$prefix/lib/libplumb.so' |
		grep ' T plumb_' | grep -v '@@$version\$'"
	check "a program asks for that version" sh -c "nm -D --with-symbol-versions '$dest/matmul' | grep -q ' U plumb_open@$version\$'"
else
	echo "SKIP: this linker has no symbol versions"
fi
check "the installed plumb runs" sh -c "'$dest$prefix/bin/plumb' --version | grep -q '^plumb '"
if [ -e "$dest$prefix/lib/libplumb.a" ]; then
	check "the static library links" $CC $san -std=c11 "$top/examples/matmul.c" -I"$dest$prefix/include" $(pkg-config --static --libs plumb | sed "s|-lplumb|$dest$prefix/lib/libplumb.a|") -o "$dest/static"
else
	echo "no static library in this build"
fi
check "the man page is there" test -s "$dest$prefix/share/man/man1/plumb.1"
echo "$checks checks, $failed failed"
[ "$failed" = 0 ]
