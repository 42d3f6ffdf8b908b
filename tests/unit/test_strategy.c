/* Which tables may be changed in sets, and how long a failure keeps one from it. */
#include "postgres/strategy.h"
#include "unit.h"

#include <string.h>

/* A table with a bigint key and a text, that the set-wise way is open to. */
struct world {
    struct catalog_column columns[2];
    struct catalog_trigger trigger;
    struct catalog_table tables[2];
    struct catalog_foreign_key reference;
    struct catalog catalog;
    struct column written[2];
    struct relation relation;
    struct pg_target_table target;
    struct pg_sink_config config;
};

static void make_world(struct world *w)
{
    static char id[] = "id", note[] = "note";
    memset(w, 0, sizeof *w);
    w->columns[0] = (struct catalog_column){.name = id, .base_type_oid = 20, .type_kind = 'b'};
    w->columns[1] =
        (struct catalog_column){.name = note, .base_type_oid = 25, .type_kind = 'b'};
    w->tables[0] =
        (struct catalog_table){.oid = 1, .kind = 'r', .columns = w->columns, .column_count = 2};
    w->catalog = (struct catalog){.tables = w->tables, .table_count = 2};
    w->written[0] = (struct column){.name = id, .key = true};
    w->written[1] = (struct column){.name = note};
    w->relation =
        (struct relation){.column_count = 2, .columns = w->written, .match = MATCH_KEY};
    w->target = (struct pg_target_table){
        .relation = &w->relation, .table = &w->tables[0], .format = VALUE_BINARY};
    w->config = (struct pg_sink_config){.use_replica_role = true,
                                        .catalog = &w->catalog,
                                        .tables = &w->target,
                                        .table_count = 1};
}

static void have_trigger(struct world *w, size_t table, char enabled, bool rule)
{
    w->trigger = (struct catalog_trigger){.enabled = enabled, .rule = rule};
    w->tables[table].triggers = &w->trigger;
    w->tables[table].trigger_count = 1;
}

static void expect(const struct world *w, enum table_way way)
{
    ck_assert_int_eq(strategy_way(&w->config, 0), way);
}

START_TEST(an_ordinary_table_may_be_changed_in_sets)
{
    struct world w;
    make_world(&w);
    expect(&w, TABLE_SET);
    w.relation.match = MATCH_NONE;
    expect(&w, TABLE_SET);
}
END_TEST

START_TEST(a_table_that_something_watches_keeps_its_place)
{
    static const struct {
        char enabled;
        bool replica;
        enum table_way way;
    } LINES[] = {
        {'O', true, TABLE_SET},    {'O', false, TABLE_ALONE}, {'A', true, TABLE_ALONE},
        {'A', false, TABLE_ALONE}, {'R', true, TABLE_ALONE},  {'R', false, TABLE_SET},
        {'D', true, TABLE_SET},    {'D', false, TABLE_SET},
    };
    static char made[] = "(f of (";
    struct world w;
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        make_world(&w);
        w.config.use_replica_role = LINES[i].replica;
        have_trigger(&w, 0, LINES[i].enabled, i % 2 == 0);
        expect(&w, LINES[i].way);
    }
    make_world(&w);
    w.tables[0].kind = 'p';
    expect(&w, TABLE_SET);
    w.tables[1].is_partition = true;
    have_trigger(&w, 1, 'A', false);
    expect(&w, TABLE_ALONE);
    make_world(&w);
    w.written[1].formula = made;
    expect(&w, TABLE_ALONE);
}
END_TEST

START_TEST(foreign_keys_count_where_they_fire)
{
    struct world w;
    make_world(&w);
    w.reference.parent_oid = 1;
    w.tables[1].foreign_keys = &w.reference;
    w.tables[1].foreign_key_count = 1;
    expect(&w, TABLE_SET);
    w.config.use_replica_role = false;
    expect(&w, TABLE_ALONE);
    w.reference.parent_oid = 7;
    expect(&w, TABLE_SET);
    w.tables[0].foreign_keys = &w.reference;
    w.tables[0].foreign_key_count = 1;
    expect(&w, TABLE_ALONE);
}
END_TEST

