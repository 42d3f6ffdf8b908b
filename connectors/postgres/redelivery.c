/* Making parked changes again (redelivery.h). */
#include "postgres/redelivery.h"

#include "base/mem.h"
#include "postgres/sink.h"
#include "postgres/text_array.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of the commits, and within one of the WAL, as ids need not be. WAL alone would not do:
 * who moves a row to a key writes it before it waits for the transaction that has the key, and that
 * may go on to delete it. */
static const char CHAIN_SQL[] =
    "SELECT source, operation, old_row, old_is_key, new_row, not_sent, unsure,"
    " replica_identity, lsn, coalesce(xid, 0)"
    " FROM slackwater.dead_letter WHERE migration = $1 AND chain = $2 AND state = 'parked'"
    " ORDER BY commit_lsn NULLS FIRST, lsn, id";

enum chain_column {
    SOURCE,
    OPERATION,
    OLD_ROW,
    OLD_IS_KEY,
    NEW_ROW,
    NOT_SENT,
    UNSURE,
    IDENTITY,
    POSITION,
    XID
};

/* The letters of a chain as a batch of the source. */
struct chain {
    struct batch *batch;
    struct relation **relations; /* one a letter */
    size_t count;
};

static void chain_free(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        relation_free(chain->relations[i]);
    free(chain->relations);
    batch_destroy(chain->batch);
}

static json_t *object_at(const PGresult *r, int row, enum chain_column column)
{
    return PQgetisnull(r, row, column) ? NULL : json_loads(PQgetvalue(r, row, column), 0, NULL);
}

static bool is_among(const char *name, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool is_identity(const struct catalog_table *table, uint16_t column)
{
    const struct catalog_index *index = catalog_identity_index(table);
    for (uint16_t i = 0; index != NULL && i < index->column_count; i++)
        if (index->columns[i] == column)
            return true;
    return false;
}

/* A letter's parts, and the shape that they have: the columns of its images that the source table
 * still has. */
struct parts {
    const struct catalog_table *table;
    json_t *old, *new;
    char **not_sent;
    size_t not_sent_count;
    struct relation *relation;
};

static void parts_free(struct parts *parts)
{
    json_decref(parts->old);
    json_decref(parts->new);
    text_array_free(parts->not_sent, parts->not_sent_count);
}

static struct relation *shape_of(const struct parts *parts, char identity)
{
    const struct catalog_table *table = parts->table;
    struct column *columns = mem_zero(table->column_count + 1U, sizeof *columns);
    uint16_t count = 0;
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *column = &table->columns[i];
        if (json_object_get(parts->old, column->name) == NULL &&
            json_object_get(parts->new, column->name) == NULL &&
            !is_among(column->name, parts->not_sent, parts->not_sent_count))
            continue;
        columns[count++] = (struct column){.name = column->name,
                                           .type_oid = column->type_oid,
                                           .type_modifier = catalog_shown_modifier(column),
                                           .key = identity == 'f' || is_identity(table, i)};
    }
    struct relation *relation = relation_create(table->schema, table->name, count, columns);
    relation->oid = table->oid;
    relation->replica_identity = identity;
    relation->match = catalog_identity_index(table) != NULL ? MATCH_KEY
                      : identity == 'f'                     ? MATCH_ROW
                                                            : MATCH_NONE;
    free(columns);
    return relation;
}

static struct row image_of(struct batch *batch, const struct parts *parts, const json_t *object,
                           bool old)
{
    const struct relation *relation = parts->relation;
    if (object == NULL)
        return (struct row){0};
    struct row row = batch_row(batch, relation->column_count);
    for (uint16_t i = 0; i < row.count; i++) {
        const char *name = relation->columns[i].name;
        const json_t *text = json_object_get(object, name);
        struct value *value = &row.values[i];
        if (json_is_string(text)) {
            value->kind = VALUE_TEXT;
            value->size = (uint32_t)json_string_length(text);
            value->data = arena_copy(&batch->arena, json_string_value(text), value->size + 1U);
        } else if (text != NULL) {
            value->kind = VALUE_NULL;
        } else if (!old && is_among(name, parts->not_sent, parts->not_sent_count)) {
            value->kind = VALUE_UNCHANGED;
        }
    }
    return row;
}

static enum change_kind kind_of(const char *operation)
{
    return strcmp(operation, "update") == 0   ? CHANGE_UPDATE
           : strcmp(operation, "delete") == 0 ? CHANGE_DELETE
                                              : CHANGE_INSERT; /* or copy */
}

static void add_change(struct chain *chain, const PGresult *r, int row, struct parts *parts)
{
    bool old_is_key = PQgetvalue(r, row, OLD_IS_KEY)[0] == 't';
    parts->relation = shape_of(parts, PQgetvalue(r, row, IDENTITY)[0]);
    chain->relations[chain->count++] = parts->relation;
    struct transaction *transaction = batch_add_transaction(chain->batch);
    transaction->xid = (xid_t)strtoul(PQgetvalue(r, row, XID), NULL, 10);
    transaction->first_change = chain->batch->change_count;
    struct change *change = batch_add_change(chain->batch);
    change->kind = kind_of(PQgetvalue(r, row, OPERATION));
    change->relation = parts->relation;
    change->unsure = PQgetvalue(r, row, UNSURE)[0] == 't';
    change->old_image = parts->old == NULL ? OLD_NONE : old_is_key ? OLD_KEY : OLD_FULL;
    change->transaction = chain->batch->transaction_count - 1;
    change->old = image_of(chain->batch, parts, parts->old, true);
    change->new = image_of(chain->batch, parts, parts->new, false);
    if (!PQgetisnull(r, row, POSITION))
        (void)lsn_parse(PQgetvalue(r, row, POSITION), &change->lsn);
}

