libplumb_all_la_SOURCES += %D%/text.h %D%/tokens.c %D%/merges.c %D%/specials.c %D%/warning.c %D%/bpe.c %D%/split.c %D%/nfc.c %D%/chat.c %D%/sample.c %D%/stream.c %D%/stop.c
