/* What changes between two schemas: files by a table of cases, carried rows by hand. */
#include "base/buf.h"
#include "base/mem.h"
#include "schema/compare.h"
#include "schema/schema_file.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- files ---- */

/* ' stands for ", to keep the cases readable. */
static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (; *text; text++)
        fputc(*text == '\'' ? '"' : *text == '`' ? '\'' : *text, file);
    fclose(file);
}

static struct catalog *load(const char *text, struct findings *notes, struct err *err)
{
    char path[64];
    struct catalog *catalog = NULL;
    snprintf(path, sizeof path, "/tmp/compare_%d.json", (int)getpid());
    write_file(path, text);
    if (!schema_file_load(path, &catalog, notes, err))
        catalog = NULL;
    unlink(path);
    return catalog;
}

static struct catalog *load_good(const char *text, struct findings *notes)
{
    struct err err = {0};
    struct catalog *catalog = load(text, notes, &err);
    ck_assert_msg(catalog != NULL, "%s: %s", text, err.message);
    return catalog;
}

/* "breaking column.removed users.name\n" for each. */
static char *lines_of(const struct findings *findings)
{
    struct buf lines = {0};
    for (size_t i = 0; i < findings->count; i++)
        buf_append_format(&lines, "%s %s %s\n", severity_name(findings->items[i].severity),
                          findings->items[i].id, findings->items[i].object);
    return buf_steal(&lines);
}

static void compare_texts(const char *before, const char *after, struct findings *findings)
{
    struct catalog *first = load_good(before, findings), *second = load_good(after, findings);
    compare_files(first, second, findings);
    catalog_free(first);
    catalog_free(second);
}

/* A document with one table t: the text is what stands in its braces. */
static char *table_document(const char *inside)
{
    return mem_format("{'tables': {'t': {%s}}}", inside);
}

struct table_case {
    const char *before, *after;
    const char *expected;
};

#define ID "'columns': {'id': {'type': 'bigint', 'nullable': false, 'primary_key': true}"
#define COLUMN(text) ID ", 'c': {" text "}}"