static bool read_letter(const struct redelivery *redelivery, struct chain *chain,
                        const PGresult *r, int row, struct err *err)
{
    const struct dead_letter_config *config = redelivery->config;
    struct parts parts = {.old = object_at(r, row, OLD_ROW), .new = object_at(r, row, NEW_ROW)};
    for (size_t i = 0; i < config->table_count; i++)
        if (strcmp(config->sources[i], PQgetvalue(r, row, SOURCE)) == 0)
            parts.table = config->tables[i];
    bool ok =
        parts.table != NULL || err_set(err, ERR_DATA, "%s is not of the migration any more",
                                       PQgetvalue(r, row, SOURCE));
    ok = ok && text_array_parse(PQgetvalue(r, row, NOT_SENT), &parts.not_sent,
                                &parts.not_sent_count, err);
    if (ok)
        add_change(chain, r, row, &parts);
    parts_free(&parts);
    return ok;
}

static bool read_chain(const struct redelivery *redelivery, const char *id, struct chain *chain,
                       struct err *err)
{
    PGresult *r = session_query(pg_sink_session(redelivery->sink), CHAIN_SQL, 2,
                                (const char *[]){redelivery->config->migration, id}, err);
    bool ok = r != NULL;
    chain->batch = batch_create();
    chain->relations = mem_zero(ok ? (size_t)PQntuples(r) + 1 : 1, sizeof *chain->relations);
    for (int i = 0; ok && i < PQntuples(r); i++)
        ok = read_letter(redelivery, chain, r, i, err);
    PQclear(r);
    return ok;
}

/* What rules and target make of the chain's changes now. */
static bool transform_changes(struct transform *transform, const struct chain *chain,
                              struct batch *writes, struct err *err)
{
    for (uint32_t i = 0; i < chain->batch->transaction_count; i++)
        *batch_add_transaction(writes) = chain->batch->transactions[i];
    for (uint32_t i = 0; i < chain->batch->change_count; i++) {
        const struct change *change = &chain->batch->changes[i];
        uint32_t first = writes->change_count;
        enum transform_result result = transform->ops->change(
            transform, change, chain->batch->transactions[i].xid, writes, err);
        if (result == TRANSFORM_REFUSED || result == TRANSFORM_FAILED)
            return false;
        for (; first < writes->change_count; first++) {
            writes->changes[first].lsn = change->lsn;
            writes->changes[first].transaction = i;
            writes->changes[first].origin = i;
        }
    }
    return true;
}

static bool transform_chain(const struct redelivery *redelivery, const struct chain *chain,
                            struct batch *writes, struct err *err)
{
    struct transform *transform = redelivery->make_transform(redelivery->context);
    bool ok = transform_changes(transform, chain, writes, err);
    transform->ops->destroy(transform);
    return ok;
}

static enum redelivered outcome_of(const struct err *err)
{
    return err->class == ERR_DATA || err->class == ERR_CONFIG ? REDELIVERY_REFUSED
                                                              : REDELIVERY_FAILED;
}

static enum redelivered write_chain(const struct redelivery *redelivery, const char *id,
                                    const struct batch *writes, struct err *err)
{
    const char *values[] = {redelivery->config->migration, id};
    if (pg_sink_write_beside(redelivery->sink, writes,
                             "UPDATE slackwater.dead_letter SET state = 'applied',"
                             " tries = tries + 1, tried_at = now(), ended_at = now(),"
                             " ended_by = 'retry'"
                             " WHERE migration = $1 AND chain = $2 AND state = 'parked'",
                             2, values, err))
        return REDELIVERED;
    return outcome_of(err);
}

/* So that `dlq show` tells how often, and by what it was refused last. */
static bool note_try(const struct redelivery *redelivery, const char *id, const struct err *why,
                     struct err *err)
{
    const char *values[] = {redelivery->config->migration, id, why->message, why->sqlstate};
    PGresult *r = session_query(pg_sink_session(redelivery->sink),
                                "UPDATE slackwater.dead_letter SET tries = tries + 1,"
                                " tried_at = now(),"
                                " message = CASE WHEN class IS NULL THEN message ELSE $3 END,"
                                " sqlstate = CASE WHEN class IS NULL THEN sqlstate"
                                "                 ELSE nullif($4, '') END"
                                " WHERE migration = $1 AND chain = $2 AND state = 'parked'",
                                4, values, err);
    PQclear(r);
    return r != NULL;
}

enum redelivered redelivery_make(const struct redelivery *redelivery, uint64_t chain_id,
                                 uint64_t *letters, struct err *err)
{
    struct chain chain = {0};
    struct batch *writes = batch_create();
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)chain_id);
    enum redelivered result;
    if (read_chain(redelivery, id, &chain, err) &&
        transform_chain(redelivery, &chain, writes, err))
        result = write_chain(redelivery, id, writes, err);
    else
        result = outcome_of(err);
    *letters = chain.count;
    struct err failed = {0};
    if (result == REDELIVERY_REFUSED && !note_try(redelivery, id, err, &failed)) {
        result = REDELIVERY_FAILED;
        *err = failed;
    }
    batch_destroy(writes);
    chain_free(&chain);
    return result;
}
