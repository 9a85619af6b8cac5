/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program (LD_PRELOAD): before main() it forks once for every point of failure, lets the
 * child run the program with that failure, and judges what came out. Then it prints a line and ends; the
 * program itself runs in the children only.
 *
 * Right is: the program ends by itself, in time. Either with the exit code and the output of a run without
 * failure, or with another code and a line "plumb: ..." on stderr (with the word memory, if that ran out). No
 * file is there that a good run does not leave, and a file that is there is whole.
 *
 * INJECT: alloc, alloc+ (all from the Nth on) or io. INJECT_BOX: an empty folder, where the program runs.
 * INJECT_NAME: for the line. INJECT_MOST: points per kind, 0 for all; past it they are spread, from
 * INJECT_SEED on. INJECT_STDIN: a file. INJECT_TIMES: results hold times so coarse that two good runs may
 * agree by chance: shapes are compared. INJECT_FINDS: the program looks for failures (doctor): its findings
 * are as good as success. INJECT_ONLY=N (and INJECT_KIND): this point alone, aborting there, for a debugger.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "inject/inject.h"

#define SECONDS 60 /* a run that takes longer hangs */
#define MOST_FILES 32

struct file {
	char *name, *bytes;
	size_t size;
};
struct outcome {
	int code, signal;
	struct file file[MOST_FILES];
	int files;
};

static const char *box, *name;
static char *standard_in;
static bool io, shape_only;
static long points, wrong;

/* --- what a run left --- */

static char *slurp(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	char *bytes = NULL;
	size_t room;
	FILE *out = open_memstream(&bytes, &room);
	for (int c; f && (c = getc(f)) != EOF;)
		putc(c, out);
	if (f)
		fclose(f);
	fclose(out);
	*size = room;
	return bytes;
}

static void collect(struct outcome *o, const char *below)
{
	DIR *dir = opendir(*below ? below : ".");
	for (struct dirent *e; dir && (e = readdir(dir));) {
		char path[PATH_MAX];
		struct stat st;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof path, "%s%s%s", below, *below ? "/" : "", e->d_name);
		if (lstat(path, &st))
			continue;
		if (S_ISDIR(st.st_mode)) {
			collect(o, path);
			rmdir(path);
			continue;
		}
		struct file *f = o->files < MOST_FILES ? &o->file[o->files++] : NULL;
		if (f) {
			f->name = strdup(path);
			f->bytes = slurp(path, &f->size);
		}
		unlink(path);
	}
	if (dir)
		closedir(dir);
}

static void drop(struct outcome *o)
{
	for (int i = 0; i < o->files; i++) {
		free(o->file[i].name);
		free(o->file[i].bytes);
	}
	o->files = 0;
}

static const struct file *find(const struct outcome *o, const char *which)
{
	for (int i = 0; i < o->files; i++)
		if (!strcmp(o->file[i].name, which))
			return &o->file[i];
	return NULL;
}

/* Numbers become #, space shrinks: what two runs have in common that time themselves. */
static char *shape(const struct file *f, size_t *size)
{
	char *s = malloc(f->size + 1);
	size_t n = 0;
	for (size_t i = 0; i < f->size;) {
		size_t k = i, space = i;
		while (k < f->size && f->bytes[k] && strchr("0123456789.+-e", f->bytes[k]))
			k++;
		while (space < f->size && f->bytes[space] == ' ')
			space++;
		if (k > i && strpbrk(f->bytes + i, "0123456789") &&
			strpbrk(f->bytes + i, "0123456789") < f->bytes + k)
			s[n++] = '#', i = k;
		else if (space > i)
			s[n++] = ' ', i = space;
		else
			s[n++] = f->bytes[i++];
	}
	*size = n;
	return s;
}

static bool same(const struct file *a, const struct file *b, bool by_shape)
{
	if (a->size == b->size && !memcmp(a->bytes, b->bytes, a->size))
		return true;
	if (!by_shape)
		return false;
	size_t n, m;
	char *s = shape(a, &n), *t = shape(b, &m);
	bool equal = n == m && !memcmp(s, t, n);
	free(s);
	free(t);
	return equal;
}

/* --- a run --- */