static const struct table_case table_cases[] = {
    /* nothing, and the same said otherwise */
    {COLUMN("'type': 'text'"), COLUMN("'type': 'text'"), ""},
    {COLUMN("'type': 'INT'"), COLUMN("'type': 'integer'"), ""},
    {COLUMN("'type': 'varchar', 'length': 9"), COLUMN("'type': 'character varying(9)'"), ""},
    {COLUMN("'type': 'decimal', 'precision': 9, 'scale': 2"), COLUMN("'type': 'numeric(9, 2)'"),
     ""},
    {ID "}", "'columns': {'id': {'type': 'int8'}}, 'constraints': {'primary_key': ['id']}", ""},
    {COLUMN("'type': 'text', 'unique': true"),
     COLUMN("'type': 'text'") ", 'constraints': {'unique': ['c']}", ""},
    {COLUMN("'type': 'text', 'unique': true"),
     COLUMN("'type': 'text', 'unique': true") ", 'constraints': {'unique': ['c']}", ""},
    {COLUMN("'type': 'int'") ", 'constraints': {'check': ['c > 0']}",
     COLUMN("'type': 'int'") ", 'constraints': {'check': ['( C>0 )']}", ""},

    /* columns */
    {COLUMN("'type': 'text'"), ID "}", "breaking column.removed t.c\n"},
    {ID "}", COLUMN("'type': 'text'"), "additive column.added t.c\n"},
    {ID "}", COLUMN("'type': 'text', 'nullable': false"),
     "breaking column.added_required t.c\n"},
    {ID "}", COLUMN("'type': 'text', 'nullable': false, 'default': 'x'"),
     "additive column.added t.c\n"},
    {ID "}", COLUMN("'type': 'int', 'nullable': false, 'auto_increment': true"),
     "additive column.added t.c\n"},
    {ID ", 'name': {'type': 'text'}}", ID ", 'full_name': {'type': 'text'}}",
     "breaking column.renamed t.name\nadditive column.added t.full_name\n"},
    {ID ", 'name': {'type': 'text'}}", ID ", 'full_name': {'type': 'int'}}",
     "breaking column.removed t.name\nadditive column.added t.full_name\n"},

    /* types */
    {COLUMN("'type': 'int'"), COLUMN("'type': 'bigint'"),
     "non_breaking column.type_widened t.c\n"},
    {COLUMN("'type': 'bigint'"), COLUMN("'type': 'int'"),
     "potentially_breaking column.type_narrowed t.c\n"},
    {COLUMN("'type': 'varchar(10)'"), COLUMN("'type': 'varchar(20)'"),
     "non_breaking column.type_widened t.c\n"},
    {COLUMN("'type': 'varchar(20)'"), COLUMN("'type': 'varchar(10)'"),
     "potentially_breaking column.type_narrowed t.c\n"},
    {COLUMN("'type': 'varchar(20)'"), COLUMN("'type': 'text'"),
     "non_breaking column.type_widened t.c\n"},
    {COLUMN("'type': 'numeric(12,4)'"), COLUMN("'type': 'numeric(12,2)'"),
     "potentially_breaking column.precision_lost t.c\n"},
    {COLUMN("'type': 'double precision'"), COLUMN("'type': 'real'"),
     "potentially_breaking column.precision_lost t.c\n"},
    {COLUMN("'type': 'timestamptz(6)'"), COLUMN("'type': 'timestamp(3) with time zone'"),
     "potentially_breaking column.precision_lost t.c\n"},
    {COLUMN("'type': 'timestamptz'"), COLUMN("'type': 'timestamp'"),
     "potentially_breaking column.timezone_lost t.c\n"},
    {COLUMN("'type': 'int'"), COLUMN("'type': 'text'"),
     "potentially_breaking column.type_converted t.c\n"},
    {COLUMN("'type': 'text'"), COLUMN("'type': 'int'"),
     "potentially_breaking column.type_converted t.c\n"},
    {COLUMN("'type': 'boolean'"), COLUMN("'type': 'timestamptz'"),
     "breaking column.type_cannot_cast t.c\n"},
    {COLUMN("'type': 'uuid'"), COLUMN("'type': 'bigint'"),
     "breaking column.type_cannot_cast t.c\n"},
    {COLUMN("'type': 'int[]'"), COLUMN("'type': 'int'"),
     "breaking column.type_cannot_cast t.c\n"},
    {COLUMN("'type': 'geometry'"), COLUMN("'type': 'hstore'"),
     "potentially_breaking column.type_converted t.c\n"},

    /* NULL and defaults */
    {COLUMN("'type': 'int', 'nullable': true"), COLUMN("'type': 'int', 'nullable': false"),
     "breaking column.made_required t.c\n"},
    {COLUMN("'type': 'int', 'nullable': false"), COLUMN("'type': 'int'"),
     "non_breaking column.made_nullable t.c\n"},
    {COLUMN("'type': 'int'"), COLUMN("'type': 'int', 'default': 0"),
     "additive column.default_added t.c\n"},
    {COLUMN("'type': 'int', 'default': 0"), COLUMN("'type': 'int', 'default': 1"),
     "non_breaking column.default_changed t.c\n"},
    {COLUMN("'type': 'int', 'default': 0"), COLUMN("'type': 'int'"),
     "non_breaking column.default_removed t.c\n"},
    {COLUMN("'type': 'int', 'nullable': false, 'default': 0"),
     COLUMN("'type': 'int', 'nullable': false"),
     "potentially_breaking column.default_removed t.c\n"},
    {COLUMN("'type': 'serial'"), COLUMN("'type': 'int', 'nullable': false, 'default': 7"),
     "non_breaking column.default_changed t.c\n"},
    {COLUMN("'type': 'int', 'comment': 'a'"), COLUMN("'type': 'int', 'comment': 'b'"),
     "non_breaking column.comment_changed t.c\n"},

    /* keys and constraints */
    {"'columns': {'id': {'type': 'int', 'nullable': false}}",
     "'columns': {'id': {'type': 'int'}}"
     ", 'constraints': {'primary_key': 'id'}",
     "potentially_breaking primary_key.added t\n"},
    {ID "}", "'columns': {'id': {'type': 'bigint', 'nullable': false}}",
     "breaking primary_key.removed t\n"},
    {COLUMN("'type': 'int', 'nullable': false"),
     COLUMN("'type': 'int', 'nullable': false") ", 'constraints': {'primary_key': ['id', 'c']}",
     "breaking primary_key.changed t\n"},
    {COLUMN("'type': 'int'"), COLUMN("'type': 'int', 'unique': true"),
     "potentially_breaking unique.added t\n"},
    {COLUMN("'type': 'int'"),
     COLUMN("'type': 'int'") ", 'indexes': [{'name': 'i', 'columns': ['c'], 'unique': true}]",
     "potentially_breaking unique.added t\n"},
    {COLUMN("'type': 'int', 'unique': true"), COLUMN("'type': 'int'"),
     "non_breaking unique.removed t\n"},
    {COLUMN("'type': 'int'"), COLUMN("'type': 'int'") ", 'constraints': {'check': ['c > 0']}",
     "potentially_breaking check.added t\n"},
    {COLUMN("'type': 'int'") ", 'constraints': {'check': ['c > 0']}", COLUMN("'type': 'int'"),
     "non_breaking check.removed t\n"},
    {COLUMN("'type': 'text'") ", 'constraints': {'check': ['c <> `A`']}",
     COLUMN("'type': 'text'") ", 'constraints': {'check': ['c <> `a`']}",
     "potentially_breaking check.added t\nnon_breaking check.removed t\n"},
    {COLUMN("'type': 'bigint'"),
     COLUMN("'type': 'bigint'") ", 'constraints': {'foreign_key': [{'columns': ['c'], "
                                "'references': 't(id)'}]}",
     "potentially_breaking foreign_key.added t\n"},
    {COLUMN("'type': 'bigint'") ", 'constraints': {'foreign_key': [{'columns': ['c'], "
                                "'references': 't(id)'}]}",
     COLUMN("'type': 'bigint'") ", 'constraints': {'foreign_key': [{'columns': ['c'], "
                                "'references': 't(id)',"
                                " 'on_delete': 'cascade'}]}",
     "potentially_breaking foreign_key.changed t\n"},
    {COLUMN("'type': 'bigint'") ", 'constraints': {'foreign_key': [{'columns': ['c'], "
                                "'references': 't(id)'}]}",
     COLUMN("'type': 'bigint'"), "non_breaking foreign_key.removed t\n"},
    {COLUMN("'type': 'int'"), COLUMN("'type': 'int'") ", 'indexes': [{'columns': ['c']}]",
     "additive index.added t\n"},
    {COLUMN("'type': 'int'") ", 'indexes': [{'columns': 'c'}]", COLUMN("'type': 'int'"),
     "non_breaking index.removed t\n"},
};

