/*
 * api_public.c - pages for anybody: "what is my public IP", and the link that proves an address.
 *
 * curl http://relay.example:8080/ip, a link opened on the customer's server -> [api_public]
 *
 * Nothing is told here but the client's own address, and what the link itself says. A link counts
 * for the address that it is opened from (exchange->client).
 */
#include "control/api/api_public.h"

#include <stdio.h>
#include <string.h>

#include "control/account/address_state.h"
#include "control/http/api_private.h"
#include "control/static/static_wants.h"

static void
reply_line(struct exchange *x, const char *line)
{
	char text[NET_TEXT_MAX + 80];
	const int length = snprintf(text, sizeof text, "%s\n", line);

	reply_text(x, "text/plain; charset=utf-8", text, (size_t)length);
}

static void
show_ip(struct exchange *x, const char *rest)
{
	(void)rest;
	reply_line(x, x->client);
}

static void
open_link(struct exchange *x, const char *token)
{
	struct edit edit = edit_of(x);
	const int err = account_address_open(&edit, token, x->client);

	snprintf(x->caller.name, sizeof x->caller.name, "link");
	edit_end(x, "address.proved", &edit, err, 200);
}

static const struct public_page {
	const char *path; /* with a slash at its end: something follows */
	void (*show)(struct exchange *x, const char *rest);
} pages[] = { { "/ip", show_ip }, { "/p/", open_link } };

/* The page of a path, and what follows the page's own path; NULL: there is none. */
static const struct public_page *
page_of(const char *path, const char **rest_out)
{
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		const size_t length = strlen(pages[i].path);
		const char *rest = path + length;
		const bool more = pages[i].path[length - 1] == '/';

		if (strncmp(path, pages[i].path, length) != 0)
			continue;
		*rest_out = rest;
		if (more ? *rest && !strpbrk(rest, "/?") : !*rest)
			return &pages[i];
	}
	return NULL;
}

bool
api_is_public(const char *target)
{
	const char *rest;

	return page_of(target, &rest) || strcmp(target, "/api/v1/ip") == 0 ||
		strcmp(target, "/api/v1/service") == 0;
}

/* A browser first gets the panel's page, whose script opens the link: what looks at pages before
 * people do (previews, filters) proves nothing. */
static bool
is_for_panel(const struct exchange *x)
{
	return x->api->panel &&
		static_wants_page(
			evhttp_find_header(evhttp_request_get_input_headers(x->request), "Accept"));
}

bool
api_public(struct exchange *x)
{
	const char *path = evhttp_request_get_uri(x->request), *rest;
	const struct public_page *page = page_of(path, &rest);

	if (!page || evhttp_request_get_command(x->request) != EVHTTP_REQ_GET ||
		(page->show == open_link && is_for_panel(x)))
		return false;
	page->show(x, rest);
	return true;
}

void
api_ip(struct exchange *x)
{
	reply_json(x, 200,
		json_pack("{s:s, s:b}", "address", x->client, "ipv6",
			strchr(x->client, ':') != NULL));
}
