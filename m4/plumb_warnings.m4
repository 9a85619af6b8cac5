# SPDX-License-Identifier: Apache-2.0
# PLUMB_WARNINGS: the warnings the house keeps at zero, with gcc and with clang.
# -ffp-contract=off: numerics are the product. Where a fused multiply-add is wanted it is
# written as one, so that the same source gives the same bits with every compiler.
AC_DEFUN([PLUMB_WARNINGS], [
  PLUMB_CFLAGS="-std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -fno-fast-math -ffp-contract=off -fno-math-errno"
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make every warning an error])])
  AS_IF([test "$enable_werror" = yes], [PLUMB_CFLAGS="$PLUMB_CFLAGS -Werror"])
  AC_SUBST([PLUMB_CFLAGS])
])
