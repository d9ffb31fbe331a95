/*
 * version.h - the version that every program shows.
 */
#ifndef SHARED_VERSION_H
#define SHARED_VERSION_H

#define SHOUT_VERSION "0.1.0"

#endif
