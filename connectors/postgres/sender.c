/* Single-row statements into the pipeline (sender.h). */
#include "postgres/sender.h"

#include "base/mem.h"
#include "postgres/truncation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One shape of statement for one table. */
struct shape {
    enum statement_kind kind;
    bool *known;
    struct statement *statement;
    bool prepared; /* on this connection */
};

struct table_shapes {
    struct shape *items;
    size_t count;
};

/* ---- statements ---- */

static struct shape *find_shape(struct table_shapes *shapes, enum statement_kind kind,
                                const bool *known, uint16_t columns)
{
    for (size_t i = 0; i < shapes->count; i++)
        if (shapes->items[i].kind == kind &&
            memcmp(shapes->items[i].known, known, columns * sizeof *known) == 0)
            return &shapes->items[i];
    return NULL;
}

static struct shape *shape_for(struct sender *s, const struct relation *relation,
                               enum statement_kind kind, const bool *known)
{
    struct table_shapes *shapes = &s->shapes[relation->table];
    uint16_t columns = relation->column_count;
    struct shape *shape = find_shape(shapes, kind, known, columns);
    if (shape != NULL)
        return shape;
    shapes->items = mem_grow(shapes->items, shapes->count + 1, sizeof *shapes->items);
    shape = &shapes->items[shapes->count++];
    *shape = (struct shape){.kind = kind};
    shape->known = mem_zero(columns + 1U, sizeof *known);
    memcpy(shape->known, known, columns * sizeof *known);
    shape->statement =
        statement_create(kind, relation, s->config->tables[relation->table].table, known);
    snprintf(shape->statement->name, sizeof shape->statement->name, "slackwater_%u",
             ++s->statement_serial);
    return shape;
}

void sender_forget(struct sender *s)
{
    for (size_t i = 0; i < s->config->table_count; i++) {
        for (size_t j = 0; j < s->shapes[i].count; j++) {
            free(s->shapes[i].items[j].known);
            statement_free(s->shapes[i].items[j].statement);
        }
        free(s->shapes[i].items);
        s->shapes[i] = (struct table_shapes){0};
    }
    s->prepared_count = 0;
}

static bool prepare(struct sender *s, struct shape *shape, uint32_t change, struct err *err)
{
    const struct statement *statement = shape->statement;
    if (shape->prepared)
        return true;
    int sent = PQsendPrepare(s->session->conn, statement->name, statement->sql,
                             statement->parameter_count, statement->types);
    shape->prepared = true;
    s->prepared_count++;
    return pipeline_sent(s->pipeline, sent, tag_of(Q_OTHER, change, TELLS_NOTHING), err);
}

/* ---- one change ---- */

static void bind_value(struct sender *s, uint16_t i, const struct value *value)
{
    switch (value->kind) {
    case VALUE_BINARY:
        s->values[i] = value->data;
        s->lengths[i] = (int)value->size;
        s->formats[i] = 1;
        break;
    case VALUE_TEXT: { /* libpq wants text parameters to end with a NUL */
        char *text = arena_alloc(&s->scratch, value->size + 1U);
        memcpy(text, value->data, value->size);
        text[value->size] = '\0';
        s->values[i] = text;
        s->formats[i] = 0;
        break;
    }
    case VALUE_NULL:
    case VALUE_ABSENT:
    case VALUE_UNCHANGED:
        s->values[i] = NULL;
        s->formats[i] = 0;
        break;
    }
}

static bool key_changed(const struct change *change)
{
    if (change->old_image == OLD_NONE)
        return false;
    for (uint16_t i = 0; i < change->relation->column_count; i++)
        if (change->relation->columns[i].key &&
            !value_equal(&change->old.values[i], &change->new.values[i]))
            return true;
    return false;
}

static bool is_of_key(const struct relation *relation, const struct catalog_table *table,
                      const struct catalog_foreign_key *key)
{
    for (uint16_t i = 0; i < key->column_count; i++) {
        int column = relation_column(relation, table->columns[key->columns[i]].name);
        if (column >= 0 && relation->columns[column].key)
            return true;
    }
    return false;
}

