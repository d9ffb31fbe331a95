/*
 * shout.c - the program: picks the roles, starts them, and ends them on a signal.
 *
 *     config -> ports, keys -> user -> metrics -> queue -> control, sender, scanner, ingress
 *     stop: drain all -> ingress, scanner, sender, control -> queue -> metrics
 *
 * A role is started before the roles that hand it mail, and stopped after them. The main thread's
 * loop is for signals and owner.c only. Exits 0 after a stop that was asked for, 1 when a part
 * could not start, 2 on a wrong command line.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "cmd/check/check.h"
#include "shared/account/owner.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/state_dir.h"
#include "shared/base/version.h"
#include "shared/config/config.h"
#include "shared/config/config_live.h"
#include "shared/metrics/metrics.h"
#include "shared/process/privileges.h"
#include "shared/process/sandbox.h"
#include "shared/process/service.h"
#include "shared/queue/event.h"
#include "shared/queue/kafka/kafka_topics.h"
#include "shared/queue/queue.h"
#include "shared/work/role.h"

#define DEFAULT_FILE "/etc/shout/shout.yaml"

/* In the order of starting. */
static const struct role *const all_roles[] = {
	&control_role,
	&sender_role,
	&scanner_role,
	&ingress_role,
	NULL,
};
#define ROLES_MAX 4

static const char usage[] =
	"usage: shout COMMAND [-c FILE]\n"
	"\n"
	"  all       every role in one process (queue.backend: lmdb)\n"
	"  ingress   take mail from customers\n"
	"  scanner   scan it\n"
	"  sender    deliver it\n"
	"  control   API and notices\n"
	"  check     read the file, try all that Shout depends on, tell what is wrong\n"
	"  topics    create the topics (queue.backend: kafka), or say what is wrong with them\n"
	"\n"
	"  -c FILE     settings (default " DEFAULT_FILE ")\n"
	"  --node NAME  this process in events and lists (default: hostname)\n"
	"  --json      the findings of topics and check as JSON\n"
	"  --mx HOST --reply TEXT [--stage banner|ehlo|mail|rcpt|dot]\n"
	"              check: only tell what that reply of that mail host means\n"
	"  --crd NAME  topics: ask no broker, print KafkaTopics for Strimzi's Kafka of that name\n"
	"  --version   --help\n"
	"\n"
	"SIGTERM stops after the work in hand, SIGHUP reads FILE and the certificates again.\n";

struct running {
	struct config *config;
	const struct role *roles[ROLES_MAX]; /* in the order of starting */
	size_t count, started;
	struct queue *queue;
	struct config_subscriber *owner; /* reads the owner of the accounts */
	struct loop *main, *metrics;
	int metrics_fd; /* the metrics page's socket, while it does not listen yet */
};

/* Every session and every delivery is a descriptor; the usual soft limit of 1,024 is for
 * select(). */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		LOG_WARN("cannot raise the limit of open files", "error", strerror(errno));
}

/* Checked as the user that works in state_dir. */
static int
check_state_dir(const char *path, const struct identity *identity)
{
	char found[PATH_MAX];

	if (access(path, R_OK | W_OK | X_OK) < 0) {
		LOG_ERROR(
			"state_dir cannot be used by this user, as after a run as another one: give "
			"it all to this one (chown -R), or set user to that one",
			"path", path, "user", identity->name, "error", strerror(errno));
		return -1;
	}
	if (state_dir_is_ours(path, found))
		return 0;
	LOG_ERROR("state_dir holds what belongs to another user, as after a run as that user: give "
		  "it all to this one (chown -R), or set user to that one",
		"file", found, "uid", log_int(geteuid()));
	return -1;
}

static void
on_stop_signal(evutil_socket_t number, short what, void *arg)
{
	struct running *running = arg;

	(void)what;
	LOG_INFO("stopping", "signal", strsignal((int)number));
	event_base_loopbreak(loop_base(running->main));
}

