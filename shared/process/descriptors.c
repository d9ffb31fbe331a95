/*
 * descriptors.c - divides the files that a process may have open.
 *
 * config, RLIMIT_NOFILE -> [descriptors] -> ingress (how many clients it lets in), `shout check`
 */
#include "shared/process/descriptors.h"

#include <sys/resource.h>

#include "shared/config/config.h"

#define ITSELF 300             /* the queue, Redis, resolvers, loops, listeners, brokers, files */
#define LOOKUPS 128            /* queries of one resolver beyond those in ITSELF */
#define LINGERING 256          /* connections of ingress that wait for their client's last bytes */
#define FILES_OF_A_CLIENT 2ull /* its socket, and the file of a large message */

static uint64_t
needed_by_others(const struct config *config)
{
	uint64_t files = ITSELF + LINGERING;

	if (config->metrics.listen)
		files += METRICS_CONNECTIONS_MAX;
	if (config->queue.backend != BACKEND_LMDB)
		return files;
	files += config->sender.connections_max + LOOKUPS;
	if (config->control.listen)
		files += CONTROL_CONNECTIONS_MAX;
	if (config->scanner.enabled)
		files += FILES_OF_A_CLIENT * config->scanner.connections *
			config->scanner.clamd_count;
	return files;
}

struct descriptors
descriptors_share(const struct config *config)
{
	uint64_t others = needed_by_others(config);
	struct descriptors share = { .limit = UINT64_MAX,
		.needed = others + FILES_OF_A_CLIENT * config->ingress.connections_max,
		.connections = config->ingress.connections_max };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY)
		share.limit = limit.rlim_max;
	if (share.limit < others)
		share.connections = 0;
	else if (share.limit < share.needed)
		share.connections = (unsigned)((share.limit - others) / FILES_OF_A_CLIENT);
	return share;
}
