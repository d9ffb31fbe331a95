/*
 * test_tls.c - profiles, SNI and reload, with certificates made on the spot and handshakes in
 * memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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

#include "shared/base/tls.h"
#include "shared/base/tls_tickets.h"

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

static EVP_PKEY *rsa; /* making one takes long */

static void
write_certificate(const char *host, const char *names, EVP_PKEY *key, const struct tls_files *files)
{
	X509 *certificate = X509_new();
	FILE *file;

	X509_set_version(certificate, 2);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)host, -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	if (names) {
		X509_EXTENSION *extension = X509V3_EXT_conf_nid(
			NULL, NULL, NID_subject_alt_name, names);

		X509_add_ext(certificate, extension, -1);
		X509_EXTENSION_free(extension);
	}
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	file = fopen(files->certificate, "w");
	PEM_write_X509(file, certificate);
	fclose(file);
	file = fopen(files->key, "w");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	X509_free(certificate);
}

static void
make_certificate(const char *host, const struct tls_files *files)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	write_certificate(host, NULL, key, files);
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
	rsa = EVP_RSA_gen(2048);
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
	EVP_PKEY_free(rsa);
	return rmdir(dir);
}

static void
sni_picks_the_certificate(void **state)
{
	static const struct {
		const char *asked, *got;
	} rows[] = {
		{ "two.example", "two.example" },
		{ "one.example", "one.example" },
		{ "three.example", "one.example" },
		{ NULL, "one.example" },
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
	assert_int_equal(tls_server_reload(server, pairs, 1, why, sizeof why), 0);
	handshake(tls_server_session(server), tls_client_session(client, NULL), name, sizeof name);
	assert_string_equal(name, "renewed.example");

	assert_int_equal(truncate(pairs[0].key, 0), 0);
	assert_int_equal(tls_server_reload(server, pairs, 1, why, sizeof why), -1);
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

/* Certificates by a letter: upper case with an RSA key, lower case with an ECDSA key. */
static const struct {
	char letter;
	const char *host, *names;
} made[] = {
	{ 'a', "a.one.example", "DNS:one.example" },
	{ 'A', "A.one.example", "DNS:one.example" },
	{ 'B', "B.one.example", "DNS:one.example" },
	{ 'w', "w.one.example", "DNS:one.example,DNS:www.one.example,IP:192.0.2.1" },
	{ 'W', "W.one.example", "DNS:www.one.example,DNS:one.example,IP:192.0.2.1" },
	{ 'S', "S.one.example", "DNS:*.one.example" },
	{ 'm', "m.one.example", "DNS:mail.one.example" },
	{ 't', "t.two.example", "DNS:two.example" },
	{ 'T', "T.two.example", "DNS:two.example" },
	{ 'n', "one.example", NULL },
	{ 'N', "one.example", NULL },
};
#define MADE (sizeof made / sizeof *made)

static void
make_all(struct tls_files *files)
{
	for (size_t i = 0; i < MADE; i++) {
		EVP_PKEY *key = made[i].letter >= 'a' ? EVP_EC_gen("P-256") : rsa;
		char name[16];

		snprintf(name, sizeof name, "%c.pem", made[i].letter);
		files[i].certificate = in_dir(name);
		snprintf(name, sizeof name, "%c.key", made[i].letter);
		files[i].key = in_dir(name);
		write_certificate(made[i].host, made[i].names, key, &files[i]);
		if (key != rsa)
			EVP_PKEY_free(key);
	}
}

static void
remove_all(struct tls_files *files)
{
	for (size_t i = 0; i < MADE; i++) {
		unlink(files[i].certificate);
		unlink(files[i].key);
		free((char *)files[i].certificate);
		free((char *)files[i].key);
	}
}

static size_t
pick(const char *letters, const struct tls_files *files, struct tls_files *out)
{
	for (size_t n = 0; letters[n]; n++)
		for (size_t i = 0; i < MADE; i++)
			if (made[i].letter == letters[n])
				out[n] = files[i];
	return strlen(letters);
}

static SSL *
client_that_knows(struct tls_client *client, const char *host, bool knows_rsa, int version)
{
	SSL *ssl = tls_client_session(client, host);

	SSL_set_min_proto_version(ssl, version);
	SSL_set_max_proto_version(ssl, version);
	SSL_set_cipher_list(ssl, knows_rsa ? "aRSA" : "aECDSA");
	SSL_set1_sigalgs_list(ssl, knows_rsa ? "RSA-PSS+SHA256:RSA+SHA256" : "ECDSA+SHA256");
	return ssl;
}

static const struct {
	const char *served, *asked;
	const char *rsa, *ecdsa; /* what clients get that know one kind alone; "" nothing */
} kinds[] = {
	{ "aA", "one.example", "A.one.example", "a.one.example" },
	{ "Aa", "one.example", "A.one.example", "a.one.example" },
	{ "aA", "ONE.example", "A.one.example", "a.one.example" },
	{ "aA", NULL, "A.one.example", "a.one.example" },
	{ "Aa", NULL, "A.one.example", "a.one.example" },
	{ "aA", "unknown.example", "A.one.example", "a.one.example" },
	{ "nN", "one.example", "one.example", "one.example" },
	{ "nN", NULL, "one.example", "one.example" },
	{ "aAB", "one.example", "A.one.example", "a.one.example" },
	{ "BaA", NULL, "B.one.example", "a.one.example" },
	{ "aTtA", "one.example", "A.one.example", "a.one.example" },
	{ "aTtA", "two.example", "T.two.example", "t.two.example" },
	{ "aTtA", NULL, "A.one.example", "a.one.example" },
	{ "aT", "one.example", "", "a.one.example" },
	{ "aT", NULL, "", "a.one.example" },
	{ "aT", "two.example", "T.two.example", "" },
	{ "wA", "one.example", "A.one.example", "w.one.example" },
	{ "wA", "www.one.example", "", "w.one.example" },
	{ "wA", NULL, "", "w.one.example" },
	{ "wW", NULL, "W.one.example", "w.one.example" },
	{ "wW", "www.one.example", "W.one.example", "w.one.example" },
	{ "Aw", NULL, "A.one.example", "w.one.example" },
	{ "mS", "mail.one.example", "S.one.example", "m.one.example" },
	{ "mS", "MAIL.one.example", "S.one.example", "m.one.example" },
	{ "mS", NULL, "S.one.example", "m.one.example" },
	{ "Sm", NULL, "S.one.example", "" },
	{ "Sm", "www.one.example", "S.one.example", "" },
};

static void
certificates_of_both_kinds_of_key_are_used_for_a_name(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct tls_files files[MADE], served[4];
	struct tls_client *client = tls_client_new();
	char name[64];

	(void)state;
	make_all(files);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const size_t count = pick(kinds[i].served, files, served);
		struct tls_server *server = tls_server_new(
			served, count, TLS_MODERN, why, sizeof why);

		assert_non_null(server);
		for (int round = 0; round < 8; round++) {
			bool knows_rsa = round & 1;

			if (round == 4)
				assert_int_equal(
					tls_server_reload(server, served, count, why, sizeof why),
					0);
			handshake(tls_server_session(server),
				client_that_knows(client, kinds[i].asked, knows_rsa,
					versions[round >> 1 & 1]),
				name, sizeof name);
			if (strcmp(name, knows_rsa ? kinds[i].rsa : kinds[i].ecdsa) != 0)
				fail_msg("%s, %s, round %d: \"%s\"", kinds[i].served,
					kinds[i].asked ? kinds[i].asked : "-", round, name);
		}
		tls_server_free(&server);
	}
	remove_all(files);
	tls_client_free(&client);
}

/* TLS 1.0, but for the last ones; "" no handshake. */
static const struct {
	enum tls_profile profile;
	int version;
	const char *offered, *got;
} ciphers[] = {
	{ TLS_LEGACY, TLS1_VERSION, "DHE-RSA-AES128-SHA", "DHE-RSA-AES128-SHA" },
	{ TLS_LEGACY, TLS1_VERSION, "DHE-RSA-AES256-SHA", "DHE-RSA-AES256-SHA" },
	{ TLS_LEGACY, TLS1_1_VERSION, "DHE-RSA-AES128-SHA", "DHE-RSA-AES128-SHA" },
	{ TLS_LEGACY, TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256" },
	{ TLS_LEGACY, TLS1_VERSION, "AES128-SHA", "AES128-SHA" },
	{ TLS_LEGACY, TLS1_VERSION, "DHE-RSA-AES128-SHA:AES128-SHA", "AES128-SHA" },
	{ TLS_LEGACY, TLS1_VERSION, "DHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA",
		"ECDHE-RSA-AES128-SHA" },
	{ TLS_MODERN, TLS1_VERSION, "DHE-RSA-AES128-SHA", "" },
	{ TLS_MODERN, TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256",
		"ECDHE-RSA-AES128-GCM-SHA256" },
};

static void
devices_without_elliptic_curves_are_served_by_the_legacy_profile(void **state)
{
	struct tls_client *client = tls_client_new();
	char name[64], list[128];

	(void)state;
	write_certificate("one.example", NULL, rsa, &pairs[0]);
	for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++) {
		struct tls_server *server = tls_server_new(
			pairs, 1, ciphers[i].profile, why, sizeof why);
		SSL *ssl = tls_client_session(client, NULL);

		SSL_up_ref(ssl);
		SSL_set_max_proto_version(ssl, ciphers[i].version);
		snprintf(list, sizeof list, "%s:@SECLEVEL=0", ciphers[i].offered);
		SSL_set_cipher_list(ssl, list);
		handshake(tls_server_session(server), ssl, name, sizeof name);
		if (strcmp(*name ? SSL_get_cipher_name(ssl) : "", ciphers[i].got) != 0)
			fail_msg("row %zu: %s", i, SSL_get_cipher_name(ssl));
		SSL_free(ssl);
		tls_server_free(&server);
	}
	make_certificate("one.example", &pairs[0]);
	tls_client_free(&client);
}

/* A handshake that may begin with `session`; whether it was resumed. The session to go on with is
 * put in its place. */
static bool
resumes(struct tls_server *server, struct tls_client *client, int version, SSL_SESSION **session)
{
	SSL *theirs = tls_server_session(server), *ours = tls_client_session(client, "one.example");
	BIO *a, *b;
	char byte;
	bool reused;

	BIO_new_bio_pair(&a, 65536, &b, 65536);
	SSL_set_bio(theirs, a, a);
	SSL_set_bio(ours, b, b);
	SSL_set_max_proto_version(ours, version);
	if (*session)
		SSL_set_session(ours, *session);
	for (int i = 0; i < 20; i++) {
		SSL_do_handshake(ours);
		SSL_do_handshake(theirs);
	}
	assert_true(SSL_is_init_finished(ours) && SSL_is_init_finished(theirs));
	assert_int_equal(SSL_write(theirs, "x", 1), 1);
	assert_int_equal(SSL_read(ours, &byte, 1), 1); /* the tickets of TLS 1.3 come before it */
	reused = SSL_session_reused(theirs);
	assert_int_equal(SSL_session_reused(ours), reused);
	SSL_SESSION_free(*session);
	*session = SSL_get1_session(ours);
	SSL_set_shutdown(ours, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_set_shutdown(theirs, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ours);
	SSL_free(theirs);
	tls_error();
	return reused;
}

/* Of the key that made the session's ticket. */
static void
key_name(const SSL_SESSION *session, unsigned char name[16])
{
	const unsigned char *ticket;
	size_t length;

	SSL_SESSION_get0_ticket(session, &ticket, &length);
	assert_true(length > 16);
	memcpy(name, ticket, 16);
}

static void
a_session_is_resumed_until_its_key_has_turned_twice(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct tls_server *server = tls_server_new(pairs, 2, TLS_MODERN, why, sizeof why);
	struct tls_client *client = tls_client_new();

	(void)state;
	assert_non_null(server);
	for (size_t i = 0; i < 2; i++) {
		SSL_SESSION *session = NULL, *old;
		unsigned char first[16], second[16];

		assert_false(resumes(server, client, versions[i], &session));
		assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(session), TLS_TICKET_S);
		key_name(session, first);
		assert_true(resumes(server, client, versions[i], &session));
		key_name(session, second);
		assert_memory_equal(first, second, 16);
		assert_int_equal(tls_server_reload(server, pairs, 2, why, sizeof why), 0);
		assert_true(resumes(server, client, versions[i], &session));
		old = SSL_SESSION_dup(session);
		tls_server_turn_keys(server);
		assert_true(resumes(server, client, versions[i], &session));
		key_name(session, second);
		assert_memory_not_equal(first, second, 16); /* a ticket of the new key */
		tls_server_turn_keys(server);
		assert_true(resumes(server, client, versions[i], &session));
		assert_false(resumes(server, client, versions[i], &old));
		SSL_SESSION_free(session);
		SSL_SESSION_free(old);
	}
	tls_client_free(&client);
	tls_server_free(&server);
}

static void
two_servers_have_keys_of_their_own(void **state)
{
	struct tls_server *one = tls_server_new(pairs, 2, TLS_MODERN, why, sizeof why);
	struct tls_server *two = tls_server_new(pairs, 2, TLS_MODERN, why, sizeof why);
	struct tls_client *client = tls_client_new();
	SSL_SESSION *session = NULL;

	(void)state;
	assert_false(resumes(one, client, TLS1_3_VERSION, &session));
	assert_false(resumes(two, client, TLS1_3_VERSION, &session));
	SSL_SESSION_free(session);
	tls_client_free(&client);
	tls_server_free(&one);
	tls_server_free(&two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sni_picks_the_certificate),
		cmocka_unit_test(a_session_is_resumed_until_its_key_has_turned_twice),
		cmocka_unit_test(two_servers_have_keys_of_their_own),
		cmocka_unit_test(a_reload_shows_the_new_certificate_and_keeps_the_old_on_an_error),
		cmocka_unit_test(old_protocols_need_the_legacy_profile),
		cmocka_unit_test(certificates_of_both_kinds_of_key_are_used_for_a_name),
		cmocka_unit_test(devices_without_elliptic_curves_are_served_by_the_legacy_profile),
		cmocka_unit_test(a_mismatched_key_and_a_missing_file_are_named),
		cmocka_unit_test(a_verifying_client_refuses_a_stranger),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
