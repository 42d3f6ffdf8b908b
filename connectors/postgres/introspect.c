/* Reads a server's catalogs (introspect.h): queries that are each ordered by table, merged
 * here, and a few about what stands beside the tables. */
#include "postgres/introspect.h"

#include "base/mem.h"
#include "postgres/continuity.h"
#include "postgres/locks.h"
#include "postgres/release.h"

#include <stdlib.h>
#include <string.h>

#define OF_INTEREST INTROSPECT_OF_INTEREST

static const char SERVER_SQL[] =
    "SELECT current_setting('server_version_num'), current_database(),"
    "       current_setting('server_encoding'),"
    "       (SELECT system_identifier FROM pg_control_system()),"
    "       " CONTINUITY_TIMELINE ","
    "       r.rolsuper, r.rolsuper OR r.rolreplication,"
    "       has_database_privilege(current_database(), 'CREATE'),"
    "       has_function_privilege('pg_replication_origin_session_setup(text)', 'EXECUTE')"
    "       AND has_function_privilege('pg_replication_origin_create(text)', 'EXECUTE')"
    "       AND has_function_privilege("
    "           'pg_replication_origin_xact_setup(pg_lsn,timestamptz)', 'EXECUTE'),"
    /* The locale of ICU is daticulocale in 15 and 16, datlocale from 17 on. */
    "       (SELECT coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale',"
    "                        d.datcollate)"
    "        FROM pg_database d WHERE d.datname = current_database()),"
    "       (SELECT count(*) FROM pg_largeobject_metadata), current_user"
    " FROM pg_roles r WHERE r.rolname = current_user";

/* These are new in 15, so they cannot stand in SERVER_SQL. */
static const char SERVER_15_SQL[] =
    "SELECT has_parameter_privilege('session_replication_role', 'SET'),"
    "       (SELECT pg_database_collation_actual_version(d.oid)"
    "        FROM pg_database d WHERE d.datname = current_database())";

