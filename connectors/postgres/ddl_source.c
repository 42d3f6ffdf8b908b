/* Reads the server's own definitions (ddl_source.h). Each query but two is ordered by table and
 * takes the tables' OIDs as $1, so that one walk hands every table its rows. */
#include "postgres/ddl_source.h"

#include "base/buf.h"
#include "base/mem.h"
#include "postgres/locks.h"

#include <stdlib.h>
#include <string.h>

static const char TABLES_SQL[] =
    "SELECT c.oid, obj_description(c.oid, 'pg_class'), array_to_string(c.reloptions, ', '),"
    "       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,"
    "       CASE WHEN c.relispartition"
    "            THEN (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid) END,"
    "       pg_get_expr(c.relpartbound, c.oid)"
    " FROM pg_class c WHERE c.oid = ANY ($1::oid[]) ORDER BY c.oid";

/* A default that is nextval() of a sequence and nothing else names it. */
static const char COLUMNS_SQL[] =
    "SELECT a.attrelid, a.attnum, pg_get_expr(d.adbin, d.adrelid), s.oid,"
    "       CASE WHEN a.attcollation <> t.typcollation"
    "            THEN quote_ident(n.nspname) || '.' || quote_ident(l.collname) END,"
    "       col_description(a.attrelid, a.attnum), t.typtype = 'd' AND NOT a.attnotnull"
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
    " LEFT JOIN pg_namespace n ON n.oid = l.collnamespace"
    " LEFT JOIN LATERAL ("
    "   SELECT q.oid FROM pg_depend p JOIN pg_class q ON q.oid = p.refobjid AND q.relkind = 'S'"
    "   WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid"
    "     AND p.refclassid = 'pg_class'::regclass"
    "     AND pg_get_expr(d.adbin, d.adrelid) = format('nextval(%L::regclass)', "
    "q.oid::regclass)"
    "   LIMIT 1) s ON true"
    " WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY a.attrelid, a.attnum";

static const char CONSTRAINTS_SQL[] =
    "SELECT k.conrelid, k.conname, k.contype, pg_get_constraintdef(k.oid), k.convalidated,"
    "       obj_description(k.oid, 'pg_constraint')"
    " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
    " WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('c', 'x')"
    /* A partition gets its root's again; what inherits becomes a table of its own. */
    "   AND (k.coninhcount = 0 OR NOT c.relispartition)"
    " ORDER BY k.conrelid, k.conname COLLATE \"C\"";

/* to_json() reads columns that older servers lack as NULL. */
static const char INDEXES_SQL[] =
    "SELECT i.indrelid, i.indexrelid, x.relname, m.amname, i.indisprimary, i.indisunique,"
    "       k.oid IS NOT NULL, i.indisreplident, coalesce(k.condeferrable, false),"
    "       coalesce(k.condeferred, false),"
    "       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),"
    "       pg_get_expr(i.indpred, i.indrelid), array_to_string(x.reloptions, ', '),"
    "       coalesce(obj_description(k.oid, 'pg_constraint'),"
    "                obj_description(x.oid, 'pg_class'))"
    " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam"
    " LEFT JOIN pg_constraint k"
    "   ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u')"
    " WHERE i.indrelid = ANY ($1::oid[]) AND NOT x.relispartition AND i.indislive"
    "   AND NOT EXISTS (SELECT FROM pg_constraint e WHERE e.conindid = i.indexrelid"
    "                   AND e.conrelid = i.indrelid AND e.contype = 'x')"
    " ORDER BY i.indrelid, x.relname COLLATE \"C\"";

static const char PARTS_SQL[] =
    "SELECT i.indrelid, i.indexrelid, pg_get_indexdef(i.indexrelid, p.n, false),"
    "       concat(CASE WHEN c.oid IS NOT NULL THEN"
    "                ' COLLATE ' || quote_ident(cn.nspname) || '.' || quote_ident(c.collname) "
    "END,"
    "              CASE WHEN NOT o.opcdefault OR a.attoptions IS NOT NULL THEN"
    "                ' ' || quote_ident(os.nspname) || '.' || quote_ident(o.opcname) END,"
    "              ' (' || array_to_string(a.attoptions, ', ') || ')',"
    "              CASE WHEN i.indoption[p.n - 1] & 1 = 1 THEN ' DESC' END,"
    "              CASE i.indoption[p.n - 1] & 3 WHEN 1 THEN ' NULLS LAST'"
    "                                            WHEN 2 THEN ' NULLS FIRST' END),"
    "       p.n > i.indnkeyatts"
    " FROM pg_index i CROSS JOIN LATERAL generate_series(1, i.indnatts) p(n)"
    " JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = p.n"
    " LEFT JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[p.n - 1]"
    "   AND b.attnum > 0"
    " LEFT JOIN pg_opclass o ON o.oid = i.indclass[p.n - 1]"
    " LEFT JOIN pg_namespace os ON os.oid = o.opcnamespace"
    " LEFT JOIN pg_collation c ON c.oid = i.indcollation[p.n - 1]"
    "   AND c.oid <> coalesce(b.attcollation, 100)"
    " LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace"
    " WHERE i.indrelid = ANY ($1::oid[]) ORDER BY i.indrelid, i.indexrelid, p.n";

