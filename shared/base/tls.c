/*
 * tls.c - TLS contexts.
 *
 * OpenSSL counts references to a context. So a reload swaps the list of contexts under a lock, and
 * running sessions keep the old contexts alive.
 */
#include "shared/base/tls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "shared/base/log.h"
#include "shared/base/tls_tickets.h"

struct tls_server {
	enum tls_profile profile;
	struct tls_tickets *tickets; /* for all contexts: sessions outlive a reload */
	pthread_mutex_t lock;
	SSL_CTX **contexts; /* under lock; one for each pair of files; a session begins with the
			       first */
	size_t count;
};

struct tls_client {
	SSL_CTX *context;
	bool verify;
};

const char *
tls_error(void)
{
	static _Thread_local char text[256];
	unsigned long code = ERR_peek_last_error();

	if (code)
		ERR_error_string_n(code, text, sizeof text);
	else
		snprintf(text, sizeof text, "the connection was closed");
	ERR_clear_error();
	return text;
}

void
tls_describe(const SSL *ssl, char *text, size_t size)
{
	snprintf(text, size, "%s %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}

/* TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL 3 allows at security level 0 only. */
static void
allow_old(SSL_CTX *context)
{
	SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
	SSL_CTX_set_cipher_list(context, "DEFAULT:@SECLEVEL=0");
}

/* For devices without elliptic curves. DHE comes last: some of these devices take no prime of 2048
 * bits, and a device that also knows plain RSA gets RSA. */
static void
allow_older(SSL_CTX *context)
{
	allow_old(context);
	SSL_CTX_set_cipher_list(context, "DEFAULT:+DHE:@SECLEVEL=0");
	SSL_CTX_set_dh_auto(context, 1);
}

static void
free_contexts(SSL_CTX **contexts, size_t count)
{
	for (size_t i = 0; contexts && i < count; i++)
		SSL_CTX_free(contexts[i]);
	free(contexts);
}

static bool
has_name(X509 *certificate, const char *name)
{
	return X509_check_host(certificate, name, 0, 0, NULL) == 1;
}

static bool
has_general_name(X509 *certificate, const GENERAL_NAME *name)
{
	if (name->type == GEN_IPADD)
		return X509_check_ip(certificate, name->d.iPAddress->data,
			       (size_t)name->d.iPAddress->length, 0) == 1;
	return name->type != GEN_DNS ||
		X509_check_host(certificate, (const char *)name->d.dNSName->data,
			(size_t)name->d.dNSName->length, 0, NULL) == 1;
}

/* Whether the certificate has every name of `first`, so that it serves the same hosts. */
static bool
has_names_of(X509 *certificate, X509 *first)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(first, NID_subject_alt_name, NULL, NULL);
	char name[256];
	bool all = true;

	if (!names)
		return X509_NAME_get_text_by_NID(X509_get_subject_name(first), NID_commonName, name,
			       sizeof name) > 0 &&
			has_name(certificate, name);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && all; i++)
		all = has_general_name(certificate, sk_GENERAL_NAME_value(names, i));
	GENERAL_NAMES_free(names);
	return all;
}

static void
use_certificate(SSL *ssl, SSL_CTX *context)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(context, &chain);
	SSL_use_cert_and_key(
		ssl, SSL_CTX_get0_certificate(context), SSL_CTX_get0_privatekey(context), chain, 1);
}

/*
 * Chooses certificates by SNI (RFC 6066 3). All certificates with the name are used: OpenSSL keeps
 * the last one given for each kind of key, and the client's ciphers choose among the kinds. Without
 * a match any certificate is as good for a mail client: the default serves, with those that have
 * all its names.
 */
static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *server = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	X509 *first;
	bool found = false;

	(void)alert;
	pthread_mutex_lock(&server->lock);
	first = SSL_CTX_get0_certificate(server->contexts[0]);
	for (size_t i = 0; i < server->count && name && !found; i++)
		found = has_name(SSL_CTX_get0_certificate(server->contexts[i]), name);
	SSL_certs_clear(ssl);
	for (size_t i = server->count; i-- > 0;) {
		X509 *certificate = SSL_CTX_get0_certificate(server->contexts[i]);

		if (found ? has_name(certificate, name)
			  : i == 0 || has_names_of(certificate, first))
			use_certificate(ssl, server->contexts[i]);
	}
	pthread_mutex_unlock(&server->lock);
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *
server_context(struct tls_server *server, const struct tls_files *files, char *why, size_t why_size)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	const char *what = NULL, *file = files->certificate;

	if (!context)
		die("cannot make a TLS context", tls_error());
	if (server->profile == TLS_LEGACY)
		allow_older(context);
	else
		SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context,
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"shout", 5);
	tls_tickets_use(server->tickets, context);
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(context, server);
	if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1) {
		what = "cannot use the certificate";
	} else if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1) {
		what = "cannot use the key";
		file = files->key;
	} else if (SSL_CTX_check_private_key(context) != 1) {
		what = "the key does not belong to the certificate";
		file = files->key;
	}
	if (!what)
		return context;
	snprintf(why, why_size, "%s: %s: %s", file, what, tls_error());
	SSL_CTX_free(context);
	return NULL;
}

