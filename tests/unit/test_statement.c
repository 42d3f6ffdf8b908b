/* The SQL of each change, word for word, and which values go with it. */
#include "base/mem.h"
#include "postgres/statement.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { PLAIN = 0, KEY = 1, ALWAYS = 2, ENUM = 4, MADE = 8, VARIES = 16 };

struct line {
    const char *name;
    uint32_t type_oid;
    int flags;
};

/* A target table: its relation, and its catalog entry. */
struct table {
    struct relation *relation;
    struct catalog_table catalog;
};

#define MOST_COLUMNS 16

static void make_table(struct table *table, char kind, const char *name,
                       const struct line *lines, uint16_t count)
{
    static char made[] = "(f of (", type_name[] = "the type";
    struct column columns[MOST_COLUMNS] = {0};
    *table = (struct table){.catalog = {.kind = kind, .column_count = count}};
    table->catalog.columns = mem_zero(count + 1U, sizeof(struct catalog_column));
    for (uint16_t i = 0; i < count; i++) {
        char *column = (char *)(uintptr_t)lines[i].name;
        columns[i] = (struct column){.name = column,
                                     .type_oid = lines[i].type_oid,
                                     .key = lines[i].flags & KEY,
                                     .identity_always = lines[i].flags & ALWAYS,
                                     .formula = lines[i].flags & MADE ? made : NULL,
                                     .formula_varies = lines[i].flags & VARIES};
        table->catalog.columns[i] =
            (struct catalog_column){.name = column,
                                    .type_oid = lines[i].type_oid,
                                    .type_name = type_name,
                                    .base_type_oid = lines[i].type_oid,
                                    .type_kind = lines[i].flags & ENUM ? 'e' : 'b'};
    }
    table->relation = relation_create("app", name, count, columns);
}

static void free_table(struct table *table)
{
    relation_free(table->relation);
    free(table->catalog.columns);
}

static const struct line LINES[] = {
    {"order_id", 20, KEY}, {"line", 23, KEY}, {"note", 25, PLAIN}, {"total", 1700, PLAIN}};
static const struct line TAGS[] = {{"post", 20, KEY}, {"tag", 25, KEY}};
static const struct line SERIAL[] = {
    {"id", 20, KEY | ALWAYS}, {"number", 20, ALWAYS}, {"note", 25, PLAIN}};
static const struct line LOG[] = {{"at", 1184, PLAIN}, {"what", 25, PLAIN}};

/* "n0:20 o1:25": $1 is the new row's first column, an int8; $2 the old row's second, text. */
static void show_parameters(const struct statement *statement, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint16_t i = 0; i < statement->parameter_count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%c%u:%u", i ? " " : "",
                                 statement->parameters[i].old ? 'o' : 'n',
                                 statement->parameters[i].column, statement->types[i]);
}

struct expected {
    const char *sql;
    const char *parameters;
    enum statement_tells tells;
};

/* `known`: a 1 for each column whose new value is known. */
static void expect(const struct table *table, enum statement_kind kind, const char *known,
                   struct expected expected)
{
    bool flags[MOST_COLUMNS] = {0};
    char parameters[256];
    for (size_t i = 0; known[i]; i++)
        flags[i] = known[i] == '1';
    struct statement *statement =
        statement_create(kind, table->relation, &table->catalog, flags);
    show_parameters(statement, parameters, sizeof(parameters));
    ck_assert_str_eq(statement->sql, expected.sql);
    ck_assert_str_eq(parameters, expected.parameters);
    ck_assert_int_eq(statement->tells, expected.tells);
    statement_free(statement);
}

START_TEST(an_upsert_overwrites_what_has_the_key)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 4);
    expect(&lines, STATEMENT_UPSERT, "1111",
           (struct expected){
               "INSERT INTO \"app\".\"lines\" (\"order_id\", \"line\", \"note\", \"total\")"
               " VALUES ($1, $2, $3, $4)"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\", \"total\" = EXCLUDED.\"total\""
               " RETURNING xmax <> 0",
               "n0:20 n1:23 n2:25 n3:1700", TELLS_EXISTED});
    free_table(&lines);
}
END_TEST

START_TEST(an_upsert_leaves_out_what_is_not_known)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 4);
    expect(&lines, STATEMENT_UPSERT, "1101",
           (struct expected){"INSERT INTO \"app\".\"lines\" (\"order_id\", \"line\", \"total\")"
                             " VALUES ($1, $2, $3)"
                             " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
                             " \"total\" = EXCLUDED.\"total\" RETURNING xmax <> 0",
                             "n0:20 n1:23 n3:1700", TELLS_EXISTED});
    free_table(&lines);
}
END_TEST