static const char TABLES_SQL[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind,"
    "       CASE WHEN leaf.unlogged THEN 'u' ELSE c.relpersistence END, c.relreplident,"
    "       c.relispartition, pg_has_role(c.relowner, 'USAGE'),"
    "       has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'),"
    "       has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'),"
    "       has_table_privilege(c.oid, 'TRUNCATE'),"
    "       row_security_active(c.oid), leaf.tuples, leaf.bytes, leaf.changed,"
    "       CASE WHEN NOT c.relispartition THEN"
    "         (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)"
    "          FROM pg_inherits i WHERE i.inhrelid = c.oid) END, leaf.count"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " CROSS JOIN LATERAL ("
    "   SELECT CASE WHEN bool_or(l.reltuples < 0) THEN -1"
    "               ELSE sum(l.reltuples)::bigint END AS tuples,"
    "          coalesce(sum(pg_table_size(l.oid)), 0)::bigint AS bytes,"
    "          coalesce(sum(pg_stat_get_tuples_updated(l.oid)"
    "                       + pg_stat_get_tuples_deleted(l.oid)), 0)::bigint AS changed,"
    "          count(*) AS count, bool_or(l.relpersistence = 'u') AS unlogged"
    /* By oid each: a condition that names both would read all of pg_class for each table. */
    "   FROM (SELECT c.oid WHERE c.relkind = 'r' UNION ALL"
    "         SELECT relid::oid FROM pg_partition_tree(c.oid) WHERE c.relkind = 'p') part(oid)"
    "   JOIN pg_class l ON l.oid = part.oid AND l.relkind = 'r') leaf"
    " WHERE" OF_INTEREST " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

static const char COLUMNS_SQL[] =
    "WITH RECURSIVE base(oid, base, modifier, not_null, asks) AS ("
    "   SELECT t.oid, t.oid, -1, false, NULL::text COLLATE \"C\" FROM pg_type t WHERE "
    "t.typtype <> 'd'"
    "   UNION ALL"
    "   SELECT d.oid, b.base, CASE WHEN d.typtypmod < 0 THEN b.modifier ELSE d.typtypmod END,"
    "          b.not_null OR d.typnotnull, nullif(concat_ws(' AND ', b.asks,"
    "          (SELECT string_agg('(' || pg_get_expr(k.conbin, 0) || ')', ' AND '"
    "                             ORDER BY k.conname)"
    "           FROM pg_constraint k WHERE k.contypid = d.oid AND k.contype = 'c')), '')"
    "          COLLATE \"C\""
    "   FROM pg_type d JOIN base b ON d.typbasetype = b.oid"
    "   WHERE d.typtype = 'd')"
    " SELECT a.attrelid, a.attname, a.attnum, a.atttypid,"
    "        format_type(a.atttypid, a.atttypmod), tn.nspname || '.' || t.typname, t.oid,"
    "        t.typtype, t.typelem <> 0 AND t.typcategory = 'A',"
    "        CASE WHEN dt.typtype = 'd' THEN b.modifier ELSE a.atttypmod END,"
    "        a.attnotnull OR b.not_null, a.atthasdef, a.attidentity,"
    "        a.attgenerated <> '', pg_get_expr(x.adbin, x.adrelid),"
    "        CASE WHEN a.attcollation <> dt.typcollation"
    "             THEN on_.nspname || '.' || o.collname END,"
    "        col_description(c.oid, a.attnum), b.asks, NOT o.collisdeterministic,"
    "        format_type(t.oid, CASE WHEN dt.typtype = 'd' THEN b.modifier ELSE a.atttypmod "
    "END),"
    "        quote_ident(on_.nspname) || '.' || quote_ident(o.collname),"
    "        CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid"
    "                            AND i.indisunique AND a.attnum IN (i.indkey[0], i.indkey[1]))"
    "             THEN pg_collation_actual_version(o.oid) END"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " JOIN base b ON b.oid = a.atttypid JOIN pg_type t ON t.oid = b.base"
    " JOIN pg_namespace tn ON tn.oid = t.typnamespace"
    " JOIN pg_type dt ON dt.oid = a.atttypid"
    " LEFT JOIN pg_attrdef x ON x.adrelid = c.oid AND x.adnum = a.attnum"
    " LEFT JOIN pg_collation o ON o.oid = a.attcollation"
    " LEFT JOIN pg_namespace on_ ON on_.oid = o.collnamespace"
    " WHERE" OF_INTEREST " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", a.attnum";

static const char INDEXES_SQL[] =
    "SELECT i.indrelid, x.relname, i.indisprimary, i.indisunique, i.indimmediate,"
    "       i.indisvalid AND i.indisready AND i.indpred IS NULL AND i.indexprs IS NULL,"
    "       i.indisreplident,"
    "       (SELECT string_agg(k.attnum::text, ' ' ORDER BY k.position)"
    "        FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)"
    "        WHERE k.position <= i.indnkeyatts),"
    "       pg_get_indexdef(i.indexrelid),"
    "       EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid"
    "                 AND k.contype IN ('p', 'u', 'x')),"
    /* Options: 0 ascending, nulls last; 3 the same backwards (pg_index.h, INDOPTION_). */
    "       (SELECT count(*) FROM (SELECT bool_and(i.indoption[k.place] = i.indoption[0]"
    "            AND i.indcollation[k.place] = a.attcollation"
    "            AND o.opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree')"
    "            AND EXISTS (SELECT FROM pg_opclass d"
    "                        WHERE d.opcfamily = o.opcfamily AND d.opcdefault))"
    "          OVER (ORDER BY k.place) AS ordered"
    "        FROM generate_series(0, i.indnkeyatts - 1) AS k(place)"
    "        JOIN pg_opclass o ON o.oid = i.indclass[k.place]"
    "        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid"
    "                                AND a.attnum = i.indkey[k.place]) columns"
    "        WHERE ordered AND i.indoption[0] IN (0, 3))"
    " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
    " JOIN pg_class x ON x.oid = i.indexrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE" OF_INTEREST " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\","
    "          NOT i.indisprimary, x.relname COLLATE \"C\"";

static const char FOREIGN_KEYS_SQL[] =
    "SELECT k.conrelid, k.conname, k.confrelid, k.confdeltype, k.confupdtype, k.convalidated,"
    "       array_to_string(k.conkey, ' '), pn.nspname, pc.relname,"
    "       array_to_string(k.confkey, ' '), k.condeferrable"
    " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
    " JOIN pg_class pc ON pc.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE k.contype = 'f' AND k.conparentid = 0 AND" OF_INTEREST
    " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", k.conname COLLATE \"C\"";

static const char CONSTRAINTS_SQL[] =
    "SELECT k.conrelid, k.conname, k.contype, k.convalidated, pg_get_constraintdef(k.oid),"
    "       pg_get_expr(k.conbin, k.conrelid)"
    " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE k.contype IN ('c', 'x') AND" OF_INTEREST
    " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", k.conname COLLATE \"C\"";

static const char TRIGGERS_SQL[] =
    "SELECT t.relation, t.name, t.rule, t.enabled"
    " FROM (SELECT tgrelid AS relation, tgname AS name, false AS rule, tgenabled AS enabled"
    "       FROM pg_trigger WHERE NOT tgisinternal"
    "       UNION ALL"
    "       SELECT ev_class, rulename, true, ev_enabled FROM pg_rewrite"
    "       WHERE rulename <> '_RETURN') t"
    " JOIN pg_class c ON c.oid = t.relation JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE" OF_INTEREST
    " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", t.rule, t.name COLLATE \"C\"";

/* ---- beside the tables ---- */

#define OF_USERS                                                                               \
    " n.nspname NOT IN ('information_schema', 'slackwater') AND n.nspname !~ '^pg_'"

static const char SEQUENCES_SQL[] =
    "SELECT n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle"
    " FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE" OF_USERS " AND c.relpersistence <> 't'"
    "   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
    "                     AND d.objid = c.oid AND d.deptype = 'e')"
    " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

static const char EXTENSIONS_SQL[] =
    "SELECT extname, extversion FROM pg_extension ORDER BY extname COLLATE \"C\"";

/* A row for each label. */
static const char ENUMS_SQL[] =
    "SELECT t.oid, n.nspname, t.typname, e.enumlabel"
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
    " JOIN pg_enum e ON e.enumtypid = t.oid"
    " WHERE" OF_USERS
    " ORDER BY n.nspname COLLATE \"C\", t.typname COLLATE \"C\", e.enumsortorder";

/* Types that columns have, and those that they are made of in turn. */
#define REACHED_TYPES                                                                          \
    "WITH RECURSIVE reached(oid) AS ("                                                         \
    "   SELECT a.atttypid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"       \
    "   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"     \
    "   WHERE" OF_INTEREST "   UNION"                                                          \
    "   SELECT made_of.oid FROM reached JOIN pg_type t ON t.oid = reached.oid"                 \
    "   CROSS JOIN LATERAL ("                                                                  \
    "     SELECT " INNER_TYPE "     UNION ALL"                                                 \
    "     SELECT a.atttypid FROM pg_attribute a"                                               \
    "     WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped"               \
    "   ) AS made_of(oid) WHERE made_of.oid <> 0)"

/* What a type is made of; and its kind, an array's told from those of int2vector and the like,
 * which have elements but not array_send()'s form. */
#define INNER_TYPE                                                                             \
    "CASE WHEN t.typtype = 'd' THEN t.typbasetype"                                             \
    "     WHEN" IS_ARRAY "THEN t.typelem"                                                      \
    "     WHEN t.typtype = 'r' THEN"                                                           \
    "          (SELECT g.rngsubtype FROM pg_range g WHERE g.rngtypid = t.oid)"                 \
    "     WHEN t.typtype = 'm' THEN"                                                           \
    "          (SELECT g.rngtypid FROM pg_range g WHERE g.rngmultitypid = t.oid)"              \
    "     ELSE 0 END"
#define IS_ARRAY " (t.typelem <> 0 AND t.typsend = 'pg_catalog.array_send'::regproc) "

static const char TYPES_SQL[] = REACHED_TYPES
    " SELECT t.oid, n.nspname || '.' || t.typname, format_type(t.oid, NULL), x.extname,"
    "        CASE WHEN" IS_ARRAY "AND t.typtype = 'b' THEN 'a' ELSE t.typtype END,"
    "        t.typsend <> 0, t.typreceive <> 0, " INNER_TYPE
    " FROM reached JOIN pg_type t ON t.oid = reached.oid"
    " JOIN pg_namespace n ON n.oid = t.typnamespace"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid"
    "      AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'"
    " LEFT JOIN pg_extension x ON x.oid = d.refobjid"
    " ORDER BY t.oid";

static const char FIELDS_SQL[] = REACHED_TYPES
    " SELECT t.oid, a.attname, a.atttypid"
    " FROM reached JOIN pg_type t ON t.oid = reached.oid AND t.typtype = 'c'"
    " JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY t.oid, a.attnum";

/* ---- reading results ---- */

static const char *text_at(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column);
}
static bool bool_at(const PGresult *result, int row, int column)
{
    return text_at(result, row, column)[0] == 't';
}
static uint32_t oid_at(const PGresult *result, int row, int column)
{
    return (uint32_t)strtoul(text_at(result, row, column), NULL, 10);
}
static int64_t int_at(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? -1
                                            : strtoll(text_at(result, row, column), NULL, 10);
}

