#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Intel's runtime for CPUs, with the real model; see tests/stack.sh.
stack=intel-cpu
. "${srcdir:-$(dirname "$0")/..}/tests/stack.sh"
operators cpu "$(small 1)"
operators gpu "$(small 1)"
places host delegate
families
real_model top
finish
