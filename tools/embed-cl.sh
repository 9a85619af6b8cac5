#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed-cl.sh FILE...: prints C that holds the text of each kernel file, as bytes (no compiler limits a string's length then).
echo '/* Made by tools/embed-cl.sh from cl/; do not edit. */'
echo '#include <stddef.h>'
echo 'struct plumb_cl_embedded { const char *name; const char *text; size_t size; };'
echo 'extern const struct plumb_cl_embedded plumb_cl_embedded[];'
symbol() { basename "$1" | tr . _; }
for f; do
	echo "static const unsigned char text_$(symbol "$f")[] = {"
	od -An -v -tx1 "$f" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo '};'
done
echo 'const struct plumb_cl_embedded plumb_cl_embedded[] = {'
for f; do
	n=$(symbol "$f")
	echo "	{ \"$(basename "$f")\", (const char *)text_$n, sizeof text_$n },"
done
echo '	{ NULL, NULL, 0 }'
echo '};'
