libplumb_all_la_SOURCES += \
	%D%/anatomy.h %D%/model.h %D%/config.c %D%/family.h %D%/family.c %D%/family_common.c %D%/family_key.c %D%/family_qwen2.c %D%/kind.c %D%/model.c %D%/nonfinite.c %D%/overflow.c %D%/pass.h %D%/pass.c %D%/points.c %D%/qwen2.c %D%/roles.c %D%/session.c %D%/tap.c %D%/vocab.c %D%/weights.c %D%/zeros.c
