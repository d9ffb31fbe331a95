/*
 * test_tls.c - profiles, SNI and reload, with certificates made on the spot and handshakes in
 * memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "shared/tls.h"

static char dir[] = "/tmp/shout-tls-XXXXXX";
static char why[512];
static struct tls_files pairs[2];

static char *
in_dir(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

static void
make_certificate(const char *host, const struct tls_files *files)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	FILE *file;

	X509_set_version(certificate, 2);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)host, -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	file = fopen(files->certificate, "w");
	PEM_write_X509(file, certificate);
	fclose(file);
	file = fopen(files->key, "w");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* Runs a handshake in memory; the name on the server's certificate, or "" when it failed. */
static void
handshake(SSL *server, SSL *client, char *name, size_t size)
{
	BIO *a, *b;

	name[0] = '\0';
	BIO_new_bio_pair(&a, 65536, &b, 65536);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	for (int i = 0; i < 20; i++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	if (SSL_is_init_finished(client) && SSL_is_init_finished(server)) {
		X509 *peer = SSL_get1_peer_certificate(client);

		X509_NAME_get_text_by_NID(
			X509_get_subject_name(peer), NID_commonName, name, (int)size);
		X509_free(peer);
	}
	SSL_free(server);
	SSL_free(client);
	tls_error();
}

static int
setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 2; i++) {
		pairs[i].certificate = in_dir(i ? "two.pem" : "one.pem");
		pairs[i].key = in_dir(i ? "two.key" : "one.key");
	}
	make_certificate("one.example", &pairs[0]);
	make_certificate("two.example", &pairs[1]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		unlink(pairs[i].certificate);
		unlink(pairs[i].key);
		free((char *)pairs[i].certificate);
		free((char *)pairs[i].key);
	}
	return rmdir(dir);
}

static void
sni_picks_the_certificate(void **state)
{
	static const struct {
		const char *asked, *got;
	} rows[] = {
		{"two.example",    "two.example"},
                { "one.example",   "one.example"},
		{ "three.example", "one.example"},
                { NULL,            "one.example"}
	};
	struct tls_server *server = tls_server_new(pairs, 2, TLS_MODERN, why, sizeof why);
	struct tls_client *client = tls_client_new();
	char name[64];

	(void)state;
	assert_non_null(server);
	for (size_t i = 0; i < 4; i++) {
		handshake(tls_server_session(server), tls_client_session(client, rows[i].asked),
			name, sizeof name);
		assert_string_equal(name, rows[i].got);
	}
	tls_client_free(&client);
	tls_server_free(&server);
}

static void
a_reload_shows_the_new_certificate_and_keeps_the_old_on_an_error(void **state)
{
	struct tls_server *server = tls_server_new(pairs, 1, TLS_MODERN, why, sizeof why);
	struct tls_client *client = tls_client_new();
	char name[64];

	(void)state;
	assert_non_null(server);
	make_certificate("renewed.example", &pairs[0]);
	assert_int_equal(tls_server_reload(server, why, sizeof why), 0);
	handshake(tls_server_session(server), tls_client_session(client, NULL), name, sizeof name);
	assert_string_equal(name, "renewed.example");

	assert_int_equal(truncate(pairs[0].key, 0), 0);
	assert_int_equal(tls_server_reload(server, why, sizeof why), -1);
	assert_non_null(strstr(why, "one.key"));
	handshake(tls_server_session(server), tls_client_session(client, NULL), name, sizeof name);
	assert_string_equal(name, "renewed.example");
	make_certificate("one.example", &pairs[0]);
	tls_client_free(&client);
	tls_server_free(&server);
}

static void
old_protocols_need_the_legacy_profile(void **state)
{
	char name[64];

	(void)state;
	for (int legacy = 0; legacy < 2; legacy++) {
		struct tls_server *server = tls_server_new(
			pairs, 1, legacy ? TLS_LEGACY : TLS_MODERN, why, sizeof why);
		struct tls_client *client = tls_client_new();
		SSL *ssl = tls_client_session(client, NULL);

		SSL_set_max_proto_version(ssl, TLS1_VERSION);
		handshake(tls_server_session(server), ssl, name, sizeof name);
		assert_string_equal(name, legacy ? "one.example" : "");
		tls_client_free(&client);
		tls_server_free(&server);
	}
}

static void
a_mismatched_key_and_a_missing_file_are_named(void **state)
{
	struct tls_files mixed = { pairs[0].certificate, pairs[1].key };
	struct tls_files missing = { "/nonexistent.pem", pairs[0].key };

	(void)state;
	assert_null(tls_server_new(&mixed, 1, TLS_MODERN, why, sizeof why));
	assert_non_null(strstr(why, "two.key"));
	assert_null(tls_server_new(&missing, 1, TLS_MODERN, why, sizeof why));
	assert_non_null(strstr(why, "/nonexistent.pem"));
}

static void
a_verifying_client_refuses_a_stranger(void **state)
{
	struct tls_server *server = tls_server_new(pairs, 2, TLS_MODERN, why, sizeof why);
	struct tls_client *client = tls_client_new_verified(pairs[0].certificate, why, sizeof why);
	char name[64];

	(void)state;
	assert_non_null(client);
	handshake(tls_server_session(server), tls_client_session(client, "one.example"), name,
		sizeof name);
	assert_string_equal(name, "one.example");
	handshake(tls_server_session(server), tls_client_session(client, "two.example"), name,
		sizeof name);
	assert_string_equal(name, "");
	tls_client_free(&client);
	tls_server_free(&server);
	assert_null(tls_client_new_verified("/nonexistent.pem", why, sizeof why));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sni_picks_the_certificate),
		cmocka_unit_test(a_reload_shows_the_new_certificate_and_keeps_the_old_on_an_error),
		cmocka_unit_test(old_protocols_need_the_legacy_profile),
		cmocka_unit_test(a_mismatched_key_and_a_missing_file_are_named),
		cmocka_unit_test(a_verifying_client_refuses_a_stranger),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
