/* Transactions that no snapshot has been known to see (unseen.h). */
#include "backfill/unseen.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_MOST (1 << 24) /* a longer one is not ours */

void unseen_free(struct unseen *unseen)
{
    free(unseen->xids);
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

/* Where the xid stands or would stand. Most are newer than all others. */
static size_t place_of(const struct unseen *unseen, xid_t xid)
{
    size_t low = 0;
    size_t high = unseen->count;
    if (high > 0 && is_before(unseen->xids[high - 1], xid))
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(unseen->xids[middle], xid))
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
    unseen->xids = mem_grow(unseen->xids, unseen->capacity, sizeof *unseen->xids);
}

void unseen_add(struct unseen *unseen, xid_t xid)
{
    size_t at = place_of(unseen, xid);
    if (at < unseen->count && unseen->xids[at] == xid)
        return;
    reserve(unseen, unseen->count + 1);
    memmove(unseen->xids + at + 1, unseen->xids + at,
            (unseen->count - at) * sizeof *unseen->xids);
    unseen->xids[at] = xid;
    unseen->count++;
}

void unseen_prune(struct unseen *unseen, const struct snapshot *snapshot)
{
    size_t kept = 0;
    for (size_t i = 0; i < unseen->count; i++)
        if (!snapshot_sees_xid(snapshot, unseen->xids[i]))
            unseen->xids[kept++] = unseen->xids[i];
    unseen->count = kept;
}

bool unseen_is_covered(const struct unseen *unseen, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < unseen->count; i++)
        if (!snapshot_sees_xid(snapshot, unseen->xids[i]))
            return false;
    return true;
}

void unseen_copy(const struct unseen *from, struct unseen *to)
{
    reserve(to, from->count);
    if (from->count > 0)
        memcpy(to->xids, from->xids, from->count * sizeof *from->xids);
    to->count = from->count;
}

void unseen_append_text(const struct unseen *unseen, struct buf *out)
{
    for (size_t i = 0; i < unseen->count;) {
        size_t last = i;
        while (last + 1 < unseen->count && unseen->xids[last + 1] == unseen->xids[last] + 1)
            last++;
        buf_append_format(out, i == 0 ? "%u" : ",%u", unseen->xids[i]);
        if (last > i)
            buf_append_format(out, "-%u", unseen->xids[last]);
        i = last + 1;
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

static bool parse_range(const char **at, struct unseen *unseen)
{
    xid_t first;
    xid_t last;
    if (!parse_xid(at, &first))
        return false;
    last = first;
    if (**at == '-') {
        (*at)++;
        if (!parse_xid(at, &last) || last - first > RANGE_MOST)
            return false;
    }
    for (xid_t xid = first;; xid++) {
        unseen_add(unseen, xid);
        if (xid == last)
            return true;
    }
}

bool unseen_parse(const char *text, struct unseen *unseen, struct err *err)
{
    const char *at = text;
    while (*at != '\0') {
        if (at != text && *at++ != ',')
            return err_set(err, ERR_CORRUPT, "\"%.60s\" is no set of transactions", text);
        if (!parse_range(&at, unseen))
            return err_set(err, ERR_CORRUPT, "\"%.60s\" is no set of transactions", text);
    }
    return true;
}
