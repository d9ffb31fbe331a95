/*
 * control.c - the role that keeps the accounts: the applier, and the API when it is wanted.
 *
 * relay.config -> [control: applier] -> Redis          shoutctl -> [control: API] -> relay.config
 *
 * Applier and API share one loop; work that reads a lot runs on a worker. The other roles need no
 * control: mail flows as long as Redis has what the applier wrote.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/api/api.h"
#include "control/config/applier.h"
#include "control/config/commit.h"
#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "control/mails/changed.h"
#include "control/mails/limit_watch.h"
#include "control/mails/mailings.h"
#include "control/rounds/prune.h"
#include "control/rounds/rounds.h"
#include "control/static/static_files.h"
#include "control/trace/trace.h"
#include "control/watch/dnsbl_watch.h"
#include "control/webhook/webhooks.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/tls.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/process/sandbox.h"
#include "shared/queue/queue.h"
#include "shared/redis/redis.h"
#include "shared/work/role.h"

static struct {
	struct loop *loop, *worker;
	struct redis *redis;
	struct directory *directory;
	struct leader *leader;
	struct applier *applier;
	struct commits *commits;
	struct mailings *mailings;
	struct changed *changed;
	struct limit_watch *limit_watch;
	struct prune *prune;
	struct rounds *rounds;
	struct api *api;
	struct trace *trace;
	struct dnsbl_watch *dnsbl;
	struct webhooks *webhooks;
	int fd; /* the API's socket, while the API does not listen yet */
	const struct config *config;
	struct tls_server *tls;     /* NULL: the API has no TLS */
	struct static_files *panel; /* NULL: there is none */
	struct task name_loop, name_worker, close;
	struct task_again reload;
} control;

static void
on_loaded(void *arg)
{
	(void)arg;
	leader_start(control.leader);
	commits_start(control.commits);
	prune_start(control.prune);
	rounds_start(control.rounds);
	changed_start(control.changed);
	limit_watch_start(control.limit_watch);
	dnsbl_watch_start(control.dnsbl);
	if (control.webhooks)
		webhooks_start(control.webhooks);
}

static void
on_state(void *arg, const char *doubt)
{
	(void)arg;
	probe_set(probe_new("control"), doubt ? HEALTH_FAILED : HEALTH_READY, doubt);
}

static const struct applier_hooks hooks = { on_loaded, on_state };

static void
take_name(struct task *task)
{
	(void)task;
	log_set_role("control");
}

static void
control_free(void)
{
	loop_free(&control.worker);
	redis_free(&control.redis); /* ends the questions that the applier waits for */
	dnsbl_watch_free(&control.dnsbl);
	leader_free(&control.leader);
	api_free(&control.api);
	tls_server_free(&control.tls);
	static_files_free(&control.panel);
	trace_stop(&control.trace);
	webhooks_free(&control.webhooks);
	commits_free(&control.commits);
	limit_watch_free(&control.limit_watch);
	changed_free(&control.changed);
	mailings_free(&control.mailings);
	applier_free(&control.applier);
	prune_free(&control.prune);
	rounds_free(&control.rounds);
	directory_free(&control.directory);
	loop_free(&control.loop);
}

/* Where `make install` puts the panel: share/shout/panel beside the program's bin/. */
static char *
installed_panel(void)
{
	char program[PATH_MAX];
	const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	char *slash;

	if (length < 0)
		return NULL;
	program[length] = '\0';
	slash = strrchr(program, '/');
	return slash ? xasprintf("%.*s/../share/shout/panel", (int)(slash - program), program)
		     : NULL;
}

/* Reads the panel. One that the settings name has to be there. */
static int
read_panel(const struct config *config)
{
	const char *named = config->control.panel;
	char *directory = named ? xstrdup(named) : installed_panel(), why[512] = "";
	int err = 0;

	if (!directory || strcmp(directory, "none") == 0 || (!named && access(directory, F_OK) < 0))
		LOG_INFO("control: there is no panel", "directory", directory ? directory : "");
	else if (!(control.panel = static_files_read(directory, why, sizeof why))) {
		LOG_ERROR("control: cannot read the panel", "directory", directory, "error", why);
		err = -1;
	}
	free(directory);
	return err;
}

static int
control_prepare(const struct config *config)
{
	struct net_address address;
	char why[512];
	int err;

	control.config = config;
	if (!config->control.listen)
		return 0;
	if (config->control.tls.certificate)
		control.tls = tls_server_new(&config->control.tls, 1, TLS_MODERN, why, sizeof why);
	if (config->control.tls.certificate && !control.tls) {
		LOG_ERROR("control: cannot offer TLS", "error", why);
		return -1;
	}
	if (read_panel(config) < 0)
		return -1;
	err = net_parse(config->control.listen, &address);
	control.fd = err < 0 ? err : net_bind(&address);
	if (control.fd < 0)
		LOG_ERROR("control: cannot listen", "address", config->control.listen, "error",
			strerror(-control.fd));
	return control.fd < 0 ? -1 : 0;
}