START_TEST(a_replace_updates_or_inserts_in_full)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 4);
    expect(&lines, STATEMENT_REPLACE, "1111",
           (struct expected){
               "WITH hit AS (UPDATE ONLY \"app\".\"lines\" SET \"note\" = $1, \"total\" = $2"
               " WHERE \"order_id\" = $3 AND \"line\" = $4 RETURNING 1)"
               " INSERT INTO \"app\".\"lines\" (\"order_id\", \"line\", \"note\", \"total\")"
               " SELECT $3, $4, $1, $2 WHERE NOT EXISTS (SELECT FROM hit)"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\", \"total\" = EXCLUDED.\"total\"",
               "n2:25 n3:1700 n0:20 n1:23", TELLS_INSERTED});
    free_table(&lines);
}
END_TEST

START_TEST(a_patch_writes_only_what_is_known)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 4);
    expect(&lines, STATEMENT_PATCH, "1101",
           (struct expected){"UPDATE ONLY \"app\".\"lines\" SET \"total\" = $1"
                             " WHERE \"order_id\" = $2 AND \"line\" = $3",
                             "n3:1700 n0:20 n1:23", TELLS_MISSING});
    expect(&lines, STATEMENT_PATCH, "1100",
           (struct expected){"SELECT FROM ONLY \"app\".\"lines\""
                             " WHERE \"order_id\" = $1 AND \"line\" = $2",
                             "n0:20 n1:23", TELLS_MISSING});
    free_table(&lines);
}
END_TEST

START_TEST(a_move_carries_what_is_not_known_along)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 4);
    expect(&lines, STATEMENT_MOVE, "1101",
           (struct expected){
               "WITH gone AS (DELETE FROM ONLY \"app\".\"lines\""
               " WHERE \"order_id\" = $1 AND \"line\" = $2 RETURNING \"note\")"
               " INSERT INTO \"app\".\"lines\" (\"order_id\", \"line\", \"note\", \"total\")"
               " SELECT $3, $4, \"note\", $5 FROM gone"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\", \"total\" = EXCLUDED.\"total\"",
               "o0:20 o1:23 n0:20 n1:23 n3:1700", TELLS_MISSING});
    free_table(&lines);
}
END_TEST

START_TEST(a_row_that_others_refer_to_changes_its_key_in_place)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 4);
    expect(&lines, STATEMENT_REKEY, "1101",
           (struct expected){"UPDATE ONLY \"app\".\"lines\""
                             " SET \"order_id\" = $1, \"line\" = $2, \"total\" = $3"
                             " WHERE \"order_id\" = $4 AND \"line\" = $5",
                             "n0:20 n1:23 n3:1700 o0:20 o1:23", TELLS_MISSING});
    expect(&lines, STATEMENT_REKEY, "1111",
           (struct expected){
               "WITH hit AS (UPDATE ONLY \"app\".\"lines\""
               " SET \"order_id\" = $1, \"line\" = $2, \"note\" = $3, \"total\" = $4"
               " WHERE \"order_id\" = $5 AND \"line\" = $6 RETURNING 1)"
               " INSERT INTO \"app\".\"lines\" (\"order_id\", \"line\", \"note\", \"total\")"
               " SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM hit)"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\", \"total\" = EXCLUDED.\"total\"",
               "n0:20 n1:23 n2:25 n3:1700 o0:20 o1:23", TELLS_INSERTED});
    free_table(&lines);
}
END_TEST

