/* Asks the source between which bounds keys lie (key_places.h).
 *
 * width_bucket() over an array compares as the type's btree does, by the collation of its
 * arguments: as the index that chunks are read from, and as ">=" and "<" in a chunk's SELECT. */
#include "postgres/key_places.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/session.h"
#include "postgres/text_array.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 48

/* A table's statement. Its number is in its name: one that is forgotten stays where it is. */
struct question {
    bool prepared;
    unsigned number;
};

struct pg_key_places {
    struct key_places contract;
    const char *dsn;
    const struct stop *stop;
    struct session session;
    size_t table_count;
    struct question *questions; /* by table */
};

static struct pg_key_places *self(struct key_places *places)
{
    return (struct pg_key_places *)(void *)places;
}

static void disconnect(struct pg_key_places *p)
{
    for (size_t i = 0; i < p->table_count; i++)
        p->questions[i].prepared = false;
    session_close(&p->session);
}

static void append_bounds(struct buf *array, const struct key_division *division)
{
    buf_append_char(array, '{');
    for (size_t i = 0; i < division->bound_count; i++) {
        if (i > 0)
            buf_append_char(array, ',');
        text_array_append_item(array, division->bounds[i][0], strlen(division->bounds[i][0]));
    }
    buf_append_char(array, '}');
}

/* $1: an array of keys. */
static void append_statement(struct buf *sql, const struct key_division *division)
{
    const struct copy_key_column *column = division->column;
    struct buf bounds = {0};
    append_bounds(&bounds, division);
    buf_append_text(sql, "SELECT width_bucket(k");
    if (column->collation != NULL)
        buf_append_format(sql, " COLLATE %s", column->collation);
    buf_append_text(sql, ", ");
    literal_append(sql, bounds.data, bounds.size);
    buf_append_format(sql,
                      "::%s[]) FROM unnest($1::%s[]) WITH ORDINALITY AS keys(k, n) ORDER BY n",
                      column->type, column->type);
    buf_free(&bounds);
}

static const char *name_of(const struct question *question, uint32_t table,
                           char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "slackwater_places_%u_%u", table, question->number);
    return name;
}

static bool prepare(struct pg_key_places *p, const struct key_division *division,
                    struct err *err)
{
    struct question *question = &p->questions[division->table];
    char name[NAME_SIZE];
    struct buf sql = {0};
    if (!session_is_open(&p->session) &&
        !session_open(&p->session, "source", p->dsn, SESSION_SQL, p->stop, err))
        return false;
    if (question->prepared)
        return true;
    question->number++;
    append_statement(&sql, division);
    question->prepared = session_prepare(
        &p->session, name_of(question, division->table, name), sql.data, err);
    buf_free(&sql);
    return question->prepared;
}

static void append_texts(struct buf *array, size_t count, const struct value *const *keys)
{
    buf_append_char(array, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(array, ',');
        text_array_append_item(array, keys[i]->data, keys[i]->size);
    }
    buf_append_char(array, '}');
}

/* As array_recv() takes it: dimensions, no NULLs, the elements' type; of the only dimension the
 * size and the first index. (PostgreSQL: src/backend/utils/adt/arrayfuncs.c) */
static void append_binaries(struct buf *array, uint32_t type, size_t count,
                            const struct value *const *keys)
{
    buf_append_u32(array, 1);
    buf_append_u32(array, 0);
    buf_append_u32(array, type);
    buf_append_u32(array, (uint32_t)count);
    buf_append_u32(array, 1);
    for (size_t i = 0; i < count; i++) {
        buf_append_u32(array, keys[i]->size);
        buf_append(array, keys[i]->data, keys[i]->size);
    }
}

static PGresult *ask(struct pg_key_places *p, const struct key_division *division, size_t count,
                     const struct value *const *keys, struct err *err)
{
    struct buf array = {0};
    char name[NAME_SIZE];
    bool binary = keys[0]->kind == VALUE_BINARY;
    if (binary)
        append_binaries(&array, division->column->type_oid, count, keys);
    else
        append_texts(&array, count, keys);
    PGresult *result = session_query_prepared(
        &p->session, name_of(&p->questions[division->table], division->table, name), 1,
        (const char *[]){array.data}, (const int[]){(int)array.size}, (const int[]){binary},
        err);
    buf_free(&array);
    return result;
}

static bool take_answers(const PGresult *result, size_t count, uint32_t *found, struct err *err)
{
    if ((size_t)PQntuples(result) != count)
        return err_set(err, ERR_BUG, "source: %d answers about %zu keys", PQntuples(result),
                       count);
    for (size_t i = 0; i < count; i++)
        found[i] = (uint32_t)strtoul(PQgetvalue(result, (int)i, 0), NULL, 10);
    return true;
}

static bool find(struct key_places *places, const struct key_division *division, size_t count,
                 const struct value *const *keys, uint32_t *found, struct err *err)
{
    struct pg_key_places *p = self(places);
    PGresult *result =
        prepare(p, division, err) ? ask(p, division, count, keys, err) : NULL;
    bool ok = result != NULL && take_answers(result, count, found, err);
    PQclear(result);
    if (!ok)
        disconnect(p); /* the next asking begins anew */
    return ok;
}

/* The session is not kept longer than there are tables to ask about. */
static void forget(struct key_places *places, uint32_t table)
{
    struct pg_key_places *p = self(places);
    bool any = false;
    p->questions[table].prepared = false;
    for (size_t i = 0; i < p->table_count; i++)
        any = any || p->questions[i].prepared;
    if (!any)
        disconnect(p);
}

static void destroy(struct key_places *places)
{
    struct pg_key_places *p = self(places);
    session_close(&p->session);
    free(p->questions);
    free(p);
}

struct key_places *pg_key_places_create(const char *dsn, size_t table_count,
                                        const struct stop *stop)
{
    static const struct key_places_ops OPS = {
        .find = find, .forget = forget, .destroy = destroy};
    struct pg_key_places *p = mem_zero(1, sizeof *p);
    p->contract.ops = &OPS;
    p->dsn = dsn;
    p->stop = stop;
    p->table_count = table_count;
    p->questions = mem_zero(table_count + 1, sizeof *p->questions);
    return &p->contract;
}
