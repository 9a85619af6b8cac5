#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# plumb doctor and plumb devices against OpenCL set-ups that are missing, broken in every way that users meet, or right.
# PLUMB: the program; PLUMB_OCL: where other stacks than Debian's are (default /opt/ocl). Each case that needs something
# this machine lacks says "skip".
# shellcheck disable=SC2015,SC2254 # `a && b || c` is meant; a case takes a pattern
set -u
check='check-doctor'
stack=$PWD/check-stack-pocl
# shellcheck source=tests/shell.sh
. "${srcdir:-$(dirname "$0")/..}/tests/shell.sh"
chmod 755 "$base"
unset OCL_ICD_VENDORS RUSTICL_ENABLE
AR_HARDWARE_LIBS=$base/libs POCL_CACHE_DIR=$base/pocl XDG_CACHE_HOME=$base/cache
export AR_HARDWARE_LIBS POCL_CACHE_DIR XDG_CACHE_HOME

run() { timeout 600 "$@" >out 2>err </dev/null; code=$?; }
doctor() { run "$plumb" doctor --no-kernels "$@"; }
# Exit code; a pattern in the result; what.
expect() { [ "$code" -eq "$1" ] && grep -q -- "$2" out; report $? "$3"; }
also() { grep -q -- "$1" out; report $? "$2"; }
json() { # what
	if [ -n "$python" ]; then "$python" -m json.tool out >/dev/null 2>&1; else head -c 1 out | grep -q '[[{]'; fi
	report $? "$1 --json is JSON"
}
# A folder with one .icd file of this content.
tree() { rm -rf "$1"; mkdir "$1"; printf '%b' "$2" >"$1/one.icd"; }

# The library of a stack, from the .icd files that name it; nothing when it is not installed or does not load.
library() { # pattern of the library's name
	for icd in /etc/OpenCL/vendors/*.icd "${PLUMB_OCL:-/opt/ocl}"/icd/*/*.icd; do
		[ -r "$icd" ] || continue
		name=$(head -n 1 "$icd")
		case $name in $1) ;; *) continue ;; esac
		mkdir -p probe && printf '%s\n' "$name" >probe/one.icd
		OCL_ICD_VENDORS=$base/probe "$plumb" doctor --no-kernels 2>/dev/null | grep -q '^ok  *icd .*offers platform' && { echo "$name"; return; }
	done
}

command_line() {
	run "$plumb" doctor --help; expect 0 "^Usage: plumb doctor" "doctor --help"
	for n in 10 11 12 13 14 15; do also "$n " "doctor --help explains exit code $n"; done
	run "$plumb" devices --help; expect 0 "^Usage: plumb devices" "devices --help"
	for c in doctor devices; do
		run "$plumb" $c --nonsense; [ $code -eq 2 ] && grep -q "unrecognized option" err; report $? "$c: unknown option"
		run "$plumb" $c more; [ $code -eq 2 ] && grep -q '"more"' err; report $? "$c: an argument"
	done
}

not_built() {
	expect 15 "^problem  build .*do this: .*opencl-headers" "a build without OpenCL says so"
	doctor --json; json doctor
	run "$plumb" devices; [ $code -eq 4 ] && grep -q "plumb doctor" err; report $? "devices of a build without OpenCL"
	finish
}

no_loader() {
	cat >hide <<'END'
for f in $(ldconfig -p | sed -n 's/.*libOpenCL\.so.* => //p'); do
	[ -e "$f" ] && { mount --bind "$1" "$(readlink -f "$f")" || exit 99; }
done
shift
exec "$@"
END
	: >nothing
	if unshare -m sh hide nothing true 2>/dev/null; then away="unshare -m"
	elif unshare -rm sh hide nothing true 2>/dev/null; then away="unshare -rm"
	else skip "no loader: this user can't make a mount namespace to hide libOpenCL in"; return
	fi
	PATH=$PATH:/sbin:/usr/sbin
	run $away sh hide nothing "$plumb" doctor
	expect 10 "^problem  loader .*do this: .*ocl-icd-libopencl1" "no loader"
	run $away sh hide nothing "$plumb" doctor --json
	expect 10 '"code": 10' "no loader, JSON"; json "doctor without a loader"
	run $away sh hide nothing "$plumb" devices
	[ $code -eq 4 ] && grep -q "no OpenCL loader" err && grep -q "plumb doctor" err; report $? "devices without a loader"
	run $away sh hide nothing "$plumb" devices --json
	[ $code -eq 4 ]; report $? "devices --json without a loader: exit code"; json "devices without a loader"
}