static const char REFERENCES_SQL[] =
    "SELECT k.conrelid, k.conname, k.confrelid, array_to_string(k.conkey, ' '),"
    "       array_to_string(k.confkey, ' '), k.confmatchtype, k.confdeltype, k.confupdtype,"
    "       k.condeferrable, k.condeferred, k.convalidated,"
    "       (SELECT string_agg(e, ' ') FROM jsonb_array_elements_text("
    "          CASE jsonb_typeof(to_jsonb(k) -> 'confdelsetcols')"
    "          WHEN 'array' THEN to_jsonb(k) -> 'confdelsetcols' END) e),"
    "       obj_description(k.oid, 'pg_constraint')"
    " FROM pg_constraint k"
    " WHERE k.conrelid = ANY ($1::oid[]) AND k.contype = 'f' AND k.conparentid = 0"
    " ORDER BY k.conrelid, k.conname COLLATE \"C\"";

/* Which extensions a table's columns, defaults, constraints and indexes lean on. */
static const char USES_SQL[] =
    "WITH parts(relation, classid, objid) AS ("
    "   SELECT c.oid, 'pg_class'::regclass, c.oid FROM pg_class c WHERE c.oid = ANY ($1::oid[])"
    "   UNION ALL SELECT i.indrelid, 'pg_class', i.indexrelid FROM pg_index i"
    "             WHERE i.indrelid = ANY ($1::oid[])"
    "   UNION ALL SELECT d.adrelid, 'pg_attrdef', d.oid FROM pg_attrdef d"
    "             WHERE d.adrelid = ANY ($1::oid[])"
    "   UNION ALL SELECT k.conrelid, 'pg_constraint', k.oid FROM pg_constraint k"
    "             WHERE k.conrelid = ANY ($1::oid[]))"
    " SELECT DISTINCT p.relation, m.refobjid FROM parts p"
    " JOIN pg_depend u ON u.classid = p.classid AND u.objid = p.objid"
    " JOIN pg_depend m ON m.classid = u.refclassid AND m.objid = u.refobjid"
    "   AND m.refclassid = 'pg_extension'::regclass AND m.deptype = 'e'"
    " ORDER BY 1, 2";

static const char SEQUENCES_SQL[] =
    "SELECT s.seqrelid, n.nspname, c.relname, format_type(s.seqtypid, NULL),"
    "       concat(CASE WHEN s.seqincrement <> 1 THEN ' INCREMENT BY ' || s.seqincrement END,"
    "              CASE WHEN s.seqmin <> 1 THEN ' MINVALUE ' || s.seqmin END,"
    "              CASE WHEN s.seqmax NOT IN (32767, 2147483647, 9223372036854775807)"
    "                   THEN ' MAXVALUE ' || s.seqmax END,"
    "              CASE WHEN s.seqstart <> 1 THEN ' START WITH ' || s.seqstart END,"
    "              CASE WHEN s.seqcache <> 1 THEN ' CACHE ' || s.seqcache END,"
    "              CASE WHEN s.seqcycle THEN ' CYCLE' END),"
    "       d.refobjid, d.refobjsubid, coalesce(d.deptype = 'i', false)"
    " FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid"
    "   AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')"
    " WHERE c.relpersistence <> 't' ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

