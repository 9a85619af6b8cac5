#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rusticl on llvmpipe, which takes seconds to compile a kernel: few weight types. It has no vectors of its own and gets a GPU's kernels;
# a CPU's it compiles for over 20 minutes. See tests/stack.sh.
stack=rusticl
. "${srcdir:-$(dirname "$0")/..}/tests/stack.sh"
operators gpu "$(small 2 1)"
finish
