/* The messages of a stream, into batches: what a transaction brings, of relations as they were
 * described.
 *
 * Where a message comes from is another's matter: the connection (source.c), or a transaction that
 * was kept until it was committed (source_open.c). */
#include "postgres/source_state.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- relations ---- */

static enum match match_of(const struct pgoutput_message *message)
{
    if (message->relation.replica_identity == 'f')
        return MATCH_ROW;
    for (uint16_t i = 0; i < message->relation.column_count; i++)
        if (message->relation.columns[i].key)
            return MATCH_KEY;
    return MATCH_NONE;
}

static struct relation *make_relation(const struct pgoutput_message *message)
{
    uint16_t count = message->relation.column_count;
    struct column *columns = mem_zero(count + 1U, sizeof *columns);
    const char *schema = message->relation.schema;
    for (uint16_t i = 0; i < count; i++) {
        const struct pgoutput_column *from = &message->relation.columns[i];
        /* relation_create copies; it does not write through name. */
        columns[i] = (struct column){.name = (char *)(uintptr_t)from->name,
                                     .type_oid = from->type_oid,
                                     .type_modifier = from->type_modifier,
                                     .key = from->key};
    }
    struct relation *relation = relation_create(schema[0] ? schema : "pg_catalog",
                                                message->relation.name, count, columns);
    relation->oid = message->relation.oid;
    relation->replica_identity = message->relation.replica_identity;
    relation->match = match_of(message);
    free(columns);
    return relation;
}

/* Where the transaction ends that the relation is sent with; LSN_NONE: not known yet. One that
 * is prepared has its locks from there to its commit: nobody alters the table in between. */
static lsn_t commit_of_relation(const struct pg_source *s)
{
    if (s->in_transaction)
        return s->transaction.commit_lsn;
    return s->filling != NULL ? s->filling->prepare_lsn : LSN_NONE;
}

/* As it was when its transaction had ended before the catalog was read: else as it is there. How it
 * came is kept beside that, for a backlog: who reads it there may have another catalog. */
static struct relation *read_relation(const struct pg_source *s,
                                      const struct pgoutput_message *message)
{
    struct relation *made = make_relation(message);
    lsn_t commit = commit_of_relation(s);
    if (s->config.catalog == NULL)
        return made;
    struct relation *sent = relation_copy_sent(made);
    former_read(s->config.former, s->config.catalog, commit,
                commit != LSN_NONE && commit < s->config.catalog_at, made);
    if (relation_equal(made, sent))
        relation_free(sent);
    else
        made->sent = sent;
    return made;
}

struct shape pg_source_shape(struct pg_source *s, const struct pgoutput_message *message)
{
    const struct relation *relation = interner_keep(&s->shapes, read_relation(s, message));
    return (struct shape){.oid = relation->oid, .relation = relation, .arrival = ++s->arrivals};
}

/* What a kept transaction brings is its own until it is through; it had come earlier, too. */
static void remember_relation(struct pg_source *s, const struct pgoutput_message *message,
                              uint64_t tag)
{
    struct shape shape = pg_source_shape(s, message);
    if (s->replaying != NULL)
        shape.arrival = tag;
    shape_map_put(s->replaying != NULL ? &s->replaying->shapes : &s->known, shape);
}

static const struct relation *find_relation(const struct pg_source *s, uint32_t oid,
                                            struct err *err)
{
    const struct shape *shape = NULL;
    if (s->replaying != NULL)
        shape = shape_map_find(&s->replaying->shapes, oid);
    if (shape == NULL)
        shape = shape_map_find(&s->known, oid);
    if (shape != NULL)
        return shape->relation;
    err_set(err, ERR_CORRUPT, "pgoutput: a change of relation %u, which was never described",
            oid);
    return NULL;
}

/* ---- messages into the batch ---- */

/* The open transaction's entry in this batch; a batch that begins inside one gets it here. */
static uint32_t transaction_index(struct pg_source *s, struct batch *batch)
{
    if (batch->transaction_count == 0) {
        struct transaction *entry = batch_add_transaction(batch);
        *entry = s->transaction;
        entry->first_change = 0;
        batch->begins_open = true;
    }
    return batch->transaction_count - 1;
}