/* The target's own cascade has taken or moved it with its parent, whose change comes before it. */
static bool goes_with_parent(const struct sender *s, const struct change *change)
{
    const struct relation *relation = change->relation;
    const struct catalog_table *table = s->config->tables[relation->table].table;
    bool taken = change->kind == CHANGE_DELETE;
    bool moved = change->kind == CHANGE_UPDATE && key_changed(change);
    bool cascades = false;
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        const struct catalog_foreign_key *key = &table->foreign_keys[i];
        cascades = cascades || (taken && key->on_delete == 'c') ||
                   (moved && key->on_update == 'c' && is_of_key(relation, table, key));
    }
    return cascades && !s->config->use_replica_role;
}

bool sender_row(struct sender *s, const struct change *change, enum statement_kind kind,
                const bool *known, enum question question, uint32_t index, struct err *err)
{
    struct shape *shape = shape_for(s, change->relation, kind, known);
    const struct statement *statement = shape->statement;
    if (!prepare(s, shape, index, err))
        return false;
    arena_reset(&s->scratch);
    for (uint16_t i = 0; i < statement->parameter_count; i++) {
        const struct parameter *parameter = &statement->parameters[i];
        const struct row *row = parameter->old ? &change->old : &change->new;
        bind_value(s, i, &row->values[parameter->column]);
    }
    int sent =
        PQsendQueryPrepared(s->session->conn, statement->name, statement->parameter_count,
                            s->values, s->lengths, s->formats, 0);
    bool blind = change->blind || goes_with_parent(s, change);
    enum statement_tells tells = blind ? TELLS_NOTHING : statement->tells;
    return pipeline_sent(s->pipeline, sent, tag_of(question, index, tells), err);
}

static bool send_statement(struct sender *s, const struct change *change, uint32_t index,
                           enum statement_kind kind, const bool *known, struct err *err)
{
    return sender_row(s, change, kind, known, Q_CHANGE, index, err);
}

static bool known_columns(struct sender *s, const struct change *change)
{
    bool all = true;
    for (uint16_t i = 0; i < change->relation->column_count; i++) {
        s->known[i] = change->new.values != NULL &&value_is_known(&change->new.values[i]);
        all = all && s->known[i];
    }
    return all;
}

static bool is_parent(const struct sender *s, const struct catalog_table *table)
{
    for (size_t i = 0; i < s->config->catalog->table_count; i++) {
        const struct catalog_table *child = &s->config->catalog->tables[i];
        for (uint16_t k = 0; k < child->foreign_key_count; k++)
            if (child->foreign_keys[k].parent_oid == table->oid)
                return true;
    }
    return false;
}

/* Deleting the row would take others with it, or be refused. */
static bool must_stay(const struct sender *s, const struct relation *relation)
{
    if (s->config->use_replica_role)
        return false;
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].key && relation->columns[i].identity_always)
            return false; /* no UPDATE may set it */
    return is_parent(s, s->config->tables[relation->table].table);
}

/* Delete the old key, write the new one. What is not known moves along with the old row, and so
 * does what somebody else keeps there. */
static bool send_key_change(struct sender *s, const struct change *change, uint32_t index,
                            bool all_known, struct err *err)
{
    const struct relation *relation = change->relation;
    if (must_stay(s, relation))
        return send_statement(s, change, index, STATEMENT_REKEY, s->known, err);
    if (!all_known ||
        statement_keeps_columns(relation, s->config->tables[relation->table].table))
        return send_statement(s, change, index, STATEMENT_MOVE, s->known, err);
    return send_statement(s, change, index, STATEMENT_DELETE, s->known, err) &&
           send_statement(s, change, index, STATEMENT_UPSERT, s->known, err);
}

/* An UPDATE cannot set a GENERATED ALWAYS identity column: such a row is written anew. */
static bool sets_identity(const struct sender *s, const struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++)
        if (relation->columns[i].identity_always && !relation->columns[i].key && s->known[i])
            return true;
    return false;
}

static bool send_update(struct sender *s, const struct change *change, uint32_t index,
                        struct err *err)
{
    bool all_known = known_columns(s, change);
    if (change->relation->match == MATCH_KEY && sets_identity(s, change->relation)) {
        struct change anew = *change;
        if (anew.old_image == OLD_NONE)
            anew.old = anew.new; /* the key is the same */
        return send_key_change(s, &anew, index, all_known, err);
    }
    if (change->relation->match == MATCH_ROW)
        return send_statement(s, change, index, STATEMENT_REPLACE_ROW, s->known, err);
    if (key_changed(change))
        return send_key_change(s, change, index, all_known, err);
    return send_statement(s, change, index, all_known ? STATEMENT_REPLACE : STATEMENT_PATCH,
                          s->known, err);
}