/* NULL for SQL NULL; else a copy. */
static char *copy_at(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : mem_string(text_at(result, row, column));
}

/* Rows of the later queries come in the order of the tables: one walk over both. */
struct run_of_rows {
    const PGresult *result;
    int next;
};

/* How many of the next rows belong to the table; *first is where they begin. */
static int rows_of(struct run_of_rows *rows, uint32_t table_oid, int *first)
{
    int count = 0;
    *first = rows->next;
    while (rows->next < PQntuples(rows->result) &&
           oid_at(rows->result, rows->next, 0) == table_oid) {
        rows->next++;
        count++;
    }
    return count;
}

static void read_table(const PGresult *r, int row, struct catalog_table *table)
{
    *table = (struct catalog_table){
        .oid = oid_at(r, row, 0),
        .schema = mem_string(text_at(r, row, 1)),
        .name = mem_string(text_at(r, row, 2)),
        .kind = text_at(r, row, 3)[0],
        .persistence = text_at(r, row, 4)[0],
        .replica_identity = text_at(r, row, 5)[0],
        .is_partition = bool_at(r, row, 6),
        .owned = bool_at(r, row, 7),
        .can_select = bool_at(r, row, 8),
        .can_insert = bool_at(r, row, 9),
        .can_update = bool_at(r, row, 10),
        .can_delete = bool_at(r, row, 11),
        .can_truncate = bool_at(r, row, 12),
        .row_security_active = bool_at(r, row, 13),
        .estimated_rows = int_at(r, row, 14),
        .bytes = int_at(r, row, 15),
        .updates_deletes = int_at(r, row, 16),
        .inherits = copy_at(r, row, 17),
        .leaf_count = (uint32_t)int_at(r, row, 18),
    };
}

