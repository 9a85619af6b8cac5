#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Calls of OpenCL and CLBlast that fail, one after another: see tests/inject_cl.c. On PoCL. A minute's points of all; PLUMB_TEST_LARGE=1
# takes every call with every code (make check-large). PLUMB_TEST_POINTS, PLUMB_TEST_SECONDS: most per function, and time;
# PLUMB_TEST_FUNCTION=clFinish: that one alone.
set -u
check='check-inject-cl'
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
program=$(dirname "$plumb")/inject_cl model=$data/tiny-f32.gguf
[ -z "${SANITIZE_FLAGS:-}" ] || { echo "SKIP: vendors' drivers are run by the main build only"; exit 77; }
[ -x "$program" ] || { echo "SKIP: $program is not built (no OpenCL headers)"; exit 77; }
unset PLUMB_CL_MATMUL PLUMB_CL_CLASS PLUMB_CL_MAX_ALLOC PLUMB_CL_PROFILE PLUMB_CANARY PLUMB_MODE PLUMB_STRICT PLUMB_AVOID
real=$(ldconfig -p 2>/dev/null | sed -n 's/.*libOpenCL\.so\.1 .*=> //p' | head -n 1)
pocl=$(ldconfig -p 2>/dev/null | sed -n 's/.*libpocl\.so[^ ]* .*=> //p' | head -n 1)
[ -n "$real" ] && [ -n "$pocl" ] || { echo "SKIP: PoCL is not installed (pocl-opencl-icd)"; exit 77; }
mkdir icd && echo "$pocl" >icd/pocl.icd
OCL_ICD_VENDORS=$base/icd POCL_CACHE_DIR=$base/pocl
export OCL_ICD_VENDORS POCL_CACHE_DIR
mkdir pocl fake libs tuned
"$plumb" devices >out 2>err || { echo "SKIP: PoCL gives no device here"; exit 77; }

echo 'OPENCL_1.0 { global: cl*; inject_*; local: *; };' >fake.map
${CC:-cc} -shared -fPIC -O1 -I"$top/tests" -Wl,-soname,libOpenCL.so.1 -Wl,--version-script=fake.map -o fake/libOpenCL.so.1 \
	"$top/tests/inject/opencl.c" -ldl -lpthread 2>err || { echo "SKIP: $(head -n 1 err)"; exit 77; }

# A tuning file that says CLBlast for every shape of many rows.
AR_HARDWARE_LIBS=$base/tuned; export AR_HARDWARE_LIBS
if PLUMB_CL_CLASS=cpu timeout 300 "$plumb" tune "$model" --quick >out 2>err && grep -q "CLBlast  *is there" out; then
	sed -i 's/"chosen": "[a-z0-9]*"/"chosen": "clblast"/' tuned/*.tune.json
	PLUMB_INJECT_TUNED=$base/tuned; export PLUMB_INJECT_TUNED
else
	skip "CLBlast: it is not there (libclblast1)"
fi
unset AR_HARDWARE_LIBS
PLUMB_INJECT_LIBS=$base/libs PLUMB_INJECT_REAL=$real LD_LIBRARY_PATH=$base/fake${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PLUMB_INJECT_LIBS PLUMB_INJECT_REAL LD_LIBRARY_PATH
[ "${PLUMB_TEST_LARGE:-0}" = 0 ] && points=6 seconds=60 || points=0 seconds=0
"$program" "$model" "${PLUMB_TEST_POINTS-$points}" "${PLUMB_TEST_SECONDS-$seconds}" ${PLUMB_TEST_FUNCTION:+"$PLUMB_TEST_FUNCTION"} 2>err
code=$?
[ $code -eq 77 ] && exit 77
report $code "calls of OpenCL that fail are survived"
finish
