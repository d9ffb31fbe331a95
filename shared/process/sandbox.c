/*
 * sandbox.c - seccomp: the calls that the process may make.
 *
 * Not on the list are: running programs and making processes, looking into other processes,
 * changing the owner or the mode of a file, mounts, namespaces, keys, modules, BPF, io_uring (which
 * would bypass the list), and sockets other than the internet's and this machine's.
 */
#include "shared/process/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/sanitizer.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The calls of every role, with those that libraries fall back to, or that newer libraries use. */
/* clang-format off */
static const char *const common[] = {
	/* reading, writing, waiting */
	"read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "lseek",
	"close", "close_range", "dup", "dup2", "dup3", "fcntl", "pipe", "pipe2", "poll", "ppoll",
	"select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime",
	/* files */
	"open", "openat", "access", "faccessat", "faccessat2", "stat", "fstat", "lstat",
	"newfstatat", "statx", "statfs", "fstatfs", "getdents", "getdents64", "readlink", "readlinkat",
	"getcwd", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat",
	"renameat2", "truncate", "ftruncate", "fallocate", "fadvise64", "fsync", "fdatasync",
	"sync_file_range", "msync", "flock",
	/* memory */
	"mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "mlock", "munlock", "brk",
	/* sockets; allow_parts() allows making them */
	"connect", "shutdown", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
	"getsockopt", "setsockopt", "getsockname", "getpeername",
	/* threads */
	"futex", "futex_waitv", "set_tid_address", "set_robust_list", "get_robust_list", "rseq",
	"membarrier", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
	"sched_get_priority_max", "sched_get_priority_min", "getcpu", "exit", "exit_group",
	"arch_prctl",
	/* signals */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending",
	"rt_sigsuspend", "sigaltstack", "restart_syscall",
	/* time */
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
	"times",
	/* who the process is, and where it runs */
	"getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getresuid",
	"getresgid", "getgroups", "uname", "sysinfo", "getrusage", "getrlimit", "getrandom",
};

static const char *const listening[] = { "listen", "accept", "accept4" };
static const char *const binding[] = { "bind" };

/* A sanitizer's leak check makes a process in this process's memory, which traces this one. */
static const char *const sanitizers[] = {
	"clone", "wait4", "ptrace", "kill", "personality", "prctl", "ioctl", "process_vm_readv",
	"socketpair", "prlimit64", "tgkill", "setrlimit", "sched_setscheduler",
};
/* clang-format on */

static void
set(scmp_filter_ctx filter, int rc)
{
	if (rc == 0)
		return;
	seccomp_release(filter);
	die("cannot set up seccomp", strerror(-rc));
}

/* A name that this libseccomp or this machine does not know needs no rule. */
static void
allow(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number != __NR_SCMP_ERROR)
			set(filter, seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0));
	}
}

static void
allow_if(scmp_filter_ctx filter, int number, struct scmp_arg_cmp when)
{
	set(filter, seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, when));
}

/* Calls that do many things, or reach other processes, by their arguments. A filter cannot see the
 * flags of clone3(): it fails, and the C library takes clone(). abort() sends a signal to itself.
 */
static void
allow_parts(scmp_filter_ctx filter)
{
	static const unsigned families[] = { AF_UNIX, AF_INET, AF_INET6 };
	static const unsigned requests[] = { FIONREAD, FIONBIO };
	static const unsigned settings[] = { PR_SET_NAME, PR_GET_NAME, PR_SET_VMA };

	for (size_t i = 0; i < COUNT(families); i++)
		allow_if(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, families[i], 0));
	allow_if(filter, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	for (size_t i = 0; i < COUNT(requests); i++)
		allow_if(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, requests[i], 0));
	for (size_t i = 0; i < COUNT(settings); i++)
		allow_if(filter, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, settings[i], 0));
	allow_if(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	allow_if(filter, SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_EQ, 0, 0));
	allow_if(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

static void
filter_calls(unsigned needs)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int rc;

	if (!filter)
		die("cannot set up seccomp", "out of memory");
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	allow(filter, common, COUNT(common));
	if (needs & SANDBOX_ACCEPT)
		allow(filter, listening, COUNT(listening));
	if (needs & SANDBOX_BIND)
		allow(filter, binding, COUNT(binding));
	allow_parts(filter);
	if (SANITIZED)
		allow(filter, sanitizers, COUNT(sanitizers));
	rc = seccomp_load(filter);
	if (rc == -EINVAL || rc == -ENOSYS || rc == -EACCES || rc == -ECANCELED)
		LOG_WARN("no seccomp in this kernel: calls are not filtered", "error",
			strerror(-rc));
	else
		set(filter, rc);
	seccomp_release(filter);
}

void
sandbox_enter(const struct config *config, unsigned needs)
{
	sandbox_files(config, needs);
	filter_calls(needs);
}
