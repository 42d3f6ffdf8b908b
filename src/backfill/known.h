/* What is known of a table's copy, to be held against what is kept of it at the target, which
 * may have come back without some (a failover to a standby that was behind). Plain data. */
#ifndef BACKFILL_KNOWN_H
#define BACKFILL_KNOWN_H

#include "backfill/lane.h"
#include "pipeline/table_copy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct known {
    uint32_t begun; /* how often the copy began anew */
    bool finished;
    size_t lane_count;
    size_t *chunks; /* by lane; owned */
};

/* The chunks are those that are loaded now. */
struct known known_copy(uint32_t begun, bool finished, const struct lanes *lanes);
void known_free(struct known *known);
/* True if the target lacks something of it. What is kept was read after what is known came to
 * be, so it may be more. */
bool known_is_lost(const struct known *known, const struct table_copy *kept);

#endif
