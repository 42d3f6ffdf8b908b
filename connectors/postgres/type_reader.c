/* See type_reader.h.
 *
 * Values are compared by their type's own equality, without an operator's name: extensions keep
 * theirs in schemas that are not on the path, and citext = text would be text = text. */
#include "postgres/type_reader.h"

#include "base/buf.h"
#include "base/mem.h"
#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

/* uthash says so when memory is exhausted, as mem.h does. */
#define uthash_malloc(size) mem_alloc(size)
#include <uthash.h>

struct answer {
    UT_hash_handle hh;
    enum reading reading;
    char *statement; /* with the side before it: the key */
    char *text;
};

struct pg_type_reader {
    struct type_reader contract;
    struct session *source;
    struct session *target;
    struct answer *answers;
};

/* The server's own complaints are about the text; a lost connection or a missing right is not. */
static enum reading judge(struct err *err)
{
    if (err->class != ERR_DATA)
        return READING_FAILED;
    err_clear(err);
    return READING_NONE;
}

static struct answer *remember(struct pg_type_reader *r, const char *key, enum reading reading,
                               const char *text)
{
    struct answer *answer = mem_zero(1, sizeof *answer);
    answer->reading = reading;
    answer->statement = mem_string(key);
    answer->text = mem_string(text);
    HASH_ADD_KEYPTR(hh, r->answers, answer->statement, strlen(key), answer);
    return answer;
}

/* One text, or READING_NONE. NULL: err says why there is no answer. */
static const struct answer *ask(struct pg_type_reader *r, const struct type_text *type,
                                const struct buf *sql, struct err *err)
{
    struct buf key = {0};
    struct answer *answer = NULL;
    enum reading reading = READING_NONE;
    buf_append_format(&key, "%c%s", type->target ? 't' : 's', buf_text(sql));
    HASH_FIND(hh, r->answers, buf_text(&key), key.size, answer);
    if (answer == NULL) {
        PGresult *result = session_exec(type->target ? r->target : r->source, sql->data, err);
        bool value = result != NULL && PQntuples(result) == 1 && !PQgetisnull(result, 0, 0);
        reading = value ? READING_VALUE : result ? READING_NONE : judge(err);
        if (reading != READING_FAILED)
            answer =
                remember(r, buf_text(&key), reading, value ? PQgetvalue(result, 0, 0) : "");
        PQclear(result);
    }
    buf_free(&key);
    return answer;
}

static void append_value(struct buf *sql, const char *text, const char *type)
{
    literal_append(sql, text, strlen(text));
    buf_append_format(sql, "::%s", type);
}

/* No row where the modifier rounds or cuts what the type by itself takes whole. */
static void spell_sql(const struct type_text *type, const char *text, struct buf *sql)
{
    buf_append_text(sql, "SELECT (");
    append_value(sql, text, type->exact);
    buf_append_text(sql, ")::text");
    if (type->base == NULL)
        return;
    buf_append_text(sql, " WHERE (SELECT count(DISTINCT x) FROM (VALUES ((");
    append_value(sql, text, type->exact);
    buf_append_format(sql, ")::%s), (", type->base);
    append_value(sql, text, type->base);
    buf_append_text(sql, ")) AS v(x)) = 1");
}

static enum reading spell(void *context, const struct type_text *type, const char *text,
                          struct arena *arena, const char **spelled, struct err *err)
{
    struct buf sql = {0};
    spell_sql(type, text, &sql);
    const struct answer *answer = ask(context, type, &sql, err);
    buf_free(&sql);
    if (answer == NULL)
        return READING_FAILED;
    if (answer->reading == READING_VALUE)
        *spelled = arena_copy(arena, answer->text, strlen(answer->text) + 1);
    return answer->reading;
}

static enum reading equal(void *context, const struct type_text *type, const char *a,
                          const char *b, bool *equal, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "SELECT count(DISTINCT x) FROM (VALUES (");
    append_value(&sql, a, type->exact);
    buf_append_text(&sql, "), (");
    append_value(&sql, b, type->exact);
    buf_append_text(&sql, ")) AS v(x)");
    const struct answer *answer = ask(context, type, &sql, err);
    buf_free(&sql);
    if (answer == NULL)
        return READING_FAILED;
    *equal = strcmp(answer->text, "1") == 0;
    return answer->reading;
}

struct pg_type_reader *pg_type_reader_create(struct session *source, struct session *target)
{
    struct pg_type_reader *r = mem_zero(1, sizeof *r);
    r->contract = (struct type_reader){.spell = spell, .equal = equal, .context = r};
    r->source = source;
    r->target = target;
    return r;
}

void pg_type_reader_destroy(struct pg_type_reader *reader)
{
    struct answer *answer, *next;
    if (reader == NULL)
        return;
    HASH_ITER(hh, reader->answers, answer, next)
    {
        HASH_DELETE(hh, reader->answers, answer);
        free(answer->statement);
        free(answer->text);
        free(answer);
    }
    free(reader);
}

const struct type_reader *pg_type_reader_contract(const struct pg_type_reader *reader)
{
    return &reader->contract;
}
