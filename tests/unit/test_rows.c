/* Which rows go where: where, route, split, merge and patterns, bound and at work. */
#include "rules_world.h"

/* items(id, kind, n, flag, note) and others(id, kind, n, flag, note) at the source; a, b, c of
 * the same columns in schema app. */
struct items {
    struct world world;
    struct catalog_table *source;
    const struct relation *relation;
    struct batch *in;
};

#define ITEM                                                                                   \
    COLUMNS({"id", "int8", NOT_NULL}, {"kind", "text", NULLABLE}, {"n", "numeric", NULLABLE},  \
            {"flag", "bool", NULLABLE}, {"note", "text", NULLABLE})

static void make_items(struct items *items, char identity)
{
    *items = (struct items){0};
    world_open(&items->world);
    items->source = world_table(&items->world.source, "public", "items", ITEM);
    items->source->replica_identity = identity;
    world_index(items->source, "pk", PRIMARY, "id");
    world_index(world_table(&items->world.source, "public", "others", ITEM), "pk", PRIMARY,
                "id");
    for (const char *const *name = VALUES("a", "b", "c"); *name; name++)
        world_index(world_table(&items->world.target, "app", *name, ITEM), "pk", PRIMARY, "id");
    items->in = batch_create();
}

static void bind(struct items *items, const char *rules)
{
    if (!world_bind(&items->world, rules)) {
        world_print_findings(&items->world);
        ck_abort_msg("%s", items->world.err.message);
    }
    items->relation = world_relation(&items->world, items->source);
}

static void open_items(struct items *items, char identity, const char *rules)
{
    make_items(items, identity);
    bind(items, rules);
}

static void close_items(struct items *items)
{
    batch_destroy(items->in);
    world_close(&items->world);
}

/* "delete? a 7" for what a change became, one line each: "?" is blind. */
static const char *became(struct items *items, enum change_kind kind, enum old_image image,
                          const char *const *old, const char *const *new)
{
    static const char *const kinds[] = {"insert", "update", "delete", "truncate"};
    static char text[4096];
    struct batch *out = items->world.out;
    uint32_t first = out->change_count;
    size_t at = 0;

    text[0] = '\0';
    if (world_change(&items->world, items->in, items->relation, kind, image, old, new) ==
        TRANSFORM_REFUSED)
        return items->world.err.message;
    for (uint32_t i = first; i < out->change_count; i++) {
        const struct change *change = &out->changes[i];

        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%s %s", i > first ? "; " : "",
                               kinds[change->kind], change->blind ? "?" : "",
                               change->relation->name);
        if (change->old.values)
            at += (size_t)snprintf(text + at, sizeof(text) - at, " (%s)",
                                   world_show(&change->old));
        if (change->new.values)
            at +=
                (size_t)snprintf(text + at, sizeof(text) - at, " %s", world_show(&change->new));
    }
    return text;
}

static const char *inserted(struct items *items, const char *const *new)
{
    return became(items, CHANGE_INSERT, OLD_NONE, NULL, new);
}

static const char *updated(struct items *items, const char *const *new)
{
    return became(items, CHANGE_UPDATE, OLD_NONE, NULL, new);
}

#define KEY(id) VALUES(id, "ABSENT", "ABSENT", "ABSENT", "ABSENT")
#define WHERE(condition)                                                                       \
    "tables:\n  - source: items\n    target: app.a\n    where: " condition "\n"

/* --- conditions --- */

struct verdict {
    const char *condition;
    const char *const *row;
    bool in;
};

