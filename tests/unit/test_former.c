/* schema/former.h: relations of the stream are read by what their columns were called. */
#include "schema/former.h"

#include "base/mem.h"

#include "dice.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define TABLE 77
#define COLUMNS_MOST 40
#define INT8 20

/* A table as DDL makes it: by number, what it is called; "" gone. */
struct made {
    int count;
    char names[COLUMNS_MOST][8];
};

static struct made made_of(const char *const *names)
{
    struct made made = {0};
    for (; names[made.count]; made.count++)
        snprintf(made.names[made.count], sizeof made.names[0], "%s", names[made.count]);
    return made;
}

#define MADE(...) made_of((const char *const[]){__VA_ARGS__, NULL})

static struct relation *relation_of(const struct made *made)
{
    struct column columns[COLUMNS_MOST] = {0};
    uint16_t count = 0;
    for (int i = 0; i < made->count; i++)
        if (made->names[i][0])
            columns[count++] =
                (struct column){.name = (char *)made->names[i], .type_oid = INT8};
    struct relation *relation = relation_create("public", "t", count, columns);
    relation->oid = TABLE;
    return relation;
}

static void fill_catalog(const struct made *made, struct catalog *catalog,
                         struct catalog_table *table, struct catalog_column *columns)
{
    *table = (struct catalog_table){
        .oid = TABLE, .schema = (char *)"public", .name = (char *)"t", .columns = columns};
    for (int i = 0; i < made->count; i++)
        if (made->names[i][0])
            columns[table->column_count++] =
                (struct catalog_column){.name = (char *)made->names[i],
                                        .number = (int16_t)(i + 1),
                                        .type_oid = INT8,
                                        .base_type_oid = INT8};
    *catalog = (struct catalog){.table_count = 1, .tables = table};
}

static void note_gone(struct former *former, const struct made *made, lsn_t at)
{
    for (size_t i = 0; i < former->count; i++)
        if (!made->names[former->names[i].number - 1][0] &&
            former->names[i].gone_at == LSN_NONE)
            former->names[i].gone_at = at;
}

/* The first is of the begin. */
static void note_at(struct former *former, const struct made *made, lsn_t at)
{
    lsn_t there = former->count == 0 ? 0 : at;
    note_gone(former, made, at);
    for (int i = 0; i < made->count; i++) {
        if (!made->names[i][0])
            continue;
        former->names = mem_grow(former->names, former->count + 1, sizeof *former->names);
        former->names[former->count++] =
            (struct former_name){.table_oid = TABLE,
                                 .number = (int16_t)(i + 1),
                                 .there_at = there,
                                 .name = mem_string(made->names[i]),
                                 .type_oid = INT8,
                                 .type_modifier = -1};
    }
}

static void note(struct former *former, const struct made *made)
{
    note_at(former, made, 1);
}

/* Reads a relation of shape `then` against a catalog of shape `now`. */
static struct relation *read_as(const struct former *former, const struct made *then,
                                const struct made *now, lsn_t commit, bool older)
{
    struct catalog catalog;
    struct catalog_table table;
    struct catalog_column columns[COLUMNS_MOST];
    struct relation *relation = relation_of(then);
    fill_catalog(now, &catalog, &table, columns);
    former_read(former, &catalog, commit, older, relation);
    return relation;
}

/* "" of a column that is gone; NULL: strange */
static void expect_read(const struct former *former, struct made then, struct made now,
                        const char *const *names)
{
    struct relation *relation = read_as(former, &then, &now, 1, true);
    ck_assert_int_eq(relation->strange, names == NULL);
    for (uint16_t i = 0; names && i < relation->column_count; i++) {
        ck_assert_int_eq(relation->columns[i].gone, !names[i][0]);
        if (names[i][0])
            ck_assert_str_eq(relation->columns[i].name, names[i]);
    }
    relation_free(relation);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__})

START_TEST(older_names_are_read_as_those_of_today)
{
    struct former former = {0};
    struct made begin = MADE("id", "v", "n");
    note(&former, &begin);
    expect_read(&former, begin, MADE("id", "v", "n"), NAMES("id", "v", "n"));
    expect_read(&former, begin, MADE("id", "w", "n"), NAMES("id", "w", "n"));
    expect_read(&former, begin, MADE("id", "", "n"), NAMES("id", "", "n"));
    expect_read(&former, begin, MADE("id", "v", "n", "new"), NAMES("id", "v", "n"));
    /* traded, and a name that went on to another column */
    expect_read(&former, begin, MADE("id", "n", "v"), NAMES("id", "n", "v"));
    expect_read(&former, begin, MADE("id", "n", ""), NAMES("id", "n", ""));
    former_free(&former);
}
END_TEST

