/*
 * choice.h - which egress IP a message leaves from: rendezvous hashing, by weight. Pure.
 *
 * The same account and site have the same IP as long as that is usable, so that greylisting and
 * reputation see one IP. When an IP comes or goes, only its own share moves.
 */
#ifndef SENDER_CHOICE_H
#define SENDER_CHOICE_H

#include <stdint.h>

/* How much the IP is wanted for (account, site); the highest of all IPs wins. `weight` from 1 on.
 */
double choice_score(const char *ip, unsigned weight, const char *account, const char *site);

#endif