static void read_columns(struct run_of_rows *rows, struct catalog_table *table)
{
    int first;
    int count = rows_of(rows, table->oid, &first);
    const PGresult *r = rows->result;
    table->column_count = (uint16_t)count;
    table->columns = mem_zero((size_t)count + 1, sizeof *table->columns);
    for (int i = 0; i < count; i++) {
        int row = first + i;
        table->columns[i] = (struct catalog_column){
            .name = mem_string(text_at(r, row, 1)),
            .number = (int16_t)int_at(r, row, 2),
            .type_oid = oid_at(r, row, 3),
            .type_name = mem_string(text_at(r, row, 4)),
            .base_type = mem_string(text_at(r, row, 5)),
            .base_type_oid = oid_at(r, row, 6),
            .type_kind = text_at(r, row, 7)[0],
            .array = bool_at(r, row, 8),
            .type_modifier = (int32_t)int_at(r, row, 9),
            .not_null = bool_at(r, row, 10),
            .has_default = bool_at(r, row, 11) || text_at(r, row, 12)[0] != '\0',
            .identity = text_at(r, row, 12)[0],
            .generated = bool_at(r, row, 13),
            .expression = copy_at(r, row, 14),
            .collation = copy_at(r, row, 15),
            .comment = copy_at(r, row, 16),
            .domain = copy_at(r, row, 17),
            .loose = bool_at(r, row, 18),
            .base_name = mem_string(text_at(r, row, 19)),
            .order_collation = copy_at(r, row, 20),
            .order_version = copy_at(r, row, 21),
        };
    }
}