/* The target's table has three columns more: one for others, an identity, a computed one. */
START_TEST(a_move_carries_what_no_change_fills_along)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 3);
    lines.catalog.columns = mem_grow(lines.catalog.columns, 6, sizeof(struct catalog_column));
    lines.catalog.columns[3] = (struct catalog_column){.name = (char[]){"own"}};
    lines.catalog.columns[4] = (struct catalog_column){.name = (char[]){"no"}, .identity = 'a'};
    lines.catalog.columns[5] =
        (struct catalog_column){.name = (char[]){"sum"}, .generated = true};
    ck_assert(!statement_keeps_columns(lines.relation, &lines.catalog));
    lines.catalog.column_count = 6;
    ck_assert(statement_keeps_columns(lines.relation, &lines.catalog));
    expect(&lines, STATEMENT_MOVE, "111",
           (struct expected){
               "WITH gone AS (DELETE FROM ONLY \"app\".\"lines\""
               " WHERE \"order_id\" = $1 AND \"line\" = $2 RETURNING \"own\", \"no\"),"
               " moved AS (INSERT INTO \"app\".\"lines\""
               " (\"order_id\", \"line\", \"note\", \"own\", \"no\") OVERRIDING SYSTEM VALUE"
               " SELECT $3, $4, $5, \"own\", \"no\" FROM gone"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\", \"own\" = EXCLUDED.\"own\")"
               " INSERT INTO \"app\".\"lines\" (\"order_id\", \"line\", \"note\")"
               " SELECT $3, $4, $5 WHERE NOT EXISTS (SELECT FROM gone)"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\"",
               "o0:20 o1:23 n0:20 n1:23 n2:25", TELLS_INSERTED});
    expect(&lines, STATEMENT_MOVE, "110",
           (struct expected){
               "WITH gone AS (DELETE FROM ONLY \"app\".\"lines\""
               " WHERE \"order_id\" = $1 AND \"line\" = $2 RETURNING \"note\", \"own\", \"no\")"
               " INSERT INTO \"app\".\"lines\""
               " (\"order_id\", \"line\", \"note\", \"own\", \"no\") OVERRIDING SYSTEM VALUE"
               " SELECT $3, $4, \"note\", \"own\", \"no\" FROM gone"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\", \"own\" = EXCLUDED.\"own\"",
               "o0:20 o1:23 n0:20 n1:23", TELLS_MISSING});
    free_table(&lines);
}
END_TEST

START_TEST(a_delete_goes_by_the_old_key)
{
    struct table lines;
    make_table(&lines, 'r', "lines", LINES, 4);
    expect(&lines, STATEMENT_DELETE, "0000",
           (struct expected){"DELETE FROM ONLY \"app\".\"lines\""
                             " WHERE \"order_id\" = $1 AND \"line\" = $2",
                             "o0:20 o1:23", TELLS_MISSING});
    free_table(&lines);
}
END_TEST

START_TEST(a_table_of_nothing_but_its_key_has_nothing_to_overwrite)
{
    struct table tags;
    make_table(&tags, 'r', "tags", TAGS, 2);
    expect(&tags, STATEMENT_UPSERT, "11",
           (struct expected){"INSERT INTO \"app\".\"tags\" (\"post\", \"tag\")"
                             " VALUES ($1, $2) ON CONFLICT (\"post\", \"tag\") DO NOTHING",
                             "n0:20 n1:25", TELLS_NO_ROW_EXISTED});
    expect(&tags, STATEMENT_REPLACE, "11",
           (struct expected){"INSERT INTO \"app\".\"tags\" (\"post\", \"tag\")"
                             " VALUES ($1, $2) ON CONFLICT (\"post\", \"tag\") DO NOTHING",
                             "n0:20 n1:25", TELLS_INSERTED});
    expect(&tags, STATEMENT_MOVE, "10",
           (struct expected){"WITH gone AS (DELETE FROM ONLY \"app\".\"tags\""
                             " WHERE \"post\" = $1 AND \"tag\" = $2 RETURNING \"tag\")"
                             " INSERT INTO \"app\".\"tags\" (\"post\", \"tag\")"
                             " SELECT $3, \"tag\" FROM gone"
                             " ON CONFLICT (\"post\", \"tag\") DO NOTHING",
                             "o0:20 o1:25 n0:20", TELLS_MISSING});
    free_table(&tags);
}
END_TEST