static struct transaction *open_transaction(struct pg_source *s, struct batch *batch)
{
    uint32_t index = transaction_index(s, batch);
    return &batch->transactions[index];
}

bool pg_source_begin(struct pg_source *s, struct batch *batch,
                     const struct transaction *transaction, struct err *err)
{
    if (s->in_transaction || s->filling != NULL)
        return err_set(err, ERR_CORRUPT, "pgoutput: a transaction begins inside another");
    s->in_transaction = true;
    s->source.lag = s->sent_at - transaction->commit_time; /* both by the source's clock */
    s->skipping = transaction->commit_lsn < s->from;
    s->transaction = *transaction;
    if (s->skipping)
        return true;
    struct transaction *entry = batch_add_transaction(batch);
    *entry = s->transaction;
    entry->first_change = batch->change_count;
    return true;
}

static bool on_begin(struct pg_source *s, struct batch *batch,
                     const struct pgoutput_message *message, struct err *err)
{
    return pg_source_begin(s, batch,
                           &(struct transaction){.xid = message->xid,
                                                 .commit_lsn = message->begin.commit_lsn,
                                                 .commit_time = message->begin.commit_time},
                           err);
}

void pg_source_end(struct pg_source *s, struct batch *batch, lsn_t end_lsn)
{
    s->in_transaction = false;
    if (s->skipping)
        return;
    open_transaction(s, batch)->end_lsn = end_lsn;
    batch->end_lsn = end_lsn;
    if (end_lsn > s->from)
        s->from = end_lsn;
}

static bool on_commit(struct pg_source *s, struct batch *batch,
                      const struct pgoutput_message *message, struct err *err)
{
    if (!s->in_transaction || message->commit.commit_lsn != s->transaction.commit_lsn)
        return err_set(err, ERR_CORRUPT, "pgoutput: COMMIT does not match its BEGIN");
    pg_source_end(s, batch, message->commit.end_lsn);
    return true;
}

/* An old key image names only the key: nulls elsewhere mean "not sent" (xtdb#5542). */
static void blank_all_but_key(const struct relation *relation, struct row *row)
{
    for (uint16_t i = 0; i < row->count; i++)
        if (!relation->columns[i].key)
            row->values[i] = (struct value){.kind = VALUE_ABSENT};
}

static bool check_width(const struct relation *relation, const struct row *row, struct err *err)
{
    if (row->values == NULL || row->count == relation->column_count)
        return true;
    return err_set(err, ERR_CORRUPT, "pgoutput: a row of %u columns for %s.%s, which has %u",
                   row->count, relation->schema, relation->name, relation->column_count);
}

static bool on_change(struct pg_source *s, struct batch *batch,
                      const struct pgoutput_message *message, enum change_kind kind, lsn_t lsn,
                      struct err *err)
{
    const struct pgoutput_change *from = &message->change;
    const struct relation *relation = find_relation(s, from->relation_oid, err);
    if (relation == NULL || !check_width(relation, &from->old, err) ||
        !check_width(relation, &from->new, err))
        return false;
    uint32_t transaction = transaction_index(s, batch);
    struct change *change = batch_add_change(batch);
    *change = (struct change){
        .kind = kind,
        .old_image = from->old_kind == 'O'   ? OLD_FULL
                     : from->old_kind == 'K' ? OLD_KEY
                                             : OLD_NONE,
        .relation = relation,
        .old = from->old,
        .new = from->new,
        .lsn = lsn,
        .transaction = transaction,
    };
    if (change->old_image == OLD_KEY)
        blank_all_but_key(relation, &change->old);
    return true;
}

static bool on_truncate(struct pg_source *s, struct batch *batch,
                        const struct pgoutput_message *message, lsn_t lsn, struct err *err)
{
    uint32_t count = message->truncate.count;
    if (count == 0 || count > UINT16_MAX)
        return err_set(err, ERR_CORRUPT, "pgoutput: TRUNCATE of %u relations", count);
    const struct relation **relations = arena_alloc(&batch->arena, count * sizeof *relations);
    for (uint32_t i = 0; i < count; i++) {
        relations[i] = find_relation(s, message->truncate.relation_oids[i], err);
        if (relations[i] == NULL)
            return false;
    }
    uint32_t transaction = transaction_index(s, batch);
    *batch_add_change(batch) =
        (struct change){.kind = CHANGE_TRUNCATE,
                        .relation = relations[0],
                        .relations = relations,
                        .relation_count = (uint16_t)count,
                        .truncate_restart_identity = message->truncate.restart_identity,
                        .lsn = lsn,
                        .transaction = transaction};
    return true;
}

