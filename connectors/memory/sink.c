/* A sink in memory (memory/sink.h).
 *
 *     writes: [committed, durable | committed | of the open transaction]
 *                                 ^ durable_writes
 *                                             ^ committed_writes
 *
 * The invariant: durable_writes <= committed_writes <= count, and what stands behind
 * committed_writes is gone after a disconnect. */
#include "memory/sink.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct memory_sink {
    struct sink sink;
    struct memory_sink_config config;

    pthread_mutex_t lock; /* guards the rest */
    struct memory_write *writes;
    size_t count;
    size_t capacity;
    size_t committed_writes;
    bool connected;
    bool in_transaction;          /* a batch ended open */
    bool failed;                  /* apply failed: only disconnect may follow */
    const struct batch *prepared; /* the apply thread's; NULL: nothing */
    uint32_t prepared_changes;
    struct memory_sink_tally tally;
};

static struct memory_sink *self(struct sink *sink)
{
    return (struct memory_sink *)(void *)sink;
}

static void require(struct memory_sink *memory, bool held, const char *complaint)
{
    if (!held && memory->tally.complaint == NULL)
        memory->tally.complaint = complaint;
}

static bool allowed(struct memory_sink *memory, enum memory_sink_call call,
                    const struct batch *batch, struct err *err)
{
    return memory->config.hook == NULL ||
           memory->config.hook(memory->config.context, call, batch, err);
}

/* ---- writing ---- */

static void describe_key(const struct change *change, char key[32])
{
    const struct row *row = change->new.values ? &change->new : &change->old;
    key[0] = '\0';
    if (row->values != NULL && row->count > 0 && row->values[0].kind == VALUE_TEXT)
        snprintf(key, 32, "%.*s", (int)row->values[0].size, row->values[0].data);
}

static void add_write(struct memory_sink *memory, const struct change *change)
{
    if (memory->count == memory->capacity) {
        memory->capacity = memory->capacity ? memory->capacity * 2 : 256;
        memory->writes = mem_grow(memory->writes, memory->capacity, sizeof *memory->writes);
    }
    struct memory_write *write = &memory->writes[memory->count++];
    *write = (struct memory_write){
        .kind = change->kind, .table = change->relation->table, .lsn = change->lsn};
    describe_key(change, write->key);
}

static void commit(struct memory_sink *memory, lsn_t checkpoint)
{
    require(memory, checkpoint > memory->tally.checkpoint, "the checkpoint does not advance");
    for (size_t i = memory->committed_writes; i < memory->count; i++)
        memory->writes[i].commit = checkpoint;
    memory->committed_writes = memory->count;
    memory->tally.checkpoint = checkpoint;
    memory->tally.commits++;
    if (!memory->config.flush_by_hand)
        memory->tally.durable = checkpoint;
}

/* Lock held. */
static void write_batch(struct memory_sink *memory, const struct batch *batch)
{
    require(memory, batch->begins_open == memory->in_transaction,
            "a batch that does not continue where the last one ended");
    for (uint32_t i = 0; i < batch->change_count; i++)
        add_write(memory, &batch->changes[i]);
    memory->in_transaction = batch->ends_open;
    if (!batch->ends_open)
        commit(memory, batch->end_lsn);
}

/* Before the batch is written, so that what the hook makes of it comes after. */
static void let_work(struct memory_sink *memory)
{
    const struct meanwhile *meanwhile = memory->sink.meanwhile;
    if (meanwhile != NULL)
        meanwhile->work(meanwhile->context);
}

/* Lock held. */
static void check_prepared(struct memory_sink *memory, const struct batch *batch)
{
    if (memory->prepared != batch)
        return;
    require(memory, memory->prepared_changes == batch->change_count,
            "a batch that was prepared has become another");
    memory->prepared = NULL;
    memory->tally.prepared++;
}

static bool memory_apply(struct sink *sink, const struct batch *batch,
                         struct sink_result *result, struct err *err)
{
    struct memory_sink *memory = self(sink);
    pthread_mutex_lock(&memory->lock);
    require(memory, memory->connected && !memory->failed, "apply without connection");
    memory->tally.applies++;
    if (batch->change_count > memory->tally.most_changes)
        memory->tally.most_changes = batch->change_count;
    check_prepared(memory, batch);
    pthread_mutex_unlock(&memory->lock);

    let_work(memory);
    bool ok = allowed(memory, MEMORY_SINK_APPLY, batch, err);
    if (ok) {
        pthread_mutex_lock(&memory->lock);
        write_batch(memory, batch);
        pthread_mutex_unlock(&memory->lock);
        ok = batch->ends_open || allowed(memory, MEMORY_SINK_COMMITTED, batch, err);
    }
    memory->failed = !ok;
    if (ok)
        result->executed = batch->change_count + (uint64_t)(int64_t)memory->config.miscount;
    return ok;
}

