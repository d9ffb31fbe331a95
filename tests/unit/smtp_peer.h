/*
 * smtp_peer.h - a mail server that plays a script, and misbehaves as it says.
 *
 * The peer runs on a thread of its own and plays one script for each connection it accepts:
 *   <text     sends a line        >text    expects a line that starts so
 *   =a|b|     sends lines at once !body    reads a message up to its dot
 *   =a^@b     ^ a bare LF, @ a NUL; what does not end with | has no line ending
 *   !tls      TLS handshake       !junk    answers the handshake with garbage
 *   !endless  a line without end  !lines   a reply without end
 *   !long     6,000 bytes of a line
 *   !drip     a byte now and then, until the client gives up
 *   !hang     reads until the client closes
 *   !stall    reads nothing until the client has given up
 * The end of a script closes the connection.
 */
#ifndef TESTS_UNIT_SMTP_PEER_H
#define TESTS_UNIT_SMTP_PEER_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "shared/base/log.h"

#define SCRIPTS_MAX 6

struct peer {
	int listeners[2], gone[2];
	const char *scripts[SCRIPTS_MAX];
	size_t count, played;
	pthread_t thread;
	bool running;
	SSL_CTX *tls;
	char failure[300]; /* the first expectation that was not met */
	char *body;
	size_t body_length;
	char commands[20000]; /* all that the client sent as lines */
	size_t commands_length;
	unsigned reads; /* reads that brought bytes of the last connection */
};

struct wire {
	int fd;
	SSL *ssl;
	char in[4096];
	size_t length;
	unsigned reads;
};

static inline ssize_t
wire_read(struct wire *wire, char *to, size_t size)
{
	return wire->ssl ? SSL_read(wire->ssl, to, (int)size) : read(wire->fd, to, size);
}

static inline bool
wire_write(struct wire *wire, const char *text, size_t length)
{
	if (wire->ssl)
		return SSL_write(wire->ssl, text, (int)length) > 0;
	return send(wire->fd, text, length, MSG_NOSIGNAL) >= 0;
}

static inline bool
wire_line(struct wire *wire, char *line, size_t size)
{
	char *end;

	while (!(end = memchr(wire->in, '\n', wire->length))) {
		ssize_t n = wire_read(
			wire, wire->in + wire->length, sizeof wire->in - wire->length);

		if (n <= 0)
			return false;
		wire->length += (size_t)n;
		wire->reads++;
	}
	snprintf(line, size, "%.*s", (int)(end - wire->in), wire->in);
	line[strcspn(line, "\r")] = '\0';
	wire->length -= (size_t)(end + 1 - wire->in);
	memmove(wire->in, end + 1, wire->length);
	return true;
}

static inline void
peer_body(struct peer *peer, struct wire *wire)
{
	char piece[4096];

	peer->body_length = 0;
	peer->body = xrealloc(peer->body, 1);
	for (;;) {
		ssize_t n;

		if (wire->length) {
			memcpy(piece, wire->in, wire->length);
			n = (ssize_t)wire->length;
			wire->length = 0;
		} else {
			n = wire_read(wire, piece, sizeof piece);
		}
		if (n <= 0)
			return;
		peer->body = xrealloc(peer->body, peer->body_length + (size_t)n + 1);
		memcpy(peer->body + peer->body_length, piece, (size_t)n);
		peer->body_length += (size_t)n;
		peer->body[peer->body_length] = '\0';
		if (peer->body_length == 3 && memcmp(peer->body, ".\r\n", 3) == 0)
			return;
		if (peer->body_length >= 5 &&
			memcmp(peer->body + peer->body_length - 5, "\r\n.\r\n", 5) == 0)
			return;
	}
}

static inline void
peer_hang(struct wire *wire)
{
	char sink[4096];

	while (wire_read(wire, sink, sizeof sink) > 0)
		;
}

/* The end of the stream lies behind what is not read, so the rig tells. */
static inline void
peer_stall(struct peer *peer)
{
	struct pollfd poll_fd = { .fd = peer->gone[0], .events = POLLIN };

	poll(&poll_fd, 1, 20000);
}

static inline void
peer_flood(struct wire *wire, const char *text)
{
	while (wire_write(wire, text, strlen(text)))
		;
}

static inline void
peer_long(struct wire *wire)
{
	char bytes[6000];

	memset(bytes, 'x', sizeof bytes);
	wire_write(wire, bytes, sizeof bytes);
}

