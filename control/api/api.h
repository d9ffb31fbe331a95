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
struct queue;
struct redis;

/* Listens on `fd`, control.listen's socket of net_bind(), which is taken over; requests run on
 * `loop`, what reads a lot on `worker`. NULL after logging why. */
struct api *api_new(const struct config *config, int fd, struct queue *queue, struct loop *loop,
	struct loop *worker, struct redis *redis, struct directory *directory,
	struct applier *applier, struct commits *commits);
/* From any thread: what reads a lot gives up. */
void api_hurry(struct api *api);
/* Takes no more requests; `on_closed` once the open ones are answered. On the loop. */
void api_close(struct api *api, void (*on_closed)(void *arg), void *arg);
void api_free(struct api **api);

#endif