START_TEST(a_change_of_a_table_is_what_its_line_says)
{
    const struct table_case *line = &table_cases[_i];
    char *before = table_document(line->before), *after = table_document(line->after);
    struct findings findings = {0};
    compare_texts(before, after, &findings);
    char *lines = lines_of(&findings);
    ck_assert_msg(strcmp(lines, line->expected) == 0, "%s\n-> %s\ngave\n%s", before, after,
                  lines);
    free(lines);
    free(before);
    free(after);
    findings_free(&findings);
}
END_TEST

static const struct table_case document_cases[] = {
    {"{'tables': {'a': {'columns': {'x': {'type': 'int'}}}}}", "{'tables': {}}",
     "breaking table.removed a\n"},
    {"{}", "{'tables': {'app.a': {'columns': {'x': {'type': 'int'}}}}}",
     "additive table.added app.a\n"},
    {"{'tables': {'a': {'columns': {'x': {'type': 'int'}, 'y': {'type': 'text'}}}}}",
     "{'tables': {'b': {'columns': {'x': {'type': 'int'}, 'y': {'type': 'text'}}}}}",
     "breaking table.renamed a\nadditive table.added b\n"},
    {"{'views': {'v': 'SELECT 1', 'w': {'a': 1}}, 'procedures': {'p': ''}}",
     "{'views': {'v': 'SELECT 2', 'w': {'a': 1}, 'x': ''}, 'procedures': {}}",
     "potentially_breaking object.changed v\nbreaking object.removed p\nadditive object.added "
     "x\n"},
    {"{'schema_version': '1', 'database': 'd'}", "{'schema_version': 2, 'database': 'e'}", ""},
};

