libplumb_all_la_SOURCES += %D%/format.h %D%/cursor.c %D%/file.c %D%/folder.h %D%/folder.c %D%/folder_check.c %D%/folder_config.c %D%/folder_json.c %D%/folder_layers.c \
	%D%/folder_meta.c %D%/folder_names.c %D%/folder_rope.c %D%/folder_text.c %D%/format.c %D%/gguf.c %D%/map.c %D%/safetensors.c %D%/shards.c