static const char TYPES_SQL[] =
    "SELECT t.oid, n.nspname, t.typname, t.typtype,"
    "       CASE WHEN x.refobjid IS NOT NULL OR (t.typcategory = 'A' AND t.typtype = 'b') THEN "
    "NULL"
    "       WHEN t.typtype = 'e' THEN (SELECT 'AS ENUM (' || "
    "string_agg(quote_literal(enumlabel),"
    "            ', ' ORDER BY enumsortorder) || ')' FROM pg_enum WHERE enumtypid = t.oid)"
    "       WHEN t.typtype = 'd' THEN concat('AS ', format_type(t.typbasetype, t.typtypmod),"
    "            CASE WHEN t.typcollation <> b.typcollation THEN ' COLLATE ' ||"
    "              quote_ident(ln.nspname) || '.' || quote_ident(l.collname) END,"
    "            ' DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), CASE WHEN t.typnotnull THEN ' "
    "NOT NULL' END,"
    "            (SELECT string_agg(' CONSTRAINT ' || quote_ident(k.conname) || ' '"
    "               || pg_get_constraintdef(k.oid), '' ORDER BY k.conname)"
    "             FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))"
    "       WHEN t.typtype = 'c' AND r.relkind = 'c' THEN 'AS (' ||"
    "            (SELECT string_agg(concat(quote_ident(a.attname), ' ',"
    "               format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <>"
    "               at.typcollation THEN ' COLLATE ' || quote_ident(acn.nspname) || '.' ||"
    "               quote_ident(ac.collname) END), ', ' ORDER BY a.attnum)"
    "             FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid"
    "             LEFT JOIN pg_collation ac ON ac.oid = a.attcollation"
    "             LEFT JOIN pg_namespace acn ON acn.oid = ac.collnamespace"
    "             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) || ')'"
    "       WHEN t.typtype = 'r' THEN concat('AS RANGE (SUBTYPE = ',"
    "            format_type(g.rngsubtype, NULL),"
    "            CASE WHEN NOT gc.opcdefault THEN ', SUBTYPE_OPCLASS = ' ||"
    "              quote_ident(gn.nspname) || '.' || quote_ident(gc.opcname) END,"
    "            CASE WHEN g.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || g.rngsubdiff END, ')')"
    "       END, x.refobjid, obj_description(t.oid, 'pg_type'),"
    "       concat_ws(' ', NULLIF(t.typelem, 0), NULLIF(t.typbasetype, 0), g.rngsubtype,"
    "         (SELECT gm.rngtypid FROM pg_range gm WHERE gm.rngmultitypid = t.oid),"
    "         (SELECT string_agg(a.atttypid::text, ' ') FROM pg_attribute a"
    "          WHERE a.attrelid = t.typrelid AND r.relkind = 'c' AND a.attnum > 0"
    "            AND NOT a.attisdropped))"
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
    " LEFT JOIN pg_depend x ON x.classid = 'pg_type'::regclass AND x.objid = t.oid"
    "   AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'"
    " LEFT JOIN pg_type b ON b.oid = t.typbasetype"
    " LEFT JOIN pg_class r ON r.oid = t.typrelid"
    " LEFT JOIN pg_range g ON g.rngtypid = t.oid"
    " LEFT JOIN pg_opclass gc ON gc.oid = g.rngsubopc"
    " LEFT JOIN pg_namespace gn ON gn.oid = gc.opcnamespace"
    " LEFT JOIN pg_collation l ON l.oid = t.typcollation"
    " LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace"
    " WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
    " ORDER BY n.nspname COLLATE \"C\", t.typname COLLATE \"C\"";

static const char EXTENSIONS_SQL[] =
    "SELECT e.oid, e.extname, n.nspname FROM pg_extension e"
    " JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY e.extname COLLATE \"C\"";

enum query {
    TABLES,
    COLUMNS,
    CONSTRAINTS,
    INDEXES,
    PARTS,
    REFERENCES,
    USES,
    SEQUENCES,
    TYPES,
    EXTENSIONS,
    QUERY_COUNT
};

static const struct {
    const char *sql;
    bool of_tables;
} QUERIES[QUERY_COUNT] = {
    [TABLES] = {TABLES_SQL, true},
    [COLUMNS] = {COLUMNS_SQL, true},
    [CONSTRAINTS] = {CONSTRAINTS_SQL, true},
    [INDEXES] = {INDEXES_SQL, true},
    [PARTS] = {PARTS_SQL, true},
    [REFERENCES] = {REFERENCES_SQL, true},
    [USES] = {USES_SQL, true},
    [SEQUENCES] = {SEQUENCES_SQL, false},
    [TYPES] = {TYPES_SQL, false},
    [EXTENSIONS] = {EXTENSIONS_SQL, false},
};

