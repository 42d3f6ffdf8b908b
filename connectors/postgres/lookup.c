/* See lookup.h. */
#include "postgres/lookup.h"

#include "base/mem.h"
#include "postgres/session.h"

#include <stdlib.h>
#include <string.h>

/* uthash says so when memory is exhausted, as mem.h does. */
#define uthash_malloc(size) mem_alloc(size)
#include <uthash.h>

#define STATEMENT "slackwater_lookup"
#define BPCHAR 1042 /* pg_type.dat */
#define IS_DATA_EXCEPTION(err) (strncmp((err)->sqlstate, "22", 2) == 0)

struct entry {
    UT_hash_handle hh; /* in the order of use, the least lately used first */
    size_t key_size;
    bool null;
    size_t size;
    char bytes[]; /* the key, then the value */
};

struct pg_lookup {
    struct lookup lookup;
    struct pg_lookup_config config;
    const struct lookup_request *request;
    struct session session;
    bool prepared;
    Oid key_type; /* as the server took it from the statement */
    struct entry *entries;
};

/* --- the cache --- */

static struct entry *recall(struct pg_lookup *l, const struct value *key)
{
    struct entry *entry = NULL;

    HASH_FIND(hh, l->entries, key->data, key->size, entry);
    if (entry) { /* to the end of the order */
        HASH_DELETE(hh, l->entries, entry);
        HASH_ADD_KEYPTR(hh, l->entries, entry->bytes, entry->key_size, entry);
    }
    return entry;
}

static void forget(struct pg_lookup *l, struct entry *entry)
{
    HASH_DELETE(hh, l->entries, entry);
    free(entry);
}

static void remember(struct pg_lookup *l, const struct value *key, const struct value *value)
{
    struct entry *entry;

    if (l->request->cache == 0)
        return;
    if (HASH_COUNT(l->entries) >= l->request->cache)
        forget(l, l->entries);
    entry = mem_alloc(sizeof(*entry) + key->size + value->size);
    *entry = (struct entry){
        .key_size = key->size, .null = value->kind == VALUE_NULL, .size = value->size};
    memcpy(entry->bytes, key->data, key->size);
    if (value->size)
        memcpy(entry->bytes + key->size, value->data, value->size);
    HASH_ADD_KEYPTR(hh, l->entries, entry->bytes, entry->key_size, entry);
}

static void give(const struct entry *entry, struct arena *arena, struct value *value)
{
    *value = (struct value){.kind = VALUE_NULL};
    if (!entry->null)
        *value = (struct value){
            .data = arena_copy(arena, entry->bytes + entry->key_size, entry->size),
            .size = (uint32_t)entry->size,
            .kind = VALUE_TEXT};
}

/* --- asking --- */

static bool connect_and_prepare(struct pg_lookup *l, struct err *err)
{
    bool target = l->request->side == LOOKUP_TARGET;

    if (l->prepared && session_is_open(&l->session))
        return true;
    session_close(&l->session);
    l->prepared = session_reopen(&l->session, target ? "target" : "source",
                                 target ? l->config.target_dsn : l->config.source_dsn,
                                 SESSION_SQL, l->config.stop, err) &&
                  session_run(&l->session, "SET default_transaction_read_only = on", err) &&
                  session_see_operators(&l->session, err) &&
                  session_prepare(&l->session, STATEMENT, l->request->sql, err) &&
                  session_parameter_type(&l->session, STATEMENT, &l->key_type, err);
    return l->prepared;
}

/* The statement failed over its data: because the text is no value of the key's type, which then
 * is the key of no row? Or because of something else that it read, which is an error? */
static enum lookup_result try_key(struct pg_lookup *l, const char *key, struct err *err)
{
    struct err why = {0};
    const char *values[] = {key};
    PGresult *result = session_query_typed(&l->session, "SELECT $1", 1, &l->key_type, values,
                                           NULL, NULL, &why);

    PQclear(result);
    if (result) {
        err_remedy(err, "The key is a value of its type: mend the lookup's query, or what it "
                        "reads.");
        return LOOKUP_FAILED;
    }
    if (!IS_DATA_EXCEPTION(&why)) {
        *err = why;
        return LOOKUP_FAILED;
    }
    err_clear(err);
    return LOOKUP_MISSING;
}

static enum lookup_result judge(struct pg_lookup *l, const char *key, struct err *err)
{
    if (IS_DATA_EXCEPTION(err) && try_key(l, key, err) == LOOKUP_MISSING)
        return LOOKUP_MISSING;
    if (err->class == ERR_RETRY || err->class == ERR_STOPPED) {
        session_close(&l->session);
        l->prepared = false;
    }
    return LOOKUP_FAILED;
}

static struct value value_of(const PGresult *result, struct arena *arena)
{
    int size = PQgetlength(result, 0, 0);
    const char *data = PQgetvalue(result, 0, 0);

    if (PQgetisnull(result, 0, 0))
        return (struct value){.kind = VALUE_NULL};
    while (PQftype(result, 0) == BPCHAR && size > 0 && data[size - 1] == ' ')
        size--;
    return (struct value){.data = arena_copy(arena, data, (size_t)size),
                          .size = (uint32_t)size,
                          .kind = VALUE_TEXT};
}

static enum lookup_result ask(struct pg_lookup *l, const struct value *key, struct arena *arena,
                              struct value *value, struct err *err)
{
    char *text = mem_string_sized(key->data, key->size);
    const char *values[] = {text};
    PGresult *result =
        session_query_prepared(&l->session, STATEMENT, 1, values, NULL, NULL, err);
    int rows = result ? PQntuples(result) : 0;

    enum lookup_result failed = result ? LOOKUP_FOUND : judge(l, text, err);

    free(text);
    if (!result)
        return failed;
    if (rows == 1) {
        *value = value_of(result, arena);
        remember(l, key, value);
    }
    PQclear(result);
    if (rows < 2)
        return rows == 1 ? LOOKUP_FOUND : LOOKUP_MISSING;
    err_set(err, ERR_DATA, "two rows have the key of this row");
    err_remedy(err, "Make the lookup's key unique.");
    return LOOKUP_FAILED;
}

static enum lookup_result pg_lookup_find(struct lookup *lookup, const struct value *key,
                                         struct arena *arena, struct value *value,
                                         struct err *err)
{
    struct pg_lookup *l = (struct pg_lookup *)(void *)lookup;
    const struct entry *entry = recall(l, key);

    if (entry) {
        give(entry, arena, value);
        return LOOKUP_FOUND;
    }
    if (!connect_and_prepare(l, err))
        return LOOKUP_FAILED;
    return ask(l, key, arena, value, err);
}

static void pg_lookup_destroy(struct lookup *lookup)
{
    struct pg_lookup *l = (struct pg_lookup *)(void *)lookup;

    while (l->entries)
        forget(l, l->entries);
    session_close(&l->session);
    free(l);
}

struct lookup *pg_lookup_create(const struct pg_lookup_config *config,
                                const struct lookup_request *request)
{
    static const struct lookup_ops ops = {.find = pg_lookup_find, .destroy = pg_lookup_destroy};
    struct pg_lookup *l = mem_zero(1, sizeof(*l));

    l->lookup.ops = &ops;
    l->config = *config;
    l->request = request;
    return &l->lookup;
}