START_TEST(conditions_are_true_or_false_of_every_row)
{
    const struct verdict verdicts[] = {
        {"{ column: kind, in: [x, y] }", VALUES("1", "y", "0", "t", ""), true},
        {"{ column: kind, in: [x, y] }", VALUES("1", "z", "0", "t", ""), false},
        {"{ column: kind, in: [x, y] }", VALUES("1", "NULL", "0", "t", ""), false},
        {"{ column: kind, in: [x, ~] }", VALUES("1", "NULL", "0", "t", ""), true},
        {"{ column: kind, not_in: [x] }", VALUES("1", "NULL", "0", "t", ""), true},
        {"{ column: kind, not_in: [x, ~] }", VALUES("1", "NULL", "0", "t", ""), false},
        {"{ column: kind, not_in: [x] }", VALUES("1", "x", "0", "t", ""), false},
        {"{ column: kind, equals: x }", VALUES("1", "x", "0", "t", ""), true},
        {"{ column: kind, not_equals: x }", VALUES("1", "X", "0", "t", ""), true},
        {"{ column: flag, equals: true }", VALUES("1", "x", "0", "t", ""), true},
        {"{ column: n, equals: 1 }", VALUES("1", "x", "1.00", "t", ""), true},
        {"{ column: n, in: [1, 2.50] }", VALUES("1", "x", "2.5", "t", ""), true},
        {"{ column: id, equals: 007 }", VALUES("7", "x", "2.5", "t", ""), true},
        {"{ column: kind, is_null: true }", VALUES("1", "NULL", "0", "t", ""), true},
        {"{ column: kind, is_null: false }", VALUES("1", "NULL", "0", "t", ""), false},
        {"{ column: kind, is_not_null: true }", VALUES("1", "", "0", "t", ""), true},
        {"{ column: n, greater: 9 }", VALUES("1", "", "10", "t", ""), true},
        {"{ column: n, greater: 9 }", VALUES("1", "", "NULL", "t", ""), false},
        {"{ column: n, greater: 9, less: 10 }", VALUES("1", "", "9.99", "t", ""), true},
        {"{ column: n, greater: 9, less: 10 }", VALUES("1", "", "10.0", "t", ""), false},
        {"{ column: n, less_or_equal: -1.5 }", VALUES("1", "", "-1.50", "t", ""), true},
        {"{ column: n, less: 0 }", VALUES("1", "", "-0.000001", "t", ""), true},
        {"{ column: n, greater_or_equal: 1e3 }", VALUES("1", "", "1000", "t", ""), true},
        {"{ column: n, greater: 5 }", VALUES("1", "", "NaN", "t", ""), true},
        {"{ column: n, less: 5 }", VALUES("1", "", "-Infinity", "t", ""), true},
        {"{ all: [ { column: n, less: 5 }, { column: kind, equals: x } ] }",
         VALUES("1", "x", "4", "t", ""), true},
        {"{ all: [ { column: n, less: 5 }, { column: kind, equals: x } ] }",
         VALUES("1", "y", "4", "t", ""), false},
        {"{ any: [ { column: n, less: 5 }, { column: kind, equals: x } ] }",
         VALUES("1", "x", "6", "t", ""), true},
    };
    struct items items;

    make_items(&items, 'd');
    for (size_t i = 0; i < UNIT_COUNT(verdicts); i++) {
        char rules[512];

        snprintf(rules, sizeof(rules), WHERE("%s"), verdicts[i].condition);
        items.world.relation_count = i ? 1 : 0;
        if (i)
            relation_free(items.world.relations[--items.world.relation_count]);
        bind(&items, rules);
        ck_assert_msg((*inserted(&items, verdicts[i].row) != '\0') == verdicts[i].in,
                      "%s, row %zu: %s", verdicts[i].condition, i, items.world.err.message);
    }
    close_items(&items);
}
END_TEST

START_TEST(a_condition_is_checked_against_the_source)
{
    struct items items;

    make_items(&items, 'd');
    ck_assert(!world_bind(&items.world, WHERE("{ column: kin, in: [a] }")));
    world_expect(&items.world, SEVERITY_BREAKING, "rule.source_column", "rules.yaml:4:31",
                 "source table public.items has no column \"kin\"; did you mean \"kind\"?");
    ck_assert(!world_bind(&items.world, WHERE("{ column: flag, in: [maybe] }")));
    world_expect(&items.world, SEVERITY_BREAKING, "rule.condition_value", "rules.yaml:4:33",
                 "in: \"maybe\" is no value of source column \"flag\" (bool)");
    ck_assert(!world_bind(&items.world, WHERE("{ column: kind, less: 3 }")));
    world_expect(
        &items.world, SEVERITY_BREAKING, "rule.condition_type", "rules.yaml:4:34",
        "less: the order of source column \"kind\" (text) is its collation's, which only "
        "PostgreSQL knows; it can be compared here where the column has COLLATE \"C\"");
    ck_assert(!world_bind(&items.world, WHERE("{ column: n, less: x }")));
    world_expect(&items.world, SEVERITY_BREAKING, "rule.condition_value", "rules.yaml:4:31",
                 "less: \"x\" is no value of source column \"n\" (numeric)");
    close_items(&items);
}
END_TEST