START_TEST(a_change_of_a_document_is_what_its_line_says)
{
    const struct table_case *line = &document_cases[_i];
    struct findings findings = {0};
    compare_texts(line->before, line->after, &findings);
    char *lines = lines_of(&findings);
    ck_assert_str_eq(lines, line->expected);
    free(lines);
    findings_free(&findings);
}
END_TEST

START_TEST(unknown_members_are_noted_wherever_they_stand)
{
    struct findings findings = {0};
    catalog_free(load_good(
        "{'owner': 1, 'tables': {'t': {'engine': 'x', 'columns': {'a': {'type': 'int', "
        "'colour':"
        " 'red'}}, 'constraints': {'exclude': []}, 'indexes': [{'columns': ['a'], 'method':"
        " 'hash'}]}}}",
        &findings));
    static const char *const places[] = {
        ": owner", ": tables.t.engine", ": tables.t.columns.a.colour",
        ": tables.t.constraints.exclude", ": tables.t.indexes[0].method"};
    ck_assert_uint_eq(findings.count, UNIT_COUNT(places));
    for (size_t i = 0; i < findings.count; i++) {
        const char *object = findings.items[i].object;
        ck_assert_str_eq(findings.items[i].id, "file.unknown_member");
        ck_assert_int_eq(findings.items[i].severity, SEVERITY_NON_BREAKING);
        ck_assert_ptr_nonnull(strstr(object, places[i]));
        ck_assert_str_eq(strstr(object, places[i]), places[i]);
    }
    findings_free(&findings);
}
END_TEST

/* What is no schema, and what of the message matters. */
static const struct {
    const char *document, *message;
} bad_documents[] = {
    {"{", ".json:1:1:"},
    {"[]", "the document: expected an object, found an array"},
    {"{'tables': 1}", "tables: expected an object, found a number"},
    {"{'tables': {'t': 'x'}}", "tables.t: expected an object, found a text"},
    {"{'tables': {'t': {}}}", "tables.t.columns: expected an object of at most 1600 columns, "
                              "found nothing"},
    {"{'tables': {'t': {'columns': {'a': 'int'}}}}", "columns.a: expected an object"},
    {"{'tables': {'t': {'columns': {'a': {}}}}}",
     "a.type: expected a type's name, found nothing"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'numeric(x)'}}}}}",
     "\"numeric(x)\" is no type"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'varchar(0)'}}}}}",
     "\"varchar(0)\" is no type"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int', 'nullable': 'no'}}}}}",
     "a.nullable: expected true or false, found a text"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int', 'length': 'x'}}}}}",
     "a.length: expected a number"},
    {"{'tables': {'t': {'columns': {'mail': {'type': 'int'}}, 'constraints': {'unique':"
     " ['nail']}}}}",
     "unique[0]: the table has no column \"nail\"; did you mean \"mail\"?"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int'}}, 'constraints': {'check': [1]}}}}",
     "check[0]: expected a condition as text"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int'}}, 'constraints': {'foreign_key':"
     " [{'columns': ['a'], 'references': 'u'}]}}}}",
     "foreign_key[0]: expected references"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int'}}, 'constraints': {'foreign_key':"
     " [{'columns': ['a'], 'references': 'u(a, b)'}]}}}}",
     "foreign_key[0]: expected references"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int'}}, 'constraints': {'foreign_key':"
     " [{'columns': ['a'], 'references': 'u(a)', 'on_delete': 'EXPLODE'}]}}}}",
     "expected NO ACTION, RESTRICT"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int'}}, 'indexes': [{'columns': []}]}}}",
     "indexes[0]: expected column names"},
    {"{'tables': {'t': {'columns': {'a': {'type': 'int'}}, 'constraints': 1}}}",
     "constraints: expected an object"},
    {"{'views': []}", "views: expected an object"},
    {"{'tables': {}, 'tables': {}}", "duplicate"},
};

