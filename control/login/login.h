/*
 * login.h - the API's calls about people: who they are, how they log in, what they do about
 * themselves.
 */
#ifndef CONTROL_LOGIN_H
#define CONTROL_LOGIN_H

#include <stdbool.h>

struct exchange;

/* api_people.c: accounts/{account}/people, for owners, and operators, for admins. */
void api_people_list(struct exchange *exchange);
void api_people_add(struct exchange *exchange);
void api_people_get(struct exchange *exchange);
void api_people_change(struct exchange *exchange);
void api_people_remove(struct exchange *exchange);
void api_people_invite(struct exchange *exchange);

/* api_session.c */
void api_session_open(struct exchange *exchange);
void api_session_code(struct exchange *exchange);
void api_session_get(struct exchange *exchange);
void api_session_end(struct exchange *exchange);
void api_session_sudo(struct exchange *exchange);
/* Ends the exchange with a new session of that person; the one that the client came with ends. */
void login_open(struct exchange *exchange, const char *login, bool need_code);

/* api_me.c */
void api_me_get(struct exchange *exchange);
void api_me_change(struct exchange *exchange);
void api_me_totp_new(struct exchange *exchange);
void api_me_totp_confirm(struct exchange *exchange);
void api_me_totp_remove(struct exchange *exchange);
void api_me_sessions(struct exchange *exchange);
void api_me_sessions_end(struct exchange *exchange);
void api_me_session_end(struct exchange *exchange);

/* api_password.c */
void api_password(struct exchange *exchange);
void api_password_reset(struct exchange *exchange);

#endif
