libplumb_all_la_SOURCES += \
	%D%/chunk.c %D%/classes.h %D%/clock.c %D%/context.c %D%/core.h %D%/dispatch.c %D%/env.c %D%/fork.c %D%/hash.h %D%/hash.c %D%/memory.c %D%/notice.c %D%/json.h %D%/json.c %D%/number.c %D%/options.c %D%/pool.c %D%/random.h %D%/status.c %D%/string.h %D%/string.c %D%/tensor.c %D%/threads.c %D%/type.c %D%/utf8.h %D%/utf8.c %D%/version.c