START_TEST(a_column_that_only_a_condition_reads_is_read)
{
    struct items items;

    open_items(&items, 'd',
               "tables:\n  - source: items\n    target: app.a\n    drop: [kind, n]\n"
               "    where: { column: n, greater: 1 }\n");
    const struct bound_table *table = &items.world.chain->tables[0];
    ck_assert_int_eq(relation_column(table->source_relation, "kind"), -1);
    ck_assert_int_ge(relation_column(table->source_relation, "n"), 0);
    ck_assert(!table->copy_binary && !items.world.chain->stream_binary); /* numeric is read */
    ck_assert_str_eq(inserted(&items, VALUES("7", "k", "2", "t", "x")), "insert a 7|t|x");
    close_items(&items);
}
END_TEST

START_TEST(a_condition_is_said_in_sql)
{
    struct items items;
    struct buf sql = {0};

    open_items(&items, 'd',
               WHERE("{ any: [ { all: [ { column: kind, not_in: [\"it's\", ~] }, { column: n, "
                     "greater: 1 } ] }, { column: flag, is_null: true } ] }"));
    bound_table_select(&items.world.chain->tables[0], &sql);
    ck_assert_str_eq(
        strstr(buf_text(&sql), " WHERE "),
        " WHERE (((NOT coalesce((\"kind\"::text) COLLATE \"C\" IN ('it''s'), true)) "
        "AND (coalesce((\"n\"::text)::numeric > '1'::numeric, false))) OR "
        "(num_nulls(\"flag\") = 1))");
    buf_free(&sql);
    close_items(&items);
}
END_TEST

/* --- where at work --- */

#define LIVE WHERE("{ column: kind, not_in: [purged] }")

START_TEST(with_the_old_row_each_change_is_what_it_is_to_the_target)
{
    struct items items;

    open_items(&items, 'f', LIVE);
    const char *const *in = VALUES("1", "k", "1", "t", "x");
    const char *const *out = VALUES("1", "purged", "1", "t", "x");
    ck_assert_str_eq(inserted(&items, in), "insert a 1|k|1|t|x");
    ck_assert_str_eq(inserted(&items, out), "");
    ck_assert_str_eq(became(&items, CHANGE_UPDATE, OLD_FULL, in, in), "update a 1|k|1|t|x");
    ck_assert_str_eq(became(&items, CHANGE_UPDATE, OLD_FULL, in, out),
                     "delete a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    ck_assert_str_eq(
        became(&items, CHANGE_UPDATE, OLD_FULL, out, VALUES("1", "k", "1", "t", "UNCHANGED")),
        "insert a 1|k|1|t|x");
    ck_assert_str_eq(became(&items, CHANGE_UPDATE, OLD_FULL, out, out), "");
    ck_assert_str_eq(became(&items, CHANGE_DELETE, OLD_FULL, in, NULL),
                     "delete a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    ck_assert_str_eq(became(&items, CHANGE_DELETE, OLD_FULL, out, NULL), "");
    ck_assert_ptr_null(world_finding(&items.world, "rule.where_not_in_identity"));
    close_items(&items);
}
END_TEST

START_TEST(without_the_old_row_changes_are_blind)
{
    struct items items;

    open_items(&items, 'd', LIVE);
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "x")), "insert? a 1|k|1|t|x");
    ck_assert_str_eq(updated(&items, VALUES("1", "purged", "1", "t", "UNCHANGED")),
                     "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    ck_assert_str_eq(
        became(&items, CHANGE_UPDATE, OLD_KEY, KEY("1"), VALUES("2", "k", "1", "t", "x")),
        "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT); insert? a 2|k|1|t|x");
    ck_assert_str_eq(
        became(&items, CHANGE_UPDATE, OLD_KEY, KEY("1"), VALUES("2", "purged", "1", "t", "x")),
        "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    ck_assert_str_eq(became(&items, CHANGE_DELETE, OLD_KEY, KEY("1"), NULL),
                     "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    ck_assert_str_eq(world_finding(&items.world, "rule.where_not_in_identity")->sql,
                     "ALTER TABLE \"public\".\"items\" REPLICA IDENTITY FULL;");
    close_items(&items);
}
END_TEST