static int column_by_number(const struct catalog_table *table, long number)
{
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return i;
    return -1;
}

/* "1 3 2" as attribute numbers. An expression (0) has no column, and makes it unusable. */
static void read_index_columns(const char *numbers, const struct catalog_table *table,
                               struct catalog_index *index)
{
    index->columns = mem_zero((size_t)table->column_count + 1, sizeof *index->columns);
    for (const char *at = numbers; *at;) {
        char *end;
        int column = column_by_number(table, strtol(at, &end, 10));
        if (column < 0 || index->column_count >= table->column_count)
            index->usable = false;
        else
            index->columns[index->column_count++] = (uint16_t)column;
        at = end == at ? at + 1 : end;
    }
}

static void read_indexes(struct run_of_rows *rows, struct catalog_table *table)
{
    int first;
    int count = rows_of(rows, table->oid, &first);
    const PGresult *r = rows->result;
    table->index_count = (uint16_t)count;
    table->indexes = mem_zero((size_t)count + 1, sizeof *table->indexes);
    for (int i = 0; i < count; i++) {
        int row = first + i;
        table->indexes[i] = (struct catalog_index){
            .name = mem_string(text_at(r, row, 1)),
            .primary = bool_at(r, row, 2),
            .unique = bool_at(r, row, 3),
            .immediate = bool_at(r, row, 4),
            .usable = bool_at(r, row, 5),
            .replica_identity = bool_at(r, row, 6),
            .definition = copy_at(r, row, 8),
            .constraint = bool_at(r, row, 9),
            .ordered_count = (uint16_t)int_at(r, row, 10),
        };
        read_index_columns(text_at(r, row, 7), table, &table->indexes[i]);
    }
}

/* "1 3 2": the child's columns by position; how many there are. */
static uint16_t read_key_columns(const char *numbers, const struct catalog_table *table,
                                 uint16_t **columns)
{
    uint16_t count = 0;
    *columns = mem_zero(strlen(numbers) / 2 + 2, sizeof **columns);
    for (const char *at = numbers; *at;) {
        char *end;
        int column = column_by_number(table, strtol(at, &end, 10));
        if (column >= 0)
            (*columns)[count++] = (uint16_t)column;
        at = end == at ? at + 1 : end;
    }
    return count;
}

