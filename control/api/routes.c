/*
 * routes.c - the table of the API: method, path, handler, whether a body may be sent, the names of
 * the parameters, and the right that the caller must have.
 */
#include "control/api/routes.h"

#include <string.h>

#include "control/connection/connection.h"
#include "control/dkim/api_dkim.h"
#include "control/egress/api_egress.h"
#include "control/http/api_private.h"
#include "control/login/login.h"
#include "control/score/api_score.h"
#include "control/webhook/api_webhooks.h"

#define PREFIX "/api/v1/"

#define PAGE "limit after"
#define TRACED "recipient sender domain id message_id state class credential since until " PAGE
#define FILTERS "id site provider account credential sender egress_ip"

/* A parameter that the route does not name is refused, and so is a body where none is taken:
 * ignored, it would be a wish that is granted and not done. */
/* clang-format off */
static const struct route routes[] = {
	{ EVHTTP_REQ_POST, "accounts", api_accounts_create, true, "", RIGHT_RESELL },
	{ EVHTTP_REQ_GET, "accounts", api_accounts_list, false, "deleted owner " PAGE, RIGHT_RESELL_LOOK },
	{ EVHTTP_REQ_GET, "accounts/*", api_account_get, false, "", RIGHT_READ },
	{ EVHTTP_REQ_PATCH, "accounts/*", api_account_change, true, "", RIGHT_RESELL },
	{ EVHTTP_REQ_DELETE, "accounts/*", api_account_delete, false, "bounce now", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_PUT, "accounts/*/mailboxes", api_account_mailboxes, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/restore", api_account_restore, false, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_POST, "accounts/*/enable", api_account_enable, false, "", RIGHT_RESELL },
	{ EVHTTP_REQ_POST, "accounts/*/disable", api_account_disable, true, "", RIGHT_RESELL },
	{ EVHTTP_REQ_PUT, "accounts/*/mode", api_mode_switch, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_DELETE, "accounts/*/mode", api_mode_undo, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_PATCH, "accounts/*/mode/grace", api_grace_extend, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_DELETE, "accounts/*/mode/grace", api_grace_end, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/password", api_account_password, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_GET, "accounts/*/notices", api_notices_list, false, "", RIGHT_READ },
	{ EVHTTP_REQ_POST, "accounts/*/notices/*/send", api_notice_send, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_GET, "accounts/*/alerts", api_alerts_get, false, "", RIGHT_READ },
	{ EVHTTP_REQ_PUT, "accounts/*/alerts", api_alerts_set, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/users", api_account_add_user, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_PATCH, "accounts/*/users/*", api_account_change_user, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/users/*/suspend", api_account_suspend_user, true, "", RIGHT_SERVE },
	{ EVHTTP_REQ_POST, "accounts/*/users/*/resume", api_account_resume_user, false, "", RIGHT_SERVE },
	{ EVHTTP_REQ_DELETE, "accounts/*/users/*", api_account_remove_user, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/addresses", api_account_add_address, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/addresses/*/proof", api_address_link, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_DELETE, "accounts/*/addresses/*", api_account_remove_address, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_GET, "accounts/*/domains", api_domains_list, false, PAGE, RIGHT_READ },
	{ EVHTTP_REQ_POST, "accounts/*/domains", api_account_add_domain, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_DELETE, "accounts/*/domains/*", api_account_remove_domain, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/domains/*/check", api_domain_check, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_GET, "accounts/*/domains/*/dkim", api_account_dkim_show, false, "", RIGHT_READ },
	{ EVHTTP_REQ_POST, "accounts/*/domains/*/dkim", api_account_dkim_enable, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_DELETE, "accounts/*/domains/*/dkim", api_account_dkim_disable, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/domains/*/dkim/rotate", api_account_dkim_rotate, true, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_GET, "accounts/*/score", api_account_score, false, "originator credential", RIGHT_READ },
	{ EVHTTP_REQ_POST, "accounts/*/score/release", api_score_release, true, "", RIGHT_SERVE },
	{ EVHTTP_REQ_POST, "accounts/*/score/forgive", api_score_forgive, true, "", RIGHT_SERVE },
	{ EVHTTP_REQ_GET, "score", api_score_list, false, "limit", RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "score/top", api_score_top, false, "limit", RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "dkim", api_dkim_list, false, PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "dkim/*", api_dkim_show, false, "", RIGHT_LOOK },
	{ EVHTTP_REQ_POST, "dkim/*", api_dkim_enable, true, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_DELETE, "dkim/*", api_dkim_disable, false, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_POST, "dkim/*/rotate", api_dkim_rotate, true, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_GET, "accounts/*/tokens", api_account_tokens_list, false, PAGE, RIGHT_OWN },
	{ EVHTTP_REQ_POST, "accounts/*/tokens", api_account_tokens_add, true, "", RIGHT_OWN },
	{ EVHTTP_REQ_DELETE, "accounts/*/tokens/*", api_account_tokens_remove, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_GET, "accounts/*/people", api_people_list, false, PAGE, RIGHT_OWN },
	{ EVHTTP_REQ_POST, "accounts/*/people", api_people_add, true, "", RIGHT_OWN },
	{ EVHTTP_REQ_GET, "accounts/*/people/*", api_people_get, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_PATCH, "accounts/*/people/*", api_people_change, true, "", RIGHT_OWN },
	{ EVHTTP_REQ_DELETE, "accounts/*/people/*", api_people_remove, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_POST, "accounts/*/people/*/invite", api_people_invite, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_GET, "operators", api_people_list, false, PAGE, RIGHT_ADMIN },
	{ EVHTTP_REQ_POST, "operators", api_people_add, true, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_GET, "operators/*", api_people_get, false, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_PATCH, "operators/*", api_people_change, true, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_DELETE, "operators/*", api_people_remove, false, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_POST, "operators/*/invite", api_people_invite, false, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_POST, "session", api_session_open, true, "", RIGHT_PUBLIC },
	{ EVHTTP_REQ_GET, "session", api_session_get, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_DELETE, "session", api_session_end, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_POST, "session/totp", api_session_code, true, "", RIGHT_PUBLIC },
	{ EVHTTP_REQ_POST, "session/sudo", api_session_sudo, true, "", RIGHT_SELF },
	{ EVHTTP_REQ_GET, "me", api_me_get, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_PATCH, "me", api_me_change, true, "", RIGHT_SELF },
	{ EVHTTP_REQ_POST, "me/totp", api_me_totp_new, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_DELETE, "me/totp", api_me_totp_remove, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_POST, "me/totp/confirm", api_me_totp_confirm, true, "", RIGHT_SELF },
	{ EVHTTP_REQ_GET, "me/sessions", api_me_sessions, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_DELETE, "me/sessions", api_me_sessions_end, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_DELETE, "me/sessions/*", api_me_session_end, false, "", RIGHT_SELF },
	{ EVHTTP_REQ_POST, "password", api_password, true, "", RIGHT_PUBLIC },
	{ EVHTTP_REQ_POST, "password-reset", api_password_reset, true, "", RIGHT_PUBLIC },
	{ EVHTTP_REQ_GET, "accounts/*/webhooks", api_webhooks_list, false, PAGE, RIGHT_OWN },
	{ EVHTTP_REQ_POST, "accounts/*/webhooks", api_webhooks_add, true, "", RIGHT_OWN },
	{ EVHTTP_REQ_GET, "accounts/*/webhooks/*", api_webhook_get, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_PATCH, "accounts/*/webhooks/*", api_webhook_change, true, "", RIGHT_OWN },
	{ EVHTTP_REQ_DELETE, "accounts/*/webhooks/*", api_webhook_remove, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_POST, "accounts/*/webhooks/*/test", api_webhook_test, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_GET, "accounts/*/webhooks/*/tries", api_webhook_tries, false, "", RIGHT_OWN },
	{ EVHTTP_REQ_GET, "tokens", api_tokens_list, false, PAGE, RIGHT_ADMIN },
	{ EVHTTP_REQ_POST, "tokens", api_tokens_add, true, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_DELETE, "tokens/*", api_tokens_remove, false, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_GET, "accounts/*/export", api_account_export, false, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_GET, "accounts/*/limits", api_account_limits, false, "", RIGHT_READ },
	{ EVHTTP_REQ_GET, "accounts/*/connection", api_account_connection, false, "", RIGHT_READ },
	{ EVHTTP_REQ_GET, "accounts/*/sessions", api_account_sessions, false, "", RIGHT_TRACE },
	{ EVHTTP_REQ_POST, "accounts/*/test", api_account_test_start, false, "", RIGHT_TRACE },
	{ EVHTTP_REQ_GET, "accounts/*/test/*", api_account_test_get, false, "", RIGHT_TRACE },
	{ EVHTTP_REQ_GET, "accounts/*/messages", api_account_messages, false, TRACED, RIGHT_TRACE },
	{ EVHTTP_REQ_GET, "accounts/*/messages/*", api_account_message, false, "", RIGHT_TRACE },
	{ EVHTTP_REQ_GET, "accounts/*/held", api_account_held, false, PAGE, RIGHT_TRACE },
	{ EVHTTP_REQ_GET, "accounts/*/bounces", api_bounces, false, "group since until", RIGHT_TRACE },
	{ EVHTTP_REQ_POST, "accounts/*/messages/*/release", api_account_release, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/messages/*/discard", api_account_discard, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/messages/*/retry", api_account_retry, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_POST, "accounts/*/messages/*/false-alarm", api_account_false_alarm, false, "", RIGHT_MANAGE },
	{ EVHTTP_REQ_GET, "messages", api_messages, false, "account " TRACED, RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "messages/*", api_message, false, "", RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "open", api_open, false, "account older " PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "export", api_export, false, PAGE, RIGHT_ADMIN },
	{ EVHTTP_REQ_POST, "import", api_import, true, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_GET, "backup", api_backup, false, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_POST, "restore", api_restore, true, "", RIGHT_ADMIN },
	{ EVHTTP_REQ_GET, "queue", api_queue_list, false, FILTERS " domain state " PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "queue/summary", api_queue_summary, false, FILTERS " domain by limit", RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "queue/bad", api_bad_list, false, PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "queue/bad/*", api_bad_get, false, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_DELETE, "queue/bad/*", api_bad_remove, false, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_GET, "queue/*", api_queue_get, false, "", RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "rules", api_rules_list, false, PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_POST, "rules", api_rules_create, true, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_GET, "suspensions", api_suspensions_list, false, PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_POST, "suspensions", api_suspensions_create, true, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_DELETE, "suspensions", api_suspensions_remove, false, FILTERS " recipient_domain dry_run", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_GET, "events", api_events, false, "id event account username client from to domain since until wait " PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "why", api_why, false, "q " PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "replies/unknown", api_replies_unknown, false, "", RIGHT_LOOK },
	{ EVHTTP_REQ_GET, "egress", api_egress_list, false, PAGE, RIGHT_LOOK },
	{ EVHTTP_REQ_POST, "egress", api_egress_add, true, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_GET, "egress/*", api_egress_get, false, "", RIGHT_LOOK },
	{ EVHTTP_REQ_PATCH, "egress/*", api_egress_change, true, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_DELETE, "egress/*", api_egress_remove, false, "", RIGHT_POSTMASTER },
	{ EVHTTP_REQ_GET, "ip", api_ip, false, "", RIGHT_PUBLIC },
	{ EVHTTP_REQ_GET, "service", api_service, false, "", RIGHT_PUBLIC },
	{ EVHTTP_REQ_POST, "rebuild", api_rebuild, false, "take_over", RIGHT_ADMIN },
	{ EVHTTP_REQ_GET, "openapi.yaml", api_openapi, false, "", RIGHT_PUBLIC },
};
/* clang-format on */

void
routes_find(const char *path, enum evhttp_cmd_type method, struct route_match *match_out)
{
	const size_t prefix = sizeof PREFIX - 1;

	*match_out = (struct route_match){ 0 };
	if (path && strncmp(path, PREFIX, prefix) == 0)
		route_find(
			routes, sizeof routes / sizeof *routes, path + prefix, method, match_out);
}

/* Beside every change that only an owner or an admin may make. */
static void (*const proved_anew[])(struct exchange *exchange) = { api_account_password,
	api_account_add_user, api_account_delete, api_account_export, api_export, api_backup,
	api_me_totp_new, api_me_totp_remove };

bool
route_needs_sudo(const struct route *route)
{
	for (size_t i = 0; i < sizeof proved_anew / sizeof *proved_anew; i++)
		if (proved_anew[i] == route->handle)
			return true;
	return route->method != EVHTTP_REQ_GET &&
		(route->right == RIGHT_OWN || route->right == RIGHT_ADMIN);
}