START_TEST(a_condition_on_the_key_judges_old_rows_by_their_key)
{
    struct items items;

    open_items(&items, 'd', WHERE("{ column: id, greater: 5 }"));
    ck_assert_str_eq(updated(&items, VALUES("7", "k", "1", "t", "UNCHANGED")),
                     "update a 7|k|1|t|UNCHANGED");
    ck_assert_str_eq(updated(&items, VALUES("3", "k", "1", "t", "x")), "");
    ck_assert_str_eq(
        became(&items, CHANGE_UPDATE, OLD_KEY, KEY("7"), VALUES("3", "k", "1", "t", "x")),
        "delete a (7|ABSENT|ABSENT|ABSENT|ABSENT)");
    ck_assert_str_eq(
        became(&items, CHANGE_UPDATE, OLD_KEY, KEY("3"), VALUES("7", "k", "1", "t", "x")),
        "insert a 7|k|1|t|x");
    ck_assert_str_eq(
        became(&items, CHANGE_UPDATE, OLD_KEY, KEY("7"), VALUES("8", "k", "1", "t", "x")),
        "update a (7|ABSENT|ABSENT|ABSENT|ABSENT) 8|k|1|t|x");
    ck_assert_str_eq(became(&items, CHANGE_DELETE, OLD_KEY, KEY("3"), NULL), "");
    ck_assert_ptr_null(world_finding(&items.world, "rule.where_not_in_identity"));
    close_items(&items);
}
END_TEST

START_TEST(a_rule_is_not_asked_about_rows_that_go_nowhere)
{
    struct items items;

    open_items(&items, 'f',
               "tables:\n  - source: items\n    target: app.a\n"
               "    columns: { kind: { map: { k: K } } }\n"
               "    where: { column: kind, in: [k] }\n");
    ck_assert_str_eq(inserted(&items, VALUES("1", "z", "1", "t", "x")), "");
    ck_assert_str_eq(became(&items, CHANGE_UPDATE, OLD_FULL, VALUES("1", "z", "1", "t", "x"),
                            VALUES("1", "k", "1", "t", "x")),
                     "insert a 1|K|1|t|x");
    close_items(&items);
}
END_TEST

/* --- reading again --- */

/* A source row that a reader finds, or not. */
struct stub_reader {
    struct row_reader reader;
    const char *const *row; /* NULL: gone */
    int count;
};

static enum row_read stub_read(struct row_reader *reader, const struct relation *from,
                               const struct row *row, xid_t xid, struct arena *arena,
                               struct row *out, struct err *err)
{
    struct stub_reader *stub = (struct stub_reader *)(void *)reader;

    (void)err;
    ck_assert_uint_eq(xid, 5);
    ck_assert_uint_eq(row->count, from->column_count);
    stub->count++;
    if (!stub->row)
        return ROW_GONE;
    *out = (struct row){.count = from->column_count};
    out->values = arena_alloc(arena, out->count * sizeof(*out->values));
    for (uint16_t i = 0; i < out->count; i++)
        out->values[i] = world_value(stub->row[i]);
    return ROW_READ;
}

static const struct row_reader_ops stub_ops = {.read = stub_read};

START_TEST(a_row_that_enters_is_read_again_where_values_were_not_sent)
{
    struct items items;
    struct stub_reader stub = {.reader = {&stub_ops},
                               .row = VALUES("1", "newer", "9", "f", "long")};

    open_items(&items, 'd', LIVE);
    ck_assert_ptr_nonnull(
        strstr(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")), "was not sent"));
    items.world.transform->row_reader = &stub.reader;
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")),
                     "insert? a 1|k|1|t|long");
    ck_assert_str_eq(updated(&items, VALUES("1", "purged", "1", "t", "UNCHANGED")),
                     "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    ck_assert_int_eq(stub.count, 1);
    stub.row = NULL;
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")), "");
    ck_assert_str_eq(became(&items, CHANGE_UPDATE, OLD_KEY, KEY("1"),
                            VALUES("2", "k", "1", "t", "UNCHANGED")),
                     "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    close_items(&items);
}
END_TEST

START_TEST(a_condition_on_a_value_that_was_not_sent_is_read_again)
{
    struct items items;
    struct stub_reader stub = {.reader = {&stub_ops}, .row = VALUES("1", "k", "9", "f", "in")};

    open_items(&items, 'd', WHERE("{ column: note, equals: in }"));
    items.world.transform->row_reader = &stub.reader;
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")),
                     "insert? a 1|k|1|t|in");
    stub.row = VALUES("1", "k", "9", "f", "out");
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")),
                     "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    stub.row = NULL;
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")),
                     "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    close_items(&items);
}
END_TEST

START_TEST(a_rule_of_partly_unsent_values_is_read_again)
{
    struct items items;
    struct stub_reader stub = {.reader = {&stub_ops},
                               .row = VALUES("1", "z", "9", "f", "long")};

    open_items(&items, 'd',
               "tables:\n  - source: items\n    target: app.a\n"
               "    columns: { note: { template: \"{kind}:{note}\" } }\n");
    items.world.transform->row_reader = &stub.reader;
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")),
                     "update a 1|k|1|t|k:long");
    stub.row = NULL;
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "UNCHANGED")),
                     "update a 1|k|1|t|UNCHANGED");
    close_items(&items);
}
END_TEST

