/*
 * expiry.h - tells before a certificate ends.
 */
#ifndef INGRESS_DOOR_EXPIRY_H
#define INGRESS_DOOR_EXPIRY_H

struct tls_files;
struct tls_server;

/* The main thread's, whenever certificates were read: those that are in use now. */
void expiry_tell(struct tls_server *tls, const struct tls_files *files, unsigned count);
/* Any thread's, from time to time: time passes, certificates do not. */
void expiry_look(void);

#endif