struct reading {
    struct arena *arena;
    PGresult *results[QUERY_COUNT];
    int next[QUERY_COUNT]; /* the row that comes next in the walk over the tables */
};

/* ---- cells ---- */

static const char *text_at(struct reading *reading, enum query query, int row, int column)
{
    const PGresult *r = reading->results[query];
    if (PQgetisnull(r, row, column))
        return NULL;
    return arena_copy(reading->arena, PQgetvalue(r, row, column),
                      (size_t)PQgetlength(r, row, column) + 1);
}
static bool bool_at(const struct reading *reading, enum query query, int row, int column)
{
    return PQgetvalue(reading->results[query], row, column)[0] == 't';
}
static uint32_t oid_at(const struct reading *reading, enum query query, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(reading->results[query], row, column), NULL, 10);
}
static char char_at(const struct reading *reading, enum query query, int row, int column)
{
    return PQgetvalue(reading->results[query], row, column)[0];
}

/* "1 3 2" */
static size_t numbers_at(const struct reading *reading, enum query query, int row, int column,
                         int16_t numbers[DEFINITION_KEY_COLUMNS])
{
    const char *at = PQgetvalue(reading->results[query], row, column);
    size_t count = 0;
    for (char *end; *at && count < DEFINITION_KEY_COLUMNS; at = end) {
        numbers[count++] = (int16_t)strtol(at, &end, 10);
        if (end == at)
            return count - 1;
    }
    return count;
}

static uint32_t *oids_at(struct reading *reading, enum query query, int row, int column,
                         size_t *count)
{
    const char *at = PQgetvalue(reading->results[query], row, column);
    uint32_t *oids = arena_alloc(reading->arena, (strlen(at) / 2 + 2) * sizeof *oids);
    *count = 0;
    for (char *end; *at; at = end) {
        oids[*count] = (uint32_t)strtoul(at, &end, 10);
        if (end == at)
            break;
        (*count)++;
    }
    return oids;
}

/* How many of the next rows belong to the table; *first is where they begin. */
static size_t rows_of(struct reading *reading, enum query query, uint32_t table, int *first)
{
    int *next = &reading->next[query];
    *first = *next;
    while (*next < PQntuples(reading->results[query]) &&
           oid_at(reading, query, *next, 0) == table)
        (*next)++;
    return (size_t)(*next - *first);
}

static void *room(struct reading *reading, size_t count, size_t size)
{
    void *memory = arena_alloc(reading->arena, (count + 1) * size);
    memset(memory, 0, (count + 1) * size);
    return memory;
}

/* ---- a table's parts ---- */

static void read_columns(struct reading *reading, struct definition_table *table)
{
    int first;
    table->column_count = rows_of(reading, COLUMNS, table->oid, &first);
    table->columns = room(reading, table->column_count, sizeof *table->columns);
    for (size_t i = 0; i < table->column_count; i++) {
        int row = first + (int)i;
        table->columns[i] = (struct definition_column){
            .number = (int16_t)oid_at(reading, COLUMNS, row, 1),
            .expression = text_at(reading, COLUMNS, row, 2),
            .sequence = oid_at(reading, COLUMNS, row, 3),
            .collation = text_at(reading, COLUMNS, row, 4),
            .comment = text_at(reading, COLUMNS, row, 5),
            .domain_decides = bool_at(reading, COLUMNS, row, 6),
        };
    }
}

static void read_constraints(struct reading *reading, struct definition_table *table)
{
    int first;
    table->constraint_count = rows_of(reading, CONSTRAINTS, table->oid, &first);
    table->constraints = room(reading, table->constraint_count, sizeof *table->constraints);
    for (size_t i = 0; i < table->constraint_count; i++) {
        int row = first + (int)i;
        table->constraints[i] = (struct definition_constraint){
            .name = text_at(reading, CONSTRAINTS, row, 1),
            .kind = char_at(reading, CONSTRAINTS, row, 2),
            .definition = text_at(reading, CONSTRAINTS, row, 3),
            .validated = bool_at(reading, CONSTRAINTS, row, 4),
            .comment = text_at(reading, CONSTRAINTS, row, 5),
        };
    }
}

