# SPDX-License-Identifier: Apache-2.0
# PLUMB_OPENCL: only OpenCL's headers are needed to build. The loader (libOpenCL.so.1) is opened at run time, so one
# build also serves machines without it.
AC_DEFUN([PLUMB_OPENCL], [
  AC_ARG_ENABLE([opencl], [AS_HELP_STRING([--disable-opencl], [build without the cl driver])], [], [enable_opencl=auto])
  have_opencl=no
  AS_IF([test "$enable_opencl" != no], [
    AC_CHECK_HEADER([CL/cl.h], [have_opencl=yes], [have_opencl=no], [[#define CL_TARGET_OPENCL_VERSION 120]])
    AC_SEARCH_LIBS([dlopen], [dl], [], [have_opencl=no])
    AS_IF([test "$enable_opencl" = yes && test $have_opencl = no],
      [AC_MSG_ERROR([--enable-opencl: CL/cl.h is missing; install the package opencl-headers])])
  ])
  AS_IF([test $have_opencl = yes], [AC_DEFINE([PLUMB_HAVE_OPENCL], [1], [the cl driver is built])])
  AM_CONDITIONAL([HAVE_OPENCL], [test $have_opencl = yes])
])
