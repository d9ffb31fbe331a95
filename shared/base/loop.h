/*
 * loop.h - an event loop on a thread of its own, and the mailbox that reaches it.
 *
 * Every role runs on loops. Nothing is shared between two loops: whoever wants another loop to do
 * something posts a task to its mailbox. Timers and sockets are plain libevent on loop_base().
 */
#ifndef SHARED_LOOP_H
#define SHARED_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;

/*
 * A piece of work for another loop. Embed it in the struct that the work is about: posting
 * allocates nothing. From loop_post() until run() is called the task belongs to the loop. run() may
 * free the task or post it again.
 */
struct task {
	struct task *next;
	void (*run)(struct task *task);
};

/* A loop named for logs and thread lists (at most 15 characters). Never NULL. */
struct loop *loop_new(const char *name);
struct event_base *loop_base(struct loop *loop);

/* Starts a thread that takes no signals: those stay with the caller's. Ends the process when there
 * can be none. */
void thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

/* Runs `loop` in a new thread, as thread_start() does, or in the calling one, until loop_stop(). */
void loop_start(struct loop *loop);
void loop_run(struct loop *loop);

/* From any thread. The loop runs tasks in the order of their posts; posts before loop_start()
 * count. A task that the loop posts to itself runs on the loop's next turn. */
void loop_post(struct loop *loop, struct task *task);

/* A task that may be posted again before it ran. It then runs once, after the last post. */
struct task_again {
	struct task task; /* the loop's */
	atomic_bool posted;
	void (*run)(struct task_again *task);
};
void loop_post_again(struct loop *loop, struct task_again *task);

/* From any thread: ends the loop after the tasks posted before this call. */
void loop_stop(struct loop *loop);

/* Waits for the thread of loop_start(). */
void loop_join(struct loop *loop);

/* Runs the tasks left in the mailbox, so that none leaks, then frees. Takes NULL. */
void loop_free(struct loop **loop);

/* The loop whose thread this is, or NULL. */
struct loop *loop_current(void);

/* Microseconds since 1970, and milliseconds of a clock that only goes forward. */
uint64_t clock_us(void);
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* A clock that also advances while the machine sleeps. Use it for what others may take from us
 * during a sleep, such as a lease. */
uint64_t clock_boot_ms(void);

#endif
