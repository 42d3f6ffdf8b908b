/* A world for tests of the stream: a source, a sink and rules in memory, and two tables.
 *
 *   struct world world;
 *   world_open(&world, &(struct world_config){.batch_changes = 10});
 *   world_append(&world, 3);          a transaction of 3 inserts
 *   world_stream_to_end(&world);      stream_supervise() until all of it is durable
 *   world_expect_all(&world);         each change once, in order, whole transactions
 *   world_close(&world);
 *
 * The rules pass changes on as they are. A key that begins with "-" is filtered, one with "!"
 * fails, and one with "2" first is written twice; table 1 is no part of the migration. */
#ifndef UNIT_STREAM_WORLD_H
#define UNIT_STREAM_WORLD_H

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "memory/sink.h"
#include "memory/source.h"
#include "pipeline/stream.h"
#include "unit.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define WORLD_LONG (30 * USEC_PER_SEC) /* for what must come, whatever the machine does */
#define WORLD_LSN_STEP 100

struct world;

struct world_config {
    uint32_t batch_changes;
    size_t queue_bytes; /* 0: plenty */
    bool flush_by_hand;
    int miscount;
    bool (*on_sink)(struct world *world, enum memory_sink_call call, const struct batch *batch,
                    struct err *err);
    bool (*on_source)(struct world *world, enum memory_source_call call, lsn_t lsn,
                      struct err *err);
};

struct world {
    struct world_config config;
    struct stop stop;
    struct progress progress;
    struct memory_source *source;
    struct memory_sink *sink;
    struct transform transform;
    struct stream stream;
    struct relation *relations[2];
    bool theirs_is_ours; /* relations[1] takes part */
    uint64_t next_key;
    lsn_t end; /* of the newest transaction */
    xid_t xid;
    atomic_int counted; /* for the hooks, which run in the sink's thread or in the source's */
    uint64_t dice;      /* for the hook of the sink */
    size_t memory;      /* allocated before the stream began */
    struct err err;
};

/* ---- rules ---- */

static inline uint32_t world_source_of(struct transform *transform, const struct relation *from)
{
    const struct world *world =
        (const struct world *)(const void *)((const char *)transform -
                                             offsetof(struct world, transform));
    return from->table == 1 && !world->theirs_is_ours ? UINT32_MAX : from->table;
}

static inline enum transform_result world_change(struct transform *transform,
                                                 const struct change *in, xid_t xid,
                                                 struct batch *out, struct err *err)
{
    (void)transform, (void)xid;
    char first = in->new.values ? in->new.values[0].data[0] : '0';
    bool truncate = in->kind == CHANGE_TRUNCATE;
    if ((!truncate && in->relation->table == 1) || first == '-')
        return TRANSFORM_FILTERED;
    if (first == '!') {
        err_set(err, ERR_DATA, "a value the rules refuse");
        return TRANSFORM_REFUSED;
    }
    for (int i = 0; i < (first == '2' ? 2 : 1); i++)
        *batch_add_change(out) = *in;
    return TRANSFORM_WRITTEN;
}

/* ---- opening and closing ---- */

static inline bool world_sink_hook(void *context, enum memory_sink_call call,
                                   const struct batch *batch, struct err *err)
{
    struct world *world = context;
    return world->config.on_sink == NULL || world->config.on_sink(world, call, batch, err);
}

static inline bool world_source_hook(void *context, enum memory_source_call call, lsn_t lsn,
                                     struct err *err)
{
    struct world *world = context;
    return world->config.on_source == NULL || world->config.on_source(world, call, lsn, err);
}

static inline struct relation *world_relation(const char *name, uint32_t table)
{
    char key[] = "id";
    struct relation *relation =
        relation_create("public", name, 1, &(struct column){.name = key, .key = true});
    relation->table = table;
    return relation;
}

