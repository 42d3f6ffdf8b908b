/* Limits on the rate of the copy: rows a second and bytes a second, over all workers together.
 *
 * Each limit is a bucket, kept as the moment up to which everything taken is paid for:
 *
 *     ---- paid for ----|                     now <= paid_until: who takes more waits until
 *                  paid_until                 its own share is paid
 *
 * Who takes moves the moment on by what the amount is worth, and waits until then: so takers go
 * on in the order in which they took, and over seconds the rate is exact whatever the size of a
 * single row. Idle time is not saved up, but for a tenth of a second.
 *
 * Callers say what they have read in small portions (throttle_count), so that waits are short
 * and the locks few. Any thread; an account belongs to one. */
#ifndef BACKFILL_THROTTLE_H
#define BACKFILL_THROTTLE_H

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct throttle_bucket {
    uint64_t per_second; /* 0: no limit */
    double paid_until;   /* microseconds, of the monotonic clock */
};

struct throttle {
    /* set at init */
    uint64_t portion_rows, portion_bytes; /* UINT64_MAX: no limit */
    _Atomic usec_t slowed_until; /* the latest moment that somebody was told to wait for */
    pthread_mutex_t lock;        /* guards the buckets */
    struct throttle_bucket rows, bytes;
};

/* What one worker has read and not taken from the buckets yet. */
struct throttle_account {
    uint64_t rows, bytes;
};

/* 0: no such limit. */
void throttle_init(struct throttle *throttle, uint64_t rows_per_second,
                   uint64_t bytes_per_second);
void throttle_free(struct throttle *throttle);

bool throttle_limits(const struct throttle *throttle);
/* Counts a row. True when the account has a portion: throttle_take() it. */
static inline bool throttle_count(const struct throttle *throttle,
                                  struct throttle_account *account, uint64_t bytes)
{
    account->rows++;
    account->bytes += bytes;
    return account->rows >= throttle->portion_rows || account->bytes >= throttle->portion_bytes;
}
/* Takes all of the account. The moment to wait for: not after `now` when there is no need. */
usec_t throttle_take(struct throttle *throttle, struct throttle_account *account, usec_t now);
/* The rows that the limit lets through in the time; UINT64_MAX without a limit on rows. */
uint64_t throttle_rows_in(const struct throttle *throttle, usec_t time);
/* The limits, rather than the servers, have lately set the speed. */
bool throttle_is_slowing(const struct throttle *throttle, usec_t now);

#endif
