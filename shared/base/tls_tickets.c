/*
 * tls_tickets.c - ticket keys that turn. OpenSSL alone keeps one key for as long as its context
 * lives.
 */
#include "shared/base/tls_tickets.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "shared/base/log.h"

struct key {
	unsigned char name[16], cipher[32], mac[32];
};

struct tls_tickets {
	pthread_mutex_t lock;
	struct key keys[2]; /* under lock; the newest, and the one before */
};

/* The key with the name; without a name (a new ticket) the newest. False: the key is gone. */
static bool
find_key(struct tls_tickets *tickets, const unsigned char *name, struct key *out, bool *newest_out)
{
	bool found = false;

	pthread_mutex_lock(&tickets->lock);
	for (size_t i = 0; i < 2 && !found; i++) {
		found = !name || memcmp(tickets->keys[i].name, name, sizeof out->name) == 0;
		*out = tickets->keys[i];
		*newest_out = i == 0;
	}
	pthread_mutex_unlock(&tickets->lock);
	return found;
}

static bool
set_mac(EVP_MAC_CTX *mac, struct key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's answers: 1 done, 2 done and the client gets a new ticket, 0 no such key, -1 failed. */
static int
on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int making)
{
	struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct key key;
	bool newest, good;

	if (!find_key(tickets, making ? NULL : name, &key, &newest))
		return 0;
	if (making)
		memcpy(name, key.name, sizeof key.name);
	good = set_mac(mac, &key) &&
		(making ? RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
					EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL,
						key.cipher, iv) == 1
			: EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1);
	explicit_bzero(&key, sizeof key);
	return !good ? -1 : newest ? 1 : 2;
}

void
tls_tickets_turn(struct tls_tickets *tickets)
{
	struct key fresh;

	if (RAND_bytes((unsigned char *)&fresh, sizeof fresh) != 1)
		die("no random numbers", "OpenSSL");
	pthread_mutex_lock(&tickets->lock);
	tickets->keys[1] = tickets->keys[0];
	tickets->keys[0] = fresh;
	pthread_mutex_unlock(&tickets->lock);
	explicit_bzero(&fresh, sizeof fresh);
}

struct tls_tickets *
tls_tickets_new(void)
{
	struct tls_tickets *tickets = xcalloc(1, sizeof *tickets);

	pthread_mutex_init(&tickets->lock, NULL);
	tls_tickets_turn(tickets);
	tls_tickets_turn(tickets); /* twice, so that no key is all zeros */
	return tickets;
}

void
tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context)
{
	SSL_CTX_set_app_data(context, tickets);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
	SSL_CTX_set_timeout(context, TLS_TICKET_S);
}

void
tls_tickets_free(struct tls_tickets **tickets_ref)
{
	struct tls_tickets *tickets = *tickets_ref;

	if (!tickets)
		return;
	pthread_mutex_destroy(&tickets->lock);
	explicit_bzero(tickets, sizeof *tickets);
	free(tickets);
	*tickets_ref = NULL;
}