static unsigned
needs(const struct running *running, const struct config *config)
{
	unsigned all = config->metrics.listen ? SANDBOX_ACCEPT : 0;

	for (size_t i = 0; i < running->count; i++)
		all |= running->roles[i]->needs;
	return all;
}

/* Logs the errors of the configuration, one a line. */
static void
refuse_file(char *errors)
{
	char *rest = errors;

	for (char *line; (line = strsep(&rest, "\n"));)
		if (*line)
			LOG_ERROR("the configuration stays as it was", "error", line);
}

static bool
files_fit(const struct tls_files *files, unsigned count)
{
	char why[512];
	struct tls_server *server = tls_server_new(files, count, TLS_LEGACY, why, sizeof why);
	const bool fit = server != NULL;

	if (!fit)
		LOG_ERROR("the configuration stays as it was", "error", why);
	tls_server_free(&server);
	return fit;
}

/* A new configuration whose certificates cannot be used is refused, as for any other error. */
static bool
certificates_fit(const struct running *running, const struct config *fresh)
{
	const struct config *config = running->config;

	if (!(needs(running, config) & SANDBOX_KEYS))
		return true;
	if (fresh->ingress.tls.files_count && config_other_certificates(config, fresh) &&
		!files_fit(fresh->ingress.tls.files, fresh->ingress.tls.files_count))
		return false;
	return !config_other_control(config, fresh) || files_fit(&fresh->control.tls, 1);
}

static void
on_change(void *arg, const struct config_change *change)
{
	unsigned *counts = arg;

	counts[change->live]++;
	if (change->live)
		LOG_INFO("setting changed", "key", change->path, "before", change->before, "after",
			change->after);
	else
		LOG_WARN("this setting needs a restart", "key", change->path, "runs with",
			change->before, "file says", change->after);
}

/* The changes are told at the finer one of both levels. */
static void
take_file(struct config *config, struct config *fresh)
{
	const int before = config->log.level, after = fresh->log.level;
	unsigned counts[2] = { 0 };

	log_set_level((enum log_level)(before < after ? before : after));
	config_compare(config, fresh, on_change, counts);
	config_take(config, fresh);
	LOG_INFO("configuration read again", "changed", log_int(counts[true]), "need a restart",
		log_int(counts[false]));
	log_set_level((enum log_level)after);
}

/* Without a sound file the old configuration counts: false. The certificates are read again all
 * the same. */
static bool
read_again(struct running *running)
{
	char *errors;
	size_t length;
	bool taken = false;
	FILE *out = xopen_memstream(&errors, &length);
	struct config *fresh = config_load_again(running->config->file, out);

	xclose_memstream(out);
	if (!fresh) {
		refuse_file(errors);
	} else if (certificates_fit(running, fresh)) {
		take_file(running->config, fresh);
		taken = true;
	}
	config_free(&fresh);
	free(errors);
	return taken;
}

static void
on_reload_signal(evutil_socket_t number, short what, void *arg)
{
	struct running *running = arg;
	bool taken;

	(void)number;
	(void)what;
	LOG_INFO("reloading");
	service_notify_reload();
	taken = read_again(running);
	queue_reload(running->queue);
	for (size_t i = 0; i < running->started; i++)
		if (running->roles[i]->reload)
			running->roles[i]->reload();
	service_notify(taken ? "READY=1\nSTATUS="
			     : "READY=1\nSTATUS=The settings were refused: the log says why");
	LOG_INFO("reloaded");
}

static void
wait_for_stop(struct running *running)
{
	struct event_base *base = loop_base(running->main);
	struct event *events[] = {
		evsignal_new(base, SIGTERM, on_stop_signal, running),
		evsignal_new(base, SIGINT, on_stop_signal, running),
		evsignal_new(base, SIGHUP, on_reload_signal, running),
	};

	for (size_t i = 0; i < 3; i++)
		event_add(events[i], NULL);
	loop_run(running->main);
	for (size_t i = 0; i < 3; i++)
		event_free(events[i]);
}

