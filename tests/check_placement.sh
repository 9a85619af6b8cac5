#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Which driver runs an operator and what happens when the first cannot: canary, quarantine, strict mode, limits of a device,
# memory locations, missing devices. On PoCL. Run by make check in the build folder.
set -u
top=$(cd "${srcdir:-.}" && pwd)
plumb=${PLUMB:-$PWD/plumb}
model=$top/tests/data/tiny-q8_0.gguf
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
checks=0 failed=0
"$plumb" devices > "$dir/devices" 2>&1 || { echo "SKIP: no OpenCL device here"; exit 77; }
pocl=$(ldconfig -p 2>/dev/null | sed -n 's/.*libpocl\.so[^ ]* .*=> //p' | head -n 1)
[ -n "$pocl" ] || { echo "SKIP: PoCL is not installed (pocl-opencl-icd)"; exit 77; }
mkdir "$dir/icd" "$dir/none" && echo "$pocl" > "$dir/icd/pocl.icd"
OCL_ICD_VENDORS=$dir/icd AR_HARDWARE_LIBS=$dir/libs
export OCL_ICD_VENDORS AR_HARDWARE_LIBS

run() { # run NAME=VALUE... -- ARGUMENTS: exit code in code, output in $dir/out, messages in $dir/err
	set -- "$@"
	vars=''
	while [ "$1" != -- ]; do vars="$vars $1"; shift; done
	shift
	env $vars "$plumb" run "$model" Hi -n 6 --ids "$@" > "$dir/out" 2> "$dir/err"
	code=$?
}
check() { # check NAME CODE [TEXT IN MESSAGES]: and the tokens are native's when the code is 0
	checks=$((checks + 1))
	problem=''
	[ "$code" = "$2" ] || problem="exit code $code, expected $2"
	[ -z "${3:-}" ] || grep -qF "$3" "$dir/err" || problem="$problem; messages lack \"$3\""
	[ "$2" != 0 ] || [ "$(cat "$dir/out")" = "$want" ] || problem="$problem; tokens $(cat "$dir/out"), expected $want"
	if [ -z "$problem" ]; then echo "ok - $1"; else failed=$((failed + 1)); echo "not ok - $1: $problem"; sed 's/^/    /' "$dir/err"; fi
}
silent() { # silent NAME TEXT: the messages do not hold it
	checks=$((checks + 1))
	if grep -qF "$2" "$dir/err"; then failed=$((failed + 1)); echo "not ok - $1: says \"$2\""; else echo "ok - $1"; fi
}
want=$(AR_HARDWARE_DRIVER=native "$plumb" run "$model" Hi -n 6 --ids 2>/dev/null)

run AR_HARDWARE_DRIVER=cl -- --placement
check "cl answers as native does" 0 "matmul       cl"
silent "nothing runs elsewhere" "because"
run AR_HARDWARE_DRIVER=cl,native PLUMB_STRICT=1 --
check "strict mode is content" 0
for place in device host delegate; do
	run AR_HARDWARE_DRIVER=cl AR_HARDWARE_MEMORY_LOCATION=$place -- --batch 2
	check "memory location $place" 0
done
run AR_HARDWARE_DRIVER=cl PLUMB_CL_CLASS=gpu --
check "kernels for GPUs" 0
run AR_HARDWARE_DRIVER=cl PLUMB_STRICT=1 PLUMB_CL_MAX_ALLOC=17000 -- --batch 4 # the embedding has 22 KB
check "a matrix larger than a buffer may be is split" 0
run AR_HARDWARE_DRIVER=cl,native PLUMB_CL_MAX_ALLOC=100 -- --placement
check "a device too small passes on to native" 0 "over the device's limit"
run AR_HARDWARE_DRIVER=cl PLUMB_CL_MAX_ALLOC=100 --
check "a device too small alone is an error" 4 "does not fit"

cp -r "$top/cl" "$dir/broken" && sed -i 's/sqrt(/1.1f * sqrt(/' "$dir/broken/rmsnorm.cl"
run AR_HARDWARE_DRIVER=cl,native PLUMB_CL_PATH="$dir/broken" -- --placement
check "a wrong kernel is found and disabled" 0 "rmsnorm (f32) is wrong"
check "its operator runs on native" 0 "rmsnorm      native"
run AR_HARDWARE_DRIVER=cl,native PLUMB_CL_PATH="$dir/broken" --
check "that is remembered" 0 "rmsnorm runs on native"
silent "and not tried again" "relative error"
run AR_HARDWARE_DRIVER=cl PLUMB_CL_PATH="$dir/broken" --
check "without another driver it is an error" 4 "rmsnorm: no driver of the list takes it"
run AR_HARDWARE_DRIVER=cl,native PLUMB_STRICT=1 PLUMB_CL_PATH="$dir/broken" --
check "strict mode names operator and reason" 4 "PLUMB_STRICT: rmsnorm does not run on cl"
checks=$((checks + 1))
env AR_HARDWARE_DRIVER=cl PLUMB_CANARY=0 PLUMB_CL_PATH="$dir/broken" "$plumb" run "$model" Hi -n 6 --ids > "$dir/out" 2> "$dir/err"
if [ "$(cat "$dir/out")" != "$want" ]; then echo "ok - PLUMB_CANARY=0 lets the wrong kernel run"; else failed=$((failed + 1)); echo "not ok - PLUMB_CANARY=0: the wrong kernel changes nothing"; fi
run AR_HARDWARE_DRIVER=cl --
check "the right kernel is trusted still" 0

