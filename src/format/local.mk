libplumb_all_la_SOURCES += %D%/format.h %D%/cursor.c %D%/file.c %D%/format.c %D%/gguf.c %D%/map.c %D%/safetensors.c %D%/shards.c
