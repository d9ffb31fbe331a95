/*
 * api.h - the HTTP API under /api/v1 (openapi.yaml says what it takes and gives).
 */
#ifndef CONTROL_API_H
#define CONTROL_API_H

struct api;
struct applier;
struct commits;
struct config;
struct directory;
struct loop;
struct mailings;
struct queue;
struct redis;
struct static_files;
struct tls_server;
struct trace;
struct webhooks;

/* Listens on `fd` (the net_bind() socket of control.listen), and takes it over. `tls` is borrowed;
 * NULL: plain HTTP. Requests run on
 * `loop`, jobs that read a lot on `worker`. `panel` is borrowed; NULL: there is no panel. NULL
 * after logging why. */
struct api *
api_new(const struct config *config, int fd, struct tls_server *tls, struct queue *queue,
	struct loop *loop, struct loop *worker, struct redis *redis, struct directory *directory,
	struct applier *applier, struct commits *commits, struct mailings *mailings,
	struct trace *trace, const struct static_files *panel, struct webhooks *webhooks);
/* Has jobs that read a lot give up; from any thread. */
void api_hurry(struct api *api);
/* Takes no more requests, and calls `on_closed` once the open requests are answered. On the
 * loop. */
void api_close(struct api *api, void (*on_closed)(void *arg), void *arg);
void api_free(struct api **api);

#endif
