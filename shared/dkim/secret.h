/*
 * secret.h - the secret that private keys are sealed under.
 */
#ifndef SHARED_DKIM_SECRET_H
#define SHARED_DKIM_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/dkim/key.h"

struct config;

/* The secret of dkim.secret_file; without that setting, one machine's own in state_dir/dkim.secret,
 * which is made when missing. False: there is none (said in the log, unless nothing is set in a
 * cluster). The caller wipes `out`. */
bool dkim_secret_get(const struct config *config, uint8_t out[DKIM_SECRET_SIZE]);

#endif