START_TEST(an_always_identity_is_inserted_but_never_set)
{
    struct table serial;
    make_table(&serial, 'r', "serial", SERIAL, 3);
    expect(&serial, STATEMENT_UPSERT, "111",
           (struct expected){"INSERT INTO \"app\".\"serial\" (\"id\", \"number\", \"note\")"
                             " OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3)"
                             " ON CONFLICT (\"id\") DO UPDATE SET"
                             " \"note\" = EXCLUDED.\"note\" RETURNING xmax <> 0",
                             "n0:20 n1:20 n2:25", TELLS_EXISTED});
    expect(&serial, STATEMENT_REPLACE, "111",
           (struct expected){"WITH hit AS (UPDATE ONLY \"app\".\"serial\" SET \"note\" = $1"
                             " WHERE \"id\" = $2 RETURNING 1)"
                             " INSERT INTO \"app\".\"serial\" (\"id\", \"number\", \"note\")"
                             " OVERRIDING SYSTEM VALUE SELECT $2, $3, $1"
                             " WHERE NOT EXISTS (SELECT FROM hit)"
                             " ON CONFLICT (\"id\") DO UPDATE SET"
                             " \"note\" = EXCLUDED.\"note\"",
                             "n2:25 n0:20 n1:20", TELLS_INSERTED});
    expect(&serial, STATEMENT_MOVE, "110",
           (struct expected){"WITH gone AS (DELETE FROM ONLY \"app\".\"serial\""
                             " WHERE \"id\" = $1 RETURNING \"note\")"
                             " INSERT INTO \"app\".\"serial\" (\"id\", \"number\", \"note\")"
                             " OVERRIDING SYSTEM VALUE SELECT $2, $3, \"note\" FROM gone"
                             " ON CONFLICT (\"id\") DO UPDATE SET"
                             " \"note\" = EXCLUDED.\"note\"",
                             "o0:20 n0:20 n1:20", TELLS_MISSING});
    expect(&serial, STATEMENT_PATCH, "110",
           (struct expected){"SELECT FROM ONLY \"app\".\"serial\" WHERE \"id\" = $1", "n0:20",
                             TELLS_MISSING});
    free_table(&serial);
}
END_TEST

START_TEST(key_and_identity_may_stand_anywhere)
{
    static const struct line lines[] = {
        {"note", 25, PLAIN}, {"id", 20, KEY}, {"number", 20, ALWAYS}};
    struct table table;
    make_table(&table, 'r', "t", lines, 3);
    expect(&table, STATEMENT_MOVE, "011",
           (struct expected){"WITH gone AS (DELETE FROM ONLY \"app\".\"t\""
                             " WHERE \"id\" = $1 RETURNING \"note\")"
                             " INSERT INTO \"app\".\"t\" (\"note\", \"id\", \"number\")"
                             " OVERRIDING SYSTEM VALUE SELECT \"note\", $2, $3 FROM gone"
                             " ON CONFLICT (\"id\") DO UPDATE SET"
                             " \"note\" = EXCLUDED.\"note\"",
                             "o1:20 n1:20 n2:20", TELLS_MISSING});
    free_table(&table);
}
END_TEST

START_TEST(a_partitioned_table_cannot_tell_whether_the_key_existed)
{
    struct table lines;
    make_table(&lines, 'p', "lines", LINES, 4);
    expect(&lines, STATEMENT_UPSERT, "1111",
           (struct expected){
               "INSERT INTO \"app\".\"lines\" (\"order_id\", \"line\", \"note\", \"total\")"
               " VALUES ($1, $2, $3, $4)"
               " ON CONFLICT (\"order_id\", \"line\") DO UPDATE SET"
               " \"note\" = EXCLUDED.\"note\", \"total\" = EXCLUDED.\"total\"",
               "n0:20 n1:23 n2:25 n3:1700", TELLS_NOTHING});
    free_table(&lines);
}
END_TEST

START_TEST(a_row_without_key_is_inserted_as_it_is)
{
    struct table log, none;
    make_table(&log, 'r', "log", LOG, 2);
    make_table(&none, 'r', "none", LOG, 0);
    expect(&log, STATEMENT_INSERT, "11",
           (struct expected){"INSERT INTO \"app\".\"log\" (\"at\", \"what\") VALUES ($1, $2)",
                             "n0:1184 n1:25", TELLS_NOTHING});
    expect(&log, STATEMENT_INSERT, "10",
           (struct expected){"INSERT INTO \"app\".\"log\" (\"at\") VALUES ($1)", "n0:1184",
                             TELLS_NOTHING});
    expect(&none, STATEMENT_INSERT, "",
           (struct expected){"INSERT INTO \"app\".\"none\" DEFAULT VALUES", "", TELLS_NOTHING});
    free_table(&log);
    free_table(&none);
}
END_TEST

