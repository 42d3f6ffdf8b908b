/* Transactions that no snapshot has been known to see (unseen.h). */
#include "backfill/unseen.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void unseen_free(struct unseen *unseen)
{
    free(unseen->ranges);
    *unseen = (struct unseen){0};
}

void unseen_clear(struct unseen *unseen)
{
    unseen->count = 0;
}

static bool is_before(xid_t a, xid_t b)
{
    return (int32_t)(a - b) < 0;
}

/* The first range that does not end before the xid. Most xids are newer than all others. */
static size_t place_of(const struct unseen *unseen, xid_t xid)
{
    size_t low = 0;
    size_t high = unseen->count;
    if (high > 0 && is_before(unseen->ranges[high - 1].last, xid))
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(unseen->ranges[middle].last, xid))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void reserve(struct unseen *unseen, size_t count)
{
    if (count <= unseen->capacity)
        return;
    unseen->capacity = count < 64 ? 64 : 2 * count;
    unseen->ranges = mem_grow(unseen->ranges, unseen->capacity, sizeof *unseen->ranges);
}

/* So that `count` ranges at a place become `wanted`. */
static void make_room(struct unseen *unseen, size_t at, size_t count, size_t wanted)
{
    reserve(unseen, unseen->count + wanted);
    memmove(unseen->ranges + at + wanted, unseen->ranges + at + count,
            (unseen->count - at - count) * sizeof *unseen->ranges);
    unseen->count += wanted - count;
}

/* A range that lies apart from all others, or beside them. */
static void add_range(struct unseen *unseen, struct xid_range range)
{
    size_t at = place_of(unseen, range.first);
    bool joins_before = at > 0 && unseen->ranges[at - 1].last + 1 == range.first;
    bool joins_after = at < unseen->count && range.last + 1 == unseen->ranges[at].first;
    size_t first = joins_before ? at - 1 : at;
    if (joins_before)
        range.first = unseen->ranges[at - 1].first;
    if (joins_after)
        range.last = unseen->ranges[at].last;
    make_room(unseen, first, (size_t)joins_before + joins_after, 1);
    unseen->ranges[first] = range;
}

void unseen_add(struct unseen *unseen, xid_t xid)
{
    size_t at = place_of(unseen, xid);
    if (at == unseen->count || is_before(xid, unseen->ranges[at].first))
        add_range(unseen, (struct xid_range){xid, xid});
}

static void add_unseen_within(struct unseen *unseen, struct xid_range within,
                              const struct snapshot *snapshot)
{
    struct xid_range part;
    while (snapshot_unseen_within(snapshot, within, &part)) {
        add_range(unseen, part);
        if (part.last == within.last)
            return;
        within.first = part.last + 1;
    }
}

void unseen_prune(struct unseen *unseen, const struct snapshot *snapshot)
{
    struct unseen left = {0};
    for (size_t i = 0; i < unseen->count; i++)
        add_unseen_within(&left, unseen->ranges[i], snapshot);
    unseen_free(unseen);
    *unseen = left;
}

bool unseen_is_covered(const struct unseen *unseen, const struct snapshot *snapshot)
{
    struct xid_range part;
    for (size_t i = 0; i < unseen->count; i++)
        if (snapshot_unseen_within(snapshot, unseen->ranges[i], &part))
            return false;
    return true;
}

void unseen_copy(const struct unseen *from, struct unseen *to)
{
    reserve(to, from->count);
    if (from->count > 0)
        memcpy(to->ranges, from->ranges, from->count * sizeof *from->ranges);
    to->count = from->count;
}

void unseen_append_text(const struct unseen *unseen, struct buf *out)
{
    for (size_t i = 0; i < unseen->count; i++) {
        const struct xid_range *range = &unseen->ranges[i];
        buf_append_format(out, i == 0 ? "%u" : ",%u", range->first);
        if (range->last != range->first)
            buf_append_format(out, "-%u", range->last);
    }
}

static bool parse_xid(const char **at, xid_t *xid)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    unsigned long long wide = strtoull(*at, &end, 10);
    *xid = (xid_t)wide;
    *at = end;
    return errno == 0 && wide <= UINT32_MAX;
}

/* Behind what is there, and not so far behind that it would be before it. */
static bool follows(const struct unseen *unseen, struct xid_range range)
{
    if (is_before(range.last, range.first))
        return false;
    return unseen->count == 0 ||
           (is_before(unseen->ranges[unseen->count - 1].last, range.first) &&
            is_before(unseen->ranges[0].first, range.last));
}

static bool parse_range(const char **at, struct unseen *unseen)
{
    struct xid_range range;
    if (!parse_xid(at, &range.first))
        return false;
    range.last = range.first;
    if (**at == '-') {
        (*at)++;
        if (!parse_xid(at, &range.last))
            return false;
    }
    if (!follows(unseen, range))
        return false;
    add_range(unseen, range);
    return true;
}

bool unseen_parse(const char *text, struct unseen *unseen, struct err *err)
{
    const char *at = text;
    while (*at != '\0')
        if ((at != text && *at++ != ',') || !parse_range(&at, unseen))
            return err_set(err, ERR_CORRUPT, "\"%.60s\" is no set of transactions", text);
    return true;
}