START_TEST(rows_that_bytes_do_not_tell_apart_keep_source_order)
{
    struct world w;
    make_world(&w);
    w.columns[0].base_type_oid = 1700; /* numeric: 1.0 equals 1.00 */
    expect(&w, TABLE_ORDERED);
    w.relation.match = MATCH_NONE;
    expect(&w, TABLE_SET);
    make_world(&w);
    w.columns[0].base_type_oid = 25;
    expect(&w, TABLE_SET);
    w.columns[0].loose = true;
    expect(&w, TABLE_ORDERED);
    make_world(&w);
    w.columns[0].array = true;
    expect(&w, TABLE_ORDERED);
    make_world(&w);
    w.columns[0].base_type_oid = 99999;
    w.columns[0].type_kind = 'e';
    expect(&w, TABLE_SET);
}
END_TEST

START_TEST(what_sets_cannot_do_keeps_source_order)
{
    struct world w;
    make_world(&w);
    w.written[1].identity_always = true; /* UPDATE may not set it */
    expect(&w, TABLE_ORDERED);
    make_world(&w);
    w.written[0].identity_always = true;
    expect(&w, TABLE_SET);
    make_world(&w);
    w.tables[0].row_security_active = true; /* COPY may not */
    expect(&w, TABLE_ORDERED);
    make_world(&w);
    w.target.shared = true; /* another relation writes to the same rows */
    expect(&w, TABLE_ORDERED);
    make_world(&w);
    w.target.format = VALUE_ABSENT;
    expect(&w, TABLE_ORDERED);
}
END_TEST

/* COPY would store what an INSERT is refused for. */
START_TEST(a_domain_that_asks_of_a_column_of_the_targets_own_keeps_source_order)
{
    static char asks[] = "(VALUE IS NOT NULL)";
    static const struct catalog_type domain = {.kind = 'd'};
    struct world w;
    make_world(&w);
    w.relation.column_count = 1;
    w.columns[1].not_null = true;
    expect(&w, TABLE_SET); /* of the column itself COPY asks it */
    w.columns[1].type = &domain;
    expect(&w, TABLE_ORDERED);
    w.columns[1].has_default = true;
    expect(&w, TABLE_SET);
    w.columns[1].has_default = w.columns[1].not_null = false;
    expect(&w, TABLE_SET);
    w.columns[1].domain = asks;
    expect(&w, TABLE_ORDERED);
    w.relation.column_count = 2; /* it is given one */
    expect(&w, TABLE_SET);
}
END_TEST

START_TEST(a_stage_is_not_joined_to_many_partitions)
{
    struct catalog_table table = {.kind = 'r', .leaf_count = 1};
    ck_assert(strategy_joins(&table));
    table = (struct catalog_table){.kind = 'p', .leaf_count = 12};
    ck_assert(strategy_joins(&table));
    table.leaf_count = 2000;
    ck_assert(!strategy_joins(&table));
}
END_TEST

/* How many batches each failure in a row keeps the table away. */
START_TEST(a_table_that_fails_again_stays_away_for_longer)
{
    static const int AWAY[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 256};
    struct pace pace = {0};
    for (size_t i = 0; i < sizeof AWAY / sizeof AWAY[0]; i++) {
        int away = 0;
        pace_failed(&pace);
        while (!pace_begin(&pace))
            away++;
        ck_assert_int_eq(away, AWAY[i]);
    }
    pace_passed(&pace);
    pace_failed(&pace);
    ck_assert(pace_begin(&pace));
}
END_TEST

START_TEST(the_engine_decides_what_is_worth_a_set)
{
    ck_assert(!strategy_set(ENGINE_AUTO, 10) && strategy_set(ENGINE_AUTO, 1000));
    ck_assert(!strategy_set(ENGINE_ORDERED, 1000000));
    ck_assert(strategy_set(ENGINE_SET, 1) && !strategy_set(ENGINE_SET, 0));
    ck_assert(!strategy_group(ENGINE_AUTO, 10) && strategy_group(ENGINE_AUTO, 1000));
    ck_assert(!strategy_group(ENGINE_SET, 1) && strategy_group(ENGINE_SET, 2));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_ordinary_table_may_be_changed_in_sets,
        a_table_that_something_watches_keeps_its_place,
        foreign_keys_count_where_they_fire,
        rows_that_bytes_do_not_tell_apart_keep_source_order,
        what_sets_cannot_do_keeps_source_order,
        a_domain_that_asks_of_a_column_of_the_targets_own_keeps_source_order,
        a_stage_is_not_joined_to_many_partitions,
        a_table_that_fails_again_stays_away_for_longer,
        the_engine_decides_what_is_worth_a_set,
    };
    return unit_run("strategy", tests, UNIT_COUNT(tests));
}