START_TEST(one_row_of_equal_ones_is_deleted)
{
    struct table log, partitioned, none;
    make_table(&log, 'r', "log", LOG, 2);
    make_table(&partitioned, 'p', "log", LOG, 2);
    make_table(&none, 'r', "none", LOG, 0);
    expect(&log, STATEMENT_DELETE_ROW, "00",
           (struct expected){
               "DELETE FROM ONLY \"app\".\"log\""
               " WHERE ctid = (SELECT ctid FROM ONLY \"app\".\"log\""
               " WHERE \"at\" IS NOT DISTINCT FROM $1"
               " AND \"what\"::text COLLATE \"C\" IS NOT DISTINCT FROM $2::text LIMIT 1)",
               "o0:1184 o1:25", TELLS_MISSING});
    expect(&partitioned, STATEMENT_DELETE_ROW, "00",
           (struct expected){
               "DELETE FROM \"app\".\"log\""
               " WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM \"app\".\"log\""
               " WHERE \"at\" IS NOT DISTINCT FROM $1"
               " AND \"what\"::text COLLATE \"C\" IS NOT DISTINCT FROM $2::text LIMIT 1)",
               "o0:1184 o1:25", TELLS_MISSING});
    expect(&none, STATEMENT_DELETE_ROW, "",
           (struct expected){"DELETE FROM ONLY \"app\".\"none\""
                             " WHERE ctid = (SELECT ctid FROM ONLY \"app\".\"none\" LIMIT 1)",
                             "", TELLS_MISSING});
    free_table(&log);
    free_table(&partitioned);
    free_table(&none);
}
END_TEST

START_TEST(one_row_of_equal_ones_is_replaced_or_the_new_one_inserted)
{
    struct table log;
    make_table(&log, 'r', "log", LOG, 2);
    expect(&log, STATEMENT_REPLACE_ROW, "11",
           (struct expected){
               "WITH hit AS (UPDATE ONLY \"app\".\"log\" SET \"at\" = $1, \"what\" = $2"
               " WHERE ctid = (SELECT ctid FROM ONLY \"app\".\"log\""
               " WHERE \"at\" IS NOT DISTINCT FROM $3"
               " AND \"what\"::text COLLATE \"C\" IS NOT DISTINCT FROM $4::text LIMIT 1)"
               " RETURNING 1)"
               " INSERT INTO \"app\".\"log\" (\"at\", \"what\") SELECT $1, $2"
               " WHERE NOT EXISTS (SELECT FROM hit)",
               "n0:1184 n1:25 o0:1184 o1:25", TELLS_INSERTED});
    free_table(&log);
}
END_TEST

/* numeric 1.0 = 1.00, 'A'::citext = 'a', -0.0 = 0.0, json has no = at all, and a text column's
 * collation may be one that takes 'A' for 'a'. */
START_TEST(types_whose_equal_values_may_differ_are_compared_as_text)
{
    static const struct {
        struct line line;
        bool exact;
    } rows[] = {
        {{"c", 16, PLAIN}, true},    {{"c", 17, PLAIN}, true},    {{"c", 20, PLAIN}, true},
        {{"c", 23, PLAIN}, true},    {{"c", 1082, PLAIN}, true},  {{"c", 1114, PLAIN}, true},
        {{"c", 1184, PLAIN}, true},  {{"c", 2950, PLAIN}, true},  {{"c", 16400, ENUM}, true},
        {{"c", 25, PLAIN}, false},   {{"c", 114, PLAIN}, false},  {{"c", 142, PLAIN}, false},
        {{"c", 600, PLAIN}, false},  {{"c", 700, PLAIN}, false},  {{"c", 701, PLAIN}, false},
        {{"c", 1042, PLAIN}, false}, {{"c", 1186, PLAIN}, false}, {{"c", 1266, PLAIN}, false},
        {{"c", 1700, PLAIN}, false}, {{"c", 3802, PLAIN}, false}, {{"c", 16402, PLAIN}, false},
        {{"c", 1007, PLAIN}, false},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct table table;
        char parameters[16];
        make_table(&table, 'r', "t", &rows[i].line, 1);
        snprintf(parameters, sizeof(parameters), "o0:%u", rows[i].line.type_oid);
        expect(
            &table, STATEMENT_DELETE_ROW, "0",
            (struct expected){
                rows[i].exact
                    ? "DELETE FROM ONLY \"app\".\"t\" WHERE ctid = (SELECT ctid FROM"
                      " ONLY \"app\".\"t\" WHERE \"c\" IS NOT DISTINCT FROM $1 LIMIT 1)"
                    : "DELETE FROM ONLY \"app\".\"t\" WHERE ctid = (SELECT ctid FROM"
                      " ONLY \"app\".\"t\" WHERE \"c\"::text COLLATE \"C\" IS NOT DISTINCT FROM"
                      " $1::text LIMIT 1)",
                parameters, TELLS_MISSING});
        free_table(&table);
    }
}
END_TEST