/* What is of after the catalog was read. */
static void expect_newer(const struct former *former, struct made then, struct made now,
                         bool same)
{
    struct relation *relation = read_as(former, &then, &now, 1, false);
    ck_assert_int_eq(relation->strange, !same);
    relation_free(relation);
}

START_TEST(what_came_after_the_catalog_was_read_must_be_as_it_is_there)
{
    struct former former = {0};
    struct made begin = MADE("id", "v", "n");
    note(&former, &begin);
    expect_newer(&former, begin, begin, true);
    expect_newer(&former, begin, MADE("id", "w", "n"), false);
    /* v is gone, and another of that name was added: an older change looks alike */
    expect_newer(&former, MADE("id", "", "n", "v"), MADE("id", "", "n"), false);
    expect_newer(&former, begin, MADE("id", "v", ""), false);
    expect_newer(&former, begin, MADE("id", "v", "n", "w"), false);
    former_free(&former);
}
END_TEST

START_TEST(what_is_newer_than_the_catalog_is_strange)
{
    struct former former = {0};
    struct made begin = MADE("id", "v", "n");
    note(&former, &begin);
    expect_read(&former, MADE("id", "v", "n", "new"), begin, NULL);
    expect_read(&former, MADE("id", "w", "n"), begin, NULL);
    expect_read(&former, MADE("id", "", "n"), begin, NULL);
    expect_read(&former, MADE("id", "v", ""), begin, NULL);
    expect_read(&former, MADE("id", "n", "v"), begin, NULL);
    expect_read(&former, MADE("id", "n", ""), begin, NULL); /* v dropped would look alike */
    former_free(&former);
}
END_TEST

START_TEST(a_table_under_a_name_it_never_had_is_strange_and_one_that_is_unknown_left_alone)
{
    struct former former = {0};
    struct made begin = MADE("id", "v");
    struct relation *relation = relation_of(&begin);
    struct catalog catalog;
    struct catalog_table table;
    struct catalog_column columns[COLUMNS_MOST];
    fill_catalog(&begin, &catalog, &table, columns);
    table.name = (char *)"u";
    former_read(&former, &catalog, 1, true, relation);
    ck_assert(relation->strange);
    relation->strange = false;
    former.names = mem_zero(1, sizeof *former.names);
    former.names[former.count++] = (struct former_name){
        .table_oid = TABLE, .number = FORMER_TABLE, .name = mem_string("\"public\".\"t\"")};
    former_read(&former, &catalog, 1, true, relation);
    ck_assert(!relation->strange);
    ck_assert_str_eq(relation->name, "u");
    relation->oid++;
    free(relation->columns[0].name);
    relation->columns[0].name = mem_string("other");
    former_read(&former, &catalog, 1, true, relation);
    ck_assert(!relation->strange);
    relation_free(relation);
    former_free(&former);
}
END_TEST

START_TEST(generated_columns_are_none_of_the_streams)
{
    struct former former = {0};
    struct made begin = MADE("id", "v");
    struct catalog catalog;
    struct catalog_table table;
    struct catalog_column columns[COLUMNS_MOST];
    struct made now = MADE("id", "g", "v");
    struct relation *relation = relation_of(&begin);
    fill_catalog(&now, &catalog, &table, columns);
    columns[1].generated = true;
    former_read(&former, &catalog, 1, true, relation);
    ck_assert(!relation->strange);
    relation_free(relation);
}
END_TEST

/* --- random DDL --- */

static bool is_taken(const struct made *made, const char *name)
{
    for (int i = 0; i < made->count; i++)
        if (strcmp(made->names[i], name) == 0)
            return true;
    return false;
}

/* Of few names, which come back; or one that no column ever had. */
static bool free_name(uint64_t *dice, const struct made *made, int *fresh, char name[8])
{
    if (*fresh >= 0) {
        snprintf(name, 8, "f%u", (unsigned)(*fresh)++ % 10000);
        return true;
    }
    for (int tries = 0; tries < 20; tries++) {
        snprintf(name, 8, "%c", 'a' + (char)dice_below(dice, 5));
        if (!is_taken(made, name))
            return true;
    }
    return false;
}

