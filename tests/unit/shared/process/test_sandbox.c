/*
 * test_sandbox.c - each call that a process of ours never makes is refused in the sandbox, and what
 * it does is not. Every check runs in a process of its own, as there is no way back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/sanitizer.h"
#include "shared/config/config.h"
#include "shared/process/sandbox.h"

#define EVERYTHING (SANDBOX_ACCEPT | SANDBOX_BIND | SANDBOX_KEYS)

static char place[] = "/tmp/shout-sandbox-XXXXXX"; /* state, outside, link -> outside */
static struct config config;
static long landlock_version;

/* 0, or the error of a call. */
static int
errno_of(long result)
{
	return result < 0 ? errno : 0;
}

static int
open_at(const char *name, int flags)
{
	char path[128];
	int fd, err;

	snprintf(path, sizeof path, "%s/%s", place, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	err = errno_of(fd);
	if (fd >= 0)
		close(fd);
	return err;
}

/* ---- what is refused: these return an errno ---- */

static int
runs_a_program(void)
{
	char *const words[] = { (char *)"/bin/true", NULL };

	return errno_of(execve(words[0], words, NULL));
}

static int
runs_a_program_by_descriptor(void)
{
	return errno_of(syscall(SYS_execveat, 0, "/bin/true", NULL, NULL, 0));
}

static int
makes_a_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return errno_of(pid);
}

static int
makes_a_process_by_clone3(void)
{
	struct {
		uint64_t flags, rest[10];
	} args = { .rest = { 0 } };
	long pid = syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0)
		_exit(0);
	return errno_of(pid);
}