static bool
gathers(void *arg, const json_t *event)
{
	return mailings_wanted(arg) && changed_gathers(event);
}

static bool
leads(void *arg)
{
	(void)arg;
	return leader_leads(control.leader);
}

static int
control_start(const struct config *config, struct queue *queue)
{
	probe_set(probe_new("control"), HEALTH_FAILED, "reading the accounts");
	control.loop = loop_new("control");
	control.worker = loop_new("control-reads");
	control.directory = directory_new();
	control.redis = redis_open(control.loop, config);
	control.leader = leader_new(control.loop, control.redis, control.directory,
		&(struct leader_options){
			config->hostname, config->queue.backend == BACKEND_LMDB, 0 });
	control.applier = applier_new(
		config, control.loop, queue, control.redis, control.directory);
	control.commits = commits_new(control.loop, queue, control.directory, control.applier,
		config->queue.backend == BACKEND_LMDB);
	control.mailings = mailings_new(config, queue, control.directory, control.leader);
	if (!control.mailings) {
		control_free();
		return -1;
	}
	commits_hook(control.commits,
		&(struct commit_hooks){ mailings_on_change, gathers, leads, control.mailings });
	control.changed = changed_new(
		control.loop, control.directory, control.commits, control.mailings, control.leader);
	control.limit_watch = limit_watch_new(control.loop, config, control.redis,
		control.directory, control.mailings, control.leader);
	control.prune = prune_new(control.loop, queue, control.directory, control.commits);
	control.rounds = rounds_new(control.loop, control.redis, control.directory, control.applier,
		control.commits, control.leader);
	control.dnsbl = dnsbl_watch_new(&(struct dnsbl_watch_options){ config, control.loop,
		control.redis, queue, control.directory, control.commits, control.leader });
	if (config->control.listen) {
		control.trace = trace_start(config, queue);
		control.webhooks = webhooks_new(
			&(struct webhooks_parts){ config, queue, control.loop, control.redis,
				control.directory, control.commits, control.leader });
		control.api = api_new(config, control.fd, control.tls, queue, control.loop,
			control.worker, control.redis, control.directory, control.applier,
			control.commits, control.mailings, control.trace, control.panel,
			control.webhooks);
		if (!control.api) {
			control_free();
			return -1;
		}
		LOG_INFO("control: the API listens", "address", config->control.listen);
	}
	applier_start(control.applier, &hooks, NULL);
	control.name_loop.run = control.name_worker.run = take_name;
	loop_post(control.loop, &control.name_loop);
	loop_post(control.worker, &control.name_worker);
	loop_start(control.loop);
	loop_start(control.worker);
	return 0;
}

/* The API answers until the other roles have stopped: an operator may want to look. */
static void
control_drain(void)
{
}

static void
on_applier_closed(void *arg)
{
	(void)arg;
	loop_stop(control.loop);
}

static void
on_mailings_closed(void *arg)
{
	applier_close(control.applier, on_applier_closed, arg);
}

static void
on_changed_closed(void *arg)
{
	mailings_close(control.mailings, on_mailings_closed, arg);
}

static void
on_commits_closed(void *arg)
{
	limit_watch_close(control.limit_watch);
	changed_close(control.changed, on_changed_closed, arg);
}

static void
on_api_closed(void *arg)
{
	leader_close(control.leader);
	dnsbl_watch_close(control.dnsbl);
	rounds_close(control.rounds);
	commits_close(control.commits, on_commits_closed, arg);
}

static void
on_close(struct task *task)
{
	(void)task;
	if (control.webhooks)
		webhooks_close(control.webhooks);
	if (control.api)
		api_close(control.api, on_api_closed, NULL);
	else
		on_api_closed(NULL);
}

static void
control_stop(void)
{
	probe_set(probe_new("control"), HEALTH_FAILED, "stopping");
	if (control.api)
		api_hurry(control.api);
	control.close.run = on_close;
	loop_post(control.loop, &control.close);
	loop_join(control.loop); /* the worker's remaining jobs gave up, and are answered */
	loop_stop(control.worker);
	loop_join(control.worker);
	control_free();
}

static void
on_reload(struct task_again *task)
{
	(void)task;
	mailings_reload(control.mailings);
}

static void
control_reload(void)
{
	char why[512];

	if (control.config->service.notices) {
		control.reload.run = on_reload;
		loop_post_again(control.loop, &control.reload);
	}
	if (!control.tls)
		return;
	if (tls_server_reload(control.tls, &control.config->control.tls, 1, why, sizeof why) < 0)
		LOG_ERROR("control: the certificate stays as it was", "error", why);
	else
		LOG_INFO("control: the certificate was read again");
}

const struct role control_role = {
	.name = "control",
	.needs = SANDBOX_ACCEPT | SANDBOX_BIND | SANDBOX_KEYS, /* libunbound binds its sockets */
	.prepare = control_prepare,
	.start = control_start,
	.drain = control_drain,
	.stop = control_stop,
	.reload = control_reload,
};
