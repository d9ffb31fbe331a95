/*
 * api_job.c - jobs on the worker, for requests that read a lot.
 *
 * api_*.c -> [api_job] -> worker -> the loop: reply
 *
 * A long job does one slice at a time, so that other jobs have their turn between. A job that waits
 * for something waits on the loop, where the wait can be ended.
 */
#include "control/http/api_private.h"

#include "shared/base/log.h"
#include "shared/base/timer.h"

static void job_reply(struct task *task);

static void
job_run(struct job *job)
{
	job->more = false;
	job->pause_ms = 0;
	job->run(job);
}

static void
job_work(struct task *task)
{
	struct job *job = (struct job *)task;

	job_run(job);
	if (job->more) {
		loop_post(job->api->worker, &job->task);
		return;
	}
	job->task.run = job_reply;
	loop_post(job->api->loop, &job->task);
}

static void
to_worker(struct job *job)
{
	job->task.run = job_work;
	loop_post(job->api->worker, &job->task);
}

static void
wake(struct job *job)
{
	TAILQ_REMOVE(&job->api->paused, job, paused);
	timer_cancel(&job->timer);
}

static void
on_pause_over(void *arg)
{
	struct job *job = arg;

	wake(job);
	job->over = !evhttp_request_get_connection(job->exchange->request);
	to_worker(job);
}

static void
pause_job(struct job *job)
{
	timer_init(&job->timer, job->api->loop, on_pause_over, job);
	timer_set(&job->timer, job->pause_ms);
	TAILQ_INSERT_TAIL(&job->api->paused, job, paused);
}

/* The API closes: the remaining slices give up at once. */
static void
end_now(struct job *job)
{
	job->over = true;
	job_run(job);
}

static void
job_reply(struct task *task)
{
	struct job *job = (struct job *)task;

	if (job->pause_ms && !job->api->on_closed) {
		pause_job(job);
		return;
	}
	if (job->pause_ms)
		end_now(job);
	if (job->then)
		job->then(job);
	else if (job->result)
		reply_json(job->exchange, 200, job->result);
	else
		reply_fault(job->exchange, &job->fault);
	job->release(job);
}

void
job_start(struct job *job)
{
	job->api = job->exchange->api;
	to_worker(job);
}

void
jobs_close(struct api *api)
{
	struct job *job;

	while ((job = TAILQ_FIRST(&api->paused))) {
		wake(job);
		end_now(job);
		job_reply(&job->task);
	}
}

bool
search_begin(struct exchange *exchange)
{
	if (exchange->api->searches < SEARCHES_MAX) {
		exchange->api->searches++;
		return true;
	}
	reply_error(exchange, 503, "", "%d searches are under way: try again in a moment",
		SEARCHES_MAX);
	return false;
}