/* --- route --- */

#define ROUTE(map) "tables:\n  - source: items\n    route: { column: kind, " map " }\n"
#define TWO_AND_DEFAULT ROUTE("map: { x: app.a, y: app.b, z: drop }, default: app.c")

START_TEST(a_row_goes_where_its_value_says)
{
    struct items items;

    open_items(&items, 'f', TWO_AND_DEFAULT);
    ck_assert_uint_eq(items.world.chain->source_count, 1);
    ck_assert_uint_eq(items.world.chain->table_count, 3);
    ck_assert_str_eq(inserted(&items, VALUES("1", "x", "1", "t", "")), "insert a 1|x|1|t|");
    ck_assert_str_eq(inserted(&items, VALUES("1", "y", "1", "t", "")), "insert b 1|y|1|t|");
    ck_assert_str_eq(inserted(&items, VALUES("1", "z", "1", "t", "")), "");
    ck_assert_str_eq(inserted(&items, VALUES("1", "q", "1", "t", "")), "insert c 1|q|1|t|");
    ck_assert_str_eq(inserted(&items, VALUES("1", "NULL", "1", "t", "")),
                     "insert c 1|NULL|1|t|");
    ck_assert_str_eq(became(&items, CHANGE_UPDATE, OLD_FULL, VALUES("1", "y", "1", "t", "n"),
                            VALUES("1", "x", "1", "t", "UNCHANGED")),
                     "delete b (1|ABSENT|ABSENT|ABSENT|ABSENT); insert a 1|x|1|t|n");
    close_items(&items);
}
END_TEST

START_TEST(an_old_key_alone_is_deleted_from_every_other_route)
{
    struct items items;

    open_items(&items, 'd', TWO_AND_DEFAULT);
    ck_assert_str_eq(updated(&items, VALUES("1", "x", "1", "t", "")),
                     "delete? c (1|ABSENT|ABSENT|ABSENT|ABSENT); "
                     "delete? b (1|ABSENT|ABSENT|ABSENT|ABSENT); insert? a 1|x|1|t|");
    ck_assert_str_eq(became(&items, CHANGE_DELETE, OLD_KEY, KEY("1"), NULL),
                     "delete? c (1|ABSENT|ABSENT|ABSENT|ABSENT); "
                     "delete? b (1|ABSENT|ABSENT|ABSENT|ABSENT); "
                     "delete? a (1|ABSENT|ABSENT|ABSENT|ABSENT)");
    close_items(&items);
}
END_TEST

START_TEST(a_value_without_a_route_stops_the_run)
{
    struct items items;

    open_items(&items, 'f', ROUTE("map: { x: app.a, y: app.b, ~: app.a }"));
    ck_assert_uint_eq(items.world.chain->table_count, 2);
    ck_assert_str_eq(inserted(&items, VALUES("1", "NULL", "1", "t", "")),
                     "insert a 1|NULL|1|t|");
    ck_assert_str_eq(inserted(&items, VALUES("1", "q", "1", "t", "")),
                     "source table public.items: the route has no entry for the value of this "
                     "row, and no default");
    ck_assert_str_eq(items.world.err.remedy,
                     "Add the value, or a default (a table or drop), to "
                     "the route at rules.yaml:3:12.");
    close_items(&items);
}
END_TEST

START_TEST(a_truncate_reaches_every_table_of_the_route)
{
    struct items items;

    open_items(&items, 'd', TWO_AND_DEFAULT);
    struct change change = {.kind = CHANGE_TRUNCATE,
                            .relation = items.relation,
                            .relations = &items.relation,
                            .relation_count = 1};
    ck_assert_int_eq(items.world.transform->ops->change(items.world.transform, &change, 5,
                                                        items.world.out, &items.world.err),
                     TRANSFORM_WRITTEN);
    ck_assert_uint_eq(world_written(&items.world)->relation_count, 3);
    close_items(&items);
}
END_TEST

/* --- split and merge --- */