/* A heartbeat of ours carries when it was sent, by this process's monotonic clock. */
static void on_logical_message(struct pg_source *s, struct batch *batch,
                               const struct pgoutput_message *message)
{
    char content[96];
    size_t instance = strlen(s->config.heartbeat_instance);
    if (!s->in_transaction || !message->message.transactional ||
        strcmp(message->message.prefix, s->config.heartbeat_prefix) != 0 ||
        message->message.size <= instance + 1 || message->message.size >= sizeof content)
        return;
    memcpy(content, message->message.content, message->message.size);
    content[message->message.size] = '\0';
    if (memcmp(content, s->config.heartbeat_instance, instance) != 0)
        return; /* of an earlier run */
    open_transaction(s, batch)->heartbeat = strtoll(content + instance + 1, NULL, 10);
}

static bool on_message(struct pg_source *s, struct batch *batch,
                       const struct pgoutput_message *message, lsn_t lsn, struct err *err)
{
    bool drop = s->skipping;
    switch (message->kind) {
    case PGOUTPUT_BEGIN:
        return on_begin(s, batch, message, err);
    case PGOUTPUT_COMMIT:
        return on_commit(s, batch, message, err);
    case PGOUTPUT_RELATION:
        remember_relation(s, message, lsn);
        return true;
    case PGOUTPUT_TYPE:
    case PGOUTPUT_ORIGIN:
        return true; /* types are resolved by catalog; origins matter to the reverse stream */
    case PGOUTPUT_INSERT:
        return drop || on_change(s, batch, message, CHANGE_INSERT, lsn, err);
    case PGOUTPUT_UPDATE:
        return drop || on_change(s, batch, message, CHANGE_UPDATE, lsn, err);
    case PGOUTPUT_DELETE:
        return drop || on_change(s, batch, message, CHANGE_DELETE, lsn, err);
    case PGOUTPUT_TRUNCATE:
        return drop || on_truncate(s, batch, message, lsn, err);
    case PGOUTPUT_MESSAGE:
        if (!drop)
            on_logical_message(s, batch, message);
        return true;
    case PGOUTPUT_STREAM_START:
    case PGOUTPUT_STREAM_STOP:
    case PGOUTPUT_STREAM_COMMIT:
    case PGOUTPUT_STREAM_ABORT:
    case PGOUTPUT_BEGIN_PREPARE:
    case PGOUTPUT_PREPARE:
    case PGOUTPUT_COMMIT_PREPARED:
    case PGOUTPUT_ROLLBACK_PREPARED:
    case PGOUTPUT_STREAM_PREPARE:
        return source_open_message(s, batch, message, err);
    }
    return false;
}

/* Messages that make changes must come inside a transaction. */
static bool needs_transaction(char kind)
{
    return kind == PGOUTPUT_INSERT || kind == PGOUTPUT_UPDATE || kind == PGOUTPUT_DELETE ||
           kind == PGOUTPUT_TRUNCATE;
}

bool pg_source_take(struct pg_source *s, struct batch *batch, const void *bytes, size_t size,
                    lsn_t lsn, struct err *err)
{
    struct pgoutput_message message;
    struct arena *arena = &s->scratch;
    arena_reset(arena);
    if (size > 0 && !s->skipping && needs_transaction(((const char *)bytes)[0])) {
        /* The buffer goes away: the batch keeps the bytes that its rows point into. */
        arena = &batch->arena;
        bytes = arena_copy(arena, bytes, size);
    }
    if (!pgoutput_decode(&s->decoder, bytes, size, arena, &message, err))
        return false;
    if (needs_transaction((char)message.kind) && !s->in_transaction)
        return err_set(err, ERR_CORRUPT, "pgoutput: a change outside a transaction");
    return on_message(s, batch, &message, lsn, err);
}
