# SPDX-License-Identifier: Apache-2.0
# One Check program per folder of src, fuzz targets with their corpora, and shell checks of what people touch.
# What is compared, by number or by token, is the mode exact unless a check asks for another.
AM_TESTS_ENVIRONMENT = srcdir=$(abs_srcdir); PLUMB_MODE=exact; export PLUMB_MODE; PLUMB=$(abs_builddir)/plumb; CC="$(CC)"; MAKE="$(MAKE)"; FUZZ="$(FUZZ)"; \
	SANITIZE_FLAGS="$(PLUMB_LDFLAGS)"; ASAN_OPTIONS=allocator_may_return_null=1; TSAN_OPTIONS=allocator_may_return_null=1; \
	CK_TIMEOUT_MULTIPLIER=5; export srcdir PLUMB CC MAKE FUZZ SANITIZE_FLAGS ASAN_OPTIONS TSAN_OPTIONS CK_TIMEOUT_MULTIPLIER;

# The long ones first: make -j runs them beside the others.
SHELL_CHECKS = \
	%D%/check_stack_rusticl.sh \
	%D%/check_stack_oclgrind.sh \
	%D%/check_stack_pocl.sh \
	%D%/check_stack_intel_cpu.sh \
	%D%/check_builds.sh \
	%D%/check_cli.sh \
	%D%/check_run.sh \
	%D%/check_diag_cli.sh \
	%D%/check_fuzz.sh \
	%D%/check_fuzz_live.sh \
	%D%/check_get_model.sh \
	%D%/check_install.sh \
	%D%/check_cache.sh \
	%D%/check_inject_cl.sh \
	%D%/check_inject_alloc.sh \
	%D%/check_inject_io.sh \
	%D%/check_kernels.sh \
	%D%/check_placement.sh \
	%D%/check_portable.sh \
	%D%/check_tune.sh \
	%D%/check_doctor.sh \
	%D%/check_toy.sh \
	tools/check-circles tools/check-deps.sh tools/check-format.sh tools/check-neon.sh tools/check-release.sh tools/sizes.sh
TESTS += $(SHELL_CHECKS)
LOG_COMPILER = $(top_srcdir)/tools/test-timed
# What has a long form, too long for every `make check`: tests here look at PLUMB_TEST_LARGE, which is 1 in `make check-large`.
CHECK_LARGE = check_inject check_real_families \
	%D%/check_inject_cl.sh \
	%D%/check_inject_alloc.sh \
	%D%/check_inject_io.sh \
	%D%/check_kernels.sh \
	%D%/check_stack_rusticl.sh \
	%D%/check_stack_oclgrind.sh \
	%D%/check_stack_pocl.sh \
	%D%/check_stack_intel_cpu.sh
check-large:
	PLUMB_TEST_LARGE=1 $(MAKE) $(AM_MAKEFLAGS) check TESTS="$(CHECK_LARGE)"
# Preloaded into the program by the checks by injection.
check_LTLIBRARIES = inject.la
inject_la_SOURCES = %D%/inject/inject.h %D%/inject/alloc.c %D%/inject/serve.c %D%/inject/trap.c
inject_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
inject_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
EXTRA_DIST += %D%/inject.sh
EXTRA_DIST += %D%/toy/check_toy.c %D%/toy/family_toy.c %D%/toy/main.c %D%/toy/native_twice.c %D%/toy/op_twice.c
EXTRA_DIST += $(SHELL_CHECKS) %D%/stack.sh %D%/gpu_layer.c tools/test-timed
EXTRA_DIST += %D%/shell.sh %D%/cross_simd.c %D%/inject/opencl.c %D%/data tools/get-model tools/test-summary tools/install-opencl tools/check-kernels tools/make-fuzz-corpus.py tools/make-tokenizers.py tools/make-unicode.py \
	tools/dequantise-model.py tools/export-reference.py tools/make-family-models.py tools/make-real-data.py tools/make-real-reference.py tools/make-test-model.py tools/make-type-vectors.py tools/make-vocab.py \
	examples/generate.c examples/matmul.c doc/design.md doc/diagnosis.md doc/performance.md doc/kernels.md bench/common.py bench/growth bench/vs-peers doc/pictures doc/drivers.md doc/numerics.md HACKING.md quickstart .ci/run
dist_man_MANS += doc/plumb.1

