/*
 * clamd_room.c - whether clamd has room to unpack messages.
 *
 * clamd -> [clamd_room] -> statvfs()
 *
 * A clamd (1.4.6) that cannot write an attachment to its TemporaryDirectory leaves the attachment
 * out and says OK. So with too little room no scan begins, and an OK is not believed when room was
 * short during the scan. Room is looked at before and after a scan, and in between so often that
 * far less than ROOM_MESSAGES times a message can be written from one look to the next. A directory
 * that cannot be looked at has no room.
 *
 * clamd remembers which messages it said OK to, and would say OK again. So each message gets a line
 * before it, which changes after each shortage. That does not help for a message inside of a
 * message: DisableCache does (docs/operation.md).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "scanner/clamd_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define ROOM_MESSAGES 2 /* the message's copy, and its attachments */
#define INODES_MIN 1000 /* each part of a message is a file */
#define LOOK_MS 10
#define IDLE_LOOK_MS 250
#define TELL_AGAIN_MS 60000

static void
look(const struct clamd *clamd, char *why, size_t size)
{
	const char *directory = clamd->options.temporary;
	const uint64_t need = ROOM_MESSAGES * clamd->options.stream_max;
	struct statvfs fs;
	uint64_t room;

	why[0] = '\0';
	if (statvfs(directory, &fs) < 0) {
		snprintf(why, size, "clamd's TemporaryDirectory %s cannot be looked at: %s",
			directory, strerror(errno));
		return;
	}
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room < need)
		snprintf(why, size,
			"clamd's TemporaryDirectory %s has %" PRIu64 "K of room, and needs %" PRIu64
			"K (two messages of ingress.message_size_limit)",
			directory, room >> 10, need >> 10);
	else if (fs.f_files && fs.f_favail < INODES_MIN)
		snprintf(why, size, "clamd's TemporaryDirectory %s is short of inodes", directory);
}

/* Doubts all scans in flight: their OK is not believed. */
static void
doubt_all(struct clamd *clamd)
{
	struct session *session;
	struct clamd_scan *scan;

	for (struct host *host = clamd->hosts; host < clamd->hosts + clamd->hosts_count; host++)
		LIST_FOREACH (session, &host->sessions, link)
			TAILQ_FOREACH (scan, &session->scans, link)
				scan->doubted = true;
}

static void
tell(struct clamd_room *room)
{
	unsigned left_out;

	if (said_now(&room->said, room->why, TELL_AGAIN_MS, &left_out))
		LOG_ERROR("no clamd is used for want of room", "error", room->why,
			SAID_LEFT_OUT(left_out));
}

bool
clamd_room_short(struct clamd *clamd)
{
	struct clamd_room *room = &clamd->room;
	const bool was_short = room->why[0];
	char why[sizeof room->why];
	bool news;

	if (!clamd->options.temporary)
		return false;
	look(clamd, why, sizeof why);
	news = !said_same(why, room->why);
	memcpy(room->why, why, sizeof why);
	if (room->why[0])
		doubt_all(clamd);
	if (room->why[0] && !was_short)
		room->shortages++;
	if (room->why[0] && news) {
		tell(room);
	} else if (!room->why[0] && was_short) {
		clamd_dispatch_soon(clamd);
	}
	return room->why[0];
}

void
clamd_room_look_later(struct clamd *clamd)
{
	if (clamd->options.temporary)
		timer_set(&clamd->room.timer, clamd->in_flight ? LOOK_MS : IDLE_LOOK_MS);
}

static void
on_timer(void *arg)
{
	struct clamd *clamd = arg;

	clamd_room_short(clamd);
	clamd_room_look_later(clamd);
}

void
clamd_room_mark(const struct clamd *clamd, struct clamd_wire *wire)
{
	char line[80];
	int n;

	if (!clamd->options.temporary)
		return;
	n = snprintf(line, sizeof line, "Received: by scanner; %" PRIx64 ".%u\r\n",
		clamd->room.started_us, clamd->room.shortages);
	clamd_wire_chunk(wire, line, (size_t)n);
}

void
clamd_room_init(struct clamd *clamd)
{
	clamd->room.started_us = clock_us();
	timer_init(&clamd->room.timer, clamd->loop, on_timer, clamd);
}