bad_trees() {
	mkdir empty; OCL_ICD_VENDORS=$base/empty doctor; expect 11 "^problem  icd .*holds no .icd file.*do this: install" "an empty folder"
	OCL_ICD_VENDORS=$base/empty run "$plumb" devices
	[ $code -eq 4 ] && grep -q "no OpenCL device" err; report $? "devices of an empty folder"
	OPENCL_VENDOR_PATH=$base/empty doctor; expect 11 "OPENCL_VENDOR_PATH" "an empty folder by OPENCL_VENDOR_PATH"
	OCL_ICD_VENDORS=$base/absent doctor; expect 11 "neither a folder" "OCL_ICD_VENDORS that is nothing"
	tree dangling "/nowhere/libdriver.so\n"
	OCL_ICD_VENDORS=$base/dangling doctor
	expect 12 "^problem  icd .*/nowhere/libdriver.so .*cannot open shared object.*do this: .*remove $base/dangling/one.icd" "a dangling path"
	OCL_ICD_VENDORS=$base/dangling doctor --json; expect 12 '"step": "icd"' "a dangling path, JSON"; json doctor
	OCL_ICD_VENDORS=$base/dangling/one.icd doctor; expect 12 "/nowhere/libdriver.so" "OCL_ICD_VENDORS names the .icd file"
	OCL_ICD_VENDORS=/nowhere/libdriver.so doctor; expect 12 "named by OCL_ICD_VENDORS" "OCL_ICD_VENDORS names a library"
	tree relative "lib/libdriver.so\n"; OCL_ICD_VENDORS=$base/relative doctor; expect 12 "do this: .*relative path.*absolute" "a relative path"
	tree nothing.d ""; OCL_ICD_VENDORS=$base/nothing.d doctor; expect 12 "one.icd: is empty" "an empty .icd file"
	tree blanks "/nowhere/libdriver.so\r\n"; OCL_ICD_VENDORS=$base/blanks doctor; expect 12 "carriage return" "a .icd file with CR"
	tree binary '\0177ELF\002\001\0\0\0'; OCL_ICD_VENDORS=$base/binary doctor; expect 12 "not the name of a library" "a .icd file that is a program"
	tree control '/no\0033]0;x\n'; OCL_ICD_VENDORS=$base/control doctor
	[ $code -eq 12 ] && ! grep -q "$(printf '\033')" out; report $? "control characters don't reach the terminal"
	libm=$(ldconfig -p 2>/dev/null | sed -n 's/.*libm\.so\.6.* => //p' | head -n 1)
	tree other "${libm:-libm.so.6}\n"; OCL_ICD_VENDORS=$base/other doctor; expect 12 "no OpenCL driver" "a library that is no OpenCL driver"
}

unreadable() {
	tree secret "/nowhere/libdriver.so\n"; chmod 0 secret/one.icd
	mkdir closed; chmod 0 closed
	if [ "$(id -u)" -ne 0 ]; then other=
	elif setpriv --reuid=65534 --regid=65534 --clear-groups "$plumb" --version >/dev/null 2>&1; then
		other="setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=$base"
	else skip "unreadable files: root reads everything, and nobody can't run $plumb"; return
	fi
	OCL_ICD_VENDORS=$base/secret run $other "$plumb" doctor --no-kernels
	expect 12 "one.icd: Permission denied.*do this: .*chmod a+r" "an unreadable .icd file"
	OCL_ICD_VENDORS=$base/closed run $other "$plumb" doctor --no-kernels
	expect 12 "Permission denied.*do this: .*chmod a+rx" "an unreadable folder"
}

# Libraries that misbehave: the doctor must live to tell.
bad_libraries() {
	${CC:-cc} --version >/dev/null 2>&1 || { skip "drivers that crash or hang: no C compiler"; return; }
	echo 'void clIcdGetPlatformIDsKHR(void) {} __attribute__((constructor)) static void f(void) { __builtin_trap(); }' >crash.c
	echo '#include <stdlib.h>
	void clIcdGetPlatformIDsKHR(void) {} __attribute__((constructor)) static void f(void) { exit(0); }' >leave.c
	echo 'int absent_function(void); int clIcdGetPlatformIDsKHR(void) { return absent_function(); }' >lacks.c
	echo 'int clIcdGetPlatformIDsKHR(unsigned n, void **p, unsigned *found) { (void)n; (void)p; *found = 0; return -1001; }' >none.c
	for f in crash leave lacks none; do
		${CC:-cc} -shared -fPIC -o $f.so $f.c 2>err || { skip "drivers that crash: $(head -n 1 err)"; return; }
		tree $f.d "$base/$f.so\n"
	done
	OCL_ICD_VENDORS=$base/crash.d doctor; expect 12 "$base/crash.so .*crashes" "a driver that crashes"
	OCL_ICD_VENDORS=$base/leave.d doctor; expect 12 "$base/leave.so .*ends the process" "a driver that ends the process"
	OCL_ICD_VENDORS=$base/lacks.d doctor; expect 12 "undefined symbol: absent_function.*do this: .*ldd" "a driver whose own needs are missing"
	OCL_ICD_VENDORS=$base/none.d doctor; expect 13 "^warning  icd .*offers no platform" "a driver without a platform"
}

