#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed-cl.sh FILE.cl...: prints C that holds the text of each kernel file, as bytes (no compiler limits a string's length then).
echo '/* Made by tools/embed-cl.sh from cl/; do not edit. */'
echo '#include <stddef.h>'
echo 'struct plumb_cl_embedded { const char *file; const char *text; size_t size; };'
echo 'extern const struct plumb_cl_embedded plumb_cl_embedded[];'
for f; do
	n=$(basename "$f" .cl)
	echo "static const unsigned char text_$n[] = {"
	od -An -v -tx1 "$f" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo '};'
done
echo 'const struct plumb_cl_embedded plumb_cl_embedded[] = {'
for f; do
	n=$(basename "$f" .cl)
	echo "	{ \"$n\", (const char *)text_$n, sizeof text_$n },"
done
echo '	{ NULL, NULL, 0 }'
echo '};'
