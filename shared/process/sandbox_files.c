/*
 * sandbox_files.c - Landlock: the files that the process may use.
 *
 * It uses the kernel's interface directly: Debian 12 has no library for it, and its header lacks
 * what newer kernels can do. Reading is left to the modes of files: name look-ups, CAs and
 * certificates behind links may be anywhere. People's homes have none of them, so they stay closed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/process/sandbox.h"

/* As in the kernel's landlock.h. The comments are the versions of the interface, up to 6. */
#define TRUNCATE (1u << 14)  /* 3 */
#define IOCTL_DEV (1u << 15) /* 5 */
#define NET_BIND_TCP 1u      /* 4 */
#define RULE_NET_PORT 2
#define SCOPES 3u /* 6: abstract sockets, signals */

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILES_1 ((1u << 13) - 1)
#define OWN                                                                                        \
	(READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                   \
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                      \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REFER | TRUNCATE)

struct ruleset {
	uint64_t files, ports, scopes;
};

struct port_rule {
	uint64_t allowed, port;
};

struct landlock {
	int fd;
	struct ruleset handled;
};

static struct ruleset
all_of(long version)
{
	struct ruleset all = { .files = FILES_1 };

	if (version >= 2)
		all.files |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		all.files |= TRUNCATE;
	if (version >= 4)
		all.ports = NET_BIND_TCP;
	if (version >= 5)
		all.files |= IOCTL_DEV;
	if (version >= 6)
		all.scopes = SCOPES;
	return all;
}

/* A path that does not exist needs no rule. */
static void
allow(const struct landlock *landlock, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access & landlock->handled.files,
		.parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC),
	};

	if (rule.parent_fd < 0)
		return;
	if (syscall(SYS_landlock_add_rule, landlock->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		die("cannot set up Landlock", strerror(errno));
	close(rule.parent_fd);
}

static void
allow_system(const struct landlock *landlock)
{
	DIR *root = opendir("/");
	struct dirent *entry;
	char path[sizeof entry->d_name + 1];

	if (!root)
		die("cannot set up Landlock", strerror(errno));
	while ((entry = readdir(root))) {
		if (strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "home") == 0 || strcmp(entry->d_name, "root") == 0)
			continue;
		path[0] = '/';
		memcpy(path + 1, entry->d_name, strlen(entry->d_name) + 1);
		allow(landlock, path, READ);
	}
	closedir(root);
}

/* Opens the file's directory, since another file may replace the file. Both the directory as the
 * settings write it and the one that links lead to. */
static void
allow_file(const struct landlock *landlock, const char *file)
{
	char *resolved = file ? realpath(file, NULL) : NULL;
	const char *paths[] = { file, resolved };

	for (size_t i = 0; i < 2; i++) {
		char *directory = paths[i] ? xstrdup(paths[i]) : NULL;
		char *slash = directory ? strrchr(directory, '/') : NULL;

		if (slash && slash > directory)
			*slash = '\0';
		if (slash)
			allow(landlock, directory, READ);
		free(directory);
	}
	free(resolved);
}

static void
allow_all(const struct landlock *landlock, const struct config *config, unsigned needs)
{
	const struct port_rule any_port = { NET_BIND_TCP, 0 }; /* port 0: the kernel chooses */

	allow_system(landlock);
	allow(landlock, config->state_dir, OWN);
	allow_file(landlock, config->file); /* SIGHUP reads the file again */
	allow_file(landlock, config->redis.ca);
	allow_file(landlock, config->queue.ca);
	allow_file(landlock, config->dns.trust_anchor);
	allow_file(landlock, config->sender.replies); /* SIGHUP reads it again */
	for (unsigned i = 0; (needs & SANDBOX_KEYS) && i < config->ingress.tls.files_count; i++) {
		allow_file(landlock, config->ingress.tls.files[i].certificate);
		allow_file(landlock, config->ingress.tls.files[i].key);
	}
	if (needs & SANDBOX_KEYS) {
		allow_file(landlock, config->control.tls.certificate);
		allow_file(landlock, config->control.tls.key);
	}
	if ((needs & SANDBOX_BIND) && landlock->handled.ports &&
		syscall(SYS_landlock_add_rule, landlock->fd, RULE_NET_PORT, &any_port, 0) < 0)
		die("cannot set up Landlock", strerror(errno));
}

void
sandbox_files(const struct config *config, unsigned needs)
{
	long version = syscall(
		SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock landlock = { -1, all_of(version) };
	size_t size = version >= 6 ? sizeof landlock.handled
		: version >= 4     ? 2 * sizeof(uint64_t)
				   : sizeof(uint64_t);

	if (version < 1) {
		LOG_WARN("no Landlock in this kernel: files are guarded by their modes alone",
			"error", strerror(errno));
		return;
	}
	landlock.fd = (int)syscall(SYS_landlock_create_ruleset, &landlock.handled, size, 0);
	if (landlock.fd < 0)
		die("cannot set up Landlock", strerror(errno));
	allow_all(&landlock, config, needs);
	if (syscall(SYS_landlock_restrict_self, landlock.fd, 0) < 0)
		die("cannot set up Landlock", strerror(errno));
	close(landlock.fd);
}