static int
traces(void)
{
	return errno_of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int
reads_another_memory(void)
{
	return errno_of(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int
kills_another(void)
{
	return errno_of(kill(getppid(), 0));
}

static int
signals_a_thread_of_another(void)
{
	return errno_of(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int
changes_limits_of_another(void)
{
	return errno_of(syscall(SYS_prlimit64, getppid(), 7, NULL, NULL));
}

static int
becomes_another_user(void)
{
	return errno_of(syscall(SYS_setresuid, -1, -1, -1));
}

static int
gives_a_file_away(void)
{
	return errno_of(chown(config.state_dir, (uid_t)-1, (gid_t)-1));
}

static int
opens_a_file_to_others(void)
{
	return errno_of(chmod(config.state_dir, 0755));
}

static int
makes_a_link(void)
{
	return errno_of(symlink("/etc/passwd", "/tmp/shout-sandbox-link"));
}

static int
makes_a_device(void)
{
	return errno_of(mknod("/tmp/shout-sandbox-node", S_IFIFO | 0600, 0));
}

static int
makes_a_namespace(void)
{
	return errno_of(unshare(0));
}

static int
mounts(void)
{
	return errno_of(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
}

static int
goes_around_by_io_uring(void)
{
	return errno_of(syscall(SYS_io_uring_setup, 0, NULL));
}

static int
loads_bpf(void)
{
	return errno_of(syscall(SYS_bpf, 0, NULL, 0));
}

static int
reads_keys(void)
{
	return errno_of(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int
watches_memory(void)
{
	return errno_of(syscall(SYS_userfaultfd, 0));
}

static int
talks_to_the_kernel(void)
{
	return errno_of(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int
listens_to_the_wire(void)
{
	return errno_of(socket(AF_PACKET, SOCK_RAW, 0));
}

static int
types_into_a_terminal(void)
{
	return errno_of(syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"));
}

static int
may_be_dumped_again(void)
{
	return errno_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

/* ---- files: these, too ---- */

static int
writes_outside(void)
{
	return open_at("outside/file", O_WRONLY);
}

static int
makes_a_file_outside(void)
{
	return open_at("outside/new", O_WRONLY | O_CREAT);
}

static int
writes_outside_by_a_way_from_inside(void)
{
	return open_at("state/../outside/file", O_WRONLY);
}

static int
writes_outside_behind_a_link(void)
{
	return open_at("state/link", O_WRONLY);
}

static int
cuts_outside(void)
{
	char path[128];

	if (landlock_version < 3)
		return EACCES;
	snprintf(path, sizeof path, "%s/outside/file", place);
	return errno_of(truncate(path, 0));
}

static int
removes_outside(void)
{
	char path[128];

	snprintf(path, sizeof path, "%s/outside/file", place);
	return errno_of(unlink(path));
}

static int
moves_outside(void)
{
	char from[128], to[128];

	snprintf(from, sizeof from, "%s/state/file", place);
	snprintf(to, sizeof to, "%s/outside/file", place);
	return errno_of(rename(from, to)) == EXDEV ? EACCES : errno_of(rename(from, to));
}

static int
makes_a_directory_outside(void)
{
	char path[128];

	snprintf(path, sizeof path, "%s/outside/directory", place);
	return errno_of(mkdir(path, 0700));
}

static int
reads_a_home(void)
{
	int fd = open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return errno_of(fd);
}

static int
binds_a_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(2) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (landlock_version < 4)
		return EACCES;
	return errno_of(bind(fd, (struct sockaddr *)&address, sizeof address));
}

struct check {
	const char *name;
	int (*run)(void);
};

#define CHECK(name)                                                                                \
	{                                                                                          \
#name, name                                                                        \
	}

static const struct check calls[] = {
	CHECK(runs_a_program),
	CHECK(runs_a_program_by_descriptor),
	CHECK(makes_a_process),
	CHECK(makes_a_process_by_clone3),
	CHECK(traces),
	CHECK(reads_another_memory),
	CHECK(kills_another),
	CHECK(signals_a_thread_of_another),
	CHECK(changes_limits_of_another),
	CHECK(becomes_another_user),
	CHECK(gives_a_file_away),
	CHECK(opens_a_file_to_others),
	CHECK(makes_a_link),
	CHECK(makes_a_device),
	CHECK(makes_a_namespace),
	CHECK(mounts),
	CHECK(goes_around_by_io_uring),
	CHECK(loads_bpf),
	CHECK(reads_keys),
	CHECK(watches_memory),
	CHECK(talks_to_the_kernel),
	CHECK(listens_to_the_wire),
	CHECK(types_into_a_terminal),
	CHECK(may_be_dumped_again),
};

static const struct check files[] = {
	CHECK(writes_outside),
	CHECK(makes_a_file_outside),
	CHECK(writes_outside_by_a_way_from_inside),
	CHECK(writes_outside_behind_a_link),
	CHECK(cuts_outside),
	CHECK(removes_outside),
	CHECK(moves_outside),
	CHECK(makes_a_directory_outside),
	CHECK(reads_a_home),
	CHECK(binds_a_port),
};

/* ---- what is done all the time: these return 0 ---- */

static int
works_in_state_dir(void)
{
	char from[128], to[128];

	snprintf(from, sizeof from, "%s/state/made", place);
	snprintf(to, sizeof to, "%s/state/below/moved", place);
	return open_at("state/made", O_RDWR | O_CREAT | O_TRUNC) ?: open_at("state/file", O_RDWR)
		?: open_at("state", O_TMPFILE | O_RDWR)
		?: errno_of(truncate(from, 5)) ?: errno_of(rename(from, to))
		?: errno_of(unlink(to));
}

static int
reads_the_system(void)
{
	return open_at("outside/file", O_RDONLY) ?: errno_of(access("/etc/passwd", R_OK));
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
has_threads_with_names(void)
{
	pthread_t thread;
	int err = pthread_setname_np(pthread_self(), "sandboxed");

	if (!err)
		err = pthread_create(&thread, NULL, nothing, NULL);
	return err ? err : pthread_join(thread, NULL);
}

static int
asks_names(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = { .sin_family = AF_INET };

	return errno_of(fd) ?: errno_of(bind(fd, (struct sockaddr *)&any, sizeof any));
}

static int
sends_from_an_address(void)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return errno_of(fd) ?: errno_of(bind(fd, (struct sockaddr *)&from, sizeof from));
}

static int
takes_connections(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = errno_of(listen(fd, 5));

	return err ?: errno_of(accept4(fd, NULL, NULL, 0)) == EAGAIN ? 0 : errno;
}

static int
aborts(void)
{
	abort();
}

/* Runs it in a sandbox; its result, or a signal as a negative number. */
static int
in_sandbox(int (*run)(void), unsigned needs)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(255);
		sandbox_enter(&config, needs);
		_exit(run());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
calls_that_it_never_makes_are_refused(void **state)
{
	(void)state;
	if (SANITIZED) /* its leak check needs some of them */
		skip();
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		int err = in_sandbox(calls[i].run, EVERYTHING);

		if (err != ENOSYS)
			fail_msg("%s: %d", calls[i].name, err);
	}
}

static void
files_of_others_are_refused(void **state)
{
	(void)state;
	if (landlock_version < 2)
		skip();
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		int err = in_sandbox(files[i].run, EVERYTHING);

		if (err != EACCES)
			fail_msg("%s: %d", files[i].name, err);
	}
}

static void
what_it_does_is_not_refused(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(works_in_state_dir, 0), 0);
	assert_int_equal(in_sandbox(reads_the_system, 0), 0);
	assert_int_equal(in_sandbox(has_threads_with_names, 0), 0);
	assert_int_equal(in_sandbox(asks_names, SANDBOX_BIND), 0);
	assert_int_equal(in_sandbox(sends_from_an_address, SANDBOX_BIND), 0);
	assert_int_equal(in_sandbox(takes_connections, SANDBOX_ACCEPT), 0);
	assert_int_equal(in_sandbox(aborts, 0), -SIGABRT);
}

static void
a_role_has_no_more_than_it_needs(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(takes_connections, SANDBOX_BIND | SANDBOX_KEYS), ENOSYS);
	assert_int_equal(in_sandbox(sends_from_an_address, SANDBOX_ACCEPT | SANDBOX_KEYS), ENOSYS);
}

static char home[] = "/root/shout-sandbox-XXXXXX";

static int
reads_the_key(void)
{
	int fd = open(config.ingress.tls.files->key, O_RDONLY | O_CLOEXEC);

	return errno_of(fd);
}

static void
keys_in_a_home_are_for_who_serves_tls(void **state)
{
	struct tls_files pair = { 0 };
	int fd;

	(void)state;
	if (landlock_version < 1 || !mkdtemp(home))
		skip();
	pair.certificate = pair.key = xasprintf("%s/key", home);
	config.ingress.tls.files = &pair;
	config.ingress.tls.files_count = 1;
	fd = open(pair.key, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(in_sandbox(reads_the_key, SANDBOX_KEYS), 0);
	assert_int_equal(in_sandbox(reads_the_key, SANDBOX_ACCEPT | SANDBOX_BIND), EACCES);
	config.ingress.tls.files_count = 0;
	unlink(pair.key);
	rmdir(home);
	free((char *)pair.key);
}

static void
make(const char *name, bool directory)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", place, name);
	if (directory) {
		assert_int_equal(mkdir(path, 0700), 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static int
set_up(void **state)
{
	char link[64], to[64];

	(void)state;
	assert_non_null(mkdtemp(place));
	make("state", true);
	make("state/below", true);
	make("state/file", false);
	make("outside", true);
	make("outside/file", false);
	snprintf(link, sizeof link, "%s/state/link", place);
	snprintf(to, sizeof to, "%s/outside/file", place);
	assert_int_equal(symlink(to, link), 0);
	config.state_dir = xasprintf("%s/state", place);
	landlock_version = syscall(
		SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return 0;
}

static int
tear_down(void **state)
{
	char *command = xasprintf("rm -rf %s", place);

	(void)state;
	assert_int_equal(system(command), 0);
	free(command);
	free(config.state_dir);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_that_it_never_makes_are_refused),
		cmocka_unit_test(files_of_others_are_refused),
		cmocka_unit_test(what_it_does_is_not_refused),
		cmocka_unit_test(a_role_has_no_more_than_it_needs),
		cmocka_unit_test(keys_in_a_home_are_for_who_serves_tls),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