CHECK_CPP = $(AM_CPPFLAGS) -I$(top_srcdir)/tests $(CHECK_CFLAGS)
CHECK_LINK = libplumb-all.la $(CHECK_LIBS) $(JANSSON_LIBS) -lm
if HAVE_CHECK
CHECK_TESTS = check_core check_diag check_diag_bisect check_diag_claims check_diag_family check_diag_fault check_diag_model check_diag_real check_diag_reference check_diag_run check_diag_stability check_diag_state check_family check_folder check_format check_inject check_locale check_model check_op check_op_special check_real check_real_families check_simd check_text
check_PROGRAMS += $(CHECK_TESTS)
TESTS += $(CHECK_TESTS)

check_core_SOURCES = %D%/suite.h %D%/check_core.c %D%/core/fork.c %D%/core/json.c %D%/core/options.c %D%/core/tensors.c %D%/core/threads.c %D%/core/types.c %D%/core/variables.c %D%/core/parts.h
check_core_CPPFLAGS = $(CHECK_CPP)
check_core_LDADD = $(CHECK_LINK)

check_diag_family_SOURCES = %D%/suite.h %D%/diag_part.h %D%/diag_opened.h %D%/check_diag_family.c
check_diag_family_CPPFLAGS = $(CHECK_CPP)
check_diag_family_LDADD = $(CHECK_LINK)

check_family_SOURCES = %D%/suite.h %D%/compare.h %D%/check_family.c
check_family_CPPFLAGS = $(CHECK_CPP)
check_family_LDADD = $(CHECK_LINK)

check_diag_SOURCES = %D%/suite.h %D%/diag_make.h %D%/diag_part.h %D%/diag_opened.h %D%/check_diag.c
check_diag_CPPFLAGS = $(CHECK_CPP)
check_diag_LDADD = $(CHECK_LINK)

check_diag_real_SOURCES = %D%/suite.h %D%/diag_make.h %D%/diag_part.h %D%/diag_opened.h %D%/check_diag_real.c
check_diag_real_CPPFLAGS = $(CHECK_CPP)
check_diag_real_LDADD = $(CHECK_LINK)

# The confusion matrix takes minutes: `make check-diag`.
check_PROGRAMS += diag_matrix
diag_matrix_SOURCES = %D%/suite.h %D%/diag_make.h %D%/diag_matrix.c
diag_matrix_CPPFLAGS = $(CHECK_CPP)
diag_matrix_LDADD = $(CHECK_LINK)
check-diag: diag_matrix
	srcdir=$(abs_srcdir) ./diag_matrix

check_diag_bisect_SOURCES = %D%/suite.h %D%/check_diag_bisect.c
check_diag_bisect_CPPFLAGS = $(CHECK_CPP)
check_diag_bisect_LDADD = $(CHECK_LINK)

check_diag_fault_SOURCES = %D%/suite.h %D%/check_diag_fault.c %D%/diag/forms.h %D%/diag/forms.c %D%/gguf_builder.h %D%/model/made.h %D%/model/made.c
check_diag_fault_CPPFLAGS = $(CHECK_CPP)
check_diag_fault_LDADD = $(CHECK_LINK)

check_diag_model_SOURCES = %D%/suite.h %D%/diag_part.h %D%/replant.h %D%/check_diag_model.c
check_diag_model_CPPFLAGS = $(CHECK_CPP)
check_diag_model_LDADD = $(CHECK_LINK)

check_diag_reference_SOURCES = %D%/suite.h %D%/diag_make.h %D%/diag_part.h %D%/replant.h %D%/diag/reference.h %D%/check_diag_reference.c %D%/diag/measure.c %D%/diag/convention.c \
	%D%/diag/tokens.c %D%/diag/dump.c
check_diag_reference_CPPFLAGS = $(CHECK_CPP)
check_diag_reference_LDADD = $(CHECK_LINK)

check_diag_run_SOURCES = %D%/suite.h %D%/check_diag_run.c
check_diag_run_CPPFLAGS = $(CHECK_CPP)
check_diag_run_LDADD = $(CHECK_LINK)

check_diag_stability_SOURCES = %D%/suite.h %D%/diag_part.h %D%/replant.h %D%/check_diag_stability.c
check_diag_stability_CPPFLAGS = $(CHECK_CPP)
check_diag_stability_LDADD = $(CHECK_LINK)

check_diag_claims_SOURCES = %D%/suite.h %D%/diag_make.h %D%/diag_part.h %D%/replant.h %D%/check_diag_claims.c
check_diag_claims_CPPFLAGS = $(CHECK_CPP)
check_diag_claims_LDADD = $(CHECK_LINK)

