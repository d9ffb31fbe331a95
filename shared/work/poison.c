/*
 * poison.c - remembers the work of a role in memory that outlives the process.
 *
 * scanner, sender -> [poison] -> state_dir/work.<role>
 *
 * The file is mapped shared, so a store is in the page cache however the process ends next. The
 * file's blocks are allocated first: a store into a hole of a full disk raises SIGBUS. Each message
 * under work has a slot with its id. Without the file the memory is private, and nothing is
 * remembered.
 *
 * A suspect is alone for a while only, since an attempt at a slow host takes minutes. The while
 * doubles with each death, so that in the end it is long enough for a late crash.
 */
#include "shared/work/poison.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/event.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/state_dir.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"

#define MAGIC 0x53504f49u
#define VERSION 1
#define SLOTS 4096
#define STRIKES_KEPT 64
#define ALONE_MS 1000u /* doubled with each death */
#define ALONE_SHIFT_MAX 9
#define QUIET_MS 50 /* when no suspect came for so long, other messages may go */
#define TOKEN_MS 10 /* another role has its suspect alone: ask again after */

struct strike {
	uint8_t id[ID_SIZE];
	uint32_t count, age;
};

struct work_file {
	uint32_t magic, version, size;
	uint32_t running; /* 0 after a good end */
	uint32_t deaths;  /* in a row, while suspects are left */
	uint32_t suspects_count, age;
	uint8_t alone[ID_SIZE]; /* the suspect that is alone; all 0: none */
	struct strike strikes[STRIKES_KEPT];
	uint8_t suspects[SLOTS][ID_SIZE];
	uint8_t slots[SLOTS][ID_SIZE];
};

struct poison {
	struct work_file *file;
	const char *role;
	struct timer next, alone_over;
	TAILQ_HEAD(work_list, poison_work) suspects, others;
	struct poison_work *single;
	bool searching, stopped; /* searching: a suspect may still come */
	unsigned under_work;     /* slots in use */
	uint32_t expected;       /* suspects that have not come yet */
	unsigned free_count;
	uint16_t free_slots[SLOTS];
};

static const uint8_t nobody[ID_SIZE];
/* The role of this process that has a suspect alone. One role at a time may. */
static _Atomic(struct poison *) token;

/* The file. */

static void
id_store(uint8_t *to, const uint8_t *id)
{
	memcpy(to, id, ID_SIZE);
	/* the next instruction may crash */
	atomic_signal_fence(memory_order_seq_cst);
}

static bool
is_nobody(const uint8_t *id)
{
	return !memcmp(id, nobody, ID_SIZE);
}

static bool
is_suspect(const struct work_file *file, const uint8_t *id, uint32_t *at_out)
{
	for (uint32_t i = 0; i < file->suspects_count; i++)
		if (!memcmp(file->suspects[i], id, ID_SIZE)) {
			*at_out = i;
			return true;
		}
	return false;
}

static void
suspect_add(struct work_file *file, const uint8_t *id)
{
	uint32_t at;

	if (is_nobody(id) || file->suspects_count == SLOTS || is_suspect(file, id, &at))
		return;
	id_store(file->suspects[file->suspects_count], id);
	file->suspects_count++;
}

static void
suspect_clear(struct work_file *file, const uint8_t *id)
{
	uint32_t at;

	if (!is_suspect(file, id, &at))
		return;
	id_store(file->suspects[at], file->suspects[file->suspects_count - 1]);
	if (--file->suspects_count == 0)
		file->deaths = 0;
}

static struct strike *
strike_find(const struct work_file *file, const uint8_t *id)
{
	for (unsigned i = 0; i < STRIKES_KEPT; i++)
		if (file->strikes[i].count && !memcmp(file->strikes[i].id, id, ID_SIZE))
			return (struct strike *)&file->strikes[i];
	return NULL;
}

static unsigned
strike_add(struct work_file *file, const uint8_t *id)
{
	struct strike *strike = strike_find(file, id);

	if (!strike) { /* the oldest strike makes room; unused ones are the oldest */
		strike = &file->strikes[0];
		for (unsigned i = 1; i < STRIKES_KEPT; i++)
			if (file->strikes[i].age < strike->age)
				strike = &file->strikes[i];
		memcpy(strike->id, id, ID_SIZE);
		strike->count = 0;
	}
	strike->age = ++file->age;
	return ++strike->count;
}

