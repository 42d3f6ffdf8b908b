/* When a batch goes to the applier (handover.h). */
#include "pipeline/handover.h"

void handover_grew(struct handover *handover, uint32_t changes, usec_t lag, usec_t now)
{
    if (handover->began_at == 0)
        handover->began_at = now;
    handover->given_at = now;
    handover->ample = changes >= HANDOVER_AMPLE;
    if (lag > HANDOVER_BEHIND)
        handover->behind = true;
    else if (lag < HANDOVER_NEAR)
        handover->behind = false;
}

void handover_done(struct handover *handover)
{
    handover->began_at = 0;
}

usec_t handover_deadline(const struct handover *handover)
{
    if (!handover->behind || handover->began_at == 0)
        return 0;
    if (handover->ample)
        return handover->began_at;
    usec_t quiet = handover->given_at + HANDOVER_QUIET;
    usec_t old = handover->began_at + HANDOVER_PATIENCE;
    return quiet < old ? quiet : old;
}

bool handover_is_due(const struct handover *handover, usec_t now)
{
    return handover->began_at != 0 && now >= handover_deadline(handover);
}
