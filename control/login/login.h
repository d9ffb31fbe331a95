/*
 * login.h - the API's calls about people: who they are, how they log in, what they do about
 * themselves.
 */
#ifndef CONTROL_LOGIN_H
#define CONTROL_LOGIN_H

struct exchange;

/* api_people.c: accounts/{account}/people, for owners, and operators, for admins. */
void api_people_list(struct exchange *exchange);
void api_people_add(struct exchange *exchange);
void api_people_get(struct exchange *exchange);
void api_people_change(struct exchange *exchange);
void api_people_remove(struct exchange *exchange);
void api_people_invite(struct exchange *exchange);

/* api_password.c */
void api_password(struct exchange *exchange);
void api_password_reset(struct exchange *exchange);

#endif
