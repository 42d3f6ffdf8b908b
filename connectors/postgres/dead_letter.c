/* Dead letters at the target (dead_letter.h). */
#include "postgres/dead_letter.h"

#include "base/mem.h"
#include "postgres/text_array.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES (1U << 20)

static const char INSTALL_SQL[] =
    "BEGIN;"
    "SELECT pg_advisory_xact_lock(hashtextextended('slackwater control', 0));"
    "CREATE TABLE IF NOT EXISTS slackwater.dead_letter ("
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"
    "  id bigint NOT NULL,"
    "  chain bigint NOT NULL," /* the first letter of those that hang together by their keys */
    "  source text NOT NULL,"
    "  operation text NOT NULL,"              /* insert, update, delete, copy */
    "  state text NOT NULL DEFAULT 'parked'," /* applied, skipped, moot */
    "  key jsonb NOT NULL,"
    "  new_key jsonb," /* of a change of the key */
    "  old_row jsonb,"
    "  old_is_key boolean NOT NULL DEFAULT false," /* no more of the old row was sent */
    "  new_row jsonb,"
    "  not_sent text[] NOT NULL DEFAULT '{}'," /* columns whose TOAST value did not change */
    "  unsure boolean NOT NULL DEFAULT false," /* model/batch.h */
    "  replica_identity text NOT NULL,"
    "  lsn pg_lsn,"
    "  xid bigint,"
    "  commit_lsn pg_lsn,"
    "  commit_at timestamptz,"
    "  class text," /* of the error; NULL: it waits behind another */
    "  sqlstate text,"
    "  message text,"
    "  column_name text,"
    "  first_seen timestamptz NOT NULL DEFAULT now(),"
    "  tries int NOT NULL DEFAULT 0,"
    "  tried_at timestamptz,"
    "  ended_at timestamptz,"
    "  ended_by text,"
    "  PRIMARY KEY (migration, id));"
    "CREATE INDEX IF NOT EXISTS dead_letter_parked ON slackwater.dead_letter"
    "  (migration, source, chain) WHERE state = 'parked';"
    "CREATE TABLE IF NOT EXISTS slackwater.breaker ("
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"
    "  source text NOT NULL,"
    "  reason text NOT NULL,"
    "  opened_at timestamptz NOT NULL DEFAULT now(),"
    "  PRIMARY KEY (migration, source));"
    "CREATE TABLE IF NOT EXISTS slackwater.errand ("
    "  migration text NOT NULL REFERENCES slackwater.migration ON DELETE CASCADE,"
    "  id bigint GENERATED ALWAYS AS IDENTITY,"
    "  action text NOT NULL,"
    "  letters bigint[]," /* NULL: all that are parked */
    "  asked_by text NOT NULL,"
    "  asked_at timestamptz NOT NULL DEFAULT now(),"
    "  answer text," /* JSON; NULL: it was not done yet */
    "  PRIMARY KEY (migration, id));"
    "COMMIT";

bool dead_letters_install(struct session *session, struct err *err)
{
    PGresult *r =
        session_exec(session, "SELECT to_regclass('slackwater.errand') IS NOT NULL", err);
    if (r == NULL)
        return false;
    bool installed = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return installed || session_run(session, INSTALL_SQL, err) ||
           err_wrap(err, "creating the tables of dead letters");
}

void dead_letters_init(struct dead_letters *letters, const struct dead_letter_config *config)
{
    *letters = (struct dead_letters){
        .config = config,
        .texts = {.dsn = config->source_dsn, .source = config->source, .stop = config->stop}};
    arena_init(&letters->arena, KEEP_BYTES);
}

void dead_letters_free(struct dead_letters *letters)
{
    value_texts_close(&letters->texts);
    arena_free(&letters->arena);
}

/* ---- a letter as a row ---- */

static void set_value(json_t *object, const char *name, const struct value *value)
{
    json_t *text = value->kind == VALUE_TEXT ? json_stringn_nocheck(value->data, value->size)
                                             : json_null();
    json_object_set_new_nocheck(object, name, text);
}