working() { # name, library
	tree "$1.d" "$2\n"
	OCL_ICD_VENDORS=$base/$1.d doctor; expect 0 "^ok  *choice .*takes device 0" "$1: all good"
	also "^ok  *icd .*loads and offers platform" "$1: its driver loads"
	also "^all good (0 problems, 0 warnings)" "$1: no warning"
	OCL_ICD_VENDORS=$base/$1.d run "$plumb" devices; expect 0 "^\* 0 " "$1: devices marks the one taken"
	OCL_ICD_VENDORS=$base/$1.d run "$plumb" devices --json; expect 0 '"chosen": true' "$1: devices --json"; json devices
}

capabilities() { # name, what is said of sub-groups in kernels for a GPU
	PLUMB_CL_CLASS=cpu OCL_ICD_VENDORS=$base/$1.d doctor; also "capability .*sub-groups: .*change no kernel for a CPU" "$1: sub-groups and kernels for a CPU"
	PLUMB_CL_CLASS=gpu OCL_ICD_VENDORS=$base/$1.d doctor; also "capability .*sub-groups: $2" "$1: sub-groups and kernels for a GPU"
}

choices() { # name of a tree that works
	PLUMB_CL_DEVICE=99 OCL_ICD_VENDORS=$base/$1.d doctor; expect 13 "^problem  choice .*PLUMB_CL_DEVICE=99.*do this: unset" "PLUMB_CL_DEVICE that matches nothing"
	PLUMB_CL_DEVICE=99 OCL_ICD_VENDORS=$base/$1.d run "$plumb" devices
	[ $code -eq 4 ] && grep -q "PLUMB_CL_DEVICE=99" err && grep -q "^  0 " out; report $? "devices: PLUMB_CL_DEVICE that matches nothing"
	AR_HARDWARE_DRIVER=gpu OCL_ICD_VENDORS=$base/$1.d doctor; expect 13 "of type gpu" "AR_HARDWARE_DRIVER=gpu where there is a CPU"
	OCL_ICD_FILENAMES=/nowhere/libdriver.so OCL_ICD_VENDORS=$base/$1.d doctor
	grep -q "OCL_ICD_FILENAMES" out; report $? "OCL_ICD_FILENAMES is looked at"
	cp -r "$1.d" half && printf '/nowhere/libdriver.so\n' >half/two.icd
	OCL_ICD_VENDORS=$base/half doctor; expect 12 "^ok  *choice .*takes device 0" "a dangling file beside a good one"
	(cd "$base" && OCL_ICD_VENDORS=$1.d "$plumb" doctor --no-kernels >out 2>err); also "OCL_ICD_VENDORS=$1.d is a relative path" "a relative OCL_ICD_VENDORS"
}

not_utf8() { # name of a tree that works
	export OCL_ICD_VENDORS="$base/$1.d"
	if name_devices; then
		run "$plumb" devices --json; json devices
		for key in name platform vendor driver; do expect 0 "\"$key\": \"$good\"" "devices --json: the $key keeps what is text in it"; done
		also '"max_group"' "devices --json: nothing is missing"
		run "$plumb" devices; expect 0 'Ger\\xe4t \\xff' "devices: the bytes are shown"
		doctor --json; json doctor
		expect 0 "takes device 0, $good" "doctor --json: the chosen device by its name"
		also '"step": "device"' "doctor --json: nothing is missing"
	fi
	unset OPENCL_LAYERS GPU_LAYER_NAME OCL_ICD_VENDORS
}

