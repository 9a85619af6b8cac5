# SPDX-License-Identifier: Apache-2.0
# The OpenCL driver; its kernels in cl/ are embedded as text.
CL_KERNELS = cl/limits.h cl/types.cl cl/weights.cl cl/product.cl cl/embed.cl cl/matmul.cl cl/qkv.cl cl/gate_up.cl cl/rmsnorm.cl cl/rope.cl cl/kv_store.cl cl/attn_scores.cl cl/softmax.cl \
	cl/attn_mix.cl cl/swiglu.cl cl/add.cl cl/argmax.cl cl/attention.cl cl/f16_overflow.cl cl/f16_round.cl
EXTRA_DIST += $(CL_KERNELS) tools/embed-cl.sh
if HAVE_OPENCL
libplumb_all_la_SOURCES += \
	%D%/doctor.h %D%/child.c %D%/doctor.c %D%/icd.c \
	%D%/cl.h %D%/functions.def %D%/cache.c %D%/canary.c %D%/choice.c %D%/clblast.c %D%/copy.c %D%/device.c %D%/driver.c %D%/error.c %D%/launch.c %D%/loader.c %D%/memory.c %D%/pocl.c \
	%D%/program.c %D%/weight.c %D%/add.c %D%/argmax.c %D%/attention.c %D%/attn_mix.c %D%/attn_scores.c %D%/embed.c %D%/f16_overflow.c %D%/f16_round.c \
	%D%/gate_up.c %D%/kv_store.c %D%/matmul.c %D%/matmul_add.c %D%/qkv.c %D%/rmsnorm.c %D%/rope.c %D%/settings.c %D%/softmax.c %D%/source.c %D%/steps.c %D%/swiglu.c %D%/tune.c
nodist_libplumb_all_la_SOURCES = %D%/embedded.c
%D%/embedded.c: $(CL_KERNELS) tools/embed-cl.sh
	$(AM_V_GEN)$(MKDIR_P) %D% && cd $(srcdir) && sh tools/embed-cl.sh $(CL_KERNELS) > $(abs_builddir)/$@.tmp && \
		mv $(abs_builddir)/$@.tmp $(abs_builddir)/$@
CLEANFILES += %D%/embedded.c %D%/embedded.c.tmp
else
libplumb_all_la_SOURCES += %D%/none.c
endif