static struct definition_index read_index(struct reading *reading, int row)
{
    return (struct definition_index){
        .oid = oid_at(reading, INDEXES, row, 1),
        .name = text_at(reading, INDEXES, row, 2),
        .method = text_at(reading, INDEXES, row, 3),
        .primary = bool_at(reading, INDEXES, row, 4),
        .unique = bool_at(reading, INDEXES, row, 5),
        .constraint = bool_at(reading, INDEXES, row, 6),
        .identity = bool_at(reading, INDEXES, row, 7),
        .deferrable = bool_at(reading, INDEXES, row, 8),
        .deferred = bool_at(reading, INDEXES, row, 9),
        .nulls_not_distinct = bool_at(reading, INDEXES, row, 10),
        .predicate = text_at(reading, INDEXES, row, 11),
        .options = text_at(reading, INDEXES, row, 12),
        .comment = text_at(reading, INDEXES, row, 13),
    };
}

/* The table's part rows hold those of all its indexes. */
static void read_parts(struct reading *reading, struct definition_index *index, int first,
                       size_t count)
{
    index->parts = room(reading, count, sizeof *index->parts);
    for (size_t i = 0; i < count; i++) {
        int row = first + (int)i;
        if (oid_at(reading, PARTS, row, 1) != index->oid)
            continue;
        index->parts[index->part_count++] = (struct definition_part){
            .expression = text_at(reading, PARTS, row, 2),
            .suffix = text_at(reading, PARTS, row, 3),
            .included = bool_at(reading, PARTS, row, 4),
        };
    }
}

static void read_indexes(struct reading *reading, struct definition_table *table)
{
    int first, first_part;
    size_t parts = rows_of(reading, PARTS, table->oid, &first_part);
    table->index_count = rows_of(reading, INDEXES, table->oid, &first);
    table->indexes = room(reading, table->index_count, sizeof *table->indexes);
    for (size_t i = 0; i < table->index_count; i++) {
        table->indexes[i] = read_index(reading, first + (int)i);
        read_parts(reading, &table->indexes[i], first_part, parts);
    }
}

static struct definition_reference read_reference(struct reading *reading, int row)
{
    struct definition_reference reference = {
        .name = text_at(reading, REFERENCES, row, 1),
        .parent = oid_at(reading, REFERENCES, row, 2),
        .match = char_at(reading, REFERENCES, row, 5),
        .on_delete = char_at(reading, REFERENCES, row, 6),
        .on_update = char_at(reading, REFERENCES, row, 7),
        .deferrable = bool_at(reading, REFERENCES, row, 8),
        .deferred = bool_at(reading, REFERENCES, row, 9),
        .validated = bool_at(reading, REFERENCES, row, 10),
        .comment = text_at(reading, REFERENCES, row, 12),
    };
    reference.column_count = numbers_at(reading, REFERENCES, row, 3, reference.columns);
    numbers_at(reading, REFERENCES, row, 4, reference.parent_columns);
    reference.reset_count = numbers_at(reading, REFERENCES, row, 11, reference.reset_columns);
    return reference;
}

static void read_references(struct reading *reading, struct definition_table *table)
{
    int first;
    table->reference_count = rows_of(reading, REFERENCES, table->oid, &first);
    table->references = room(reading, table->reference_count, sizeof *table->references);
    for (size_t i = 0; i < table->reference_count; i++)
        table->references[i] = read_reference(reading, first + (int)i);
}

static void read_uses(struct reading *reading, struct definition_table *table)
{
    int first;
    table->extension_count = rows_of(reading, USES, table->oid, &first);
    table->extensions = room(reading, table->extension_count, sizeof *table->extensions);
    for (size_t i = 0; i < table->extension_count; i++)
        table->extensions[i] = oid_at(reading, USES, first + (int)i, 1);
}

static void read_tables(struct reading *reading, struct definitions *definitions)
{
    size_t count = (size_t)PQntuples(reading->results[TABLES]);
    definitions->table_count = count;
    definitions->tables = room(reading, count, sizeof *definitions->tables);
    for (size_t i = 0; i < count; i++) {
        struct definition_table *table = &definitions->tables[i];
        *table = (struct definition_table){
            .oid = oid_at(reading, TABLES, (int)i, 0),
            .comment = text_at(reading, TABLES, (int)i, 1),
            .options = text_at(reading, TABLES, (int)i, 2),
            .partition_key = text_at(reading, TABLES, (int)i, 3),
            .parent = oid_at(reading, TABLES, (int)i, 4),
            .bound = text_at(reading, TABLES, (int)i, 5),
        };
        read_columns(reading, table);
        read_constraints(reading, table);
        read_indexes(reading, table);
        read_references(reading, table);
        read_uses(reading, table);
    }
}

/* ---- what is beside the tables ---- */