START_TEST(a_domain_is_compared_as_its_base_type)
{
    struct table table;
    make_table(&table, 'r', "t", &(struct line){"c", 16404, PLAIN}, 1);
    table.catalog.columns[0].base_type_oid = 20;
    expect(&table, STATEMENT_DELETE_ROW, "0",
           (struct expected){"DELETE FROM ONLY \"app\".\"t\" WHERE ctid = (SELECT ctid FROM"
                             " ONLY \"app\".\"t\" WHERE \"c\" IS NOT DISTINCT FROM $1 LIMIT 1)",
                             "o0:16404", TELLS_MISSING});
    free_table(&table);
}
END_TEST

START_TEST(names_are_quoted)
{
    struct table table;
    static const struct line lines[] = {{"a\"; DROP TABLE x --", 23, KEY}, {"B b", 23, PLAIN}};
    make_table(&table, 'r', "we\"ird.t", lines, 2);
    expect(&table, STATEMENT_PATCH, "11",
           (struct expected){"UPDATE ONLY \"app\".\"we\"\"ird.t\" SET \"B b\" = $1"
                             " WHERE \"a\"\"; DROP TABLE x --\" = $2",
                             "n1:23 n0:23", TELLS_MISSING});
    free_table(&table);
}
END_TEST

START_TEST(the_widest_table_has_its_parameters)
{
    enum { WIDEST = 1600 };
    struct column *columns = mem_zero(WIDEST, sizeof(*columns));
    struct catalog_column *catalog_columns = mem_zero(WIDEST, sizeof(*catalog_columns));
    bool *known = mem_zero(WIDEST, sizeof(*known));
    char names[WIDEST][8];
    for (int i = 0; i < WIDEST; i++) {
        snprintf(names[i], sizeof(names[i]), "c%d", i);
        columns[i] = (struct column){.name = names[i], .type_oid = 25};
        catalog_columns[i] = (struct catalog_column){.name = names[i], .base_type_oid = 25};
        known[i] = true;
    }
    struct catalog_table catalog = {
        .kind = 'r', .column_count = WIDEST, .columns = catalog_columns};
    struct relation *relation = relation_create("s", "wide", WIDEST, columns);
    struct statement *statement =
        statement_create(STATEMENT_REPLACE_ROW, relation, &catalog, known);
    ck_assert_uint_eq(statement->parameter_count, 2 * WIDEST);
    ck_assert(!statement->parameters[WIDEST - 1].old && statement->parameters[WIDEST].old);
    ck_assert_ptr_nonnull(
        strstr(statement->sql, "\"c1599\"::text COLLATE \"C\" IS NOT DISTINCT FROM $3200"));
    statement_free(statement);
    statement_free(NULL);
    relation_free(relation);
    free(known);
    free(catalog_columns);
    free(columns);
}
END_TEST

/* It would take F("$1") apart. */
/* clang-format off */
#define F(value) "(f of (" value " AS v) AS i WHERE v IS NOT NULL) AS \"slackwater source row\")"

static const struct line MADE_LINES[] = {
    {"id", 20, KEY}, {"made", 23, MADE}, {"note", 25, PLAIN}};

START_TEST(what_the_target_makes_stands_where_the_value_would)
{
    struct table table;
    make_table(&table, 'r', "t", MADE_LINES, 3);
    expect(&table, STATEMENT_UPSERT, "111",
           (struct expected){
               "INSERT INTO \"app\".\"t\" (\"id\", \"made\", \"note\") VALUES ($1, " F("$2")
               ", $3) ON CONFLICT (\"id\") DO UPDATE SET \"made\" = EXCLUDED.\"made\","
               " \"note\" = EXCLUDED.\"note\" RETURNING xmax <> 0",
               "n0:20 n1:1009 n2:25", TELLS_EXISTED});
    expect(&table, STATEMENT_REPLACE, "111",
           (struct expected){
               "WITH hit AS (UPDATE ONLY \"app\".\"t\" SET \"made\" = " F("$1")
               ", \"note\" = $2 WHERE \"id\" = $3 RETURNING 1) INSERT INTO \"app\".\"t\""
               " (\"id\", \"made\", \"note\") SELECT $3, " F("$1")
               ", $2 WHERE NOT EXISTS (SELECT FROM hit) ON CONFLICT (\"id\") DO UPDATE SET"
               " \"made\" = EXCLUDED.\"made\", \"note\" = EXCLUDED.\"note\"",
               "n1:1009 n2:25 n0:20", TELLS_INSERTED});
    expect(&table, STATEMENT_PATCH, "101",
           (struct expected){"UPDATE ONLY \"app\".\"t\" SET \"note\" = $1 WHERE \"id\" = $2",
                             "n2:25 n0:20", TELLS_MISSING});
    free_table(&table);
}
END_TEST