int
tls_server_reload(struct tls_server *server, const struct tls_files *files, size_t count, char *why,
	size_t why_size)
{
	SSL_CTX **contexts = xcalloc(count, sizeof *contexts), **old;
	size_t old_count;

	for (size_t i = 0; i < count; i++) {
		contexts[i] = server_context(server, &files[i], why, why_size);
		if (!contexts[i]) {
			free_contexts(contexts, count);
			return -1;
		}
	}
	pthread_mutex_lock(&server->lock);
	old = server->contexts;
	old_count = server->count;
	server->contexts = contexts;
	server->count = count;
	pthread_mutex_unlock(&server->lock);
	free_contexts(old, old_count);
	return 0;
}

int64_t
tls_server_expiry(struct tls_server *server, size_t pair)
{
	struct tm tm = { 0 };
	time_t at;

	pthread_mutex_lock(&server->lock);
	ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(server->contexts[pair])), &tm);
	pthread_mutex_unlock(&server->lock);
	at = timegm(&tm);
	return at > 0 ? at : 0;
}

struct tls_server *
tls_server_new(const struct tls_files *files, size_t count, enum tls_profile profile, char *why,
	size_t why_size)
{
	struct tls_server *server = xcalloc(1, sizeof *server);

	server->profile = profile;
	pthread_mutex_init(&server->lock, NULL);
	server->tickets = tls_tickets_new();
	if (tls_server_reload(server, files, count, why, why_size) < 0)
		tls_server_free(&server);
	return server;
}

void
tls_server_turn_keys(struct tls_server *server)
{
	tls_tickets_turn(server->tickets);
}

SSL *
tls_server_session(struct tls_server *server)
{
	SSL *ssl;

	pthread_mutex_lock(&server->lock);
	ssl = SSL_new(server->contexts[0]);
	pthread_mutex_unlock(&server->lock);
	if (!ssl)
		die("cannot make a TLS session", tls_error());
	SSL_set_accept_state(ssl);
	return ssl;
}

void
tls_server_free(struct tls_server **server_ref)
{
	struct tls_server *server = *server_ref;

	if (!server)
		return;
	free_contexts(server->contexts, server->count);
	tls_tickets_free(&server->tickets);
	pthread_mutex_destroy(&server->lock);
	free(server);
	*server_ref = NULL;
}

static struct tls_client *
client_new(bool verify)
{
	struct tls_client *client = xcalloc(1, sizeof *client);

	client->verify = verify;
	client->context = SSL_CTX_new(TLS_client_method());
	if (!client->context)
		die("cannot make a TLS context", tls_error());
	SSL_CTX_set_options(client->context,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(client->context, SSL_MODE_RELEASE_BUFFERS);
	return client;
}

struct tls_client *
tls_client_new(void)
{
	struct tls_client *client = client_new(false);

	allow_old(client->context);
	SSL_CTX_set_options(client->context, SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_verify(client->context, SSL_VERIFY_NONE, NULL);
	return client;
}

struct tls_client *
tls_client_new_verified(const char *ca, char *why, size_t why_size)
{
	struct tls_client *client = client_new(true);
	int ok = ca ? SSL_CTX_load_verify_locations(client->context, ca, NULL)
		    : SSL_CTX_set_default_verify_paths(client->context);

	SSL_CTX_set_min_proto_version(client->context, TLS1_2_VERSION);
	SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
	if (ok != 1) {
		snprintf(why, why_size, "%s: cannot use the CA file: %s", ca ? ca : "system CAs",
			tls_error());
		tls_client_free(&client);
	}
	return client;
}

static bool
is_ip(const char *host)
{
	return strchr(host, ':') || strspn(host, "0123456789.") == strlen(host);
}

SSL *
tls_client_session(struct tls_client *client, const char *host)
{
	SSL *ssl = SSL_new(client->context);

	if (!ssl)
		die("cannot make a TLS session", tls_error());
	SSL_set_connect_state(ssl);
	if (host && !is_ip(host))
		SSL_set_tlsext_host_name(ssl, host);
	if (host && client->verify) {
		if (is_ip(host))
			X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
		else
			SSL_set1_host(ssl, host);
	}
	return ssl;
}

void
tls_client_free(struct tls_client **client_ref)
{
	struct tls_client *client = *client_ref;

	if (!client)
		return;
	SSL_CTX_free(client->context);
	free(client);
	*client_ref = NULL;
}
