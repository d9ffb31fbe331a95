/*
 * connect.c - finds the API's place and token: on the command line, else in the environment, else
 * in the configuration.
 *
 * When both are given no configuration is read, so that shoutctl works from another machine. Of a
 * configuration only the text is read: its keys and passwords may be closed to an operator.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/base/text.h"
#include "shared/config/config.h"

#define DEFAULT_FILE "/etc/shout/shout.yaml"
#define TOKEN_SIGNS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* The token */

static size_t
read_all(int fd, char *out, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while (length < size && (got = read(fd, out + length, size - length)) > 0)
		length += (size_t)got;
	return length;
}

/* Reads the token. A file that strangers can read or write is still taken, with a warning that says
 * why this matters. */
static void
warn_of_readers(const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IRWXO))
		return;
	fputs("shoutctl: everybody on this machine can use the token in ", stderr);
	print_clean(stderr, path);
	fputs(" (chmod o= closes it)\n", stderr);
}

/* The text of control.token, or a token that the API made. */
static bool
is_token(const char *text)
{
	const size_t length = strlen(text);

	if (strncmp(text, "shout_", 6) == 0)
		return length > 6 && strspn(text, TOKEN_SIGNS) == length;
	return length == CTL_TOKEN_MAX && strspn(text, "0123456789abcdef") == length;
}

static int
token_read(struct ctl *ctl, const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	bool ok;

	if (fd < 0) {
		ctl_error(ctl, "cannot read %s: %s%s", path, strerror(errno),
			errno == EACCES ? " (--token-file names one that you may read)" : "");
		return -1;
	}
	warn_of_readers(path, fd);
	read_all(fd, ctl->token, CTL_TOKEN_MAX);
	ctl->token[strcspn(ctl->token, "\n")] = '\0';
	ok = is_token(ctl->token);
	close(fd);
	if (!ok)
		ctl_error(ctl, "cannot read %s: it holds no token", path);
	return ok ? 0 : -1;
}

/* The place */

static bool
is_on_this_machine(const char *host)
{
	struct net_address address;
	char ip[NET_TEXT_MAX];

	snprintf(ip, sizeof ip, "%.*s", (int)strcspn(host, ":/"), host);
	if (*host == '[')
		snprintf(ip, sizeof ip, "%.*s", (int)strcspn(host + 1, "]"), host + 1);
	if (strcasecmp(ip, "localhost") == 0)
		return true;
	return net_parse_ip(ip, 1, &address) == 0 && net_is_loopback(&address);
}

/* "https://relay.example", with a port and a path if need be. */
static int
url_take(struct ctl *ctl, const char *url)
{
	const bool plain = strncasecmp(url, "http://", 7) == 0;
	const char *host = url + (plain ? 7 : 8);
	size_t length = strlen(url);

	if ((!plain && strncasecmp(url, "https://", 8) != 0) ||
		(!is_alnum(*host) && *host != '[') || strpbrk(host, "@?# \\")) {
		ctl_error(ctl, "\"%s\" is no URL like https://relay.example:8025", url);
		return -1;
	}
	if (plain && !is_on_this_machine(host))
		fputs("shoutctl: without https the token travels where others may read it\n",
			stderr);
	while (length > 0 && url[length - 1] == '/')
		length--;
	ctl->url = xstrndup(url, length);
	return 0;
}

/* With TLS the API is asked by a name that its certificate should have. The certificate that the
 * settings name is trusted as it is, when it can be read. */
static void
tls_take(struct ctl *ctl, const struct config *config, const struct net_address *address)
{
	const char *name = config->control.hosts_count ? config->control.hosts[0]
						       : config->hostname;
	char text[NET_TEXT_MAX];

	net_format(address, text);
	ctl->url = xasprintf("https://%s:%u", name, net_port(address));
	ctl->place = xasprintf("::%s", text);
	if (!ctl->ca_file && access(config->control.tls.certificate, R_OK) == 0)
		ctl->ca_file = xstrdup(config->control.tls.certificate);
}

/* An API that listens on every address is asked on this machine's own. */
static int
listen_take(struct ctl *ctl, const char *file, const struct config *config)
{
	const char *listen = config->control.listen;
	struct net_address address;
	char text[NET_TEXT_MAX];

	if (!listen) {
		ctl_error(ctl, "%s: control.listen is not set, so there is no API", file);
		return -1;
	}
	if (net_parse(listen, &address) < 0 || net_port(&address) == 0) {
		ctl_error(ctl, "%s: control.listen: \"%s\" is no address:port", file, listen);
		return -1;
	}
	net_format_ip(&address, text);
	if (strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0)
		net_parse_ip(*text == '0' ? "127.0.0.1" : "::1", net_port(&address), &address);
	net_format(&address, text);
	if (config->control.tls.certificate)
		tls_take(ctl, config, &address);
	else
		ctl->url = xasprintf("http://%s", text);
	return 0;
}

/* The configuration */

static struct config *
config_read(const struct ctl *ctl, const char *file)
{
	size_t length;
	char *wrong;
	FILE *errors = open_memstream(&wrong, &length);
	struct config *config = errors ? config_load_alone(file, errors) : NULL;

	if (!errors || fclose(errors) != 0)
		die("out of memory", "open_memstream");
	while (length > 0 && wrong[length - 1] == '\n')
		wrong[--length] = '\0';
	if (length > 0)
		ctl_error(ctl, "%s", wrong);
	free(wrong);
	return config;
}

/* Takes from the configuration what the command line and the environment leave open. */
static int
take_from_config(struct ctl *ctl, const char *url, const char *token_file)
{
	const char *file = ctl->file ? ctl->file : DEFAULT_FILE;
	struct config *config = config_read(ctl, file);
	char *path;
	int err;

	if (!config)
		return -1;
	err = url ? url_take(ctl, url) : listen_take(ctl, file, config);
	path = token_file ? xstrdup(token_file) : xasprintf("%s/control.token", config->state_dir);
	if (!err)
		err = token_read(ctl, path);
	free(path);
	config_free(&config);
	return err;
}

/* The option's value, else the environment's; with --config the environment does not count. */
static const char *
setting(const struct ctl *ctl, const char *option, const char *variable)
{
	const char *value = ctl_option(ctl, option);

	if (!value && !ctl->file)
		value = getenv(variable);
	return value && *value ? value : NULL;
}

int
ctl_connect(struct ctl *ctl)
{
	const char *url = setting(ctl, "url", "SHOUT_URL");
	const char *token_file = setting(ctl, "token-file", "SHOUT_TOKEN_FILE");

	if (setting(ctl, "ca-file", "SHOUT_CA_FILE"))
		ctl->ca_file = xstrdup(setting(ctl, "ca-file", "SHOUT_CA_FILE"));
	if (url && !token_file && !ctl->file) {
		ctl_error(ctl,
			"--url needs --token-file: a copy of the state_dir/control.token there");
		return -1;
	}
	if (!url || !token_file)
		return take_from_config(ctl, url, token_file);
	return url_take(ctl, url) < 0 ? -1 : token_read(ctl, token_file);
}

void
ctl_disconnect(struct ctl *ctl)
{
	explicit_bzero(ctl->token, sizeof ctl->token);
	free(ctl->url);
	free(ctl->place);
	free(ctl->ca_file);
	ctl->url = ctl->place = ctl->ca_file = NULL;
}