/* What is known of a row: {"column": "text"}. The caller frees. */
static char *row_json(const struct relation *relation, const struct row *row)
{
    json_t *object = json_object();
    for (uint16_t i = 0; i < row->count; i++)
        if (value_is_known(&row->values[i]))
            set_value(object, relation->columns[i].name, &row->values[i]);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

static char *key_json(const struct parked_identity *identity, const struct relation *relation,
                      const struct row *row, const struct row *other)
{
    json_t *object = json_object();
    for (uint16_t i = 0; i < identity->count; i++) {
        int column = relation_column(relation, identity->columns[i]);
        if (column < 0)
            continue;
        const struct value *value = &row->values[column];
        if (!value_is_known(value) && other != NULL && other->values != NULL)
            value = &other->values[column];
        set_value(object, identity->columns[i], value);
    }
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

static void append_not_sent(const struct relation *relation, const struct row *row,
                            struct buf *array)
{
    const char *separator = "";
    buf_append_char(array, '{');
    for (uint16_t i = 0; i < row->count; i++) {
        if (row->values[i].kind != VALUE_UNCHANGED)
            continue;
        buf_append_text(array, separator);
        text_array_append_item(array, relation->columns[i].name,
                               strlen(relation->columns[i].name));
        separator = ",";
    }
    buf_append_char(array, '}');
}

/* The texts of a row in the table. */
struct written {
    struct row old, new; /* as text */
    char *key, *new_key, *old_row, *new_row;
    struct buf not_sent;
    char id[24], chain[24], xid[16], lsn[LSN_TEXT_SIZE];
    char commit_lsn[LSN_TEXT_SIZE], commit_at[32];
};

static void written_free(struct written *w)
{
    free(w->key);
    free(w->new_key);
    free(w->old_row);
    free(w->new_row);
    buf_free(&w->not_sent);
}

static bool make_rows(struct dead_letters *d, const struct change *change, struct written *w,
                      struct err *err)
{
    return (change->old.values == NULL ||
            value_texts_of(&d->texts, change->relation, &change->old, &d->arena, &w->old,
                           err)) &&
           (change->new.values == NULL ||
            value_texts_of(&d->texts, change->relation, &change->new, &d->arena, &w->new, err));
}

static void make_texts(const struct dead_letters *d, const struct letter *letter,
                       struct written *w)
{
    const struct relation *relation = letter->change->relation;
    const struct parked_identity *identity = &d->config->identities[letter->table];
    const struct row *first = w->old.values != NULL ? &w->old : &w->new;
    w->key = key_json(identity, relation, first, NULL);
    if (w->old.values != NULL) {
        w->old_row = row_json(relation, &w->old);
        if (w->new.values != NULL)
            w->new_key = key_json(identity, relation, &w->new, &w->old);
    }
    if (w->new.values != NULL)
        w->new_row = row_json(relation, &w->new);
    append_not_sent(relation, &w->new, &w->not_sent);
    snprintf(w->id, sizeof w->id, "%llu", (unsigned long long)letter->id);
    snprintf(w->chain, sizeof w->chain, "%llu", (unsigned long long)letter->chain);
    snprintf(w->xid, sizeof w->xid, "%u", letter->xid);
    lsn_format(letter->change->lsn, w->lsn);
    lsn_format(letter->commit_lsn, w->commit_lsn);
    clock_format_wall(letter->commit_time, w->commit_at, sizeof w->commit_at);
}

static const char WRITE_SQL[] =
    "INSERT INTO slackwater.dead_letter AS l (migration, id, chain, source, operation, state, key,"
    " new_key, old_row, old_is_key, new_row, not_sent, unsure, replica_identity, lsn, xid,"
    " commit_lsn, commit_at, class, sqlstate, message, column_name, ended_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8::jsonb, $7::jsonb), $9, $10, $11, $12, $13,"
    " $14, $15, $16, $17, $18, $19, $20, $21, $22, CASE WHEN $6 <> 'parked' THEN now() END)"
    " ON CONFLICT (migration, id) DO UPDATE SET new_row = l.new_row || EXCLUDED.new_row"
    " WHERE l.source = EXCLUDED.source AND l.key = EXCLUDED.key AND l.operation = 'copy'"
    "   AND l.state = 'parked'";

static const char *optional(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static bool write_row(const struct dead_letters *d, struct session *session,
                      const struct letter *letter, const struct written *w, struct err *err)
{
    static const char *const OPERATIONS[] = {
        [CHANGE_INSERT] = "insert", [CHANGE_UPDATE] = "update", [CHANGE_DELETE] = "delete"};
    const struct change *change = letter->change;
    const struct err *why = letter->why;
    const char identity[] = {change->relation->replica_identity, '\0'};
    const char *values[] = {d->config->migration,
                            w->id,
                            w->chain,
                            d->config->sources[letter->table],
                            letter->copied ? "copy" : OPERATIONS[change->kind],
                            letter->moot ? "moot" : "parked",
                            w->key,
                            w->new_key,
                            w->old_row,
                            change->old_image == OLD_KEY ? "t" : "f",
                            w->new_row,
                            buf_text(&w->not_sent),
                            change->unsure ? "t" : "f",
                            identity,
                            letter->copied ? NULL : w->lsn,
                            letter->copied ? NULL : w->xid,
                            letter->copied ? NULL : w->commit_lsn,
                            letter->copied ? NULL : w->commit_at,
                            why == NULL ? NULL : err_class_name(why->class),
                            why == NULL ? NULL : optional(why->sqlstate),
                            why == NULL ? NULL : why->message,
                            why == NULL ? NULL : optional(why->column)};
    PGresult *r =
        session_query(session, WRITE_SQL, sizeof values / sizeof values[0], values, err);
    bool written = r != NULL && strcmp(PQcmdTuples(r), "1") == 0;
    PQclear(r);
    return written ||
           (r != NULL && err_set(err, ERR_BUG, "letter %s is another's already", w->id));
}

bool dead_letters_add(struct dead_letters *d, struct session *session,
                      const struct letter *letter, struct err *err)
{
    struct written w = {0};
    arena_reset(&d->arena);
    bool ok = make_rows(d, letter->change, &w, err);
    if (ok) {
        make_texts(d, letter, &w);
        ok = write_row(d, session, letter, &w, err);
    }
    written_free(&w);
    return ok || err_wrap(err, "parking a row of %s", d->config->sources[letter->table]);
}

/* ---- all that a batch has to say ---- */

static bool run_query(struct session *session, const char *sql, int count,
                      const char *const *values, struct err *err)
{
    PGresult *r = session_query(session, sql, count, values, err);
    PQclear(r);
    return r != NULL;
}

static bool write_joins(const struct dead_letters *d, struct session *session,
                        const struct letters *news, struct err *err)
{
    for (uint32_t i = 0; i < news->join_count; i++) {
        char from[24];
        char into[24];
        snprintf(from, sizeof from, "%llu", (unsigned long long)news->joins[i].from);
        snprintf(into, sizeof into, "%llu", (unsigned long long)news->joins[i].into);
        if (!run_query(session,
                       "UPDATE slackwater.dead_letter SET chain = $3"
                       " WHERE migration = $1 AND chain = $2 AND state = 'parked'",
                       3, (const char *[]){d->config->migration, from, into}, err))
            return err_wrap(err, "joining dead letters");
    }
    return true;
}

/* The batch's own come after that: those of before the truncation are moot already. */
static bool write_emptied(const struct dead_letters *d, struct session *session,
                          const struct letters *news, struct err *err)
{
    for (uint32_t i = 0; i < news->emptied_count; i++) {
        char before[24];
        snprintf(before, sizeof before, "%llu", (unsigned long long)news->emptied[i].before);
        if (!run_query(session,
                       "UPDATE slackwater.dead_letter SET state = 'moot', ended_at = now(),"
                       " ended_by = 'truncate' WHERE migration = $1 AND source = $2"
                       " AND id < $3 AND state = 'parked'",
                       3,
                       (const char *[]){d->config->migration,
                                        d->config->sources[news->emptied[i].table], before},
                       err))
            return err_wrap(err, "voiding dead letters");
    }
    return true;
}

bool dead_letters_write(struct dead_letters *d, struct session *session,
                        const struct letters *news, struct err *err)
{
    if (!write_emptied(d, session, news, err) || !write_joins(d, session, news, err))
        return false;
    for (uint32_t i = 0; i < news->count; i++)
        if (!dead_letters_add(d, session, &news->items[i], err))
            return false;
    return true;
}

bool dead_letters_void(struct session *session, const char *migration, const char *source,
                       struct err *err)
{
    return run_query(session,
                     "UPDATE slackwater.dead_letter SET state = 'moot', ended_at = now(),"
                     " ended_by = 'copy' WHERE migration = $1 AND source = $2"
                     " AND state = 'parked'",
                     2, (const char *[]){migration, source}, err) ||
           err_wrap(err, "voiding dead letters");
}

/* ---- loading ---- */

static uint32_t table_by_name(const struct dead_letter_config *config, const char *source)
{
    for (uint32_t i = 0; i < config->table_count; i++)
        if (strcmp(config->sources[i], source) == 0)
            return i;
    return UINT32_MAX;
}

/* A text of the key as the stream brings it. A column that is not there any more is absent, as it
 * will be in the stream. */
static bool wire_value(struct dead_letters *d, uint32_t table, const char *name,
                       const json_t *key, struct value *value, struct err *err)
{
    const json_t *text = json_object_get(key, name);
    const struct catalog_table *source = d->config->tables[table];
    int column = catalog_column_index(source, name);
    *value = (struct value){.kind = text == NULL || column < 0 ? VALUE_ABSENT : VALUE_NULL};
    if (column < 0 || !json_is_string(text))
        return true;
    const char *copy =
        arena_copy(&d->arena, json_string_value(text), json_string_length(text) + 1);
    *value = (struct value){copy, (uint32_t)json_string_length(text), VALUE_TEXT};
    return !d->config->stream_binary ||
           value_texts_wire(&d->texts, source->columns[column].type_oid, copy, &d->arena, value,
                            err);
}

/* A key of other columns could not be found by what comes: that would overtake it. */
static bool check_known(const struct dead_letters *d, uint32_t table, const json_t *key,
                        struct err *err)
{
    const struct parked_identity *identity = &d->config->identities[table];
    for (uint16_t i = 0; i < identity->count; i++) {
        bool counts = identity->compares == NULL || identity->compares[i] != PARKED_NOT;
        if (!counts || json_object_get(key, identity->columns[i]) != NULL)
            continue;
        err_set(
            err, ERR_DATA,
            "changes of %s were parked when other columns identified its rows: what comes now "
            "cannot be told to be of the same rows, for lack of \"%s\"",
            d->config->sources[table], identity->columns[i]);
        return err_remedy(
            err, "make what is parked first: mend what it was refused for, then "
                 "`slackwater dlq retry --all`, or give it up with `dlq skip`; then run "
                 "again");
    }
    return true;
}

static bool load_key(struct dead_letters *d, uint32_t table, const char *json, uint64_t chain,
                     struct quarantine *quarantine, struct err *err)
{
    const struct parked_identity *identity = &d->config->identities[table];
    json_t *key = json_loads(json, 0, NULL);
    arena_reset(&d->arena);
    struct value *values =
        arena_alloc(&d->arena, (identity->count + 1U) * sizeof(struct value));
    bool ok = check_known(d, table, key, err);
    for (uint16_t i = 0; ok && i < identity->count; i++)
        ok = wire_value(d, table, identity->columns[i], key, &values[i], err);
    if (ok)
        quarantine_note_key(quarantine, table, values, chain);
    json_decref(key);
    return ok;
}

static const char LOAD_KEYS_SQL[] =
    "SELECT source, k, min(chain) FROM slackwater.dead_letter,"
    " LATERAL (VALUES (key), (new_key)) AS keys (k)"
    " WHERE migration = $1 AND state = 'parked' AND k IS NOT NULL"
    " AND ($2::bigint[] IS NULL OR id = ANY ($2)) GROUP BY 1, 2";

static bool load_keys(struct dead_letters *d, struct session *session, const char *ids,
                      struct quarantine *quarantine, struct err *err)
{
    PGresult *r = session_query(session, LOAD_KEYS_SQL, 2,
                                (const char *[]){d->config->migration, ids}, err);
    bool ok = r != NULL;
    for (int i = 0; ok && i < PQntuples(r); i++) {
        uint32_t table = table_by_name(d->config, PQgetvalue(r, i, 0));
        if (table != UINT32_MAX)
            ok = load_key(d, table, PQgetvalue(r, i, 1),
                          strtoull(PQgetvalue(r, i, 2), NULL, 10), quarantine, err);
    }
    PQclear(r);
    return ok || err_wrap(err, "reading the keys of dead letters");
}

bool dead_letters_load_keys(struct dead_letters *d, struct session *session,
                            const struct letter *news, size_t count,
                            struct quarantine *quarantine, struct err *err)
{
    struct buf ids = {0};
    for (size_t i = 0; i < count; i++)
        buf_append_format(&ids, "%c%llu", i == 0 ? '{' : ',', (unsigned long long)news[i].id);
    buf_append_text(&ids, count == 0 ? "{}" : "}");
    bool ok = load_keys(d, session, news == NULL ? NULL : buf_text(&ids), quarantine, err);
    buf_free(&ids);
    return ok;
}

static const char LOAD_COUNTS_SQL[] =
    "SELECT source, count(*) FILTER (WHERE state = 'parked' AND id <= $2 AND NOT id = ANY ($3)),"
    " max(id) FROM slackwater.dead_letter WHERE migration = $1 GROUP BY 1";

/* Without those that the copy's workers count. */
static bool load_counts(struct dead_letters *d, struct session *session,
                        struct quarantine *quarantine, uint64_t upto, const char *under_way,
                        struct err *err)
{
    char last[24];
    snprintf(last, sizeof last, "%llu", (unsigned long long)upto);
    PGresult *r = session_query(session, LOAD_COUNTS_SQL, 3,
                                (const char *[]){d->config->migration, last, under_way}, err);
    for (int i = 0; r != NULL && i < PQntuples(r); i++) {
        uint32_t table = table_by_name(d->config, PQgetvalue(r, i, 0));
        quarantine_note_id(quarantine, strtoull(PQgetvalue(r, i, 2), NULL, 10));
        if (table != UINT32_MAX)
            quarantine_note_letters(quarantine, table, strtoull(PQgetvalue(r, i, 1), NULL, 10));
    }
    PQclear(r);
    return r != NULL || err_wrap(err, "counting dead letters");
}

/* ---- the contract ---- */

struct pg_letter_store {
    struct letter_store store;
    struct dead_letters letters;
};

static struct pg_letter_store *self(struct letter_store *store)
{
    return (struct pg_letter_store *)(void *)store;
}

static bool open_target(struct pg_letter_store *s, struct session *session, struct err *err)
{
    return session_reopen(session, "target", s->letters.config->target_dsn, SESSION_SQL,
                          s->letters.config->stop, err);
}

static bool load_breakers(struct pg_letter_store *s, struct session *session,
                          struct quarantine *quarantine, struct err *err)
{
    PGresult *r =
        session_query(session, "SELECT source FROM slackwater.breaker WHERE migration = $1", 1,
                      &s->letters.config->migration, err);
    for (int i = 0; r != NULL && i < PQntuples(r); i++) {
        uint32_t table = table_by_name(s->letters.config, PQgetvalue(r, i, 0));
        if (table != UINT32_MAX)
            quarantine_half_open(quarantine, table);
    }
    PQclear(r);
    return r != NULL;
}

static bool store_load(struct letter_store *store, struct quarantine *quarantine,
                       struct err *err)
{
    struct pg_letter_store *s = self(store);
    struct session session = {0};
    struct buf under_way = {0};
    uint64_t upto = 0;
    quarantine_forget(quarantine, &upto, &under_way);
    bool ok = open_target(s, &session, err) &&
              load_counts(&s->letters, &session, quarantine, upto, buf_text(&under_way), err) &&
              load_keys(&s->letters, &session, NULL, quarantine, err) &&
              load_breakers(s, &session, quarantine, err);
    session_close(&session);
    buf_free(&under_way);
    return ok;
}

static bool store_keep_breaker(struct letter_store *store, uint32_t table,
                               enum breaker_state state, const char *reason, struct err *err)
{
    struct pg_letter_store *s = self(store);
    struct session session = {0};
    const char *values[] = {s->letters.config->migration, s->letters.config->sources[table],
                            reason};
    bool open = state == BREAKER_OPEN;
    const char *sql =
        open ? "INSERT INTO slackwater.breaker (migration, source, reason)"
               " VALUES ($1, $2, $3) ON CONFLICT (migration, source)"
               " DO UPDATE SET reason = EXCLUDED.reason, opened_at = now()"
             : "DELETE FROM slackwater.breaker WHERE migration = $1 AND source = $2";
    bool ok =
        open_target(s, &session, err) && run_query(&session, sql, open ? 3 : 2, values, err);
    session_close(&session);
    return ok || err_wrap(err, "keeping the breaker of %s", values[1]);
}

static void store_destroy(struct letter_store *store)
{
    dead_letters_free(&self(store)->letters);
    free(store);
}

struct letter_store *dead_letter_store_create(const struct dead_letter_config *config)
{
    static const struct letter_store_ops OPS = {
        .load = store_load, .keep_breaker = store_keep_breaker, .destroy = store_destroy};
    struct pg_letter_store *s = mem_zero(1, sizeof *s);
    s->store.ops = &OPS;
    dead_letters_init(&s->letters, config);
    return &s->store;
}
