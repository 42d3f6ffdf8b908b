/* The breaker on bad rows (breaker.h). */
#include "pipeline/breaker.h"

void breaker_half_open(struct breaker *breaker)
{
    *breaker = (struct breaker){.state = BREAKER_HALF_OPEN};
}

double breaker_share(const struct breaker *breaker)
{
    return breaker->seen > 0 ? breaker->bad / breaker->seen : 0;
}

static void forget_old(struct breaker *breaker, const struct breaker_limits *limits, usec_t now)
{
    if (breaker->halved_at == 0)
        breaker->halved_at = now;
    if (breaker->seen < (double)(BREAKER_WINDOW * limits->min_rows) &&
        now - breaker->halved_at < BREAKER_MEMORY)
        return;
    breaker->seen /= 2;
    breaker->bad /= 2;
    breaker->halved_at = now;
}

static enum breaker_state judge_closed(const struct breaker *breaker,
                                       const struct breaker_limits *limits)
{
    bool all = breaker->seen >= BREAKER_FIRST && breaker->bad >= breaker->seen;
    bool many = breaker->seen >= (double)limits->min_rows &&
                breaker_share(breaker) > limits->max_bad_share;
    return limits->max_bad_share < 1 && (all || many) ? BREAKER_OPEN : BREAKER_CLOSED;
}

static enum breaker_state judge_half_open(const struct breaker *breaker,
                                          const struct breaker_limits *limits)
{
    if (limits->max_bad_share < 1 && breaker->bad >= BREAKER_HALF_BAD)
        return BREAKER_OPEN;
    return breaker->seen - breaker->bad >= BREAKER_HALF_GOOD ? BREAKER_CLOSED
                                                             : BREAKER_HALF_OPEN;
}

enum breaker_state breaker_count(struct breaker *breaker, const struct breaker_limits *limits,
                                 uint64_t good, uint64_t bad, usec_t now)
{
    switch (breaker->state) {
    case BREAKER_OPEN:
        return BREAKER_OPEN;
    case BREAKER_CLOSED:
        forget_old(breaker, limits, now);
        break;
    case BREAKER_HALF_OPEN:
        break;
    }
    breaker->seen += (double)(good + bad);
    breaker->bad += (double)bad;
    bool trying = breaker->state == BREAKER_HALF_OPEN;
    breaker->state = (trying ? judge_half_open : judge_closed)(breaker, limits);
    if (trying && breaker->state == BREAKER_CLOSED)
        *breaker = (struct breaker){.state = BREAKER_CLOSED};
    return breaker->state;
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const NAMES[] = {[BREAKER_CLOSED] = "closed",
                                        [BREAKER_OPEN] = "open",
                                        [BREAKER_HALF_OPEN] = "half_open"};
    return NAMES[state];
}