echo "not OpenCL" >> "$dir/broken/swiglu.cl"
run AR_HARDWARE_DRIVER=cl,native PLUMB_CL_PATH="$dir/broken" --
check "a kernel that does not build goes to native" 0 "swiglu.cl"
run AR_HARDWARE_DRIVER=cl PLUMB_CL_PATH="$dir/none" --
check "a folder without kernels is named" 3 "$dir/none"

# "*": the fastest first. PoCL's device is a CPU; a layer of the loader calls it a GPU.
run -- --placement
check "no list, and OpenCL on a CPU: native comes first" 0 "matmul       native"
run AR_HARDWARE_DRIVER='*' PLUMB_STRICT=1 --
check "that is nobody's fallback" 0
run AR_HARDWARE_DRIVER='*' PLUMB_AVOID=native:swiglu -- --placement
check "cl on the CPU comes after it" 0 "swiglu       cl"
if ${CC:-cc} -shared -fPIC -o "$dir/gpu.so" "$top/tests/gpu_layer.c" 2> "$dir/err" &&
	OPENCL_LAYERS=$dir/gpu.so "$plumb" devices 2> /dev/null | grep -q 'type  *gpu'; then
	for list in '*' '*,cl' 'gpu,*' gpu; do
		run OPENCL_LAYERS="$dir/gpu.so" AR_HARDWARE_DRIVER=$list -- --placement
		check "a GPU comes first in $list" 0 "matmul       cl"
	done
	run OPENCL_LAYERS="$dir/gpu.so" -- --placement
	check "a GPU comes first without a list" 0 "matmul       cl"
	run OPENCL_LAYERS="$dir/gpu.so" AR_HARDWARE_DRIVER='native,*' -- --placement
	check "native,* stays native" 0 "matmul       native"
else
	echo "SKIP: this OpenCL loader takes no layers, so no device can be called a GPU"
fi
run AR_HARDWARE_DRIVER='*,gpu' --
check "a GPU that is asked for and not there is an error" 4 "no gpu driver opens"
run AR_HARDWARE_DRIVER='*,cl' OCL_ICD_VENDORS="$dir/none" --
check "so is cl behind *" 4 "no cl driver opens"

# Sub-groups: only Intel's runtime has them here.
intel=''
for icd in "${PLUMB_OPENCL_PREFIX:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/plumb/opencl}"/icd/intel-cpu "${PLUMB_OCL:-/opt/ocl}"/icd/intel-cpu; do
	[ -n "$intel" ] || { [ -d "$icd" ] && OCL_ICD_VENDORS=$icd "$plumb" devices 2> /dev/null | grep -q ' sub-groups' && intel=$icd; }
done
if [ -n "$intel" ]; then
	for place in host delegate; do
		run AR_HARDWARE_DRIVER=cl OCL_ICD_VENDORS="$intel" AR_HARDWARE_MEMORY_LOCATION=$place -- --batch 2
		check "Intel's runtime, memory location $place" 0
	done
	run AR_HARDWARE_DRIVER=cl OCL_ICD_VENDORS="$intel" PLUMB_CL_CLASS=gpu PLUMB_STRICT=1 --
	check "kernels with sub-groups" 0
	silent "none is wrong" "sub-groups"
	cp -r "$top/cl" "$dir/lame" && sed -i 's/s < (int)get_num_sub_groups()/s < 1/' "$dir/lame/types.cl"
	run AR_HARDWARE_DRIVER=cl OCL_ICD_VENDORS="$intel" PLUMB_CL_CLASS=gpu PLUMB_STRICT=1 PLUMB_CL_PATH="$dir/lame" --
	check "kernels do without sub-groups that give wrong sums" 0 "do without sub-groups"
else
	echo "SKIP: no device with sub-groups (tools/install-opencl)"
fi

run AR_HARDWARE_DRIVER=cl OCL_ICD_VENDORS="$dir/none" --
check "no ICD: cl is an error" 4 "no OpenCL device"
run AR_HARDWARE_DRIVER=cl,native OCL_ICD_VENDORS="$dir/none" --
check "no ICD: a named driver must open" 4 "driver cl"
run AR_HARDWARE_DRIVER='cl' PLUMB_CL_DEVICE=7 --
check "a device that is not there" 4 "PLUMB_CL_DEVICE=7"
run AR_HARDWARE_DRIVER='*' PLUMB_CL_DEVICE=7 --
check "* goes on without it, and says so" 0 "PLUMB_CL_DEVICE is set, but OpenCL is not used: driver cl: PLUMB_CL_DEVICE=7 matches none"
run AR_HARDWARE_DRIVER='*' PLUMB_CL_DEVICE=7 OCL_ICD_VENDORS="$dir/none" --
check "so it does where there is no OpenCL at all" 0 "PLUMB_CL_DEVICE is set, but OpenCL is not used: driver cl"
run AR_HARDWARE_DRIVER='*' PLUMB_CL_DEVICE=0 --
silent "nothing is said of a device that is there" "is not used"
run AR_HARDWARE_DRIVER=native PLUMB_CL_DEVICE=7 --
silent "nor where nobody asked for cl" "is not used"
run AR_HARDWARE_DRIVER=cl PLUMB_CL_DEVICE=portable --
check "a device by part of its platform's name" 0
run AR_HARDWARE_DRIVER=gpu --
check "no GPU: gpu is an error" 4 "no gpu driver opens"
run OCL_ICD_VENDORS="$dir/none" --
check "no ICD: the default list runs on native" 0
echo "$checks checks, $failed failed"
[ "$failed" = 0 ]
