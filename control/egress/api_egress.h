/*
 * api_egress.h - the API's calls about egress IPs.
 */
#ifndef CONTROL_API_EGRESS_H
#define CONTROL_API_EGRESS_H

struct exchange;

void api_egress_add(struct exchange *exchange);
void api_egress_list(struct exchange *exchange);
void api_egress_get(struct exchange *exchange);
void api_egress_change(struct exchange *exchange);
void api_egress_remove(struct exchange *exchange);

#endif