static inline void
peer_drip(struct wire *wire)
{
	struct pollfd poll_fd = { .fd = wire->fd, .events = POLLIN };

	while (wire_write(wire, "2", 1) && poll(&poll_fd, 1, 5) == 0)
		;
}

static inline void
peer_expect(struct peer *peer, struct wire *wire, const char *want, size_t length)
{
	char line[2000];
	int n;

	if (!wire_line(wire, line, sizeof line))
		snprintf(line, sizeof line, "(the connection ended)");
	n = snprintf(peer->commands + peer->commands_length,
		sizeof peer->commands - peer->commands_length, "%s\n", line);
	peer->commands_length += (size_t)n;
	if (strncmp(line, want, length) != 0 && !peer->failure[0])
		snprintf(peer->failure, sizeof peer->failure, "wanted \"%.*s\", got \"%.100s\"",
			(int)length, want, line);
}

static inline void
peer_special(struct peer *peer, struct wire *wire, const char *what, size_t length)
{
	if (strncmp(what, "!body", length) == 0) {
		peer_body(peer, wire);
	} else if (strncmp(what, "!tls", length) == 0) {
		wire->ssl = SSL_new(peer->tls);
		SSL_set_fd(wire->ssl, wire->fd);
		if (SSL_accept(wire->ssl) != 1)
			snprintf(peer->failure, sizeof peer->failure, "no TLS handshake");
	} else if (strncmp(what, "!junk", length) == 0) {
		wire_write(wire, "this is no TLS\r\n", 16);
	} else if (strncmp(what, "!endless", length) == 0) {
		peer_flood(wire, "2222222222222222");
	} else if (strncmp(what, "!lines", length) == 0) {
		peer_flood(wire, "250-more\r\n");
	} else if (strncmp(what, "!long", length) == 0) {
		peer_long(wire);
	} else if (strncmp(what, "!drip", length) == 0) {
		peer_drip(wire);
	} else if (strncmp(what, "!stall", length) == 0) {
		peer_stall(peer);
	} else if (strncmp(what, "!hang", length) == 0) {
		peer_hang(wire);
	}
}

static inline void
peer_lines(struct wire *wire, const char *text, size_t length)
{
	char lines[1000];
	size_t size = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '|')
			lines[size++] = '\r';
		lines[size++] = text[i] == '|' || text[i] == '^' ? '\n'
			: text[i] == '@'                         ? '\0'
								 : text[i];
	}
	wire_write(wire, lines, size);
}

static inline void
peer_play(struct peer *peer, struct wire *wire, const char *script)
{
	while (*script && !peer->failure[0]) {
		size_t length = strcspn(script, "\n");

		if (*script == '<') {
			wire_write(wire, script + 1, length - 1);
			wire_write(wire, "\r\n", 2);
		} else if (*script == '=') {
			peer_lines(wire, script + 1, length - 1);
		} else if (*script == '>') {
			peer_expect(peer, wire, script + 1, length - 1);
		} else {
			peer_special(peer, wire, script, length);
		}
		script += length + (script[length] == '\n');
	}
	peer->reads = wire->reads;
}

static inline void *
peer_run(void *arg)
{
	struct peer *peer = arg;

	for (size_t i = 0; i < peer->count; i++) {
		struct pollfd fds[2] = {
			{ .fd = peer->listeners[0], .events = POLLIN },
			{ .fd = peer->listeners[1], .events = POLLIN },
		};
		struct timeval patience = { .tv_sec = 20 };
		struct wire wire = { 0 };

		if (poll(fds, 2, 20000) <= 0)
			return NULL;
		wire.fd = accept(peer->listeners[fds[0].revents ? 0 : 1], NULL, NULL);
		if (wire.fd < 0)
			return NULL;
		setsockopt(wire.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		peer_play(peer, &wire, peer->scripts[i]);
		peer->played++;
		if (wire.ssl)
			SSL_free(wire.ssl);
		close(wire.fd);
	}
	return NULL;
}

static inline void
peer_start(struct peer *peer)
{
	peer->running = pthread_create(&peer->thread, NULL, peer_run, peer) == 0;
}

static inline SSL_CTX *
self_signed(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_sign(certificate, key, EVP_sha256());
	SSL_CTX_use_certificate(context, certificate);
	SSL_CTX_use_PrivateKey(context, key);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

#endif