START_TEST(what_is_no_schema_is_refused_with_its_place)
{
    struct findings notes = {0};
    struct err err = {0};
    ck_assert_ptr_null(load(bad_documents[_i].document, &notes, &err));
    ck_assert_int_eq(err.class, ERR_CONFIG);
    ck_assert_msg(strstr(err.message, bad_documents[_i].message) != NULL, "%s", err.message);
    findings_free(&notes);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_refused)
{
    struct findings notes = {0};
    struct err err = {0};
    struct catalog *catalog;
    ck_assert(!schema_file_load("/nowhere/a.json", &catalog, &notes, &err));
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/a.json"));
}
END_TEST

/* ---- carried rows ---- */

struct pair_world {
    struct findings findings;
    struct catalog *source, *target;
    struct table_pair pair;
    int origins[8];
};

/* Two tables t of the same columns by position. */
static void pair_open(struct pair_world *world, const char *source, const char *target)
{
    *world = (struct pair_world){0};
    char *before = table_document(source), *after = table_document(target);
    world->source = load_good(before, &world->findings);
    world->target = load_good(after, &world->findings);
    free(before);
    free(after);
    for (int i = 0; i < 8; i++)
        world->origins[i] = i;
    world->pair = (struct table_pair){.before = &world->source->tables[0],
                                      .after = &world->target->tables[0],
                                      .origins = world->origins,
                                      .rows = "(SELECT 1)"};
}

static void pair_expect(struct pair_world *world, const char *expected)
{
    compare_carried(world->source, world->target, &world->pair, 1, &world->findings);
    char *lines = lines_of(&world->findings);
    ck_assert_str_eq(lines, expected);
    free(lines);
}

static void pair_close(struct pair_world *world)
{
    findings_free(&world->findings);
    catalog_free(world->source);
    catalog_free(world->target);
}

START_TEST(what_binding_reports_is_not_reported_again)
{
    struct pair_world world;
    pair_open(&world, COLUMN("'type': 'bigint'"), COLUMN("'type': 'int', 'nullable': false"));
    pair_expect(&world, "");
    pair_close(&world);
}
END_TEST

START_TEST(a_renamed_column_is_known_in_expressions_and_keys)
{
    struct pair_world world;
    pair_open(&world,
              COLUMN("'type': 'int', 'unique': true") ", 'constraints': {'check': ['c > 0 AND "
                                                      "`c` <> c::text']}",
              ID ", 'd': {'type': 'int', 'unique': true}}, 'constraints': {'check':"
                 " ['(d > 0 and `c` <> d::text)']}");
    pair_expect(&world, "");
    pair_close(&world);
}
END_TEST

START_TEST(a_key_with_more_columns_than_a_unique_one_cannot_clash)
{
    struct pair_world world;
    pair_open(&world, COLUMN("'type': 'int'"),
              COLUMN("'type': 'int'") ", 'constraints': {'unique': [['c', 'id']]}");
    pair_expect(&world, "");
    pair_close(&world);
}
END_TEST

START_TEST(a_column_that_a_rule_makes_can_clash)
{
    struct pair_world world;
    pair_open(&world, COLUMN("'type': 'int', 'unique': true"),
              COLUMN("'type': 'int', 'unique': true"));
    world.origins[1] = ORIGIN_RULE;
    pair_expect(&world, "potentially_breaking unique.added t\nnon_breaking unique.removed t\n");
    ck_assert_str_eq(world.findings.items[0].validation_query,
                     "SELECT count(*) FROM (SELECT FROM (SELECT 1) AS \"r\" WHERE \"c\" IS NOT "
                     "NULL GROUP BY \"c\" HAVING count(*) > 1 LIMIT 1000) AS \"v\"");
    pair_close(&world);
}
END_TEST

START_TEST(a_column_that_nothing_makes_is_not_counted)
{
    struct pair_world world;
    pair_open(&world, COLUMN("'type': 'int'"), COLUMN("'type': 'int', 'unique': true"));
    world.origins[1] = ORIGIN_NONE;
    pair_expect(&world, "potentially_breaking unique.added t\n");
    ck_assert_str_eq(world.findings.items[0].validation_query, "");
    pair_close(&world);
}
END_TEST