check_diag_state_SOURCES = %D%/suite.h %D%/diag_make.h %D%/diag_part.h %D%/check_diag_state.c
check_diag_state_CPPFLAGS = $(CHECK_CPP)
check_diag_state_LDADD = $(CHECK_LINK)

check_locale_SOURCES = %D%/suite.h %D%/diag_part.h %D%/check_locale.c
check_locale_CPPFLAGS = $(CHECK_CPP)
check_locale_LDADD = $(CHECK_LINK)

check_folder_SOURCES = %D%/suite.h %D%/check_folder.c %D%/folder/config.c %D%/folder/families.c %D%/folder/hostile.c %D%/folder/make.h %D%/folder/parts.h %D%/folder/tensors.c
check_folder_CPPFLAGS = $(CHECK_CPP)
check_folder_LDADD = $(CHECK_LINK)

check_format_SOURCES = %D%/check_format.c %D%/format/files.c %D%/format/pages.c %D%/format/safetensors.c %D%/format/shards.c %D%/format/expect.h %D%/fuzz/walk.h %D%/fuzz/walk_file.h \
	%D%/gguf_builder.h
check_format_CPPFLAGS = $(CHECK_CPP)
check_format_LDADD = $(CHECK_LINK) -ldl

check_inject_SOURCES = %D%/suite.h %D%/check_inject.c %D%/inject/inject.h %D%/inject/alloc.c
check_inject_CPPFLAGS = $(CHECK_CPP)
check_inject_LDADD = $(CHECK_LINK) -ldl

check_model_SOURCES = %D%/suite.h %D%/compare.h %D%/check_model.c %D%/gguf_builder.h %D%/model/made.h %D%/model/made.c %D%/model/broken.c %D%/model/files.c %D%/model/zeros.c %D%/model/f16.c
check_model_CPPFLAGS = $(CHECK_CPP)
check_model_LDADD = $(CHECK_LINK)

check_op_SOURCES = %D%/check_op.c %D%/simd_sets.h %D%/op_cases.c %D%/op_cases.h
check_op_CPPFLAGS = $(CHECK_CPP)
check_op_LDADD = $(CHECK_LINK)

check_op_special_SOURCES = %D%/check_op_special.c %D%/simd_sets.h %D%/sanitized.h %D%/random.h %D%/op/special.h %D%/f16_values.h %D%/op/argmax.c %D%/op/attention.c %D%/op/f16.c %D%/op/fused.c %D%/op/gated.c %D%/op/matmul.c \
	%D%/op/rmsnorm.c %D%/op/rope.c %D%/op/softmax.c
check_op_special_CPPFLAGS = $(CHECK_CPP)
check_op_special_LDADD = $(CHECK_LINK)

check_real_families_SOURCES = %D%/suite.h %D%/compare.h %D%/real_folder.h %D%/real_folder.c %D%/check_real_families.c
check_real_families_CPPFLAGS = $(CHECK_CPP)
check_real_families_LDADD = $(CHECK_LINK)

check_real_SOURCES = %D%/suite.h %D%/compare.h %D%/check_real.c
check_real_CPPFLAGS = $(CHECK_CPP)
check_real_LDADD = $(CHECK_LINK)

check_simd_SOURCES = %D%/check_simd.c %D%/simd_sets.h %D%/simd_compare.c %D%/simd_packed.c %D%/simd_compare.h %D%/random.h
check_simd_CPPFLAGS = $(CHECK_CPP)
check_simd_LDADD = $(CHECK_LINK)

check_text_SOURCES = %D%/check_text.c %D%/sanitized.h %D%/text/chat.c %D%/text/json.c %D%/text/merges.c %D%/text/metadata.c %D%/text/sample.c %D%/text/scores.c %D%/text/stop.c %D%/text/vocab.c %D%/text/parts.h %D%/text/tiny.h
check_text_CPPFLAGS = $(CHECK_CPP)
check_text_LDADD = $(CHECK_LINK)

if HAVE_OPENCL
check_PROGRAMS += check_cl check_cl_host
TESTS += check_cl check_cl_host
check_cl_host_SOURCES = %D%/suite.h %D%/check_cl_host.c
check_cl_host_CPPFLAGS = $(CHECK_CPP)
check_cl_host_LDADD = $(CHECK_LINK)
check_cl_SOURCES = %D%/check_cl.c %D%/cl_layers.c %D%/cl_layers.h %D%/f16_values.h %D%/op_cases.c %D%/op_cases.h %D%/random.h
check_cl_CPPFLAGS = $(CHECK_CPP)
check_cl_LDADD = $(CHECK_LINK)
endif
endif
if HAVE_OPENCL
check_PROGRAMS += inject_cl
inject_cl_SOURCES = %D%/inject_cl.c %D%/inject/opencl.h
inject_cl_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
inject_cl_LDADD = libplumb-all.la -lm
endif