/* Adds, drops or renames a column. The first one stays. */
static void alter(uint64_t *dice, int *fresh, struct made *made)
{
    char name[8];
    int at = 1 + (int)dice_below(dice, (uint32_t)made->count - 1);
    bool free = free_name(dice, made, fresh, name);
    switch (dice_below(dice, 3)) {
    case 0:
        if (free && made->count < COLUMNS_MOST)
            strcpy(made->names[made->count++], name);
        break;
    case 1:
        made->names[at][0] = '\0';
        break;
    default:
        if (free && made->names[at][0])
            strcpy(made->names[at], name);
    }
}

/* Read right, or refused: which column it is is known here. True if it was read. */
static bool check_reading(const struct former *former, const struct made *then,
                          const struct made *now, lsn_t commit)
{
    struct relation *relation = read_as(former, then, now, commit, true);
    uint16_t column = 0;
    bool read = !relation->strange;
    for (int i = 0; read && i < then->count; i++) {
        if (!then->names[i][0])
            continue;
        ck_assert_int_eq(relation->columns[column].gone, !now->names[i][0]);
        if (now->names[i][0])
            ck_assert_str_eq(relation->columns[column].name, now->names[i]);
        column++;
    }
    relation_free(relation);
    return read;
}

/* Changes come from each version since the begin; the catalog was looked at (whenever the rules were
 * bound) after one in `seldom` versions. How many of them could be read. */
static void read_all_versions(int fresh, uint32_t seldom, unsigned *read, unsigned *all)
{
    uint64_t dice = dice_seed();
    for (int round = 0; round < 300; round++) {
        struct former former = {0};
        struct made versions[12] = {MADE("id", "a", "b")};
        int next = fresh;
        note(&former, &versions[0]);
        for (int i = 1; i < 12; i++) {
            versions[i] = versions[i - 1];
            alter(&dice, &next, &versions[i]);
            if (dice_one_in(&dice, seldom))
                note_at(&former, &versions[i], (lsn_t)i * 10 + 9);
            for (int then = 0; then <= i; then++, ++*all)
                *read +=
                    check_reading(&former, &versions[then], &versions[i], (lsn_t)then * 10 + 5);
        }
        former_free(&former);
    }
}

/* Refusing everything would be right as well: so most must be read. */
START_TEST(names_that_come_back_are_told_apart_where_every_version_was_seen)
{
    unsigned read = 0, all = 0;
    read_all_versions(-1, 1, &read, &all);
    ck_assert_msg(read > all / 3, "%u of %u", read, all);
}
END_TEST

START_TEST(names_that_do_not_come_back_are_told_apart_whatever_was_seen)
{
    unsigned read = 0, all = 0;
    read_all_versions(0, 3, &read, &all);
    ck_assert_msg(read > all / 3, "%u of %u", read, all);
}
END_TEST

/* What was parked before a column came, or had another type, has it otherwise. */
START_TEST(a_column_is_steady_that_was_there_from_the_begin_and_never_of_another_type)
{
    const struct catalog_column column = {.number = 2, .type_oid = INT8, .type_modifier = -1};
    struct former_name names[] = {
        {.table_oid = TABLE, .number = 1, .type_oid = INT8, .type_modifier = -1},
        {.table_oid = TABLE, .number = 2, .type_oid = INT8, .type_modifier = -1},
        {.table_oid = TABLE, .number = 2, .there_at = 9, .type_oid = INT8, .type_modifier = -1},
    };
    struct former former = {.count = 3, .names = names};
    ck_assert(former_is_steady(&former, TABLE, &column)); /* renamed */
    ck_assert(former_is_steady(&former, TABLE + 1, &column));
    former.count = 1;
    ck_assert(!former_is_steady(&former, TABLE, &column));
    former.count = 3;
    names[1].there_at = 5;
    ck_assert(!former_is_steady(&former, TABLE, &column));
    names[1].there_at = 0;
    names[1].type_oid = INT8 + 1;
    ck_assert(!former_is_steady(&former, TABLE, &column));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        older_names_are_read_as_those_of_today,
        what_is_newer_than_the_catalog_is_strange,
        what_came_after_the_catalog_was_read_must_be_as_it_is_there,
        a_table_under_a_name_it_never_had_is_strange_and_one_that_is_unknown_left_alone,
        generated_columns_are_none_of_the_streams,
        names_that_come_back_are_told_apart_where_every_version_was_seen,
        names_that_do_not_come_back_are_told_apart_whatever_was_seen,
        a_column_is_steady_that_was_there_from_the_begin_and_never_of_another_type,
    };
    return unit_run("former", tests, UNIT_COUNT(tests));
}