/* The same source table twice stands for two of the same shape. */
static void merge_expect(const char *second_tenant, const char *expected)
{
    struct pair_world world;
    const char *a[] = {NULL, "1"}, *b[] = {NULL, second_tenant};
    pair_open(&world, COLUMN("'type': 'int', 'nullable': false"),
              COLUMN("'type': 'int', 'nullable': false") ", 'constraints': {'primary_key': "
                                                         "['id', 'c']}");
    struct table_pair pairs[] = {world.pair, world.pair};
    world.origins[1] = ORIGIN_RULE;
    pairs[0].constants = a;
    pairs[1].constants = b;
    pairs[1].rows = "\"u\"";
    compare_carried(world.source, world.target, pairs, 2, &world.findings);
    char *lines = lines_of(&world.findings);
    ck_assert_str_eq(lines, expected);
    if (*expected)
        ck_assert_str_eq(
            world.findings.items[0].validation_query,
            "SELECT count(*) FROM (SELECT FROM (SELECT \"id\", \"c\" FROM (SELECT 1) AS \"s\" "
            "UNION ALL SELECT \"id\", \"c\" FROM \"u\" AS \"s\") AS \"r\" WHERE \"id\" IS NOT "
            "NULL AND \"c\" IS NOT NULL GROUP BY \"id\", \"c\" HAVING count(*) > 1 LIMIT 1000) "
            "AS \"v\"");
    free(lines);
    pair_close(&world);
}

START_TEST(tables_that_become_one_are_told_apart_by_a_constant_or_looked_at)
{
    merge_expect("2", "");
    merge_expect("1", "potentially_breaking unique.merged t\n");
}
END_TEST

START_TEST(databases_are_compared_around_their_tables)
{
    struct pair_world world;
    struct catalog_sequence numbers = {.schema = mem_string("s"),
                                       .name = mem_string("n"),
                                       .increment = 1,
                                       .min = 1,
                                       .max = 99};
    struct catalog_extension extension = {mem_string("hstore"), mem_string("1.8")};
    pair_open(&world, ID "}", ID "}");
    world.source->encoding = mem_string("SQL_ASCII");
    world.target->encoding = mem_string("UTF8");
    world.source->collation = mem_string("C");
    world.target->collation = mem_string("en_US.UTF-8");
    world.source->large_objects = 3;
    world.source->sequences = mem_zero(1, sizeof numbers);
    world.source->sequences[0] = numbers;
    world.source->sequence_count = 1;
    world.source->extensions = mem_zero(1, sizeof extension);
    world.source->extensions[0] = extension;
    world.source->extension_count = 1;
    pair_expect(&world, "potentially_breaking database.encoding target\n"
                        "non_breaking database.collation target\n"
                        "non_breaking extension.missing hstore\n"
                        "non_breaking sequence.missing s.n\n"
                        "non_breaking sequence.not_carried source\n"
                        "potentially_breaking source.large_objects source\n");
    pair_close(&world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare");
    TCase *stories = tcase_create("compare");
    tcase_add_loop_test(stories, a_change_of_a_table_is_what_its_line_says, 0,
                        (int)UNIT_COUNT(table_cases));
    tcase_add_loop_test(stories, a_change_of_a_document_is_what_its_line_says, 0,
                        (int)UNIT_COUNT(document_cases));
    tcase_add_test(stories, unknown_members_are_noted_wherever_they_stand);
    tcase_add_loop_test(stories, what_is_no_schema_is_refused_with_its_place, 0,
                        (int)UNIT_COUNT(bad_documents));
    tcase_add_test(stories, a_file_that_is_not_there_is_refused);
    tcase_add_test(stories, what_binding_reports_is_not_reported_again);
    tcase_add_test(stories, a_renamed_column_is_known_in_expressions_and_keys);
    tcase_add_test(stories, a_key_with_more_columns_than_a_unique_one_cannot_clash);
    tcase_add_test(stories, a_column_that_a_rule_makes_can_clash);
    tcase_add_test(stories, a_column_that_nothing_makes_is_not_counted);
    tcase_add_test(stories, tables_that_become_one_are_told_apart_by_a_constant_or_looked_at);
    tcase_add_test(stories, databases_are_compared_around_their_tables);
    suite_add_tcase(suite, stories);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
