/*
 * target.h - where posts may go: to the internet, and to control.webhooks.networks. Pure.
 */
#ifndef CONTROL_TARGET_H
#define CONTROL_TARGET_H

#include <stdbool.h>
#include <sys/socket.h>

struct config;

/* Ask with the very address that is connected to: a name may lead elsewhere a moment later. */
bool target_allowed(const struct config *config, const struct sockaddr *address, socklen_t length);

#endif