START_TEST(a_table_split_in_two_writes_both)
{
    struct items items;

    open_items(&items, 'd',
               "tables:\n  - source: items\n    target: app.a\n    drop: [note]\n"
               "  - source: items\n    target: app.b\n    drop: [kind, n, flag]\n"
               "    where: { column: note, is_not_null: true }\n");
    ck_assert_uint_eq(items.world.chain->source_count, 1);
    ck_assert_uint_eq(items.world.chain->sources[0].table_count, 2);
    ck_assert_str_eq(inserted(&items, VALUES("1", "k", "1", "t", "x")),
                     "insert a 1|k|1|t; insert b 1|x");
    ck_assert_str_eq(inserted(&items, VALUES("1", "k", "1", "t", "NULL")), "insert a 1|k|1|t");
    ck_assert_str_eq(updated(&items, VALUES("1", "k", "1", "t", "NULL")),
                     "delete? b (1|ABSENT); update a 1|k|1|t");
    ck_assert_str_eq(became(&items, CHANGE_DELETE, OLD_KEY, KEY("1"), NULL),
                     "delete? b (1|ABSENT); delete a (1|ABSENT|ABSENT|ABSENT)");
    close_items(&items);
}
END_TEST

#define MERGE(one, two)                                                                        \
    "tables:\n  - source: items\n    target: app.a\n    key: [id, kind]\n"                     \
    "    columns: { kind: { value: " one " } }\n"                                              \
    "  - source: others\n    target: app.a\n    key: [id, kind]\n"                             \
    "    columns: { kind: { value: " two " } }\n"

static void key_by_kind(struct items *items)
{
    world_drop_indexes(&items->world.target.tables[0]);
    world_index(&items->world.target.tables[0], "pk", PRIMARY, "id,kind");
}

START_TEST(a_discriminator_keeps_merged_rows_apart)
{
    struct items items;

    make_items(&items, 'd');
    key_by_kind(&items);
    bind(&items, MERGE("one", "two"));
    ck_assert_uint_eq(items.world.chain->source_count, 2);
    ck_assert_uint_eq(items.world.chain->merge_count, 0);
    ck_assert(!items.world.chain->tables[0].shares_rows);
    ck_assert_str_eq(items.world.chain->tables[1].owner_values[0], "two");
    close_items(&items);
}
END_TEST

START_TEST(merged_rows_that_nothing_tells_apart_are_told_with_a_count)
{
    struct items items;

    make_items(&items, 'd');
    bind(&items, "tables:\n  - source: items\n    target: app.a\n"
                 "  - source: others\n    target: app.a\n    where: { column: n, less: 0 }\n");
    world_expect(
        &items.world, SEVERITY_POTENTIALLY_BREAKING, "merge.no_discriminator", "app.a",
        "target table app.a gets rows of public.items, public.others, and no constant in "
        "the key tells them apart; the statement, run at the source, gives the keys that "
        "more than one has");
    ck_assert_uint_eq(items.world.chain->merge_count, 1);
    const char *sql = items.world.chain->merges[0].keys_sql;
    ck_assert_ptr_nonnull(strstr(sql, " UNION ALL SELECT \"id\" FROM (SELECT "));
    ck_assert_ptr_nonnull(strstr(sql, "FROM ONLY \"public\".\"others\" WHERE (coalesce("));
    struct change change = {.kind = CHANGE_TRUNCATE,
                            .relation = items.relation,
                            .relations = &items.relation,
                            .relation_count = 1};
    ck_assert_int_eq(items.world.transform->ops->change(items.world.transform, &change, 5,
                                                        items.world.out, &items.world.err),
                     TRANSFORM_FAILED);
    close_items(&items);
}
END_TEST

START_TEST(one_source_may_not_write_the_same_keys_twice)
{
    struct items items;

    make_items(&items, 'd');
    ck_assert(!world_bind(&items.world, "tables:\n  - source: items\n    target: app.a\n"
                                        "  - source: items\n    target: app.a\n"));
    world_expect(&items.world, SEVERITY_BREAKING, "merge.no_discriminator", "rules.yaml:4:13",
                 "target table app.a gets rows of public.items and of public.items, the same "
                 "source table, with the same keys");
    close_items(&items);
}
END_TEST

/* --- patterns --- */

static void make_tenants(struct world *world)
{
    world_open(world);
    for (const char *const *name = VALUES("tenant_1", "tenant_2", "other"); *name; name++)
        world_index(
            world_table(&world->source, *name, "orders", COLUMNS({"id", "int8", NOT_NULL})),
            "pk", PRIMARY, "id");
    world_index(world_table(&world->target, "app", "orders",
                            COLUMNS({"tenant", "text", NOT_NULL}, {"id", "int8", NOT_NULL})),
                "pk", PRIMARY, "tenant,id");
    for (const char *const *name = VALUES("1_orders", "2_orders", "kept"); *name; name++)
        world_index(
            world_table(&world->target, "app", *name, COLUMNS({"id", "int8", NOT_NULL})), "pk",
            PRIMARY, "id");
}

