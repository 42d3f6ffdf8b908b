/* What is known of a table's copy (known.h). */
#include "backfill/known.h"

#include "base/mem.h"

#include <stdlib.h>

struct known known_copy(uint32_t begun, bool finished, const struct lanes *lanes)
{
    struct known known = {.begun = begun,
                          .finished = finished,
                          .lane_count = lanes->count,
                          .chunks = mem_zero(lanes->count + 1, sizeof *known.chunks)};
    for (size_t i = 0; i < lanes->count; i++)
        known.chunks[i] = lanes->items[i].loaded;
    return known;
}

void known_free(struct known *known)
{
    free(known->chunks);
    *known = (struct known){0};
}

/* Of the lane's first chunks. */
static size_t kept_chunks(const struct table_copy *copy, uint32_t lane, size_t first)
{
    size_t count = 0;
    for (size_t i = 0; i < copy->chunk_count; i++)
        count += copy->chunks[i].lane == lane && copy->chunks[i].number < first;
    return count;
}

bool known_is_lost(const struct known *known, const struct table_copy *kept)
{
    if (known->begun != kept->begun)
        return true; /* what was emptied is back */
    if (known->finished && !kept->finished)
        return true; /* and with it what was done at the end: indexes */
    for (uint32_t i = 0; i < known->lane_count; i++)
        if (kept_chunks(kept, i, known->chunks[i]) < known->chunks[i])
            return true;
    return known->lane_count > 0 && !kept->plan.made;
}
