/*
 * api_score.h - the API's calls about scores: what somebody's mail did, who stands on the ladder,
 * who sends most, and an end to a step.
 */
#ifndef CONTROL_API_SCORE_H
#define CONTROL_API_SCORE_H

struct exchange;

void api_score_list(struct exchange *exchange);
void api_score_top(struct exchange *exchange);
void api_account_score(struct exchange *exchange);
void api_score_release(struct exchange *exchange);
void api_score_forgive(struct exchange *exchange);

#endif