static void memory_prepare(struct sink *sink, const struct batch *batch)
{
    struct memory_sink *memory = self(sink);
    memory->prepared = batch;
    memory->prepared_changes = batch == NULL ? 0 : batch->change_count;
}

/* ---- life cycle ---- */

static void memory_disconnect(struct sink *sink)
{
    struct memory_sink *memory = self(sink);
    pthread_mutex_lock(&memory->lock);
    memory->count = memory->committed_writes; /* rolled back */
    memory->connected = memory->in_transaction = memory->failed = false;
    pthread_mutex_unlock(&memory->lock);
}

static bool memory_connect(struct sink *sink, struct err *err)
{
    struct memory_sink *memory = self(sink);
    memory_disconnect(sink);
    if (!allowed(memory, MEMORY_SINK_CONNECT, NULL, err))
        return false;
    pthread_mutex_lock(&memory->lock);
    memory->connected = true;
    memory->tally.connects++;
    pthread_mutex_unlock(&memory->lock);
    return true;
}

static bool memory_checkpoint(struct sink *sink, lsn_t *applied, struct err *err)
{
    struct memory_sink *memory = self(sink);
    if (!allowed(memory, MEMORY_SINK_CHECKPOINT, NULL, err))
        return false;
    pthread_mutex_lock(&memory->lock);
    require(memory, memory->connected, "checkpoint without connection");
    memory->tally.checkpoints++;
    *applied = memory->tally.checkpoint;
    pthread_mutex_unlock(&memory->lock);
    return true;
}

static bool memory_flushed(struct sink *sink, lsn_t *flushed, struct err *err)
{
    struct memory_sink *memory = self(sink);
    if (!allowed(memory, MEMORY_SINK_FLUSHED, NULL, err))
        return false;
    pthread_mutex_lock(&memory->lock);
    require(memory, memory->connected && !memory->failed && !memory->in_transaction,
            "flushed without connection, or inside a transaction");
    memory->tally.flush_questions++;
    *flushed = memory->tally.durable;
    if (*flushed > memory->tally.told)
        memory->tally.told = *flushed;
    pthread_mutex_unlock(&memory->lock);
    return true;
}

static void memory_destroy(struct sink *sink)
{
    struct memory_sink *memory = self(sink);
    pthread_mutex_destroy(&memory->lock);
    free(memory->writes);
    free(memory);
}

/* ---- for the test ---- */

void memory_sink_flush(struct memory_sink *memory)
{
    pthread_mutex_lock(&memory->lock);
    memory->tally.durable = memory->tally.checkpoint;
    pthread_mutex_unlock(&memory->lock);
}

/* Lock held. */
static void forget_above(struct memory_sink *memory, lsn_t lsn)
{
    size_t kept = 0;
    while (kept < memory->committed_writes && memory->writes[kept].commit <= lsn)
        kept++;
    memory->count = memory->committed_writes = kept;
    memory->tally.checkpoint = memory->tally.durable = lsn;
    memory->connected = memory->in_transaction = false;
}

void memory_sink_crash(struct memory_sink *memory)
{
    pthread_mutex_lock(&memory->lock);
    forget_above(memory, memory->tally.durable);
    pthread_mutex_unlock(&memory->lock);
}

void memory_sink_fail_over(struct memory_sink *memory, lsn_t lsn)
{
    pthread_mutex_lock(&memory->lock);
    forget_above(memory, lsn);
    pthread_mutex_unlock(&memory->lock);
}

const struct memory_write *memory_sink_writes(struct memory_sink *memory, size_t *count)
{
    pthread_mutex_lock(&memory->lock);
    const struct memory_write *writes = memory->writes;
    *count = memory->committed_writes;
    pthread_mutex_unlock(&memory->lock);
    return writes;
}

struct memory_sink_tally memory_sink_tally(struct memory_sink *memory)
{
    pthread_mutex_lock(&memory->lock);
    struct memory_sink_tally tally = memory->tally;
    pthread_mutex_unlock(&memory->lock);
    return tally;
}

struct sink *memory_sink_contract(struct memory_sink *memory)
{
    return &memory->sink;
}

struct memory_sink *memory_sink_create(const struct memory_sink_config *config)
{
    static const struct sink_ops OPS = {
        .connect = memory_connect,
        .checkpoint = memory_checkpoint,
        .apply = memory_apply,
        .prepare = memory_prepare,
        .flushed = memory_flushed,
        .disconnect = memory_disconnect,
        .destroy = memory_destroy,
    };
    struct memory_sink *memory = mem_zero(1, sizeof *memory);
    memory->sink.ops = &OPS;
    memory->config = *config;
    pthread_mutex_init(&memory->lock, NULL);
    return memory;
}
