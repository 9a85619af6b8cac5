# SPDX-License-Identifier: Apache-2.0
# Room by room, along the path that a diagnosis takes.
libplumb_all_la_SOURCES += \
	%D%/reference/add.c %D%/reference/bin.c %D%/reference/capture.c %D%/reference/capture.h \
	%D%/reference/emit.c %D%/reference/fingerprint.c %D%/reference/lists.c %D%/reference/manifest.c %D%/reference/names.c %D%/reference/open.c \
	%D%/reference/reference.h %D%/reference/safetensors.c %D%/reference/stored.c %D%/reference/stored.h \
	%D%/reference/tokens.c %D%/reference/write.c %D%/reference/write.h %D%/run/fault_act.h %D%/run/fault.c %D%/run/fault_rope.c %D%/run/fault_attention.c %D%/run/fault_block.c %D%/run/fault.h %D%/run/rounded.c %D%/run/run.c %D%/run/run.h \
	%D%/run/weight.c %D%/measure/gap.c %D%/measure/measure.c %D%/measure/measure.h %D%/measure/moments.c %D%/measure/rounding.c \
	%D%/context.h %D%/context.c %D%/check/answer.c \
	%D%/check/bisect.c %D%/check/bisect.h %D%/check/bisect_describe.c %D%/check/blindspot.c %D%/check/cancel.c \
	%D%/check/check.h %D%/check/convention.c %D%/check/convention.h \
	%D%/check/convention_fit.c %D%/check/convention_text.c \
	%D%/check/errors.c %D%/check/fingerprint.c %D%/check/gaps.c %D%/check/growth.c %D%/check/growth.h \
	%D%/check/jump.c %D%/check/known.c %D%/check/massive.c %D%/check/massive.h %D%/check/massive_text.c \
	%D%/check/narrow.c %D%/check/points.c %D%/check/precision.c %D%/check/ranges.c \
	%D%/check/special.c %D%/check/stability.c %D%/check/sums.c %D%/check/texts.c %D%/check/texts.h %D%/check/verdict.c %D%/check/weights.c \
	%D%/table.h %D%/checks.h %D%/checks.c %D%/dump.c %D%/report.c %D%/diag.h %D%/diag.c