static void
tell_death(const struct poison *poison)
{
	const struct work_file *file = poison->file;
	char id[ID_TEXT_SIZE] = "";

	if (!is_nobody(file->alone))
		id_format(file->alone, id);
	LOG_ERROR("the last process died at work", "role", poison->role, "suspects",
		log_int(file->suspects_count), "alone", id, "crashes",
		log_int(poison_strikes(poison, file->alone)));
}

/* Reads what the last process has left behind. */
static void
take_over(struct poison *poison)
{
	struct work_file *file = poison->file;

	if (file->magic != MAGIC || file->version != VERSION || file->size != sizeof *file ||
		file->suspects_count > SLOTS)
		memset(file, 0, sizeof *file);
	if (file->running) {
		for (unsigned i = 0; i < SLOTS; i++)
			suspect_add(file, file->slots[i]);
		if (!is_nobody(file->alone))
			strike_add(file, file->alone);
		if (file->suspects_count) {
			file->deaths++;
			tell_death(poison);
		}
	}
	poison->expected = file->suspects_count;
	poison->searching = poison->expected > 0;
	memset(file->alone, 0, sizeof file->alone);
	memset(file->slots, 0, sizeof file->slots);
	file->magic = MAGIC;
	file->version = VERSION;
	file->size = sizeof *file;
	file->running = 1;
}

static struct work_file *
map_file(const char *state_dir, const char *role)
{
	char *path = xasprintf("%s/work.%s", state_dir, role);
	struct work_file *file = MAP_FAILED;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), err = 0;

	if (fd < 0)
		err = errno;
	else
		err = posix_fallocate(fd, 0, sizeof *file);
	if (!err)
		err = -directory_sync(path);
	if (!err)
		file = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!err && file == MAP_FAILED)
		err = errno;
	if (fd >= 0)
		close(fd);
	if (file == MAP_FAILED) {
		LOG_WARN("what is under work is not noted: a message that crashes this process is "
			 "not found",
			"file", path, "error", strerror(err));
		file = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	}
	if (file == MAP_FAILED)
		die("out of memory", "mmap");
	free(path);
	return file;
}

/* Slots. */

static void
slot_take(struct poison *poison, struct poison_work *work)
{
	if (work->slot)
		return;
	if (poison->single && work != poison->single && !is_nobody(poison->file->alone))
		id_store(poison->file->alone, nobody);
	if (!poison->free_count)
		return;
	work->slot = poison->free_slots[--poison->free_count] + 1u;
	poison->under_work++;
	id_store(poison->file->slots[work->slot - 1], work->id);
}

static void
slot_give(struct poison *poison, struct poison_work *work)
{
	if (!work->slot)
		return;
	id_store(poison->file->slots[work->slot - 1], nobody);
	poison->free_slots[poison->free_count++] = (uint16_t)(work->slot - 1);
	poison->under_work--;
	work->slot = 0;
}

/* Turns. */

static void
single_over(struct poison *poison)
{
	id_store(poison->file->alone, nobody);
	poison->single = NULL;
	timer_cancel(&poison->alone_over);
	atomic_store(&token, NULL);
	timer_set(&poison->next, 0);
}

static void
on_alone_over(void *arg)
{
	single_over(arg);
}

/* Suspects with strikes go last: they may end this process, too. */
static struct poison_work *
next_suspect(struct poison *poison)
{
	struct poison_work *work, *best = NULL;
	unsigned least = 0, strikes;

	for (work = TAILQ_FIRST(&poison->suspects); work; work = TAILQ_NEXT(work, link)) {
		strikes = poison_strikes(poison, work->id);
		if (!best || strikes < least) {
			best = work;
			least = strikes;
		}
		if (!least)
			break;
	}
	return best;
}

static void
run(struct poison *poison, struct poison_work *work)
{
	work->waiting = false;
	slot_take(poison, work);
	work->run(work);
}

