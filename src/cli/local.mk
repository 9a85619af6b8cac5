bin_PROGRAMS += plumb
plumb_SOURCES = \
	%D%/cli.h %D%/bandwidth.c %D%/bench.h %D%/bench.c %D%/bench_kernels.c %D%/bench_measure.c %D%/bench_modes.c %D%/chat.c %D%/chat_input.c %D%/complain.c %D%/devices.c %D%/diag.h %D%/diag.c %D%/diag_bisect.c %D%/diag_dump.c %D%/diag_help.c %D%/diag_options.c %D%/diag_report.c \
	%D%/doctor.c %D%/env.c %D%/generate.c %D%/nonfinite.c %D%/sampling.c %D%/text.c %D%/info.c %D%/info.h %D%/info_json.c %D%/json.c %D%/kernels.c %D%/load.c %D%/main.c %D%/options.c \
	%D%/perplexity.c %D%/progress.c %D%/read_all.c %D%/run.c %D%/tokenize.c %D%/tune.c %D%/unused.c
plumb_LDADD = libplumb.la $(JANSSON_LIBS) $(PTHREAD_LIBS) -lm
