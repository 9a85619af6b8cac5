libplumb_all_la_SOURCES += \
	%D%/op.h %D%/canary.c %D%/case.c %D%/checks.c %D%/table.c %D%/add.c %D%/argmax.c %D%/attention.c %D%/attn_mix.c %D%/attn_scores.c \
	%D%/embed.c %D%/f16.c %D%/f16_overflow.c %D%/f16_round.c %D%/gate_up.c %D%/geglu.c %D%/kv_store.c %D%/matmul.c %D%/matmul_add.c %D%/qkv.c %D%/rmsnorm.c %D%/rope.c %D%/scale.c %D%/softmax.c \
	%D%/steps.c %D%/swiglu.c %D%/verify.c
