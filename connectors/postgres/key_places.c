/* Asks the source between which bounds keys lie (key_places.h).
 *
 * width_bucket() over an array compares as the type's btree does, by the collation of its
 * arguments: as the index that chunks are read from, and as ">=" and "<" in a chunk's SELECT.
 */
#include "postgres/key_places.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/key_order.h"
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
    bool checked; /* the order, in this session */
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
        p->questions[i].prepared = p->questions[i].checked = false;
    session_close(&p->session);
}

/* An array of the bounds' values of one column, as a literal with its type. distinct: a value
 * that follows itself is left out. */
static void append_values(struct buf *sql, const struct key_division *division, int column,
                          bool distinct)
{
    struct buf array = {0};
    const char *last = NULL;
    buf_append_char(&array, '{');
    for (size_t i = 0; i < division->bound_count; i++) {
        const char *value = division->bounds[i][column];
        if (value == NULL || (distinct && last != NULL && strcmp(value, last) == 0))
            continue;
        if (array.size > 1)
            buf_append_char(&array, ',');
        text_array_append_item(&array, value, strlen(value));
        last = value;
    }
    buf_append_char(&array, '}');
    literal_append(sql, array.data, array.size);
    buf_append_format(sql, "::%s[]", division->key->columns[column].type);
    buf_free(&array);
}

static void append_column(struct buf *sql, const struct key_division *division, int column)
{
    const char *collation = division->key->columns[column].collation;
    buf_append_format(sql, "k%d", column + 1);
    if (collation != NULL)
        buf_append_format(sql, " COLLATE %s", collation);
}

/* Bounds of one value, or two:
 *
 *     bounds   (a) (b) (c,1) (c,5) (c,7) (d)
 *     firsts    a   b   c                 d      distinct
 *     below     0   1   2                 5   6  bounds that are below it; at the end all
 *     alone     1   1   0                 1      bounds that are it
 *     begin     1   1   1                 4      where its seconds begin, and those of the next
 *     seconds           1     5     7
 */
static void append_groups(struct buf *sql, const struct key_division *division)
{
    struct buf below = {0};
    struct buf alone = {0};
    struct buf begin = {0};
    size_t seconds = 0;
    for (size_t i = 0; i < division->bound_count;) {
        char *const *first = division->bounds[i];
        buf_append_format(&below, "%zu,", i);
        buf_append_format(&begin, "%zu,", seconds + 1);
        size_t singles = 0;
        for (; i < division->bound_count && strcmp(division->bounds[i][0], first[0]) == 0;
             i++) {
            singles += division->bounds[i][1] == NULL;
            seconds += division->bounds[i][1] != NULL;
        }
        buf_append_format(&alone, "%s%zu", alone.size == 0 ? "" : ",", singles);
    }
    buf_append_format(sql,
                      "'{%s%zu}'::int[] AS below, '{%s}'::int[] AS alone,"
                      " '{%s%zu}'::int[] AS begin",
                      buf_text(&below), division->bound_count, buf_text(&alone),
                      buf_text(&begin), seconds + 1);
    buf_free(&below);
    buf_free(&alone);
    buf_free(&begin);
}

/* $1: an array of keys. */
static void append_simple(struct buf *sql, const struct key_division *division)
{
    const char *type = division->key->columns[0].type;
    buf_append_text(sql, "SELECT width_bucket(");
    append_column(sql, division, 0);
    buf_append_text(sql, ", ");
    append_values(sql, division, 0, false);
    buf_append_format(sql, ") FROM unnest($1::%s[]) WITH ORDINALITY AS keys(k1, n) ORDER BY n",
                      type);
}

