/*
 * told.h - tells operators which messages are being scanned (shared/work/inflight.h).
 */
#ifndef SCANNER_TOLD_H
#define SCANNER_TOLD_H

struct json;

/* For inflight_reporter_new(); `arg` is the struct clamd. */
void told_scans(void *arg, struct json *json);

#endif
