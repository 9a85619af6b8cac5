# SPDX-License-Identifier: Apache-2.0
# PLUMB_PTHREAD: PTHREAD_CFLAGS and PTHREAD_LIBS for POSIX threads. gcc and clang take -pthread wherever threads are not in libc.
AC_DEFUN([PLUMB_PTHREAD], [
	AC_CACHE_CHECK([for the flag of POSIX threads], [plumb_cv_pthread], [
		plumb_cv_pthread=missing
		plumb_save_CFLAGS=$CFLAGS
		for plumb_flag in -pthread none; do
			AS_IF([test $plumb_flag = none], [CFLAGS=$plumb_save_CFLAGS], [CFLAGS="$plumb_save_CFLAGS $plumb_flag"])
			AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <pthread.h>
				static void *run(void *arg) { return arg; }]],
				[[pthread_t thread; return pthread_create(&thread, 0, run, 0) || pthread_join(thread, 0);]])],
				[plumb_cv_pthread=$plumb_flag; break])
		done
		CFLAGS=$plumb_save_CFLAGS])
	AS_CASE([$plumb_cv_pthread],
		[missing], [AC_MSG_ERROR([POSIX threads are needed])],
		[none], [PTHREAD_CFLAGS= PTHREAD_LIBS=],
		[PTHREAD_CFLAGS=$plumb_cv_pthread PTHREAD_LIBS=$plumb_cv_pthread])
	AC_SUBST([PTHREAD_CFLAGS])
	AC_SUBST([PTHREAD_LIBS])
])