/* $1, $2: arrays of the keys' values. */
static void append_double(struct buf *sql, const struct key_division *division)
{
    buf_append_text(sql, "SELECT CASE WHEN p = 0 THEN 0 WHEN ");
    append_column(sql, division, 0);
    buf_append_text(sql, " = firsts[p] THEN below[p] + alone[p] + width_bucket(");
    append_column(sql, division, 1);
    buf_append_text(sql, ", seconds[begin[p] : begin[p + 1] - 1]) ELSE below[p + 1] END"
                         " FROM (SELECT ");
    append_values(sql, division, 0, true);
    buf_append_text(sql, " AS firsts, ");
    append_values(sql, division, 1, false);
    buf_append_text(sql, " AS seconds, ");
    append_groups(sql, division);
    buf_append_format(sql,
                      ") AS bounds, unnest($1::%s[], $2::%s[])"
                      " WITH ORDINALITY AS keys(k1, k2, n), LATERAL (SELECT width_bucket(",
                      division->key->columns[0].type, division->key->columns[1].type);
    append_column(sql, division, 0);
    buf_append_text(sql, ", firsts) AS p) AS place ORDER BY n");
}

static void append_statement(struct buf *sql, const struct key_division *division)
{
    if (division->columns == 1)
        append_simple(sql, division);
    else
        append_double(sql, division);
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
        (!session_reopen(&p->session, "source", p->dsn, SESSION_SQL, p->stop, err) ||
         !session_see_operators(&p->session, err)))
        return false;
    if (question->prepared)
        return true;
    question->checked = question->checked || key_order_check(&p->session, division->key, err);
    if (!question->checked)
        return false;
    question->number++;
    append_statement(&sql, division);
    question->prepared =
        session_prepare(&p->session, name_of(question, division->table, name), sql.data, err);
    buf_free(&sql);
    return question->prepared;
}

static void append_texts(struct buf *array, int column, size_t count,
                         const struct value *const *keys)
{
    buf_append_char(array, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(array, ',');
        text_array_append_item(array, keys[i][column].data, keys[i][column].size);
    }
    buf_append_char(array, '}');
}

/* As array_recv() takes it: dimensions, no NULLs, the elements' type; of the only dimension the
 * size and the first index. (PostgreSQL: src/backend/utils/adt/arrayfuncs.c) */
static void append_binaries(struct buf *array, uint32_t type, int column, size_t count,
                            const struct value *const *keys)
{
    buf_append_u32(array, 1);
    buf_append_u32(array, 0);
    buf_append_u32(array, type);
    buf_append_u32(array, (uint32_t)count);
    buf_append_u32(array, 1);
    for (size_t i = 0; i < count; i++) {
        buf_append_u32(array, keys[i][column].size);
        buf_append(array, keys[i][column].data, keys[i][column].size);
    }
}

static PGresult *ask(struct pg_key_places *p, const struct key_division *division, size_t count,
                     const struct value *const *keys, struct err *err)
{
    struct buf arrays[KEY_PLACES_COLUMNS] = {{0}};
    const char *values[KEY_PLACES_COLUMNS];
    int sizes[KEY_PLACES_COLUMNS];
    int formats[KEY_PLACES_COLUMNS];
    char name[NAME_SIZE];
    for (int i = 0; i < division->columns; i++) {
        formats[i] = keys[0][i].kind == VALUE_BINARY;
        if (formats[i])
            append_binaries(&arrays[i], division->key->columns[i].type_oid, i, count, keys);
        else
            append_texts(&arrays[i], i, count, keys);
        values[i] = arrays[i].data;
        sizes[i] = (int)arrays[i].size;
    }
    PGresult *result = session_query_prepared(
        &p->session, name_of(&p->questions[division->table], division->table, name),
        division->columns, values, sizes, formats, err);
    for (int i = 0; i < division->columns; i++)
        buf_free(&arrays[i]);
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
    PGresult *result = prepare(p, division, err) ? ask(p, division, count, keys, err) : NULL;
    bool ok = result != NULL && take_answers(result, count, found, err);
    PQclear(result);
    if (ok)
        return true;
    disconnect(p); /* the next asking begins anew */
    return key_order_refused(division->key, err);
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
