/*
 * kafka_answers.c - what the queue thread tells the loops, batched.
 *
 * A loop is woken once a turn however many records were acknowledged. There are few loops, so they
 * are found by looking at each.
 */
#include "shared/queue/kafka/produce/kafka_answers.h"

#include <stdlib.h>

#include "shared/base/log.h"

struct answer {
	queue_cb cb;
	void *arg;
	int err;
};

struct kafka_answers {
	struct task task;
	struct kafka_answers *next;
	struct loop *loop;
	size_t count, space;
	struct answer *list;
};

static void
on_answers(struct task *task)
{
	struct kafka_answers *answers = (struct kafka_answers *)task;

	for (size_t i = 0; i < answers->count; i++)
		answers->list[i].cb(answers->list[i].arg, answers->list[i].err);
	free(answers->list);
	free(answers);
}

void
kafka_answers_add(struct kafka_answers **list, struct loop *loop, queue_cb cb, void *arg, int err)
{
	struct kafka_answers *answers = *list;

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
kafka_answers_send(struct kafka_answers **list)
{
	struct kafka_answers *answers;

	while ((answers = *list)) {
		*list = answers->next;
		if (answers->loop)
			loop_post(answers->loop, &answers->task);
		else
			on_answers(&answers->task);
	}
}
