/*
 * privileges.c - from root to a user without capabilities.
 *
 * cmd/shout.c: ports and keys -> [privileges] -> queue, threads, roles
 *
 * Linux's own calls instead of libcap: three calls are all that is needed. Dies when one fails.
 */
#include "shared/process/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/sanitizer.h"

static int
find_user(const char *user, struct identity *out, char *why, size_t why_size)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(user);
	if (!entry) {
		snprintf(why, why_size, "user: \"%s\" %s", user,
			errno ? strerror(errno) : "is no user of this machine");
		return -1;
	}
	out->uid = entry->pw_uid;
	out->gid = entry->pw_gid;
	out->name = user;
	return 0;
}

static int
find_group(const char *group, struct identity *out, char *why, size_t why_size)
{
	const struct group *entry;

	errno = 0;
	entry = getgrnam(group);
	if (!entry) {
		snprintf(why, why_size, "group: \"%s\" %s", group,
			errno ? strerror(errno) : "is no group of this machine");
		return -1;
	}
	out->gid = entry->gr_gid;
	return 0;
}

int
identity_find(const char *user, const char *group, struct identity *out, char *why, size_t why_size)
{
	*out = (struct identity){ geteuid(), getegid(), NULL };
	if (!user) {
		if (geteuid() != 0)
			return 0;
		snprintf(why, why_size,
			"user: is not set, and this is root: set `user: shout` (an account of its "
			"own, as `adduser --system --group shout` makes it), or `user: root` to stay "
			"root without capabilities");
		return -1;
	}
	if (find_user(user, out, why, why_size) < 0 ||
		(group && find_group(group, out, why, why_size) < 0))
		return -1;
	if (geteuid() != 0 && (out->uid != geteuid() || (group && out->gid != getegid()))) {
		snprintf(why, why_size, "user: only root can become \"%s\"%s%s", user,
			group ? " with the group " : "", group ? group : "");
		return -1;
	}
	return 0;
}

void
privileges_take_up(void)
{
	const unsigned right = 1U << CAP_NET_BIND_SERVICE;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, sets) < 0)
		die("cannot read the capabilities", strerror(errno));
	sets[0].effective |= sets[0].permitted & right;
	if (syscall(SYS_capset, &header, sets) < 0)
		die("cannot take up a capability", strerror(errno));
}

/* The groups change only when the user does: a process that was started as that user keeps its
 * groups. */
static void
become(const struct identity *identity)
{
	bool other = identity->uid != geteuid() || identity->gid != getegid();

	if ((other && initgroups(identity->name, identity->gid) < 0) ||
		setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
		setresuid(identity->uid, identity->uid, identity->uid) < 0)
		die("cannot become the user", strerror(errno));
}

/* The bounding set is what a program that we ran could get back. Only a process with CAP_SETPCAP
 * may empty the set; without new privileges the set has no effect anyway. */
static void
empty_bounding_set(void)
{
	for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;
		capability++)
		;
}

static void
drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capset, &header, none) < 0)
		die("cannot drop the capabilities", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("cannot forbid new privileges", strerror(errno));
}

static void
forbid_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		die("cannot forbid core files", strerror(errno));
	if (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die("cannot forbid dumps", strerror(errno));
}

void
privileges_drop(const struct identity *identity)
{
	empty_bounding_set();
	become(identity);
	drop_capabilities();
	forbid_dumps();
}