static int
prepare_metrics(struct running *running, const struct config *config)
{
	struct net_address address;
	int err;

	if (!config->metrics.listen)
		return 0;
	err = net_parse(config->metrics.listen, &address);
	running->metrics_fd = err < 0 ? err : net_bind(&address);
	if (running->metrics_fd >= 0)
		return 0;
	LOG_ERROR("cannot serve metrics", "address", config->metrics.listen, "error",
		strerror(-running->metrics_fd));
	return -1;
}

/* The things that only root, or who has a capability, may do: all done before there is a thread
 * that could do more. */
static int
prepare(struct running *running, const struct config *config, const struct identity *identity)
{
	int err;

	privileges_take_up();
	for (size_t i = 0; i < running->count; i++) {
		const struct role *role = running->roles[i];

		log_set_role(role->name);
		if (role->prepare && role->prepare(config) < 0) {
			LOG_ERROR("this role did not start");
			return -1;
		}
	}
	log_set_role("shout");
	if (prepare_metrics(running, config) < 0)
		return -1;
	err = directory_make_for(config->state_dir, identity->uid, identity->gid);
	if (err < 0)
		LOG_ERROR("state_dir cannot be used", "path", config->state_dir, "error",
			strerror(-err));
	return err;
}

static int
start_metrics(struct running *running, const struct config *config)
{
	int err;

	if (!config->metrics.listen)
		return 0;
	metrics_process(
		config->queue.backend == BACKEND_KAFKA ? "kafka" : "lmdb", config->state_dir);
	running->metrics = loop_new("metrics");
	err = metrics_listen(running->metrics, running->metrics_fd);
	if (err < 0) {
		LOG_ERROR("cannot serve metrics", "address", config->metrics.listen, "error",
			strerror(-err));
		return -1;
	}
	loop_start(running->metrics);
	return 0;
}

static int
start(struct running *running, const struct config *config, const struct identity *identity)
{
	if (prepare(running, config, identity) < 0)
		return -1;
	privileges_drop(identity);
	if (check_state_dir(config->state_dir, identity) < 0)
		return -1;
	sandbox_enter(config, needs(running, config));
	for (size_t i = 0; i < running->count; i++)
		probe_new(running->roles[i]->name); /* not ready until the role says so */
	if (start_metrics(running, config) < 0)
		return -1;
	running->queue = queue_open(config);
	if (!running->queue)
		return -1;
	owner_await();
	running->owner = queue_config_subscribe(
		running->queue, running->main, owner_on_entry, NULL);
	for (; running->started < running->count; running->started++) {
		const struct role *role = running->roles[running->started];
		log_set_role(role->name);
		if (role->start(config, running->queue) < 0) {
			LOG_ERROR("this role did not start");
			return -1;
		}
	}
	log_set_role("shout");
	return 0;
}

static void
stop(struct running *running)
{
	for (size_t i = running->started; i-- > 0;)
		running->roles[i]->drain();
	while (running->started > 0)
		running->roles[--running->started]->stop();
	queue_config_unsubscribe(&running->owner);
	loop_free(&running->main); /* before the queue, whose answers lie in the mailbox */
	queue_close(&running->queue);
	if (running->metrics) {
		loop_stop(running->metrics);
		loop_join(running->metrics);
	}
	metrics_close();
	loop_free(&running->metrics);
}

static int
run(const char *command, struct config *config)
{
	struct running running = { .config = config };
	struct identity identity;
	bool all = strcmp(command, "all") == 0;
	char why[512];
	int status = 1;

	if (identity_find(config->user, config->group, &identity, why, sizeof why) < 0) {
		fprintf(stderr, "%s: %s\n", config->file, why);
		return 1;
	}
	if (!all && config->queue.backend == BACKEND_LMDB) {
		fprintf(stderr, "queue.backend lmdb serves one process: run `shout all`\n");
		return 1;
	}
	for (size_t i = 0; all_roles[i]; i++)
		if (all || strcmp(command, all_roles[i]->name) == 0)
			running.roles[running.count++] = all_roles[i];
	log_set_level((enum log_level)config->log.level);
	raise_descriptor_limit();
	running.main = loop_new("main");
	if (start(&running, config, &identity) == 0) {
		LOG_INFO("started", "command", command, "version", SHOUT_VERSION, "pid",
			log_int(getpid()), "uid", log_int(geteuid()), "hostname", config->hostname);
		service_notify("READY=1");
		wait_for_stop(&running);
		service_notify("STOPPING=1");
		status = 0;
	}
	stop(&running);
	if (status == 0)
		LOG_INFO("stopped");
	return status;
}

