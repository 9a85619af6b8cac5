/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that fail. A seccomp filter turns the calls of interest into SIGSYS, wherever in the process
 * they are made (what stdio does inside itself cannot be replaced by name); the handler counts them and makes
 * the call itself or returns the error. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include "inject/inject.h"

const struct inject_kind inject_kinds[] = {
	{ "open", EIO },
	{ "open", EMFILE },
	{ "open", EACCES },
	{ "open", EINTR },
	{ "read", EIO },
	{ "read", EINTR },
	{ "read", 0 },
	{ "write", EIO },
	{ "write", ENOSPC },
	{ "write", EINTR },
	{ "write", 0 },
	{ "mmap", ENODEV },
	{ "mmap", ENOMEM },
	{ "rename", EIO },
	{ "rename", ENOSPC },
	{ "rename", EXDEV },
	{ "flock", ENOLCK },
	{ "flock", EINTR },
	{ "flock", EIO },
	{ "sync", EIO },
	{ "sync", ENOSPC },
	{ "sync", EINTR },
	{ "truncate", EIO },
	{ "truncate", ENOSPC },
	{ "mkdir", EACCES },
	{ "mkdir", ENOSPC },
	{ "close", EIO },
	{ "close", EINTR },
	{ "stat", EIO },
	{ "seek", EIO },
	{ "unlink", EIO },
	{ "list", EIO },
};
const int inject_kinds_count = sizeof inject_kinds / sizeof *inject_kinds;

#if defined(__x86_64__)
/* raw(nr, a..f): the one place that the filter lets through. */
__asm__(
	".text\n.hidden inject_raw\n.globl inject_raw\ninject_raw:\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tmov %rdx, %rsi\n\tmov %rcx, %rdx\n"
	"\tmov %r8, %r10\n\tmov %r9, %r8\n\tmov 8(%rsp), %r9\n\tsyscall\n.hidden inject_raw_end\n.globl inject_raw_end\ninject_raw_end:\n\tret\n");
#define ARGUMENT(u, i) \
	((u)->uc_mcontext.gregs[(const int[]){ REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9 }[i]])
#define RESULT(u) ((u)->uc_mcontext.gregs[REG_RAX])
#define HAVE_RAW 1
#elif defined(__aarch64__)
__asm__(
	".text\n.hidden inject_raw\n.globl inject_raw\ninject_raw:\n\tmov x8, x0\n\tmov x0, x1\n\tmov x1, x2\n\tmov x2, x3\n\tmov x3, x4\n"
	"\tmov x4, x5\n\tmov x5, x6\n\tsvc 0\n.hidden inject_raw_end\n.globl inject_raw_end\ninject_raw_end:\n\tret\n");
#define ARGUMENT(u, i) ((u)->uc_mcontext.regs[i])
#define RESULT(u) ((u)->uc_mcontext.regs[0])
#define HAVE_RAW 1
#endif

#ifdef HAVE_RAW
extern long inject_raw(long number, long a, long b, long c, long d, long e, long f);
extern const char inject_raw_end[];

static const struct {
	int number;
	const char *name;
	int bytes;
} calls[] = {
	/* bytes: the argument that says how many, -1: none */
	{ SYS_openat, "open", -1 },
	{ SYS_read, "read", 2 },
	{ SYS_pread64, "read", 2 },
	{ SYS_write, "write", 2 },
	{ SYS_pwrite64, "write", 2 },
	{ SYS_writev, "write", 2 },
	{ SYS_mmap, "mmap", -1 },
	{ SYS_renameat, "rename", -1 },
	{ SYS_renameat2, "rename", -1 },
	{ SYS_flock, "flock", -1 },
	{ SYS_fsync, "sync", -1 },
	{ SYS_fdatasync, "sync", -1 },
	{ SYS_ftruncate, "truncate", -1 },
	{ SYS_fallocate, "truncate", -1 },
	{ SYS_mkdirat, "mkdir", -1 },
	{ SYS_close, "close", -1 },
	{ SYS_fstat, "stat", -1 },
	{ SYS_newfstatat, "stat", -1 },
	{ SYS_lseek, "seek", -1 },
	{ SYS_unlinkat, "unlink", -1 },
	{ SYS_getdents64, "list", -1 },
#ifdef SYS_open
	{ SYS_open, "open", -1 },
	{ SYS_rename, "rename", -1 },
	{ SYS_mkdir, "mkdir", -1 },
	{ SYS_unlink, "unlink", -1 },
	{ SYS_stat, "stat", -1 },
#endif
};
#define CALLS ((int)(sizeof calls / sizeof *calls))

static long call(ucontext_t *u, int number)
{
	return inject_raw(number, (long)ARGUMENT(u, 0), (long)ARGUMENT(u, 1), (long)ARGUMENT(u, 2),
		(long)ARGUMENT(u, 3), (long)ARGUMENT(u, 4), (long)ARGUMENT(u, 5));
}

static long failing(ucontext_t *u, int i, int error)
{
	if (inject->stop)
		abort();
	atomic_fetch_add(&inject->fired, 1);
	if (!error) {
		if (calls[i].bytes >= 0 && calls[i].number != SYS_writev && ARGUMENT(u, 2) > 1)
			ARGUMENT(u, 2) = (ARGUMENT(u, 2) + 1) / 2;
		return call(u, calls[i].number);
	}
	if (!strcmp(calls[i].name, "close")) /* Linux has closed it all the same */
		call(u, calls[i].number);
	return -error;
}

static void trapped(int signal_number, siginfo_t *info, void *context)
{
	(void)signal_number;
	ucontext_t *u = context;
	int i = 0;
	while (i < CALLS - 1 && calls[i].number != info->si_syscall)
		i++;
	bool counts = atomic_load(&inject->armed) &&
		!(!strcmp(calls[i].name, "write") && ARGUMENT(u, 0) == 2) && /* what is said there is the test's */
		!(calls[i].number == SYS_mmap && (int)ARGUMENT(u, 4) < 0);
	int fails = -1;
	for (int k = 0; counts && k < inject_kinds_count; k++)
		if (!strcmp(inject_kinds[k].name, calls[i].name)) {
			long n = atomic_fetch_add(&inject->kind_calls[k], 1) + 1;
			if (k == inject->kind && inject->at && (n == inject->at || (inject->onward && n > inject->at)))
				fails = inject_kinds[k].error;
		}
	RESULT(u) = fails < 0 ? call(u, calls[i].number) : failing(u, i, fails);
}

bool inject_trap(void)
{
	uintptr_t from = (uintptr_t)inject_raw, to = (uintptr_t)inject_raw_end;
	struct sock_filter code[CALLS + 16];
	unsigned short n = 0;
	struct sigaction action = { .sa_sigaction = trapped, .sa_flags = (int)(SA_SIGINFO | SA_NODEFER) };
	if (sigaction(SIGSYS, &action, NULL) || from >> 32 != to >> 32)
		return false;
	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(from >> 32), 0, 4);
	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)from, 0, 2);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)to, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < CALLS; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, (unsigned char)(CALLS - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
	struct sock_fprog program = { n, code };
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
#else
bool inject_trap(void) { return false; }
#endif