static inline void world_open(struct world *world, const struct world_config *config)
{
    static const struct transform_ops RULES = {.source = world_source_of,
                                               .change = world_change};
    *world = (struct world){.config = *config, .next_key = 1000, .end = 5000, .xid = 700};
    log_setup(LOG_ERROR, LOG_TEXT);
    stop_init(&world->stop);
    progress_init(&world->progress, 1);
    world->relations[0] = world_relation("ours", 0);
    world->relations[1] = world_relation("theirs", 1);
    world->source = memory_source_create(&(struct memory_source_config){
        .batch_changes = config->batch_changes,
        .stop = &world->stop,
        .hook = world_source_hook,
        .context = world,
    });
    world->sink = memory_sink_create(&(struct memory_sink_config){
        .flush_by_hand = config->flush_by_hand,
        .miscount = config->miscount,
        .hook = world_sink_hook,
        .context = world,
    });
    world->transform.ops = &RULES;
    world->stream = (struct stream){
        .source = memory_source_contract(world->source),
        .sink = memory_sink_contract(world->sink),
        .transform = &world->transform,
        .progress = &world->progress,
        .stop = &world->stop,
        .queue_bytes = config->queue_bytes ? config->queue_bytes : 1 << 20,
    };
}

static inline void world_close(struct world *world)
{
    const char *source = memory_source_tally(world->source).complaint;
    const char *sink = memory_sink_tally(world->sink).complaint;
    ck_assert_msg(source == NULL, "source: %s", source);
    ck_assert_msg(sink == NULL, "sink: %s", sink);
    world->stream.source->ops->destroy(world->stream.source);
    world->stream.sink->ops->destroy(world->stream.sink);
    relation_free(world->relations[0]);
    relation_free(world->relations[1]);
    progress_free(&world->progress);
    stop_free(&world->stop);
}

/* ---- transactions ---- */

static inline struct value world_text(const char *text)
{
    return (struct value){.kind = VALUE_TEXT, .data = text, .size = (uint32_t)strlen(text)};
}

/* The next transaction, with these changes. */
static inline lsn_t world_append_changes(struct world *world, const struct change *changes,
                                         uint32_t count)
{
    world->end += WORLD_LSN_STEP;
    memory_source_append(world->source,
                         &(struct transaction){.xid = ++world->xid,
                                               .commit_lsn = world->end - 10,
                                               .end_lsn = world->end,
                                               .commit_time = clock_wall()},
                         changes, count);
    return world->end;
}

/* The next transaction: `count` inserts of the next keys. Its end. */
static inline lsn_t world_append(struct world *world, uint32_t count)
{
    struct change *changes = mem_zero(count, sizeof(*changes));
    struct value *values = mem_zero(count, sizeof(*values));
    char(*keys)[24] = mem_zero(count, sizeof(*keys));
    for (uint32_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%llu", (unsigned long long)world->next_key++);
        values[i] = world_text(keys[i]);
        changes[i] = (struct change){.kind = CHANGE_INSERT,
                                     .relation = world->relations[0],
                                     .new = {&values[i], 1},
                                     .lsn = world->end + 1 + i};
    }
    lsn_t end = world_append_changes(world, changes, count);
    free(keys);
    free(values);
    free(changes);
    return end;
}

/* A transaction of one change of the table, with this key. */
static inline lsn_t world_append_one(struct world *world, enum change_kind kind, int table,
                                     const char *key)
{
    struct value value = world_text(key);
    struct row row = {&value, 1};
    struct change change = {
        .kind = kind, .relation = world->relations[table], .lsn = world->end + 1};
    if (kind == CHANGE_DELETE)
        change.old = row;
    else
        change.new = row;
    change.old_image = kind == CHANGE_DELETE ? OLD_KEY : OLD_NONE;
    return world_append_changes(world, &change, 1);
}

/* ---- running ---- */

/* stream_supervise() until what was appended is durable, or it ends otherwise. */
static inline bool world_supervise(struct world *world)
{
    world->stream.until = world->end;
    return stream_supervise(&world->stream, &world->err);
}

static inline void world_stream_to_end(struct world *world)
{
    ck_assert_msg(world_supervise(world), "%s", world->err.message);
    ck_assert_uint_eq(counter_get(&world->progress.durable), world->end);
    ck_assert_uint_eq(memory_source_tally(world->source).told, world->end);
}

/* The committed keys are k1000, k1001, ... up to the last appended: in order, each once. */
static inline void world_expect_all(struct world *world)
{
    size_t count;
    const struct memory_write *writes = memory_sink_writes(world->sink, &count);
    for (size_t i = 0; i < count; i++) {
        char key[24];
        snprintf(key, sizeof(key), "k%zu", 1000 + i);
        ck_assert_msg(strcmp(writes[i].key, key) == 0, "write %zu: %s where %s belongs", i,
                      writes[i].key, key);
    }
    ck_assert_uint_eq(count, world->next_key - 1000);
}

#endif
