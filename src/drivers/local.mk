libplumb_all_la_SOURCES += %D%/drivers.h %D%/avoid.c %D%/list.c %D%/open.c %D%/table.c
