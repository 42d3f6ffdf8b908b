/* Limits on the rate of the copy (throttle.h). */
#include "backfill/throttle.h"

#define BURST (100 * USEC_PER_MS)
#define PORTIONS_PER_SECOND 50
#define PORTION_ROWS_MOST 1024
#define LATELY (2 * USEC_PER_SEC)

/* About a fiftieth of a second's worth, for all workers share it. */
static uint64_t portion_of(uint64_t per_second)
{
    uint64_t portion = per_second / PORTIONS_PER_SECOND;
    return per_second == 0 ? UINT64_MAX : portion == 0 ? 1 : portion;
}

void throttle_init(struct throttle *throttle, uint64_t rows_per_second,
                   uint64_t bytes_per_second)
{
    *throttle = (struct throttle){.portion_rows = portion_of(rows_per_second),
                                  .portion_bytes = portion_of(bytes_per_second),
                                  .rows = {.per_second = rows_per_second},
                                  .bytes = {.per_second = bytes_per_second}};
    if (throttle->portion_rows > PORTION_ROWS_MOST && rows_per_second > 0)
        throttle->portion_rows = PORTION_ROWS_MOST;
    pthread_mutex_init(&throttle->lock, NULL);
}

void throttle_free(struct throttle *throttle)
{
    pthread_mutex_destroy(&throttle->lock);
}

bool throttle_limits(const struct throttle *throttle)
{
    return throttle->rows.per_second > 0 || throttle->bytes.per_second > 0;
}

static usec_t take(struct throttle_bucket *bucket, uint64_t amount, usec_t now)
{
    if (bucket->per_second == 0)
        return now;
    if (bucket->paid_until < (double)(now - BURST))
        bucket->paid_until = (double)(now - BURST);
    bucket->paid_until += (double)amount * USEC_PER_SEC / (double)bucket->per_second;
    return (usec_t)bucket->paid_until;
}

usec_t throttle_take(struct throttle *throttle, struct throttle_account *account, usec_t now)
{
    pthread_mutex_lock(&throttle->lock);
    usec_t by_rows = take(&throttle->rows, account->rows, now);
    usec_t by_bytes = take(&throttle->bytes, account->bytes, now);
    usec_t until = by_rows > by_bytes ? by_rows : by_bytes;
    if (until > now && until > atomic_load(&throttle->slowed_until))
        atomic_store(&throttle->slowed_until, until);
    pthread_mutex_unlock(&throttle->lock);
    *account = (struct throttle_account){0};
    return until;
}

uint64_t throttle_rows_in(const struct throttle *throttle, usec_t time)
{
    if (throttle->rows.per_second == 0)
        return UINT64_MAX;
    return (uint64_t)((double)throttle->rows.per_second * (double)time / USEC_PER_SEC);
}

bool throttle_is_slowing(const struct throttle *throttle, usec_t now)
{
    usec_t until = atomic_load(&((struct throttle *)(uintptr_t)throttle)->slowed_until);
    return until != 0 && now - until < LATELY;
}