static void
run_suspect(struct poison *poison, struct poison_work *work)
{
	const unsigned shift = poison->file->deaths < ALONE_SHIFT_MAX ? poison->file->deaths
								      : ALONE_SHIFT_MAX;
	struct poison *none = NULL;

	if (!atomic_compare_exchange_strong(&token, &none, poison)) {
		timer_set(&poison->next, TOKEN_MS);
		return;
	}
	TAILQ_REMOVE(&poison->suspects, work, link);
	poison->single = work;
	timer_set(&poison->alone_over, (uint64_t)ALONE_MS << shift);
	if (!poison->under_work)
		id_store(poison->file->alone, work->id);
	run(poison, work);
}

static void
on_next(void *arg)
{
	struct poison *poison = arg;
	struct poison_work *work;

	if (poison->single || poison->stopped)
		return;
	work = next_suspect(poison);
	if (work) {
		run_suspect(poison, work);
		return;
	}
	poison->searching = false;
	while ((work = TAILQ_FIRST(&poison->others)) && !poison->stopped) {
		TAILQ_REMOVE(&poison->others, work, link);
		run(poison, work);
	}
}

/* Suspects come one after another, and the one without strikes goes first: wait for the last. */
static void
wait_for_more(struct poison *poison)
{
	if (poison->single)
		return;
	timer_set(&poison->next, poison->searching ? QUIET_MS : 0);
}

void
poison_start(struct poison *poison, struct poison_work *work, const uint8_t *id,
	void (*run_work)(struct poison_work *work))
{
	uint32_t at;

	memcpy(work->id, id, ID_SIZE);
	work->run = run_work;
	work->suspect = poison->file->suspects_count && is_suspect(poison->file, id, &at);
	if (work->suspect) {
		work->waiting = true;
		if (poison->expected && --poison->expected == 0)
			poison->searching = false;
		TAILQ_INSERT_TAIL(&poison->suspects, work, link);
		wait_for_more(poison);
	} else if (poison->searching || poison->single || !TAILQ_EMPTY(&poison->suspects)) {
		work->waiting = true;
		TAILQ_INSERT_TAIL(&poison->others, work, link);
		if (!timer_is_set(&poison->next))
			wait_for_more(poison);
	} else
		run(poison, work);
}

void
poison_pause(struct poison *poison, struct poison_work *work)
{
	slot_give(poison, work);
	if (poison->single == work)
		single_over(poison);
}

void
poison_resume(struct poison *poison, struct poison_work *work, const uint8_t *id)
{
	if (work->slot)
		return;
	memmove(work->id, id, ID_SIZE);
	slot_take(poison, work);
}

void
poison_end(struct poison *poison, struct poison_work *work)
{
	if (work->waiting) {
		TAILQ_REMOVE(work->suspect ? &poison->suspects : &poison->others, work, link);
		work->waiting = false;
		return;
	}
	if (work->suspect && !poison->stopped)
		suspect_clear(poison->file, work->id);
	work->suspect = false;
	poison_pause(poison, work);
}

unsigned
poison_strikes(const struct poison *poison, const uint8_t *id)
{
	const struct strike *strike = strike_find(poison->file, id);

	return strike ? strike->count : 0;
}

void
poison_forget(struct poison *poison, const uint8_t *id)
{
	struct strike *strike = strike_find(poison->file, id);

	if (strike)
		memset(strike, 0, sizeof *strike);
}

struct poison *
poison_open(const char *state_dir, const char *role, struct loop *loop)
{
	struct poison *poison = xcalloc(1, sizeof *poison);

	poison->role = role;
	poison->file = map_file(state_dir, role);
	timer_init(&poison->next, loop, on_next, poison);
	timer_init(&poison->alone_over, loop, on_alone_over, poison);
	TAILQ_INIT(&poison->suspects);
	TAILQ_INIT(&poison->others);
	for (unsigned i = SLOTS; i-- > 0;)
		poison->free_slots[poison->free_count++] = (uint16_t)i;
	take_over(poison);
	return poison;
}

void
poison_stop(struct poison *poison)
{
	poison->stopped = true;
}

void
poison_close(struct poison **poison_ref)
{
	struct poison *poison = *poison_ref;

	if (!poison)
		return;
	if (poison->single)
		atomic_store(&token, NULL);
	timer_cancel(&poison->next);
	timer_cancel(&poison->alone_over);
	poison->file->suspects_count = poison->file->deaths = 0;
	poison->file->running = 0;
	munmap(poison->file, sizeof *poison->file);
	free(poison);
	*poison_ref = NULL;
}
