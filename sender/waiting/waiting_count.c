/*
 * waiting_count.c - counts the rows of each account: an account with too many is stopped at the
 * door.
 *
 * sender:  deferral (rows come and go, partitions too) -> [waiting_count] -> limits
 *
 * Rows are counted by partition. A partition that moves to another process is counted there.
 */
#include "sender/waiting/waiting_count.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/named.h"

struct waiting_account {
	UT_hash_handle hh;
	int64_t rows;
	char name[];
};

/* A partition of ours, with the number of rows of each account ("": of no account). */
struct waiting_partition {
	UT_hash_handle hh;
	uint32_t number;
	struct waiting_account *accounts;
};

struct waiting_count {
	struct waiting_account *accounts; /* of all our partitions */
	struct waiting_partition *partitions;
	waiting_cb cb;
	void *arg;
	size_t rows;
};

/* Tells how many rows the account has now. */
static int64_t
account_count(struct waiting_account **accounts, const char *name, int64_t n)
{
	struct waiting_account *account;
	int64_t rows;

	NAMED_GET(*accounts, name, name, account);
	account->rows += n;
	rows = account->rows > 0 ? account->rows : 0;
	if (!rows) {
		HASH_DEL(*accounts, account);
		free(account);
	}
	return rows;
}

static void
accounts_free(struct waiting_account **accounts)
{
	struct waiting_account *account, *next;

	HASH_ITER (hh, *accounts, account, next) {
		HASH_DEL(*accounts, account);
		free(account);
	}
}

static void
total_count(struct waiting_count *count, const char *account, int64_t n)
{
	count->rows += (size_t)n;
	if (*account)
		count->cb(count->arg, account, account_count(&count->accounts, account, n));
}

void
waiting_count_add(struct waiting_count *count, const Envelope *envelope, int n)
{
	struct waiting_partition *partition;

	HASH_FIND(hh, count->partitions, &envelope->partition, sizeof partition->number, partition);
	if (!partition)
		return; /* its new owner counts the partition */
	account_count(&partition->accounts, envelope->account, n);
	total_count(count, envelope->account, n);
}

void
waiting_count_forget(struct waiting_count *count, uint32_t number)
{
	struct waiting_partition *partition;

	HASH_FIND(hh, count->partitions, &number, sizeof number, partition);
	if (!partition)
		return;
	for (struct waiting_account *account = partition->accounts; account;
		account = account->hh.next)
		total_count(count, account->name, -account->rows);
	accounts_free(&partition->accounts);
	HASH_DEL(count->partitions, partition);
	free(partition);
}

void
waiting_count_begin(struct waiting_count *count, uint32_t number)
{
	struct waiting_partition *partition = xcalloc(1, sizeof *partition);

	waiting_count_forget(count, number);
	partition->number = number;
	HASH_ADD(hh, count->partitions, number, sizeof partition->number, partition);
}

size_t
waiting_count_rows(const struct waiting_count *count)
{
	return count->rows;
}

struct waiting_count *
waiting_count_new(waiting_cb cb, void *arg)
{
	struct waiting_count *count = xcalloc(1, sizeof *count);

	count->cb = cb;
	count->arg = arg;
	return count;
}

void
waiting_count_free(struct waiting_count **count_ref)
{
	struct waiting_count *count = *count_ref;
	struct waiting_partition *partition, *next;

	if (!count)
		return;
	HASH_ITER (hh, count->partitions, partition, next) {
		accounts_free(&partition->accounts);
		HASH_DEL(count->partitions, partition);
		free(partition);
	}
	accounts_free(&count->accounts);
	free(count);
	*count_ref = NULL;
}
