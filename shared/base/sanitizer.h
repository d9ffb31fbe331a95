/*
 * sanitizer.h - whether this is a build under a sanitizer: its leak check attaches to the process
 * as a debugger does, from a child that shares its memory.
 */
#ifndef SHARED_SANITIZER_H
#define SHARED_SANITIZER_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#endif
