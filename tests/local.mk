# One Check program per folder of src, and shell checks of what is installed.
AM_TESTS_ENVIRONMENT = srcdir=$(srcdir); export srcdir; PLUMB=$(abs_builddir)/plumb; export PLUMB; CC="$(CC)"; export CC;
TEST_LIBS = libplumb-all.la $(CHECK_LIBS) $(JANSSON_LIBS) -lm
TEST_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
