/* See schema_watch.h. */
#include "postgres/schema_watch.h"

#include "base/buf.h"
#include "postgres/introspect.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One text a table, which describe() makes of the catalog. A domain's NOT NULL is its own. */
#define TABLES_SQL                                                                                \
    "SELECT c.oid, concat_ws('/', n.nspname, c.relname, c.relpersistence, c.relreplident,"        \
    "  coalesce((SELECT string_agg(k.number::text, ' ' ORDER BY k.place) FROM pg_index i,"        \
    "              unnest(i.indkey) WITH ORDINALITY AS k (number, place)"                         \
    "            WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts), '')," \
    "  string_agg(concat_ws(':', a.attnum, a.attname, a.atttypid, a.atttypmod,"                   \
    "    CASE WHEN t.typtype = 'd' THEN '' WHEN a.attnotnull THEN 't' ELSE 'f' END,"              \
    "    a.attidentity, CASE WHEN a.attgenerated = '' THEN 'f' ELSE 't' END),"                    \
    "    ',' ORDER BY a.attnum))"                                                                 \
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                              \
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"     \
    " LEFT JOIN pg_type t ON t.oid = a.atttypid"                                                  \
    " WHERE c.oid = ANY ($1::oid[]) GROUP BY c.oid, n.nspname ORDER BY c.oid"

#define ENUMS_SQL                                                                              \
    "SELECT n.nspname, t.typname, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)"       \
    " FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid"                                    \
    " JOIN pg_namespace n ON n.oid = t.typnamespace GROUP BY n.nspname, t.typname"

/* A root with a partition that is unlogged is left out, as `check` says. */
#define STRANGERS_SQL                                                                                   \
    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"         \
    " LEFT JOIN unnest($1::oid[]) AS known (oid) ON known.oid = c.oid"                                  \
    " WHERE known.oid IS NULL AND c.relpersistence = 'p' AND NOT c.relispartition"                      \
    " AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class l ON l.oid = i.inhrelid"                  \
    "                 WHERE i.inhparent = c.oid AND l.relpersistence = 'u') AND" INTROSPECT_OF_INTEREST \
    " ORDER BY 1, 2"

/* ---- tables ---- */

static void describe_key(const struct catalog_table *table, struct buf *text)
{
    const struct catalog_index *key = NULL;
    for (uint16_t i = 0; i < table->index_count && key == NULL; i++)
        key = table->indexes[i].primary ? &table->indexes[i] : NULL;
    for (uint16_t i = 0; key != NULL && i < key->column_count; i++)
        buf_append_format(text, "%s%d", i ? " " : "", table->columns[key->columns[i]].number);
}

static void describe_column(const struct catalog_column *column, struct buf *text)
{
    bool domain = column->type != NULL && column->type->kind == 'd';
    buf_append_format(text, "%d:%s:%u:%d:%s:%.1s:%s", column->number, column->name,
                      column->type_oid, catalog_shown_modifier(column),
                      domain             ? ""
                      : column->not_null ? "t"
                                         : "f",
                      &column->identity, column->generated ? "t" : "f");
}

static void describe(const struct catalog_table *table, struct buf *text)
{
    buf_append_format(text, "%s/%s/%c/%c/", table->schema, table->name, table->persistence,
                      table->replica_identity);
    describe_key(table, text);
    for (uint16_t i = 0; i < table->column_count; i++) {
        buf_append_text(text, i == 0 ? "/" : ",");
        describe_column(&table->columns[i], text);
    }
}

static const char *found_text(const PGresult *r, uint32_t oid)
{
    int low = 0;
    int high = PQntuples(r);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strtoul(PQgetvalue(r, middle, 0), NULL, 10) < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < PQntuples(r) && strtoul(PQgetvalue(r, low, 0), NULL, 10) == oid
               ? PQgetvalue(r, low, 1)
               : NULL;
}

static bool table_is_same(const PGresult *r, const struct catalog_table *table)
{
    struct buf text = {0};
    const char *found = found_text(r, table->oid);
    describe(table, &text);
    bool same = found != NULL && strcmp(found, buf_text(&text)) == 0;
    buf_free(&text);
    return same;
}

