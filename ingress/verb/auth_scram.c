/*
 * auth_scram.c - SCRAM-SHA-256 (RFC 5802, 7677) by libgsasl, from the verifier's keys.
 *
 * libgsasl cannot wait for answers. So the username is read out of the client's first message
 * beforehand and the verifier is looked up; only then libgsasl gets both.
 */
#include "ingress/verb/auth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsasl.h>
#include <openssl/evp.h>

#include "shared/base/log.h"

static pthread_key_t library_key;
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void
library_free(void *gsasl)
{
	gsasl_done(gsasl);
}

static void
library_key_make(void)
{
	int err = pthread_key_create(&library_key, library_free);

	if (err)
		die("cannot make a thread's key", strerror(err));
}

/* One context a thread, freed when the thread ends. */
static Gsasl *
library(void)
{
	Gsasl *gsasl;

	pthread_once(&library_once, library_key_make);
	gsasl = pthread_getspecific(library_key);
	if (gsasl)
		return gsasl;
	if (gsasl_init(&gsasl) != GSASL_OK)
		die("cannot start libgsasl", "gsasl_init");
	pthread_setspecific(library_key, gsasl);
	return gsasl;
}

static void
first_message(struct session *session, const char *text, size_t length)
{
	struct auth *auth = session->auth;

	auth->first = xstrndup(text, length);
	if (strlen(auth->first) == length)
		auth_named(session, sasl_scram_read(text, length, auth->username));
	else
		auth_malformed(session);
}

static void
set_key(Gsasl_session *gsasl, Gsasl_property property, const uint8_t *key, size_t size)
{
	char text[64];

	EVP_EncodeBlock((unsigned char *)text, key, (int)size);
	gsasl_property_set(gsasl, property, text);
}

static void
set_keys(struct auth *auth, size_t i)
{
	set_key(auth->gsasl, GSASL_SCRAM_STOREDKEY, auth->verifiers[i].stored_key, 32);
	set_key(auth->gsasl, GSASL_SCRAM_SERVERKEY, auth->verifiers[i].server_key, 32);
}

static bool
start_gsasl(struct auth *auth)
{
	const struct scram_verifier *verifier = auth->verifiers;
	char iterations[16];

	if (gsasl_server_start(library(), "SCRAM-SHA-256", &auth->gsasl) != GSASL_OK)
		return false;
	snprintf(iterations, sizeof iterations, "%u", verifier->iterations);
	gsasl_property_set(auth->gsasl, GSASL_SCRAM_ITER, iterations);
	set_key(auth->gsasl, GSASL_SCRAM_SALT, verifier->salt, verifier->salt_length);
	set_keys(auth, 0);
	return true;
}

/* Of several passwords that work, libgsasl knows one only: the one that the proof is of. */
static void
choose_keys(struct auth *auth, const char *final)
{
	const int which = auth->verifiers_count > 1
		? scram_proof_of(auth->verifiers, auth->verifiers_count, auth->first,
			  auth->challenge, final)
		: 0;

	if (which > 0)
		set_keys(auth, (size_t)which);
}

/* Sends the next message of libgsasl. */
static void
ask(struct session *session, const char *out, size_t size)
{
	char text[2048];

	if (size > sizeof text / 4 * 3 - 4) {
		auth_malformed(session);
		return;
	}
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)out, (int)size);
	auth_ask(session, text);
}

void
scram_challenge(struct session *session)
{
	struct auth *auth = session->auth;
	char *out = NULL;
	size_t size = 0;
	int result = start_gsasl(auth)
		? gsasl_step(auth->gsasl, auth->first, strlen(auth->first), &out, &size)
		: GSASL_UNKNOWN_MECHANISM;

	if (result == GSASL_NEEDS_MORE) {
		auth->challenge = xstrndup(out, size);
		ask(session, out, size);
	} else {
		auth_malformed(session);
	}
	gsasl_free(out);
}

static void
final_message(struct session *session, const char *text, size_t length)
{
	struct auth *auth = session->auth;
	char *out = NULL;
	size_t size = 0;
	char *final = xstrndup(text, length);
	int result;

	choose_keys(auth, final);
	free(final);
	result = gsasl_step(auth->gsasl, text, length, &out, &size);
	if (result == GSASL_OK) {
		if (auth_admitted(session)) {
			auth->proven = true;
			ask(session, out, size);
		}
	} else if (result == GSASL_MECHANISM_PARSE_ERROR) {
		auth_malformed(session);
	} else {
		auth_failed(session);
	}
	gsasl_free(out);
}

/* RFC 4954 4: our proof travels as a challenge, which the client answers with an empty line. */
void
scram_line(struct session *session, const char *text, size_t length)
{
	struct auth *auth = session->auth;

	if (!auth->first)
		first_message(session, text, length);
	else if (!auth->proven)
		final_message(session, text, length);
	else if (length == 0)
		auth_succeeded(session);
	else
		auth_malformed(session);
}

void
scram_end(struct auth *auth)
{
	if (auth->gsasl)
		gsasl_finish(auth->gsasl);
	auth->gsasl = NULL;
	free(auth->first);
	free(auth->challenge);
	auth->first = auth->challenge = NULL;
}
