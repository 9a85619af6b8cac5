# SPDX-License-Identifier: Apache-2.0
# The OpenCL driver; its kernels in cl/ are embedded as text.
CL_KERNELS = cl/limits.h cl/types.cl cl/weights.cl cl/product.cl cl/embed.cl cl/matmul.cl cl/qkv.cl cl/gate_up.cl cl/rmsnorm.cl \
	cl/rope.cl cl/kv_store.cl cl/attn_scores.cl cl/softmax.cl cl/attn_mix.cl cl/swiglu.cl cl/geglu.cl cl/scale.cl cl/add.cl cl/argmax.cl cl/attention.cl \
	cl/f16_overflow.cl cl/f16_round.cl
EXTRA_DIST += $(CL_KERNELS) tools/embed-cl.sh
if HAVE_OPENCL
libplumb_all_la_SOURCES += \
	%D%/class.c %D%/canary.c %D%/canary.h \
	%D%/device/device.h %D%/device/functions.def %D%/device/clblast.c %D%/device/device.c %D%/device/error.c %D%/device/loader.c \
	%D%/device/select.c \
	%D%/driver/kernel.h %D%/driver/state.h %D%/driver/weight.h %D%/driver/cache.c %D%/driver/copy.c %D%/driver/launch.c \
	%D%/driver/memory.c %D%/driver/pack.c %D%/driver/program.c %D%/driver/settings.c %D%/driver/source.c %D%/driver/weight.c \
	%D%/tune/tune.h %D%/tune/choice.c %D%/tune/file.c %D%/tune/tune.c %D%/tune/variant.c \
	%D%/op/op.h %D%/op/add.c %D%/op/argmax.c %D%/op/attention.c %D%/op/attn_mix.c %D%/op/attn_scores.c %D%/op/clblast.c \
	%D%/op/embed.c %D%/op/f16_overflow.c %D%/op/f16_round.c %D%/op/fused.c %D%/op/gate_up.c %D%/op/geglu.c %D%/op/kv_store.c %D%/op/matmul.c \
	%D%/op/matmul_add.c %D%/op/qkv.c %D%/op/rmsnorm.c %D%/op/rope.c %D%/op/scale.c %D%/op/softmax.c %D%/op/swiglu.c \
	%D%/doctor/doctor.h %D%/doctor/child.c %D%/doctor/doctor.c %D%/doctor/finding.c %D%/doctor/icd.c %D%/doctor/kernel.c \
	%D%/doctor/loader.c %D%/doctor/node.c %D%/doctor/platform.c %D%/doctor/pocl.c %D%/doctor/wanted.c
nodist_libplumb_all_la_SOURCES = %D%/embedded.c
%D%/embedded.c: $(CL_KERNELS) tools/embed-cl.sh
	$(AM_V_GEN)$(MKDIR_P) %D% && cd $(srcdir) && sh tools/embed-cl.sh $(CL_KERNELS) > $(abs_builddir)/$@.tmp && \
		mv $(abs_builddir)/$@.tmp $(abs_builddir)/$@
CLEANFILES += %D%/embedded.c %D%/embedded.c.tmp
else
libplumb_all_la_SOURCES += %D%/none.c
endif