/* `sql` of their OIDs. */
static PGresult *ask_tables(struct session *session, const char *sql, size_t table_count,
                            const struct catalog_table *const *tables, struct err *err)
{
    struct buf oids = {0};
    for (size_t i = 0; i < table_count; i++)
        buf_append_format(&oids, "%s%u", i ? "," : "{", tables[i]->oid);
    buf_append_text(&oids, table_count ? "}" : "{}");
    PGresult *r = session_query(session, sql, 1, (const char *[]){buf_text(&oids)}, err);
    buf_free(&oids);
    return r;
}

static bool look_at_tables(struct session *session, size_t table_count,
                           const struct catalog_table *const *tables, char *change, size_t size,
                           struct err *err)
{
    PGresult *r = ask_tables(session, TABLES_SQL, table_count, tables, err);
    for (size_t i = 0; r != NULL && i < table_count && change[0] == '\0'; i++) {
        if (table_is_same(r, tables[i]))
            continue;
        char *name = ident_display(tables[i]->schema, tables[i]->name);
        snprintf(change, size, "%s table %s %s", session->side, name,
                 found_text(r, tables[i]->oid) == NULL ? "is gone" : "has changed");
        free(name);
    }
    PQclear(r);
    return r != NULL;
}

/* ---- enums ---- */

/* An array's type has its element's name behind an underscore. */
static bool is_used(const struct catalog_enum *type, size_t table_count,
                    const struct catalog_table *const *tables)
{
    size_t schema = strlen(type->schema);
    for (size_t i = 0; i < table_count; i++)
        for (uint16_t j = 0; j < tables[i]->column_count; j++) {
            const char *base = tables[i]->columns[j].base_type;
            if (strncmp(base, type->schema, schema) == 0 && base[schema] == '.' &&
                strcmp(base + schema + 1 + (base[schema + 1] == '_'), type->name) == 0)
                return true;
        }
    return false;
}

static bool enum_is_same(const PGresult *r, const struct catalog_enum *type)
{
    struct buf labels = {0};
    bool same = false;
    for (size_t i = 0; i < type->label_count; i++)
        buf_append_format(&labels, "%s%s", i ? "," : "", type->labels[i]);
    for (int i = 0; i < PQntuples(r) && !same; i++)
        same = strcmp(PQgetvalue(r, i, 0), type->schema) == 0 &&
               strcmp(PQgetvalue(r, i, 1), type->name) == 0 &&
               strcmp(PQgetvalue(r, i, 2), buf_text(&labels)) == 0;
    buf_free(&labels);
    return same;
}

static bool look_at_enums(struct session *session, const struct catalog *catalog,
                          size_t table_count, const struct catalog_table *const *tables,
                          char *change, size_t size, struct err *err)
{
    if (catalog->enum_count == 0 || change[0] != '\0')
        return true;
    PGresult *r = session_exec(session, ENUMS_SQL, err);
    for (size_t i = 0; r != NULL && i < catalog->enum_count && change[0] == '\0'; i++) {
        const struct catalog_enum *type = &catalog->enums[i];
        if (is_used(type, table_count, tables) && !enum_is_same(r, type))
            snprintf(change, size, "%s type %s.%s has changed", session->side, type->schema,
                     type->name);
    }
    PQclear(r);
    return r != NULL;
}

bool schema_watch_look(struct session *session, const struct catalog *catalog,
                       size_t table_count, const struct catalog_table *const *tables,
                       char *change, size_t size, struct err *err)
{
    change[0] = '\0';
    return look_at_tables(session, table_count, tables, change, size, err) &&
           look_at_enums(session, catalog, table_count, tables, change, size, err);
}

/* ---- tables that are not carried ---- */

bool schema_watch_strangers(struct session *source, const struct schema_watch_rules *rules,
                            char *change, size_t size, struct err *err)
{
    PGresult *r = ask_tables(source, STRANGERS_SQL, rules->table_count, rules->tables, err);
    change[0] = '\0';
    for (int i = 0; r != NULL && i < PQntuples(r) && change[0] == '\0'; i++) {
        const char *schema = PQgetvalue(r, i, 0);
        const char *table = PQgetvalue(r, i, 1);
        if (!rules->take(rules->context, schema, table))
            continue;
        char *name = ident_display(schema, table);
        snprintf(change, size, "source table %s was made since, and is not carried", name);
        free(name);
    }
    PQclear(r);
    return r != NULL;
}