START_TEST(a_pattern_takes_what_no_entry_names)
{
    struct world world;

    make_tenants(&world);
    ck_assert_msg(world_bind(&world, "tables:\n  - source: tenant_(*).orders\n"
                                     "    target: app.\\1_orders\n"
                                     "  - source: tenant_2.orders\n    target: app.kept\n"),
                  "%s", world.err.message);
    ck_assert_uint_eq(world.chain->table_count, 2);
    ck_assert_str_eq(world.chain->tables[0].target->name, "1_orders");
    ck_assert_str_eq(world.chain->tables[1].target->name, "kept");
    ck_assert_msg(world_bind(&world, "tables:\n  - source: \"(*)_(?).*\"\n"
                                     "    target: app.\\2_orders\n"
                                     "    exclude: [\"*_2.orders\"]\n"),
                  "%s", world.err.message);
    ck_assert_uint_eq(world.chain->table_count, 1);
    world_close(&world);
}
END_TEST

START_TEST(merged_keys_without_sql_are_not_counted)
{
    struct items items;

    make_items(&items, 'd');
    key_by_kind(&items);
    bind(&items, "tables:\n  - source: items\n    target: app.a\n"
                 "    columns: { kind: { from: id, uuid5: { namespace: dns } } }\n"
                 "  - source: others\n    target: app.a\n"
                 "    columns: { kind: { from: id, uuid5: { namespace: url } } }\n");
    world_expect(
        &items.world, SEVERITY_POTENTIALLY_BREAKING, "merge.no_discriminator", "app.a",
        "target table app.a gets rows of public.items, public.others, and no constant in "
        "the key tells them apart; the keys that more than one has cannot be counted: "
        "PostgreSQL has no SHA-1 without an extension");
    ck_assert_uint_eq(items.world.chain->merge_count, 1);
    ck_assert_ptr_null(items.world.chain->merges[0].keys_sql);
    close_items(&items);
}
END_TEST

START_TEST(entries_that_look_up_the_same_share_the_lookup)
{
    struct items items;

    make_items(&items, 'd');
    bind(&items,
         "tables:\n  - source: items\n    target: app.a\n"
         "    columns: { note: { lookup: { table: others, key: kind, value: note } } }\n"
         "  - source: items\n    target: app.b\n"
         "    columns: { note: { lookup: { table: others, key: kind, value: note } } }\n"
         "  - source: items\n    target: app.c\n"
         "    columns: { note: { lookup: { table: others, key: kind, value: flag } } }\n");
    ck_assert_uint_eq(items.world.chain->lookup_count, 2);
    close_items(&items);
}
END_TEST

START_TEST(a_pattern_merges_with_what_its_group_took_as_the_discriminator)
{
    struct world world;

    make_tenants(&world);
    ck_assert_msg(world_bind(&world, "tables:\n  - source: tenant_(*).orders\n"
                                     "    target: app.orders\n"
                                     "    columns: { tenant: { value: 'T\\1' } }\n"),
                  "%s", world.err.message);
    ck_assert_uint_eq(world.chain->table_count, 2);
    ck_assert_uint_eq(world.chain->merge_count, 0);
    ck_assert_str_eq(world.chain->tables[0].owner_values[0], "T1");
    ck_assert_str_eq(world.chain->tables[1].owner_values[0], "T2");
    world_close(&world);
}
END_TEST

/* Names and texts may hold it; what is compared may not. */
START_TEST(a_group_stands_wherever_an_entry_makes_a_text)
{
    static const char *const expected[] = {"T1", "T2"};
    static const char *const rules[] = {"{ template: 'T\\1' }", "{ value: 'T\\1' }",
                                        "{ value: x, map: { x: 'T\\1' } }",
                                        "{ value: y, map: { x: z }, default: 'T\\1' }",
                                        "{ value: x, null_if: x, default: 'T\\1' }"};
    struct world world;

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        char file[512];

        make_tenants(&world);
        snprintf(file, sizeof(file),
                 "tables:\n  - source: tenant_(*).orders\n    target: app.orders\n"
                 "    columns: { tenant: %s }\n",
                 rules[i]);
        ck_assert_msg(world_bind(&world, file), "%s: %s", rules[i], world.err.message);
        for (size_t table = 0; table < 2; table++)
            ck_assert_str_eq(world.chain->tables[table].owner_values[0], expected[table]);
        world_close(&world);
    }
}
END_TEST