static void read_foreign_keys(struct run_of_rows *rows, struct catalog_table *table)
{
    int first;
    int count = rows_of(rows, table->oid, &first);
    const PGresult *r = rows->result;
    table->foreign_key_count = (uint16_t)count;
    table->foreign_keys = mem_zero((size_t)count + 1, sizeof *table->foreign_keys);
    for (int i = 0; i < count; i++) {
        int row = first + i;
        struct catalog_foreign_key *key = &table->foreign_keys[i];
        *key = (struct catalog_foreign_key){
            .name = mem_string(text_at(r, row, 1)),
            .parent_oid = oid_at(r, row, 2),
            .on_delete = text_at(r, row, 3)[0],
            .on_update = text_at(r, row, 4)[0],
            .validated = bool_at(r, row, 5),
            .deferrable = bool_at(r, row, 10),
            .parent_schema = mem_string(text_at(r, row, 7)),
            .parent_name = mem_string(text_at(r, row, 8)),
        };
        key->column_count = read_key_columns(text_at(r, row, 6), table, &key->columns);
    }
}

/* The parents' columns have names once all tables are read. */
static void name_parent_columns(const struct catalog *catalog, const PGresult *keys)
{
    int row = 0;
    for (size_t i = 0; i < catalog->table_count; i++)
        for (uint16_t j = 0; j < catalog->tables[i].foreign_key_count; j++, row++) {
            struct catalog_foreign_key *key = &catalog->tables[i].foreign_keys[j];
            const struct catalog_table *parent = catalog_find_oid(catalog, key->parent_oid);
            uint16_t *columns = NULL, count = 0;
            key->parent_columns = mem_zero(key->column_count + 1u, sizeof *key->parent_columns);
            if (parent)
                count = read_key_columns(text_at(keys, row, 9), parent, &columns);
            for (uint16_t k = 0; k < key->column_count; k++)
                key->parent_columns[k] =
                    mem_string(k < count ? parent->columns[columns[k]].name : "");
            free(columns);
        }
}

static void read_constraints(struct run_of_rows *rows, struct catalog_table *table)
{
    int first;
    int count = rows_of(rows, table->oid, &first);
    const PGresult *r = rows->result;
    table->constraint_count = (uint16_t)count;
    table->constraints = mem_zero((size_t)count + 1, sizeof *table->constraints);
    for (int i = 0; i < count; i++)
        table->constraints[i] = (struct catalog_constraint){
            .name = mem_string(text_at(r, first + i, 1)),
            .kind = text_at(r, first + i, 2)[0],
            .validated = bool_at(r, first + i, 3),
            .definition = mem_string(text_at(r, first + i, 4)),
            .expression = copy_at(r, first + i, 5),
        };
}

static void read_triggers(struct run_of_rows *rows, struct catalog_table *table)
{
    int first;
    int count = rows_of(rows, table->oid, &first);
    const PGresult *r = rows->result;
    table->trigger_count = (uint16_t)count;
    table->triggers = mem_zero((size_t)count + 1, sizeof *table->triggers);
    for (int i = 0; i < count; i++)
        table->triggers[i] = (struct catalog_trigger){
            .name = mem_string(text_at(r, first + i, 1)),
            .rule = bool_at(r, first + i, 2),
            .enabled = text_at(r, first + i, 3)[0],
        };
}

/* ---- beside the tables ---- */

static void read_sequences(const PGresult *r, struct catalog *catalog)
{
    catalog->sequence_count = (size_t)PQntuples(r);
    catalog->sequences = mem_zero(catalog->sequence_count + 1, sizeof *catalog->sequences);
    for (int i = 0; i < PQntuples(r); i++)
        catalog->sequences[i] = (struct catalog_sequence){
            .schema = mem_string(text_at(r, i, 0)),
            .name = mem_string(text_at(r, i, 1)),
            .increment = int_at(r, i, 2),
            .min = int_at(r, i, 3),
            .max = int_at(r, i, 4),
            .cycle = bool_at(r, i, 5),
        };
}

