libplumb_all_la_SOURCES += %D%/text.h %D%/tokens.c %D%/bpe.c %D%/split.c %D%/nfc.c %D%/chat.c %D%/sample.c %D%/stream.c
