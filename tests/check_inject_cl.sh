#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Calls of OpenCL and CLBlast that fail, one after another: see tests/inject_cl.c. On PoCL, and CLBlast's or a stand-in's products. A few
# rounds of all; PLUMB_TEST_LARGE=1 (make check-large) takes as many as fit half an hour: first every call, then with every code.
# PLUMB_TEST_POINTS, PLUMB_TEST_SECONDS: most rounds, and time; PLUMB_TEST_FUNCTION=clFinish: that one alone.
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
mkdir -p pocl fake libs/kept libs/tuned libs/new
"$plumb" devices >out 2>err || { echo "SKIP: PoCL gives no device here"; exit 77; }

echo 'OPENCL_1.0 { global: cl*; CLBlast*; inject_*; local: *; };' >fake.map
${CC:-cc} -shared -fPIC -O1 -I"$top/tests" -Wl,-soname,libOpenCL.so.1 -Wl,--version-script=fake.map -o fake/libOpenCL.so.1 \
	"$top/tests/inject/opencl.c" -ldl -lpthread 2>err || { echo "SKIP: $(head -n 1 err)"; exit 77; }

PLUMB_INJECT_CLBLAST=$(ldconfig -p 2>/dev/null | sed -n 's/.*libclblast\.so\.1 .*=> //p' | head -n 1)
PLUMB_INJECT_LIBS=$base/libs PLUMB_INJECT_REAL=$real LD_LIBRARY_PATH=$base/fake${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PLUMB_INJECT_LIBS PLUMB_INJECT_REAL PLUMB_INJECT_CLBLAST LD_LIBRARY_PATH
[ -n "$PLUMB_INJECT_CLBLAST" ] || skip "CLBlast's own calls: it is not there (libclblast1), a stand-in makes its products"
ln -s libOpenCL.so.1 fake/libclblast.so.1
# A tuning file that says CLBlast for every shape of many rows.
AR_HARDWARE_LIBS=$base/libs/tuned PLUMB_CL_CLASS=cpu timeout 300 "$plumb" tune "$model" --quick >out 2>err && grep -q "CLBlast  *is there" out &&
	sed -i 's/"chosen": "[a-z0-9]*"/"chosen": "clblast"/' libs/tuned/*.tune.json
report $? "a tuning file that says CLBlast"

rm -f out
[ "${PLUMB_TEST_LARGE:-0}" = 0 ] && rounds=3 seconds=40 || rounds=0 seconds=1800
"$program" "$model" "${PLUMB_TEST_POINTS-$rounds}" "${PLUMB_TEST_SECONDS-$seconds}" ${PLUMB_TEST_FUNCTION:+"$PLUMB_TEST_FUNCTION"} 2>err
code=$?
[ $code -eq 77 ] && exit 77
report $code "calls of OpenCL that fail are survived"
finish
