# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# What the shell checks of the program share; they source it: the program and the source folder by absolute paths, an empty folder to work in,
# counting and reporting. Set `check`, the name of that folder, before. PLUMB: the program; srcdir: the source folder.
# shellcheck disable=SC2034,SC2154 # variables are for who sources this, or from there
top=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
data=$top/tests/data
plumb=${PLUMB:-./plumb}
[ -d "$data" ] || { echo "SKIP: no tests/data"; exit 77; }
[ -x "$plumb" ] || { echo "SKIP: $plumb is not built"; exit 77; }
plumb=$(cd "$(dirname "$plumb")" && pwd)/$(basename "$plumb")
base=$(mktemp -d "${TMPDIR:-/tmp}/$check.XXXXXX") || exit 99
trap 'chmod -R u+rwx "$base"; rm -rf "$base"' EXIT
trap 'exit 1' INT TERM
cd "$base" || exit 99
unset AR_HARDWARE_DRIVER AR_HARDWARE_PRECISION AR_HARDWARE_MEMORY_SCALE AR_HARDWARE_MEMORY_LOCATION PLUMB_CL_DEVICE PLUMB_CL_PATH OPENCL_VENDOR_PATH \
	OCL_ICD_FILENAMES
python=$(command -v python3 || :)

checks=0 failed=0 code=0
report() { # status, what; a failure shows the end of the files out and err
	checks=$((checks + 1))
	[ "$1" -eq 0 ] && { echo "ok - $2"; return; }
	failed=$((failed + 1))
	echo "not ok - $2 (exit code $code)"
	sed 's/^/# out: /' out 2>/dev/null | tail -n 25
	sed 's/^/# err: /' err 2>/dev/null | tail -n 5
}
skip() { echo "skip - $1"; }
finish() {
	echo "$checks checks, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}

# Without OpenCL: what a command does is checked, not a vendor's driver.
no_opencl() { mkdir none && OCL_ICD_VENDORS=$base/none && export OCL_ICD_VENDORS; }
# A driver's own words may be in any encoding, or none: from here on those of every device are Latin-1 and a byte of no character, $good in JSON.
name_devices() {
	good=$(printf 'Ger\357\277\275t \357\277\275')
	if ${CC:-cc} -shared -fPIC -o layer.so "$top/tests/gpu_layer.c" 2>err &&
		OPENCL_LAYERS=$base/layer.so GPU_LAYER_NAME=layer "$plumb" devices 2>/dev/null | grep -q '0  layer'; then
		GPU_LAYER_NAME=$(printf 'Ger\344t \377') OPENCL_LAYERS=$base/layer.so
		export GPU_LAYER_NAME OPENCL_LAYERS
	else
		skip "names that are no UTF-8: no C compiler, or this OpenCL loader takes no layers"
		return 1
	fi
}
# A stack that works: the environment's, else the first of these. PLUMB_OCL: where other stacks than Debian's are (default /opt/ocl).
need_stack() {
	for place in "${OCL_ICD_VENDORS:-}" "${PLUMB_OCL:-/opt/ocl}/icd/pocl" /etc/OpenCL/vendors/pocl.icd "${PLUMB_OCL:-/opt/ocl}/icd/intel-cpu" /etc/OpenCL/vendors; do
		[ -e "$place" ] && OCL_ICD_VENDORS=$place "$plumb" devices >/dev/null 2>&1 && { OCL_ICD_VENDORS=$place; export OCL_ICD_VENDORS; return; }
	done
	echo "SKIP: no OpenCL device ('plumb doctor' says why)"
	exit 77
}
