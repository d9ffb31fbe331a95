/*
 * api_openapi.c - the API's description: openapi.yaml, as of the build.
 */
#include "control/http/api_private.h"

static const char description[] =
#include "control/http/openapi.yaml.h"
	;

void
api_openapi(struct exchange *exchange)
{
	reply_text(exchange, "application/yaml", description, sizeof description - 1);
}