static void read_extensions(const PGresult *r, struct catalog *catalog)
{
    catalog->extension_count = (size_t)PQntuples(r);
    catalog->extensions = mem_zero(catalog->extension_count + 1, sizeof *catalog->extensions);
    for (int i = 0; i < PQntuples(r); i++)
        catalog->extensions[i] = (struct catalog_extension){
            .name = mem_string(text_at(r, i, 0)),
            .version = mem_string(text_at(r, i, 1)),
        };
}

static void read_enums(const PGresult *r, struct catalog *catalog)
{
    struct catalog_enum *type = NULL;
    catalog->enums = mem_zero((size_t)PQntuples(r) + 1, sizeof *catalog->enums);
    for (int i = 0; i < PQntuples(r); i++) {
        if (i == 0 || oid_at(r, i, 0) != oid_at(r, i - 1, 0)) {
            type = &catalog->enums[catalog->enum_count++];
            type->schema = mem_string(text_at(r, i, 1));
            type->name = mem_string(text_at(r, i, 2));
        }
        type->labels = mem_grow(type->labels, type->label_count + 1, sizeof *type->labels);
        type->labels[type->label_count++] = mem_string(text_at(r, i, 3));
    }
}

static bool has_infinities(const char *type, int server_version)
{
    return server_version >= RELEASE_INFINITE_INTERVAL &&
           strcmp(type, "pg_catalog.interval") == 0;
}

static void read_types(const PGresult *r, struct run_of_rows *fields, struct catalog *catalog)
{
    catalog->type_count = (size_t)PQntuples(r);
    catalog->types = mem_zero(catalog->type_count + 1, sizeof *catalog->types);
    for (int i = 0; i < PQntuples(r); i++) {
        struct catalog_type *type = &catalog->types[i];
        *type = (struct catalog_type){
            .oid = oid_at(r, i, 0),
            .name = mem_string(text_at(r, i, 1)),
            .shown = mem_string(text_at(r, i, 2)),
            .extension = copy_at(r, i, 3),
            .kind = text_at(r, i, 4)[0],
            .sends = bool_at(r, i, 5),
            .receives = bool_at(r, i, 6),
            .infinite = has_infinities(text_at(r, i, 1), catalog->server_version),
            .inner_oid = oid_at(r, i, 7),
        };
        int first;
        int count = rows_of(fields, type->oid, &first);
        type->field_count = (uint16_t)count;
        type->fields = mem_zero((size_t)count + 1, sizeof *type->fields);
        for (int j = 0; j < count; j++)
            type->fields[j] = (struct catalog_field){
                .name = mem_string(text_at(fields->result, first + j, 1)),
                .type_oid = oid_at(fields->result, first + j, 2),
            };
    }
}

static bool read_server(struct session *session, struct catalog *catalog, struct err *err)
{
    PGresult *r = session_exec(session, SERVER_SQL, err);
    if (r == NULL)
        return false;
    catalog->server_version = (int)int_at(r, 0, 0);
    catalog->database = mem_string(text_at(r, 0, 1));
    catalog->encoding = mem_string(text_at(r, 0, 2));
    catalog->system_identifier = mem_string(text_at(r, 0, 3));
    catalog->timeline = oid_at(r, 0, 4);
    catalog->superuser = bool_at(r, 0, 5);
    catalog->can_replicate = bool_at(r, 0, 6);
    catalog->can_create = bool_at(r, 0, 7);
    catalog->can_use_origins = bool_at(r, 0, 8);
    catalog->collation = copy_at(r, 0, 9);
    catalog->large_objects = int_at(r, 0, 10);
    catalog->role = mem_string(text_at(r, 0, 11));
    catalog->can_set_replica_role = catalog->superuser;
    PQclear(r);
    if (catalog->server_version < 150000)
        return true;
    r = session_exec(session, SERVER_15_SQL, err);
    if (r == NULL)
        return false;
    catalog->can_set_replica_role |= bool_at(r, 0, 0);
    catalog->collation_version = copy_at(r, 0, 1);
    PQclear(r);
    return true;
}