# Each target with a main() that replays files; `make fuzz` (clang) links libFuzzer's instead.
FUZZ = fuzz_bpe fuzz_folder fuzz_gguf fuzz_reference fuzz_report fuzz_safetensors fuzz_tokenizer
fuzz_bpe_SOURCES = %D%/fuzz/bpe.c %D%/fuzz/replay.c
fuzz_bpe_LDADD = libplumb-all.la
fuzz_folder_SOURCES = %D%/fuzz/folder.c %D%/fuzz/folder.h %D%/fuzz/walk_file.h %D%/fuzz/replay.c
fuzz_folder_LDADD = libplumb-all.la
fuzz_gguf_SOURCES = %D%/fuzz/gguf.c %D%/fuzz/walk.h %D%/fuzz/walk_file.h %D%/fuzz/replay.c
fuzz_gguf_LDADD = libplumb-all.la
fuzz_reference_SOURCES = %D%/fuzz/reference.c %D%/fuzz/folder.h %D%/fuzz/replay.c
fuzz_reference_LDADD = libplumb-all.la $(JANSSON_LIBS) -lm
fuzz_report_SOURCES = %D%/fuzz/report.c %D%/fuzz/replay.c
fuzz_report_LDADD = libplumb-all.la
fuzz_safetensors_SOURCES = %D%/fuzz/safetensors.c %D%/fuzz/walk.h %D%/fuzz/walk_file.h %D%/fuzz/replay.c
fuzz_safetensors_LDADD = libplumb-all.la
fuzz_tokenizer_SOURCES = %D%/fuzz/tokenizer.c %D%/fuzz/replay.c
fuzz_tokenizer_LDADD = libplumb-all.la
# Readers need no kernels: without config.h the native driver has its portable ones alone, and instrumenting the others takes minutes.
FUZZ_LIST = find src -name '*.c' ! -path '*/cli/*' ! -name 'avx*.c' ! -name 'neon*.c' ! -name 'packed_a*.c' ! -name 'packed_n*.c'
if HAVE_OPENCL
FUZZ += fuzz_cache
fuzz_cache_SOURCES = %D%/fuzz/cache.c %D%/fuzz/folder.h %D%/fuzz/replay.c
fuzz_cache_LDADD = libplumb-all.la
FUZZ_FOUND = $(FUZZ_LIST) ! -path '*/cl/none.c'
FUZZ_MADE = src/cl/embedded.c
else
FUZZ_FOUND = $(FUZZ_LIST) ! -path '*/cl/*'; echo src/cl/none.c
FUZZ_MADE =
endif
check_PROGRAMS += $(FUZZ)
fuzz-replays: $(FUZZ)
FUZZ_FLAGS = -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined $(AM_CPPFLAGS) $(PLUMB_CFLAGS) $(PTHREAD_CFLAGS) \
	$(PCRE2_CFLAGS) $(UTF8PROC_CFLAGS) $(JANSSON_CFLAGS)
fuzz: $(FUZZ_MADE)
	@rm -rf fuzz-objects && mkdir fuzz-objects
	@cd $(srcdir) && { $(FUZZ_FOUND); } > $(abs_builddir)/fuzz-objects/list
	@echo "  FUZZ     fuzz-objects"; { sed 's|^|$(abs_srcdir)/|' fuzz-objects/list; for f in $(FUZZ_MADE); do echo $(abs_builddir)/$$f; done; } | \
		xargs -P `nproc` -I {} sh -c '$(CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c {} -o fuzz-objects/`echo {} | tr / _`.o'
	@for t in $(FUZZ:fuzz_%=%); do \
		echo "  FUZZ     fuzz-$$t-live"; \
		$(CC) $(FUZZ_FLAGS) -fsanitize=fuzzer $(top_srcdir)/tests/fuzz/$$t.c fuzz-objects/*.o \
			$(PCRE2_LIBS) $(UTF8PROC_LIBS) $(JANSSON_LIBS) -lpthread -ldl -lm -o fuzz-$$t-live || exit 1; \
	done
	@echo "run: ./fuzz-gguf-live NEW_FOLDER $(top_srcdir)/tests/data/fuzz/gguf"
clean-local:
	rm -rf fuzz-objects
.PHONY: fuzz fuzz-replays check-diag check-large
CLEANFILES += $(FUZZ:fuzz_%=fuzz-%-live)
