/*
 * service.h - tells the service manager how far the process is (sd_notify(3) of systemd).
 *
 * Only a service of Type=notify has the variable NOTIFY_SOCKET; any other process tells nobody.
 */
#ifndef SHARED_SERVICE_H
#define SHARED_SERVICE_H

/* `state`: lines of NAME=value, like "READY=1". What cannot be sent is logged, and lost. From the
 * main thread, also within the sandbox. */
void service_notify(const char *state);

/* The reading of the settings begins: READY=1 has to follow. */
void service_notify_reload(void);

#endif
