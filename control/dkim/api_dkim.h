/*
 * api_dkim.h - the API's calls about DKIM: by account and domain, and by domain alone for the
 * operator, who also has the relay's own domain.
 */
#ifndef CONTROL_API_DKIM_H
#define CONTROL_API_DKIM_H

struct exchange;

void api_account_dkim_show(struct exchange *exchange);
void api_account_dkim_enable(struct exchange *exchange);
void api_account_dkim_rotate(struct exchange *exchange);
void api_account_dkim_disable(struct exchange *exchange);
void api_dkim_list(struct exchange *exchange);
void api_dkim_show(struct exchange *exchange);
void api_dkim_enable(struct exchange *exchange);
void api_dkim_rotate(struct exchange *exchange);
void api_dkim_disable(struct exchange *exchange);

#endif
