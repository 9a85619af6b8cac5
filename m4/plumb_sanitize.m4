# SPDX-License-Identifier: Apache-2.0
# PLUMB_SANITIZE: --enable-sanitize=LIST passes the list to -fsanitize (address,undefined or thread).
AC_DEFUN([PLUMB_SANITIZE], [
  AC_ARG_ENABLE([sanitize], [AS_HELP_STRING([--enable-sanitize=LIST], [build with -fsanitize=LIST, e.g. address,undefined or thread])], [], [enable_sanitize=no])
  plumb_sanitize=$enable_sanitize
  AS_CASE([$enable_sanitize],
    [no], [],
    [yes], [AC_MSG_ERROR([--enable-sanitize wants a list: address,undefined or thread])],
    [plumb_san="-fsanitize=$enable_sanitize -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
     AC_MSG_CHECKING([whether $CC links with $plumb_san])
     plumb_keep=$CFLAGS; CFLAGS="$CFLAGS $plumb_san"
     AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
       [AC_MSG_RESULT([no]); AC_MSG_ERROR([$CC cannot link with -fsanitize=$enable_sanitize])])
     CFLAGS=$plumb_keep
     PLUMB_CFLAGS="$PLUMB_CFLAGS $plumb_san"; PLUMB_LDFLAGS="$plumb_san"])
  AC_SUBST([PLUMB_LDFLAGS])
  AM_CONDITIONAL([SANITIZE], [test "$enable_sanitize" != no])
])