enum query {
    TABLES,
    COLUMNS,
    INDEXES,
    FOREIGN_KEYS,
    CONSTRAINTS,
    TRIGGERS,
    SEQUENCES,
    EXTENSIONS,
    ENUMS,
    TYPES,
    FIELDS,
    QUERY_COUNT
};

static const char *const QUERIES[QUERY_COUNT] = {
    [TABLES] = TABLES_SQL,
    [COLUMNS] = COLUMNS_SQL,
    [INDEXES] = INDEXES_SQL,
    [FOREIGN_KEYS] = FOREIGN_KEYS_SQL,
    [CONSTRAINTS] = CONSTRAINTS_SQL,
    [TRIGGERS] = TRIGGERS_SQL,
    [SEQUENCES] = SEQUENCES_SQL,
    [EXTENSIONS] = EXTENSIONS_SQL,
    [ENUMS] = ENUMS_SQL,
    [TYPES] = TYPES_SQL,
    [FIELDS] = FIELDS_SQL,
};

/* What the rows of a query say of a table. */
static const struct {
    enum query query;
    void (*read)(struct run_of_rows *rows, struct catalog_table *table);
} OF_TABLES[] = {
    {COLUMNS, read_columns},           {INDEXES, read_indexes},
    {FOREIGN_KEYS, read_foreign_keys}, {CONSTRAINTS, read_constraints},
    {TRIGGERS, read_triggers},
};
#define OF_TABLES_COUNT (sizeof OF_TABLES / sizeof OF_TABLES[0])

static void assemble(struct catalog *catalog, PGresult *const results[QUERY_COUNT])
{
    struct run_of_rows rows[OF_TABLES_COUNT];
    for (size_t k = 0; k < OF_TABLES_COUNT; k++)
        rows[k] = (struct run_of_rows){.result = results[OF_TABLES[k].query]};
    catalog->table_count = (size_t)PQntuples(results[TABLES]);
    catalog->tables = mem_zero(catalog->table_count + 1, sizeof *catalog->tables);
    for (size_t i = 0; i < catalog->table_count; i++) {
        read_table(results[TABLES], (int)i, &catalog->tables[i]);
        for (size_t k = 0; k < OF_TABLES_COUNT; k++)
            OF_TABLES[k].read(&rows[k], &catalog->tables[i]);
    }
    name_parent_columns(catalog, results[FOREIGN_KEYS]);
    read_sequences(results[SEQUENCES], catalog);
    read_extensions(results[EXTENSIONS], catalog);
    read_enums(results[ENUMS], catalog);
    read_types(results[TYPES], &(struct run_of_rows){.result = results[FIELDS]}, catalog);
    catalog_link_types(catalog);
}

static bool read_all(struct session *session, struct catalog *catalog, struct err *err)
{
    PGresult *results[QUERY_COUNT] = {NULL};
    bool ok = read_server(session, catalog, err);
    for (int i = 0; ok && i < QUERY_COUNT; i++) {
        results[i] = session_exec(session, QUERIES[i], err);
        ok = results[i] != NULL;
    }
    if (ok)
        assemble(catalog, results);
    for (int i = 0; i < QUERY_COUNT; i++)
        PQclear(results[i]);
    return ok;
}

bool introspect(struct session *session, struct catalog **catalog, struct err *err)
{
    struct catalog *made = mem_zero(1, sizeof *made);
    /* Sizes and expressions of a table that somebody has for himself cannot be read. */
    if (session_run(session,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                    "SET LOCAL lock_timeout = '5s'",
                    err) &&
        read_all(session, made, err) && session_run(session, "COMMIT", err)) {
        *catalog = made;
        return true;
    }
    catalog_free(made);
    locks_explain(session, err);
    return err_wrap(err, "reading the catalogs");
}