START_TEST(a_lookup_may_ask_the_table_of_its_own_schema)
{
    struct world world;

    make_tenants(&world);
    ck_assert_msg(
        world_bind(&world,
                   "tables:\n  - source: tenant_(*).orders\n    target: app.orders\n"
                   "    columns: { tenant: { from: id, lookup: { table: tenant_\\1.orders, "
                   "key: id, value: id } } }\n"),
        "%s", world.err.message);
    ck_assert_uint_eq(world.chain->lookup_count, 2);
    ck_assert_ptr_nonnull(strstr(world.chain->lookups[0].sql, "\"tenant_1\".\"orders\""));
    ck_assert_ptr_nonnull(strstr(world.chain->lookups[1].sql, "\"tenant_2\".\"orders\""));
    world_close(&world);
}
END_TEST

START_TEST(a_group_that_the_pattern_lacks_is_refused)
{
    struct world world;

    make_tenants(&world);
    ck_assert(!world_bind(&world, "tables:\n  - source: tenant_(*).orders\n"
                                  "    target: app.orders\n"
                                  "    columns: { tenant: { template: 'T\\2' } }\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.value", "rules.yaml:4:36",
                 "template: \\2, but the source's pattern has 1 group(s)");
    ck_assert(!world_bind(&world, "tables:\n  - source: tenant_*.orders\n"
                                  "    target: app.orders\n"
                                  "    columns: { tenant: { value: 'T\\1' } }\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.value", "rules.yaml:4:33",
                 "value: \\1, but the source's pattern has 0 group(s)");
    world_close(&world);
}
END_TEST

START_TEST(patterns_that_take_nothing_or_the_same_are_refused)
{
    struct world world;

    make_tenants(&world);
    ck_assert(!world_bind(&world, "tables:\n  - source: nobody_*.orders\n"));
    world_expect(&world, SEVERITY_BREAKING, "source.pattern_empty", "rules.yaml:2:13",
                 "no source table that other entries leave matches nobody_*.orders");
    ck_assert(!world_bind(&world, "tables:\n  - source: tenant_*.orders\n    target: app.kept\n"
                                  "  - source: \"*_1.*\"\n    target: app.1_orders\n"));
    world_expect(&world, SEVERITY_BREAKING, "rule.pattern_twice", "rules.yaml:4:13",
                 "source table tenant_1.orders is taken by this pattern and by that at "
                 "rules.yaml:2:13");
    ck_assert(!world_bind(&world, "tables:\n  - source: '\"tenant_*\".orders'\n"));
    world_expect(&world, SEVERITY_BREAKING, "source.table_missing", "rules.yaml:2:13",
                 "source table tenant_*.orders does not exist; did you mean \"other.orders\"?");
    world_close(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        conditions_are_true_or_false_of_every_row,
        a_condition_is_checked_against_the_source,
        a_column_that_only_a_condition_reads_is_read,
        a_condition_is_said_in_sql,
        with_the_old_row_each_change_is_what_it_is_to_the_target,
        without_the_old_row_changes_are_blind,
        a_condition_on_the_key_judges_old_rows_by_their_key,
        a_rule_is_not_asked_about_rows_that_go_nowhere,
        a_row_that_enters_is_read_again_where_values_were_not_sent,
        a_condition_on_a_value_that_was_not_sent_is_read_again,
        a_rule_of_partly_unsent_values_is_read_again,
        a_row_goes_where_its_value_says,
        an_old_key_alone_is_deleted_from_every_other_route,
        a_value_without_a_route_stops_the_run,
        a_truncate_reaches_every_table_of_the_route,
        a_table_split_in_two_writes_both,
        a_discriminator_keeps_merged_rows_apart,
        merged_rows_that_nothing_tells_apart_are_told_with_a_count,
        one_source_may_not_write_the_same_keys_twice,
        a_pattern_takes_what_no_entry_names,
        merged_keys_without_sql_are_not_counted,
        entries_that_look_up_the_same_share_the_lookup,
        a_pattern_merges_with_what_its_group_took_as_the_discriminator,
        a_group_stands_wherever_an_entry_makes_a_text,
        a_lookup_may_ask_the_table_of_its_own_schema,
        a_group_that_the_pattern_lacks_is_refused,
        patterns_that_take_nothing_or_the_same_are_refused,
    };
    return unit_run("rows", tests, UNIT_COUNT(tests));
}