START_TEST(what_the_target_makes_moves_along_or_is_made_anew)
{
    struct table table;
    make_table(&table, 'r', "t", MADE_LINES, 3);
    expect(&table, STATEMENT_MOVE, "110",
           (struct expected){
               "WITH gone AS (DELETE FROM ONLY \"app\".\"t\" WHERE \"id\" = $1 RETURNING"
               " \"note\") INSERT INTO \"app\".\"t\" (\"id\", \"made\", \"note\")"
               " SELECT $2, " F("$3") ", \"note\" FROM gone ON CONFLICT (\"id\") DO UPDATE SET"
               " \"made\" = EXCLUDED.\"made\", \"note\" = EXCLUDED.\"note\"",
               "o0:20 n0:20 n1:1009", TELLS_MISSING});
    expect(&table, STATEMENT_MOVE, "101",
           (struct expected){
               "WITH gone AS (DELETE FROM ONLY \"app\".\"t\" WHERE \"id\" = $1 RETURNING"
               " \"made\") INSERT INTO \"app\".\"t\" (\"id\", \"made\", \"note\")"
               " SELECT $2, \"made\", $3 FROM gone ON CONFLICT (\"id\") DO UPDATE SET"
               " \"made\" = EXCLUDED.\"made\", \"note\" = EXCLUDED.\"note\"",
               "o0:20 n0:20 n2:25", TELLS_MISSING});
    free_table(&table);
}
END_TEST

START_TEST(a_row_is_found_by_what_the_target_makes_unless_it_varies)
{
    static const struct line lines[] = {
        {"n", 23, PLAIN}, {"made", 23, MADE}, {"at", 25, MADE}, {"r", 25, MADE | VARIES}};
    struct table table;
    make_table(&table, 'r', "t", lines, 4);
    expect(&table, STATEMENT_DELETE_ROW, "0000",
           (struct expected){
               "DELETE FROM ONLY \"app\".\"t\" WHERE ctid = (SELECT ctid FROM ONLY"
               " \"app\".\"t\" WHERE \"n\" IS NOT DISTINCT FROM $1"
               " AND \"made\" IS NOT DISTINCT FROM CAST(" F("$2") " AS the type)"
               " AND \"at\"::text COLLATE \"C\" IS NOT DISTINCT FROM CAST(" F("$3")
               " AS the type)::text LIMIT 1)",
               "o0:23 o1:1009 o2:1009", TELLS_MISSING});
    free_table(&table);
}
END_TEST

/* clang-format on */

int main(void)
{
    const TTest *tests[] = {
        an_upsert_overwrites_what_has_the_key,
        an_upsert_leaves_out_what_is_not_known,
        a_replace_updates_or_inserts_in_full,
        a_patch_writes_only_what_is_known,
        a_move_carries_what_is_not_known_along,
        a_row_that_others_refer_to_changes_its_key_in_place,
        a_move_carries_what_no_change_fills_along,
        a_delete_goes_by_the_old_key,
        a_table_of_nothing_but_its_key_has_nothing_to_overwrite,
        an_always_identity_is_inserted_but_never_set,
        key_and_identity_may_stand_anywhere,
        a_partitioned_table_cannot_tell_whether_the_key_existed,
        a_row_without_key_is_inserted_as_it_is,
        one_row_of_equal_ones_is_deleted,
        one_row_of_equal_ones_is_replaced_or_the_new_one_inserted,
        types_whose_equal_values_may_differ_are_compared_as_text,
        a_domain_is_compared_as_its_base_type,
        names_are_quoted,
        the_widest_table_has_its_parameters,
        what_the_target_makes_stands_where_the_value_would,
        what_the_target_makes_moves_along_or_is_made_anew,
        a_row_is_found_by_what_the_target_makes_unless_it_varies,
    };
    return unit_run("statement", tests, UNIT_COUNT(tests));
}