kernels() { # name of a tree that works
	export OCL_ICD_VENDORS="$base/$1.d"
	# PoCL takes minutes for all kernels; where tests/check_stack_pocl.sh is done, it has had most of them compiled.
	[ ! -e "$stack/done" ] || cp -r "$stack/pocl/." "$base/pocl/"
	run "$plumb" doctor; expect 0 "^ok  *kernel .*matmul agrees" "$1: every operator agrees with the truth"
	[ "$(grep -c '^ok  *kernel ' out)" -eq "$(grep -c '^PLUMB_\(OP\|FUSED\)(' "$top/include/plumb/ops.def")" ]; report $? "$1: all operators were tried"
	cp -r "$top/cl" broken && chmod -R u+w broken
	sed 's/\bsqrt(/2 + sqrt(/; s/rsqrt(/2 * rsqrt(/' "$top/cl/rmsnorm.cl" >broken/rmsnorm.cl
	cmp -s "$top/cl/rmsnorm.cl" broken/rmsnorm.cl && { report 1 "this test can break rmsnorm.cl"; return; }
	PLUMB_CL_PATH=$base/broken run "$plumb" doctor
	expect 14 "^problem  kernel .*rmsnorm gives wrong results" "a wrong kernel is named"
	! grep '^problem' out | grep -vE ' kernel +(rmsnorm|qkv|gate_up) '; report $? "and no other but those that have it as a step"
	echo "this is no OpenCL C" >>broken/rmsnorm.cl
	PLUMB_CL_PATH=$base/broken run "$plumb" doctor; expect 14 "^problem  kernel .*rmsnorm fails: .*building rmsnorm.cl" "a kernel that does not compile"
	unset OCL_ICD_VENDORS
}

command_line
doctor
[ $code -eq 15 ] && not_built
no_loader
bad_trees
unreadable
bad_libraries
pocl=$(library '*libpocl*') rusticl='' second=''
if [ -n "$pocl" ]; then
	working pocl "$pocl"
	capabilities pocl "no; .*through local memory"
	choices pocl
	not_utf8 pocl
	kernels pocl
	tree pocl.d "$pocl\n"
	for variables in "POCL_CACHE_DIR=/proc/pocl" "-u POCL_CACHE_DIR XDG_CACHE_HOME=/proc" "-u POCL_CACHE_DIR -u XDG_CACHE_HOME HOME=/proc"; do
		# shellcheck disable=SC2086 # several
		run env $variables OCL_ICD_VENDORS="$base/pocl.d" "$plumb" doctor --no-kernels
		expect 13 "^warning  pocl .*PoCL cannot write its cache /proc/.*set POCL_CACHE_DIR" "PoCL without a cache, $variables"
		! grep -q "install a CPU driver" out; report $? "and nobody is told to install what is there"
	done
	OCL_ICD_VENDORS=$base/pocl.d doctor
	! grep -q "cannot write its cache" out; report $? "nothing is said of a cache that PoCL can write"
else
	skip "PoCL is not installed: nothing that works to compare with"
fi
intel=$(library '*libintelocl*')
if [ -n "$intel" ]; then
	working intel "$intel"
	capabilities intel "yes; .*add up with them"
else
	skip "Intel's runtime is not installed: no sub-groups"
fi
for icd in /etc/OpenCL/vendors/*.icd "${PLUMB_OCL:-/opt/ocl}"/icd/*/*.icd; do
	[ -r "$icd" ] && case $(head -n 1 "$icd") in *Rusticl*) rusticl=$(head -n 1 "$icd") ;; esac
done
if [ -n "$rusticl" ]; then
	tree rusticl.d "$rusticl\n"
	OCL_ICD_VENDORS=$base/rusticl.d doctor
	expect 13 "^warning  platform .*rusticl.*no device.*RUSTICL_ENABLE" "rusticl without RUSTICL_ENABLE"
	RUSTICL_ENABLE=llvmpipe; export RUSTICL_ENABLE
	second=$rusticl
else
	skip "rusticl is not installed: no platform without devices"
fi
for pattern in '*libintelocl*' '*oclgrind*'; do
	[ -n "$second" ] || second=$(library "$pattern")
done
if [ -n "$pocl" ] && [ -n "$second" ]; then
	tree both "$pocl\n"; printf '%s\n' "$second" >both/two.icd
	OCL_ICD_VENDORS=$base/both doctor; expect 0 "holds 2 .icd files" "two stacks at once"
	[ "$(grep -c '^ok  *device ' out)" -eq 2 ]; report $? "two stacks give two devices"
	PLUMB_CL_DEVICE=1 OCL_ICD_VENDORS=$base/both doctor; expect 0 "takes device 1.*by PLUMB_CL_DEVICE" "PLUMB_CL_DEVICE=1 takes the second"
else
	skip "two stacks at once: there are not two"
fi
finish