static void in_child(long at, bool onward, int kind)
{
	int in = open(standard_in ? standard_in : "/dev/null", O_RDONLY),
		out = open("stdout", O_WRONLY | O_CREAT | O_TRUNC, 0666),
		err = open("stderr", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	close(in);
	close(out);
	close(err);
	alarm(SECONDS);
	inject->at = at;
	inject->onward = onward;
	inject->kind = kind;
	inject->calls = inject->live = inject->fired = 0;
	for (int i = 0; i < INJECT_MOST_KINDS; i++)
		inject->kind_calls[i] = 0;
	if (io && !inject_trap())
		_exit(77);
	inject->armed = true;
}

/* True in the child, which goes on to main(). */
static bool run(struct outcome *o, long at, bool onward, int kind)
{
	fflush(NULL);
	pid_t child = fork();
	if (!child) {
		in_child(at, onward, kind);
		return true;
	}
	int status = 0;
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	inject->armed = false; /* the page is shared: from here on the calls are our own */
	*o = (struct outcome){ .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0 };
	collect(o, "");
	return false;
}

/* --- judging --- */

static const char *const reasons[] = { "memory", "the system gave no", "thread",
	"standard output" }; /* of running out */

static const char *judge(const struct outcome *o, const struct outcome *clean)
{
	static char why[PATH_MAX + 64];
	const struct file *err = find(o, "stderr");
	if (o->signal)
		return o->signal == SIGALRM ? "hangs" : strsignal(o->signal);
	/* A reference that cannot be read is unusable, with the reason; of one of its files a report says so
	 * beside its verdict. */
	if (io && (o->code == 23 || o->code == clean->code)) {
		const struct file *out = find(o, "stdout");
		for (int i = 0; out && i < inject_kinds_count; i++)
			if (strstr(out->bytes, strerror(inject_kinds[i].error)) ||
				(err && strstr(err->bytes, strerror(inject_kinds[i].error))))
				return NULL;
	}
	for (int i = 0; i < o->files; i++) {
		const struct file *f = &o->file[i], *good = find(clean, f->name);
		bool stream = !strcmp(f->name, "stdout") || !strcmp(f->name, "stderr"),
			 cache = !strncmp(f->name, ".cache/", 7);
		snprintf(why, sizeof why, "%s is left behind", f->name);
		if (!good)
			return why;
		snprintf(why, sizeof why, "%s is not whole", f->name);
		if (!stream && !cache && !same(f, good, shape_only))
			return why;
	}
	if (o->code == 127 && err &&
		strstr(err->bytes,
			"cannot allocate memory for thread-local data")) /* so the C library ends a program by itself */
		return NULL;
	if (o->code >= 10 && o->code <= 15 && getenv("INJECT_FINDS")) /* what fails is then the very finding */
		return NULL;
	if (o->code != clean->code) {
		if (o->code == 2 || o->code >= 10)
			return "a wrong exit code";
		if (!err || (strncmp(err->bytes, "plumb: ", 7) && !strstr(err->bytes, "\nplumb: ")))
			return "no line \"plumb: ...\"";
		for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
			if (strcasestr(err->bytes, reasons[i]))
				return NULL;
		return io ? NULL : "memory is not named";
	}
	for (int i = 0; i < clean->files && (!clean->code || clean->code >= 10);
		 i++) { /* else it fails anyway, and says why */
		const struct file *good = &clean->file[i], *f = find(o, good->name);
		if (!strcmp(good->name, "stderr") || !strncmp(good->name, ".cache/", 7))
			continue;
		snprintf(why, sizeof why, "%s differs or lacks though the exit code is that of success", good->name);
		if (!f || !same(f, good, shape_only))
			return why;
	}
	return NULL;
}

static void show(const struct outcome *o, const char *stream)
{
	const struct file *f = find(o, stream);
	if (f && f->size)
		printf("#   %s: %.*s\n", stream, (int)(f->size < 300 ? f->size : 300), f->bytes);
}

static bool point(const struct outcome *clean, long at, bool onward, int kind)
{
	struct outcome o;
	if (run(&o, at, onward, kind))
		return true;
	if (!inject->fired) { /* the run took another way this time: nothing was failed */
		drop(&o);
		return false;
	}
	points++;
	const char *why = judge(&o, clean);
	if (why && ++wrong <= 20) {
		printf("# %s, %s %ld%s%s%s: %s (exit code %d)\n", name,
			kind < 0 ? "allocation" : inject_kinds[kind].name, at, onward ? " and all after" : "",
			kind < 0 ? "" : ", ",
			kind < 0                       ? ""
				: inject_kinds[kind].error ? strerror(inject_kinds[kind].error)
										   : "half of the bytes",
			why, o.code);
		show(&o, "stderr");
		if (getenv("INJECT_VERBOSE"))
			show(&o, "stdout");
	}
	drop(&o);
	return false;
}

/* The first half of the points as they come, the rest spread over the others. */
static bool sweep(const struct outcome *clean, long count, bool onward, int kind, long most, long seed)
{
	long dense = !most || count <= most ? count : most / 2,
		 step = most && count > most ? (count - dense) / (most - dense) + 1 : 1;
	for (long at = 1; at <= count; at += at < dense ? 1 : at == dense ? 1 + seed % step : step)
		if (point(clean, at, onward, kind))
			return true;
	return false;
}

static long number(const char *variable, long otherwise)
{
	const char *text = getenv(variable);
	return text && *text ? strtol(text, NULL, 10) : otherwise;
}

/* Two good runs tell what is compared: bytes, or only their shape where numbers are times. True in a child.
 */
static bool measure(struct outcome *clean, long counts[INJECT_MOST_KINDS])
{
	struct outcome again;
	if (run(clean, 0, false, -1))
		return true;
	drop(clean); /* the first one may have filled a cache or been slow */
	if (run(clean, 0, false, -1) || run(&again, 0, false, -1))
		return true;
	for (int i = 0; i < clean->files; i++) {
		const struct file *b = find(&again, clean->file[i].name);
		if (strcmp(clean->file[i].name, "stderr") && (!b || !same(&clean->file[i], b, false)))
			shape_only = true;
		if (strcmp(clean->file[i].name, "stderr") && strncmp(clean->file[i].name, ".cache/", 7) &&
			(!b || !same(&clean->file[i], b, true))) {
			printf("# %s: two good runs differ in %s\n", name, clean->file[i].name);
			wrong++;
		}
	}
	drop(&again);
	counts[0] = inject->calls;
	for (int k = 0; io && k < inject_kinds_count; k++)
		counts[k] = inject->kind_calls[k];
	return false;
}

__attribute__((constructor)) static void serve(void)
{
	const char *what = getenv("INJECT");
	long most = number("INJECT_MOST", 0), seed = number("INJECT_SEED", 0), only = number("INJECT_ONLY", 0),
		 counts[INJECT_MOST_KINDS] = { 0 };
	struct outcome clean = { .files = 0 };
	if (!what)
		return;
	io = !strcmp(what, "io");
	shape_only = getenv("INJECT_TIMES") != NULL;
	bool onward = !strcmp(what, "alloc+");
	box = getenv("INJECT_BOX");
	name = getenv("INJECT_NAME") ? getenv("INJECT_NAME") : "program";
	standard_in = getenv("INJECT_STDIN");
	void *page = mmap(NULL, sizeof *inject, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || !box || chdir(box))
		_exit(99);
	inject = page;
	unsetenv("INJECT");
	unsetenv("LD_PRELOAD");
	if (only) {
		inject->stop = true;
		in_child(only, onward, (int)number("INJECT_KIND", -1));
		return;
	}
	if (measure(&clean, counts))
		return;
	if (clean.code == 77 || clean.signal) {
		printf("# %s: the run without a failure ends with %d, signal %d\n", name, clean.code, clean.signal);
		show(&clean, "stderr");
		fflush(stdout);
		_exit(clean.code == 77 ? 77 : 1);
	}
	for (int k = 0; k < (io ? inject_kinds_count : 1); k++)
		if (sweep(&clean, counts[k], onward, io ? k : -1, most, seed))
			return;
	if (wrong)
		show(&clean, "stdout");
	printf("%s: %ld points, %ld not survived, exit code without a failure %d\n", name, points, wrong,
		clean.code);
	fflush(stdout);
	_exit(wrong || !points);
}
