/*
 * config.h - the settings of shout.yaml: schema, defaults, and errors that name file, line, key and
 * what would be right. Durations are kept in milliseconds, sizes in bytes.
 *
 * deploy/shout.yaml lists every key with its default and is itself loaded by a test.
 */
#ifndef SHARED_CONFIG_H
#define SHARED_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/base/tls.h"

enum config_backend { BACKEND_LMDB, BACKEND_KAFKA };
enum config_sasl { SASL_NONE, SASL_PLAIN, SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_512 };
enum listen_tls { LISTEN_PLAIN, LISTEN_STARTTLS, LISTEN_IMPLICIT }; /* none, starttls, implicit */
enum listen_auth { AUTH_NEVER, AUTH_KNOWN_ADDRESSES, AUTH_ALWAYS }; /* AUTH without TLS */
/* What is done with mail that clamd alerts about without naming a virus. */
enum alert_policy { ALERT_HOLD, ALERT_TAG, ALERT_PASS }; /* hold, tag, pass */
enum dkim_failure { DKIM_PASS, DKIM_WAIT };              /* what cannot be signed: pass, wait */
enum bare_newline { BARE_NORMALISE, BARE_REFUSE };

struct listen_config {
	char *address;                     /* host:port */
	enum listen_tls tls;               /* default none: no STARTTLS offered */
	bool tls_required;                 /* with starttls: refuse MAIL before TLS (port 587) */
	bool auth;                         /* offer AUTH; default true */
	enum listen_auth auth_without_tls; /* default never */
	bool proxy;                        /* a PROXY header is required, from `proxies` only */
	char **proxies;                    /* addresses and networks */
	unsigned proxies_count;
	enum tls_profile profile; /* key tls_profile: modern (default) or legacy */
};

/* What an account of a plan may have. Limits are for each of its mailboxes; 0: the plan gives none,
 * and the default limit counts. */
struct plan_config {
	char *name;
	unsigned mailboxes_min, mailboxes_max; /* mailboxes_max 0: no maximum */
	unsigned messages_hour, messages_day, recipients_hour, recipients_day;
};

