/*
 * sanitizer.h - whether a sanitizer is built in. Its leak check attaches to the process like a
 * debugger, from a child that shares the process's memory; the sandbox has to allow that then.
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
