# SPDX-License-Identifier: Apache-2.0
# Results of the diagnosis as text and as a page.
libplumb_all_la_SOURCES += \
	%D%/command.c %D%/field.c %D%/html.c %D%/html.h %D%/html_chart.c %D%/html_growth.c %D%/html_heat.c \
	%D%/html_style.c %D%/html_table.c %D%/html_text.c %D%/report.h %D%/section.c %D%/svg.c %D%/svg.h %D%/table.c %D%/text.c