static void read_sequences(struct reading *reading, struct definitions *definitions)
{
    size_t count = (size_t)PQntuples(reading->results[SEQUENCES]);
    definitions->sequence_count = count;
    definitions->sequences = room(reading, count, sizeof *definitions->sequences);
    for (size_t i = 0; i < count; i++)
        definitions->sequences[i] = (struct definition_sequence){
            .oid = oid_at(reading, SEQUENCES, (int)i, 0),
            .schema = text_at(reading, SEQUENCES, (int)i, 1),
            .name = text_at(reading, SEQUENCES, (int)i, 2),
            .type = text_at(reading, SEQUENCES, (int)i, 3),
            .options = text_at(reading, SEQUENCES, (int)i, 4),
            .owner = oid_at(reading, SEQUENCES, (int)i, 5),
            .owner_column = (int16_t)oid_at(reading, SEQUENCES, (int)i, 6),
            .identity = bool_at(reading, SEQUENCES, (int)i, 7),
        };
}

static void read_types(struct reading *reading, struct definitions *definitions)
{
    size_t count = (size_t)PQntuples(reading->results[TYPES]);
    definitions->type_count = count;
    definitions->types = room(reading, count, sizeof *definitions->types);
    for (size_t i = 0; i < count; i++) {
        struct definition_type *type = &definitions->types[i];
        *type = (struct definition_type){
            .oid = oid_at(reading, TYPES, (int)i, 0),
            .schema = text_at(reading, TYPES, (int)i, 1),
            .name = text_at(reading, TYPES, (int)i, 2),
            .kind = char_at(reading, TYPES, (int)i, 3),
            .body = text_at(reading, TYPES, (int)i, 4),
            .extension = oid_at(reading, TYPES, (int)i, 5),
            .comment = text_at(reading, TYPES, (int)i, 6),
        };
        type->needs = oids_at(reading, TYPES, (int)i, 7, &type->need_count);
    }
}

static void read_extensions(struct reading *reading, struct definitions *definitions)
{
    size_t count = (size_t)PQntuples(reading->results[EXTENSIONS]);
    definitions->extension_count = count;
    definitions->extensions = room(reading, count, sizeof *definitions->extensions);
    for (size_t i = 0; i < count; i++)
        definitions->extensions[i] = (struct definition_extension){
            .oid = oid_at(reading, EXTENSIONS, (int)i, 0),
            .name = text_at(reading, EXTENSIONS, (int)i, 1),
            .schema = text_at(reading, EXTENSIONS, (int)i, 2),
        };
}

/* ---- the whole ---- */

/* "{16384,16390}" */
static char *table_oids(const struct catalog *catalog)
{
    struct buf text = {0};
    buf_append_char(&text, '{');
    for (size_t i = 0; i < catalog->table_count; i++)
        buf_append_format(&text, "%s%u", i ? "," : "", catalog->tables[i].oid);
    buf_append_char(&text, '}');
    return buf_steal(&text);
}

static bool ask(struct session *session, const struct catalog *catalog, struct reading *reading,
                struct err *err)
{
    char *oids = table_oids(catalog);
    const char *values[] = {oids};
    bool ok = true;
    for (int i = 0; ok && i < QUERY_COUNT; i++) {
        reading->results[i] =
            session_query(session, QUERIES[i].sql, QUERIES[i].of_tables, values, err);
        ok = reading->results[i] != NULL;
    }
    free(oids);
    return ok;
}

static void assemble(struct reading *reading, struct definitions *definitions)
{
    read_tables(reading, definitions);
    read_sequences(reading, definitions);
    read_types(reading, definitions);
    read_extensions(reading, definitions);
}

bool ddl_source_read(struct session *session, const struct catalog *catalog,
                     struct definitions **definitions, struct err *err)
{
    struct definitions *made = mem_zero(1, sizeof *made);
    struct reading reading = {.arena = &made->arena};
    arena_init(&made->arena, 0);
    bool ok = session_run(session,
                          "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                          "SET LOCAL lock_timeout = '5s'",
                          err) &&
              ask(session, catalog, &reading, err) && session_run(session, "COMMIT", err);
    if (ok)
        assemble(&reading, made);
    for (int i = 0; i < QUERY_COUNT; i++)
        PQclear(reading.results[i]);
    if (ok) {
        *definitions = made;
        return true;
    }
    definitions_free(made);
    locks_explain(session, err);
    return err_wrap(err, "reading the definitions");
}
