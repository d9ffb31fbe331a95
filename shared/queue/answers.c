/*
 * answers.c - callbacks from a thread of the queue to the loops, in batches.
 *
 * A loop is woken once a turn, however many calls were answered. There are few loops, so a plain
 * search finds the loop of an answer.
 */
#include "shared/queue/answers.h"

#include <stdlib.h>

#include "shared/base/log.h"

struct answer {
	queue_cb cb;
	void *arg;
	int err;
};

struct answers {
	struct task task;
	struct answers *next;
	struct loop *loop;
	size_t count, space;
	struct answer *list;
};

static void
on_answers(struct task *task)
{
	struct answers *answers = (struct answers *)task;

	for (size_t i = 0; i < answers->count; i++)
		answers->list[i].cb(answers->list[i].arg, answers->list[i].err);
	free(answers->list);
	free(answers);
}

void
answers_add(struct answers **list, struct loop *loop, queue_cb cb, void *arg, int err)
{
	struct answers *answers = *list;

	if (!cb)
		return;
	while (answers && answers->loop != loop)
		answers = answers->next;
	if (!answers) {
		answers = xcalloc(1, sizeof *answers);
		answers->task.run = on_answers;
		answers->loop = loop;
		answers->next = *list;
		*list = answers;
	}
	if (answers->count == answers->space) {
		answers->space = answers->space ? answers->space * 2 : 16;
		answers->list = xrealloc(answers->list, answers->space * sizeof *answers->list);
	}
	answers->list[answers->count++] = (struct answer){ cb, arg, err };
}

void
answers_send(struct answers **list)
{
	struct answers *answers;

	while ((answers = *list)) {
		*list = answers->next;
		if (answers->loop)
			loop_post(answers->loop, &answers->task);
		else
			on_answers(&answers->task);
	}
}
