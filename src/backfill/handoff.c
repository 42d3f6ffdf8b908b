/* The handoff from copy to stream (handoff.h). */
#include "backfill/handoff.h"

#include "backfill/snapshot.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

struct entry {
    bool judges; /* a snapshot is there, and the stream has not passed it yet */
    struct snapshot snapshot;
    lsn_t lsn;
};

struct table_handoff {
    struct handoff handoff;
    size_t count;
    struct entry *entries;
    lsn_t last;           /* of all positions */
    atomic_bool complete;
};

static struct table_handoff *self(struct handoff *handoff)
{
    return (struct table_handoff *)(void *)handoff;
}

static bool table_copied(struct handoff *handoff, uint32_t table, xid_t xid)
{
    struct table_handoff *h = self(handoff);
    if (table >= h->count || !h->entries[table].judges)
        return false;
    return snapshot_sees_xid(&h->entries[table].snapshot, xid);
}

/* Past its position no transaction can be in the snapshot any more: those it sees committed
 * before. */
static void stream_passed(struct handoff *handoff, lsn_t durable)
{
    struct table_handoff *h = self(handoff);
    if (atomic_load(&h->complete))
        return;
    for (size_t i = 0; i < h->count; i++)
        if (durable >= h->entries[i].lsn)
            h->entries[i].judges = false;
    if (durable >= h->last)
        atomic_store(&h->complete, true);
}

bool handoff_create(const struct copy_record *records, size_t count,
                    struct table_handoff **handoff, struct err *err)
{
    static const struct handoff_ops OPS = {.copied = table_copied, .passed = stream_passed};
    struct table_handoff *h = mem_zero(1, sizeof *h);
    h->handoff.ops = &OPS;
    h->count = count;
    h->entries = mem_zero(count + 1, sizeof *h->entries);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &h->entries[i];
        if (records[i].snapshot == NULL)
            continue;
        if (!snapshot_parse(records[i].snapshot, &entry->snapshot, err)) {
            handoff_destroy(h);
            return false;
        }
        entry->judges = true;
        entry->lsn = records[i].lsn;
        if (entry->lsn > h->last)
            h->last = entry->lsn;
    }
    atomic_store(&h->complete, h->last == LSN_NONE);
    *handoff = h;
    return true;
}

void handoff_destroy(struct table_handoff *handoff)
{
    if (handoff == NULL)
        return;
    for (size_t i = 0; i < handoff->count; i++)
        snapshot_free(&handoff->entries[i].snapshot);
    free(handoff->entries);
    free(handoff);
}

struct handoff *handoff_contract(struct table_handoff *handoff)
{
    return &handoff->handoff;
}

bool handoff_is_complete(const struct table_handoff *handoff)
{
    return atomic_load(&((struct table_handoff *)(uintptr_t)handoff)->complete);
}
