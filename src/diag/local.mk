# SPDX-License-Identifier: Apache-2.0
libplumb_all_la_SOURCES += \
	%D%/diag.h %D%/diag.c %D%/json.c %D%/answer.c %D%/capture.c %D%/run.c %D%/measure.c %D%/reference.c %D%/reference_bin.c %D%/reference_tensors.c %D%/reference_told.c %D%/reference_tokens.c %D%/dump.c %D%/fault.c %D%/twin.c %D%/gap.c %D%/errors.c %D%/cancel.c \
	%D%/convention.c %D%/convention_fit.c %D%/convention_text.c %D%/precision.c %D%/isolate.c %D%/components.c %D%/diverge.c %D%/trace.c %D%/growth.h %D%/growth.c %D%/jump.c %D%/weights.c %D%/moments.c \
	%D%/stability.c %D%/accumulate.c %D%/narrow.c %D%/biography.c %D%/deed.c %D%/special.c %D%/blindspot.c %D%/fingerprint.c %D%/known.c %D%/verdict.c %D%/report.c %D%/bisect.c %D%/bisect.h %D%/bisect_tell.c %D%/show.h %D%/show.c %D%/show_table.c %D%/text.c \
	%D%/html.h %D%/html.c %D%/html_style.c %D%/html_table.c %D%/html_chart.c %D%/html_growth.c %D%/html_heat.c