/* Atomic members may change by SIGHUP (config_live.h) while all threads read them. */
struct config {
	char *file;      /* where it was read from */
	char *hostname;  /* default: the machine's */
	char *state_dir; /* required */
	char *user;  /* whom the process becomes; NULL: it stays who it is, which may not be root */
	char *group; /* default the user's own */
	struct {
		_Atomic int level; /* enum log_level; key log.level: debug, info, warn, error */
	} log;
	struct {
		enum config_backend backend;
		char *brokers;
		unsigned partitions;  /* 12 */
		unsigned replication; /* 3 */
		bool tls;             /* to the brokers */
		char *ca;
		struct {
			enum config_sasl mechanism; /* default none */
			char *username;
			char *password; /* read from password_file when that is set */
			char *password_file;
		} sasl;
		uint64_t map_size;            /* lmdb, 64G (address space, not disk) */
		_Atomic unsigned min_free;    /* percent of the disk, 10 */
		_Atomic uint64_t events_size; /* cap of the event files, 1G */
		_Atomic uint64_t floods_size; /* the same of events that strangers cause, 100M */
		_Atomic uint64_t events_keep; /* ms, 30d */
		_Atomic uint64_t audit_size;  /* the same of operators' changes, 100M */
		_Atomic uint64_t audit_keep;  /* ms, 365d */
	} queue;
	struct {
		char *address;    /* unix:/run/redis/redis-server.sock; NULL with sentinels */
		char **sentinels; /* who knows where the master is */
		unsigned sentinels_count;
		char *master;            /* the master's name; NULL without sentinels */
		char *sentinel_password; /* read from sentinel_password_file when that is set */
		char *sentinel_password_file;
		char *password; /* read from password_file when that is set */
		char *password_file;
		bool tls; /* also to the sentinels */
		char *ca;
	} redis;
	struct {
		struct listen_config *listen;
		unsigned listen_count;
		unsigned threads; /* 0 = the number of cores */
		struct {
			struct tls_files *files; /* keys certificate, key; then more[] for SNI */
			unsigned files_count;
		} tls;
		uint64_t message_size_limit;              /* 50M */
		_Atomic unsigned recipients_max;          /* 1000 */
		_Atomic unsigned connections_max;         /* of a process, 2000 */
		_Atomic unsigned connections_per_address; /* 100 */
		_Atomic unsigned known_share;             /* percent kept for who is known, 50 */
		_Atomic unsigned strangers_per_network; /* unknown clients of one /24 or /48, 250 */
		_Atomic uint64_t stranger_timeout; /* an unknown client must have sent MAIL, 30s */
		struct {
			_Atomic unsigned connections, handshakes, commands; /* 600, 120, 1200 */
		} stranger_rates;            /* of an unknown client's address, a minute */
		_Atomic unsigned errors_max; /* bad commands before 421, 20 */
		_Atomic uint64_t timeout;    /* of an idle client, 5m */
		_Atomic int bare_newline;    /* enum bare_newline */
		_Atomic bool
			received_client_address; /* name the client in Received, default false */
		char *help_url;                  /* in refusals; default https://<hostname>/help */
		char *postmaster; /* who gets RCPT TO:<postmaster>; default postmaster@<hostname> */
		_Atomic unsigned
			in_flight_max;        /* messages of an account not yet attempted, 10000 */
		_Atomic unsigned waiting_max; /* messages of an account waiting, 200000 */
	} ingress;
	struct {
		/* Of accounts without limits of their own: 1000, 5000, 5000, 20000. 0: no limit. */
		struct {
			_Atomic unsigned messages_hour, messages_day, recipients_hour,
				recipients_day;
		} defaults; /* key default */
	} limits;
	struct {
		bool enabled; /* true; false forwards unscanned, and says so at start */
		char **clamd;
		unsigned clamd_count;
		char *clamd_temporary;    /* where the clamds unpack; default none: not looked at */
		_Atomic uint64_t timeout; /* of a scan, 60s */
		unsigned connections;     /* to each clamd at most, 10 */
		_Atomic uint64_t signature_age; /* signatures older than this raise an alert, 48h */
		_Atomic int pua, heuristics;    /* enum alert_policy, hold */
		_Atomic uint64_t error_limit;   /* then hold what clamd only fails on, 3d */
	} scanner;
	struct {
		_Atomic bool enabled;     /* true */
		_Atomic unsigned minimum; /* recipients before a share counts, 50 */
		_Atomic unsigned unknown_notify, unknown_hold; /* percent of recipients: 5, 10 */
		_Atomic unsigned complaints_notify, complaints_hold; /* of 1,000 recipients: 1, 3 */
		_Atomic unsigned viruses, spam;                      /* messages an hour: 3, 10 */
		_Atomic uint64_t learning;       /* ms in which numbers alone only notify, 7d */
		_Atomic unsigned throttle, hold; /* times what is expected of an hour: 3, 10 */
		struct {
			_Atomic unsigned originator, credential, account; /* 15, 100, 200 */
		} floor; /* new recipients an hour that are usual for anybody */
	} score;
	struct {
		char **lists; /* zones; none: nothing is asked */
		unsigned lists_count;
		_Atomic uint64_t every; /* ms between two rounds, 15m */
	} dnsbl;
	struct {
		char *secret_file; /* what keys are sealed under; NULL: one machine makes its own */
		char *secret;      /* the file's 64 hex signs; NULL without */
		char *domain;      /* our own d=; NULL: only customers' */
		char *sender_id;   /* of Feedback-ID; NULL: no such field */
		char *zone;        /* where we publish customers' keys; NULL: they do */
		_Atomic int on_failure; /* enum dkim_failure, pass */
	} dkim;
	struct {
		char *route;           /* mx, or a smarthost host:port */
		char **allow_networks; /* special addresses that may be delivered to */
		unsigned allow_networks_count;
		_Atomic uint64_t lifetime, null_lifetime, held_lifetime; /* 5d, 1d, 14d */
		struct {
			_Atomic uint64_t first, max; /* 5m, 4h */
		} retry;
		struct {
			_Atomic uint64_t max, route; /* of a site 30m, of the smarthost 2m */
		} rest;
		_Atomic unsigned ambiguous_retries; /* of a message that may have arrived, 3 */
		_Atomic uint64_t delay_dsn;         /* 4h */
		_Atomic unsigned concurrency_start,
			concurrency_max;          /* connections per site: 5, 20 */
		_Atomic unsigned connections_max; /* of the process, 1000 */
		unsigned port;                    /* of MX hosts, 25 */
		char **source_address;            /* bind: one IPv4, one IPv6 at most; none: any */
		unsigned source_address_count;
		char *egress;  /* source_address as "192.0.2.1,2001:db8::1"; "" without */
		char *replies; /* a file of response rules of the operator's own; NULL: none */
		struct {
			_Atomic uint64_t connect, command, dot,
				idle; /* 30s, 5m, 10m; cached idle 5s */
		} timeout;
	} sender;
	struct {
		char **forward; /* host:port; none: recursive from the root */
		unsigned forward_count;
		char *trust_anchor; /* a file; default Debian's, or none */
	} dns;
	struct {
		char *listen;         /* host:port; NULL: no API */
		struct tls_files tls; /* certificate NULL: no TLS */
		char **proxies;       /* whose X-Forwarded-For counts: addresses and networks */
		unsigned proxies_count;
		char **hosts; /* by which names the API is asked; none: by any */
		unsigned hosts_count;
		uint64_t trace_keep; /* ms, 30d */
		char *panel; /* directory of the panel's files, or "none"; NULL: as installed */
		struct {
			char **networks; /* special addresses that posts may go to */
			unsigned networks_count;
			uint64_t retry, give_up; /* ms; 10s, 3d */
		} webhooks;
	} control;
	struct {
		char *name;   /* of the provider; NULL: customers get no mails */
		char **hosts; /* names of this relay that customers' servers use; none: hostname */
		unsigned hosts_count;
		char *support; /* whom customers write to, a mailbox; NULL: postmaster@hostname */
		char *panel;   /* URL of the control panel without a slash at its end; NULL: none */
		char *notices; /* directory of the provider's own texts; NULL: none */
		struct plan_config *plans;
		unsigned plans_count;
		char *spf;        /* the name that customers include; NULL: none is told */
		char **addresses; /* all that mail leaves from; none: sender.source_address */
		unsigned addresses_count;
	} service;
	struct {
		char *listen; /* host:port; NULL: no metrics page */
	} metrics;
};

/*
 * Reads and checks a file. NULL, with every error on `errors` (a stream), one a line:
 *   shout.yaml:12: ingress.listen[0].tls: "ssl" is not one of: none, starttls, implicit
 * Unknown keys are errors. Also checked: addresses, networks, ranges of durations and sizes, files
 * that must be readable, and keys that need other keys.
 */
struct config *config_load(const char *file, FILE *errors);
/* config_load() for a reader who only wants to know what the file says. Files that it names
 * (certificates, keys, passwords) are not looked at: they may be another user's. */
struct config *config_load_alone(const char *file, FILE *errors);
/* config_load() for a running process, which may no longer be allowed to look at such files. */
struct config *config_load_again(const char *file, FILE *errors);
void config_free(struct config **config);

/* "500ms", "30s", "5m", "4h", "5d" to milliseconds; "4096", "256k", "50M", "2G" to bytes. 0 or
 * -EINVAL. */
int config_duration(const char *text, uint64_t *ms_out);
int config_size(const char *text, uint64_t *bytes_out);

#endif
