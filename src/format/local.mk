libplumb_all_la_SOURCES += %D%/format.h %D%/format.c %D%/gguf.c %D%/map.c %D%/safetensors.c %D%/shards.c