static bool
known_command(const char *command)
{
	for (size_t i = 0; all_roles[i]; i++)
		if (strcmp(command, all_roles[i]->name) == 0)
			return true;
	return strcmp(command, "all") == 0 || strcmp(command, "check") == 0 ||
		strcmp(command, "topics") == 0;
}

struct arguments {
	const char *command, *file, *node, *cluster;
	struct check_reply reply;
	bool json;
};

static int
topics(const struct config *config, const struct arguments *arguments)
{
	if (config->queue.backend != BACKEND_KAFKA) {
		fprintf(stderr, "topics need queue.backend: kafka\n");
		return 1;
	}
	if (arguments->cluster) {
		kafka_topics_print(config, arguments->cluster, stdout);
		return 0;
	}
	log_set_level(LOG_LEVEL_WARN);
	return kafka_topics(config, arguments->json, stdout);
}

/* Whether the options that were given are the command's. */
static bool
options_fit(const struct arguments *arguments)
{
	bool topics = strcmp(arguments->command, "topics") == 0;
	bool check = strcmp(arguments->command, "check") == 0;

	if (arguments->reply.mx || arguments->reply.text || arguments->reply.stage)
		return check && arguments->reply.mx && arguments->reply.text && !arguments->cluster;
	if (arguments->cluster)
		return topics && !arguments->json;
	return arguments->json ? topics || check : !arguments->node || !(topics || check);
}

/* Names of resources, and what cannot end a line of YAML. */
static bool
is_resource_name(const char *text)
{
	return *text && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(text);
}

/* An option with a value; false: it is none of them. */
static bool
take_value(struct arguments *out, const char *option, const char *value)
{
	if (strcmp(option, "-c") == 0)
		out->file = value;
	else if (strcmp(option, "--node") == 0)
		out->node = value;
	else if (strcmp(option, "--mx") == 0)
		out->reply.mx = value;
	else if (strcmp(option, "--reply") == 0)
		out->reply.text = value;
	else if (strcmp(option, "--stage") == 0)
		out->reply.stage = value;
	else if (strcmp(option, "--crd") == 0 && is_resource_name(value))
		out->cluster = value;
	else
		return false;
	return true;
}

/* False on a wrong command line. */
static bool
parse_arguments(int argc, char **argv, struct arguments *out)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			out->json = true;
		else if (i + 1 < argc && take_value(out, argv[i], argv[i + 1]))
			i++;
		else if (!out->command && known_command(argv[i]))
			out->command = argv[i];
		else
			return false;
	}
	return out->command && options_fit(out);
}

int
main(int argc, char **argv)
{
	struct arguments arguments = { .file = NULL };
	struct config *config;
	int status;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("shout %s\n", SHOUT_VERSION);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (!parse_arguments(argc, argv, &arguments)) {
		fputs(usage, stderr);
		return 2;
	}
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	if (arguments.reply.text && !arguments.file && access(DEFAULT_FILE, F_OK) < 0)
		return check_reply(NULL, &arguments.reply, arguments.json);
	config = config_load(arguments.file ? arguments.file : DEFAULT_FILE, stderr);
	if (!config)
		return 1;
	if (arguments.reply.text)
		status = check_reply(config->sender.replies, &arguments.reply, arguments.json);
	else if (strcmp(arguments.command, "check") == 0)
		status = check(config, arguments.json);
	else if (strcmp(arguments.command, "topics") == 0)
		status = topics(config, &arguments);
	else {
		mail_event_set_node(arguments.node ? arguments.node : config->hostname);
		status = run(arguments.command, config);
	}
	config_free(&config);
	return status;
}