static bool send_insert(struct sender *s, const struct change *change, uint32_t index,
                        struct err *err)
{
    (void)known_columns(s, change);
    bool by_key = change->relation->match == MATCH_KEY;
    return send_statement(s, change, index, by_key ? STATEMENT_UPSERT : STATEMENT_INSERT,
                          s->known, err);
}

static bool send_delete(struct sender *s, const struct change *change, uint32_t index,
                        struct err *err)
{
    bool by_key = change->relation->match == MATCH_KEY;
    memset(s->known, 0, change->relation->column_count * sizeof *s->known);
    return send_statement(s, change, index, by_key ? STATEMENT_DELETE : STATEMENT_DELETE_ROW,
                          s->known, err);
}

/* ---- truncate ---- */

bool sender_sql(struct sender *s, const char *sql, uint64_t tag, struct err *err)
{
    return pipeline_sent(s->pipeline,
                         PQsendQueryParams(s->session->conn, sql, 0, NULL, NULL, NULL, NULL, 0),
                         tag, err);
}

static bool send_truncate(struct sender *s, const struct change *change, uint32_t index,
                          struct err *err)
{
    const struct pg_target_table **tables =
        mem_zero(change->relation_count + 1U, sizeof *tables);
    for (uint16_t i = 0; i < change->relation_count; i++)
        tables[i] = &s->config->tables[change->relations[i]->table];
    struct truncation *truncation =
        truncation_create(s->config->catalog, tables, change->relation_count,
                          change->truncate_restart_identity ? TRUNCATION_RESTARTS_IDENTITY
                                                            : TRUNCATION_KEEPS_IDENTITY);
    bool ok = true;
    for (size_t i = 0; ok && i < truncation->count; i++)
        ok = sender_sql(s, truncation->statements[i], tag_of(Q_OTHER, index, TELLS_NOTHING),
                        err);
    truncation_free(truncation);
    free(tables);
    s->executed += ok;
    return ok;
}

/* ---- a change ---- */

bool sender_change(struct sender *s, const struct change *change, uint32_t index,
                   struct err *err)
{
    static bool (*const SEND[])(struct sender *, const struct change *, uint32_t,
                                struct err *) = {
        [CHANGE_INSERT] = send_insert,
        [CHANGE_UPDATE] = send_update,
        [CHANGE_DELETE] = send_delete,
        [CHANGE_TRUNCATE] = send_truncate,
    };
    if (change->relation->match == MATCH_NONE &&
        (change->kind == CHANGE_UPDATE || change->kind == CHANGE_DELETE))
        return err_set(err, ERR_BUG,
                       "an update or delete of %s.%s, which has no way to find rows",
                       change->relation->schema, change->relation->name);
    if (change->kind != CHANGE_TRUNCATE)
        s->executed++;
    return SEND[change->kind](s, change, index, err);
}

/* ---- life ---- */

static size_t widest_table(const struct pg_sink_config *config)
{
    size_t widest = 1;
    for (size_t i = 0; i < config->table_count; i++)
        if (config->tables[i].relation->column_count > widest)
            widest = config->tables[i].relation->column_count;
    return widest;
}

void sender_init(struct sender *s, const struct pg_sink_config *config, struct session *session,
                 struct pipeline *pipeline)
{
    size_t parameters = 2 * widest_table(config) + 1; /* old and new */
    *s = (struct sender){.config = config, .session = session, .pipeline = pipeline};
    s->shapes = mem_zero(config->table_count + 1, sizeof *s->shapes);
    s->known = mem_zero(parameters, sizeof *s->known);
    s->values = mem_zero(parameters, sizeof *s->values);
    s->lengths = mem_zero(parameters, sizeof *s->lengths);
    s->formats = mem_zero(parameters, sizeof *s->formats);
    arena_init(&s->scratch, 1 << 20);
}

void sender_free(struct sender *s)
{
    sender_forget(s);
    arena_free(&s->scratch);
    free(s->shapes);
    free(s->known);
    free(s->values);
    free(s->lengths);
    free(s->formats);
}
