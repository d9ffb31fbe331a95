/*
 * api_panel.c - the panel's pages: files from the table, with what a browser has to be told of
 * them.
 *
 * browser -> gate, api -> [api_panel] -> static_files
 *
 * Nothing here knows who asks: the pages hold no data, which they ask the API for. A page that is
 * no file is index.html, whose script reads the path. What a browser has stays good until it asked
 * (no-cache), which a tag makes cheap.
 */
#include "control/api/api_panel.h"

#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "control/http/api_private.h"
#include "control/static/static_files.h"
#include "control/static/static_wants.h"
#include "shared/config/config.h"

/* No script but our own files, nothing from elsewhere, no text that becomes markup. */
#define POLICY                                                                                     \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                \
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "        \
	"require-trusted-types-for 'script'; trusted-types 'none'"

/* Files that there is one of in each language: /text.js is text/it.js or text/en.js. */
static const struct {
	const char *path, *folder, *suffix;
} translated[] = { { "text.js", "text", "js" }, { "help", "help", "html" } };

bool
api_panel_takes(const struct api *api, const char *method, const char *target)
{
	return api->panel && method &&
		(strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) && *target == '/' &&
		strncmp(target, "/api/", 5) != 0;
}

static const char *
field_of(const struct exchange *x, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(x->request), name);
}

/* The file for a path without its slash; NULL: there is none. Writes which fields of the request it
 * depends on. */
static const struct static_file *
file_for(const struct exchange *x, const char *path, const char **vary_out)
{
	const struct static_files *files = x->api->panel;
	const struct static_file *file = static_files_find(files, path);
	char name[32];

	*vary_out = "Accept-Encoding";
	for (size_t i = 0; i < sizeof translated / sizeof *translated; i++) {
		if (strcmp(path, translated[i].path) != 0)
			continue;
		snprintf(name, sizeof name, "%s/%s.%s", translated[i].folder,
			static_language(field_of(x, "Cookie"), field_of(x, "Accept-Language")),
			translated[i].suffix);
		*vary_out = "Accept-Encoding, Accept-Language, Cookie";
		return static_files_find(files, name);
	}
	if (!file && !static_name_is_file(path))
		file = static_files_find(files, "index.html");
	return file;
}

static void
show(struct exchange *x, const struct static_file *file, const char *vary)
{
	const bool gzip = file->gzip.bytes && static_takes_gzip(field_of(x, "Accept-Encoding"));
	const struct static_form *form = gzip ? &file->gzip : &file->plain;

	reply_header(x, "Cache-Control", "no-cache");
	reply_header(x, "Content-Security-Policy", POLICY);
	reply_header(x, "ETag", form->tag);
	reply_header(x, "Vary", vary);
	if (static_tag_matches(field_of(x, "If-None-Match"), form->tag)) {
		reply_bytes(x, 304, NULL, "", 0);
		return;
	}
	if (gzip)
		reply_header(x, "Content-Encoding", "gzip");
	reply_bytes(x, 200, file->type, form->bytes, form->size);
}

bool
api_panel(struct exchange *x)
{
	const enum evhttp_cmd_type method = evhttp_request_get_command(x->request);
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(x->request));
	const struct static_file *file;
	const char *vary;

	if (!x->api->panel || !path || *path != '/' || strncmp(path, "/api/", 5) == 0 ||
		(method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD))
		return false;
	file = file_for(x, path + 1, &vary);
	if (file)
		show(x, file, vary);
	else
		reply_error(x, 404, "", "the panel has no such file");
	return true;
}

void
api_service(struct exchange *x)
{
	const struct config *config = x->api->config;
	char postmaster[320];

	snprintf(postmaster, sizeof postmaster, "postmaster@%s", config->hostname);
	reply_json(x, 200,
		json_pack("{s:s?, s:s, s:s?}", "name", config->service.name, "support",
			config->service.support ? config->service.support : postmaster, "spf",
			config->service.spf));
}
