#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PoCL, with the real model; see tests/stack.sh.
stack=pocl
. "${srcdir:-$(dirname "$0")/..}/tests/stack.sh"
operators cpu "$(small 1)"
operators gpu "$(small 1)"
places host delegate
families
real_model components greedy
finish
