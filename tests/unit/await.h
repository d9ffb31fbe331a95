/*
 * await.h - waiting for what another thread does to a test's `rig`, which has `lock` and `changed`.
 */
#ifndef TESTS_UNIT_AWAIT_H
#define TESTS_UNIT_AWAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* Waits until the condition (of the rig's state, under its lock) holds; a minute is for ever. */
#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		struct timespec until_;                                                            \
		bool held_;                                                                        \
		clock_gettime(CLOCK_MONOTONIC, &until_);                                           \
		until_.tv_sec += 60;                                                               \
		pthread_mutex_lock(&rig.lock);                                                     \
		while (!(condition) &&                                                             \
			!pthread_cond_clockwait(                                                   \
				&rig.changed, &rig.lock, CLOCK_MONOTONIC, &until_))                \
			;                                                                          \
		held_ = (condition);                                                               \
		pthread_mutex_unlock(&rig.lock);                                                   \
		assert_true(held_);                                                                \
	} while (0)

#endif
