/* Snapshots as sets of transactions (snapshot.h). */
#include "backfill/snapshot.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_xid(const char **at, char ends_with, xid64_t *xid)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *xid = strtoull(*at, &end, 10);
    if (errno != 0 || (*end != ends_with && !(ends_with == ',' && *end == '\0')))
        return false;
    *at = *end == '\0' ? end : end + 1;
    return true;
}

static bool parse_list(const char *at, struct snapshot *snapshot)
{
    xid64_t before = 0;
    while (*at != '\0') {
        xid64_t xid;
        if (!parse_xid(&at, ',', &xid) || xid < before || xid < snapshot->xmin ||
            xid >= snapshot->xmax)
            return false;
        snapshot->in_progress[snapshot->in_progress_count++] = xid;
        before = xid;
    }
    return true;
}

bool snapshot_parse(const char *text, struct snapshot *snapshot, struct err *err)
{
    struct snapshot parsed = {0};
    const char *at = text;
    size_t most = 1;
    for (const char *comma = strchr(text, ','); comma != NULL; comma = strchr(comma + 1, ','))
        most++;
    parsed.in_progress = mem_zero(most, sizeof *parsed.in_progress);
    if (parse_xid(&at, ':', &parsed.xmin) && parse_xid(&at, ':', &parsed.xmax) &&
        parse_list(at, &parsed)) {
        /* A slot's exported snapshot may have xmax behind xmin (its xmax is the last commit it
         * decoded): everything below xmin has ended all the same (XidInMVCCSnapshot). */
        if (parsed.xmax < parsed.xmin)
            parsed.xmax = parsed.xmin;
        *snapshot = parsed;
        return true;
    }
    snapshot_free(&parsed);
    return err_set(err, ERR_CORRUPT, "\"%.60s\" is not a snapshot", text);
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->in_progress);
    *snapshot = (struct snapshot){0};
}

/* How many of those in progress are older. */
static size_t in_progress_before(const struct snapshot *snapshot, xid64_t xid)
{
    size_t low = 0;
    size_t high = snapshot->in_progress_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->in_progress[middle] < xid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool was_in_progress(const struct snapshot *snapshot, xid64_t xid)
{
    size_t at = in_progress_before(snapshot, xid);
    return at < snapshot->in_progress_count && snapshot->in_progress[at] == xid;
}

bool snapshot_sees(const struct snapshot *snapshot, xid64_t xid)
{
    if (xid >= snapshot->xmax)
        return false;
    return xid < snapshot->xmin || !was_in_progress(snapshot, xid);
}

static xid64_t widen(const struct snapshot *snapshot, xid_t xid)
{
    int32_t distance = (int32_t)(xid - (xid_t)snapshot->xmax);
    return snapshot->xmax + (xid64_t)(int64_t)distance;
}

bool snapshot_sees_xid(const struct snapshot *snapshot, xid_t xid)
{
    return snapshot_sees(snapshot, widen(snapshot, xid));
}

bool snapshot_unseen_within(const struct snapshot *snapshot, struct xid_range within,
                            struct xid_range *unseen)
{
    xid64_t first = widen(snapshot, within.first);
    xid64_t last = first + (within.last - within.first);
    size_t next = in_progress_before(snapshot, first);
    if (next < snapshot->in_progress_count && snapshot->in_progress[next] <= last) {
        xid_t xid = (xid_t)snapshot->in_progress[next];
        *unseen = (struct xid_range){xid, xid};
        return true;
    }
    if (last < snapshot->xmax)
        return false;
    *unseen = (struct xid_range){(xid_t)(first > snapshot->xmax ? first : snapshot->xmax),
                                 within.last};
    return true;
}

bool snapshot_covers(const struct snapshot *newer, const struct snapshot *older)
{
    for (xid64_t xid = newer->xmax; xid < older->xmax; xid++)
        if (snapshot_sees(older, xid))
            return false;
    for (size_t i = 0; i < newer->in_progress_count; i++)
        if (snapshot_sees(older, newer->in_progress[i]))
            return false;
    return true;
}
