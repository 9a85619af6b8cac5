#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Replays the fuzz corpora through their targets. Run by make check in the build folder.
failed=0
for t in bpe gguf safetensors; do
	./fuzz_$t "${srcdir:-.}/tests/data/fuzz/$t" || { failed=1; echo "fuzz_$t failed"; }
done
exit $failed
