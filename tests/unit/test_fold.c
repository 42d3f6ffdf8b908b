/* What changes come to, case by case, and what is refused.
 *
 * Changes are written in a small language over a table of a key and two columns:
 *
 *     i1xy   insert, key 1, values x and y        u1x_   update that does not bring the second
 *     d1     delete                               m12xy  the key 1 becomes 2
 *     I D    the same, blind                      n      an insert without a key
 */
#include "base/mem.h"
#include "postgres/fold.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 3, TEXT = 25 };

struct world {
    struct batch *batch;
    struct relation *keyed;
    struct relation *keyless;
    struct fold fold;
    struct fold_table table;
    const struct type_codec *codecs[COLUMNS];
};

static struct relation *make_relation(bool keyed)
{
    static char id[] = "id", a[] = "a", b[] = "b";
    const struct column columns[COLUMNS] = {{.name = id, .type_oid = TEXT, .key = keyed},
                                            {.name = a, .type_oid = TEXT},
                                            {.name = b, .type_oid = TEXT}};
    struct relation *relation = relation_create("app", "t", COLUMNS, columns);
    relation->match = keyed ? MATCH_KEY : MATCH_NONE;
    return relation;
}

static void open_world(struct world *world)
{
    *world = (struct world){.batch = batch_create(),
                            .keyed = make_relation(true),
                            .keyless = make_relation(false),
                            .table = {.format = VALUE_TEXT}};
    world->table.codecs = world->codecs;
    fold_init(&world->fold);
}

static void close_world(struct world *world)
{
    fold_free(&world->fold);
    relation_free(world->keyed);
    relation_free(world->keyless);
    batch_destroy(world->batch);
}

static struct value value_of(char letter)
{
    static const char LETTERS[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    if (letter == '_')
        return (struct value){.kind = VALUE_UNCHANGED};
    if (letter == '0')
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.kind = VALUE_TEXT, .data = strchr(LETTERS, letter), .size = 1};
}

static struct row key_row(struct world *world, char key)
{
    struct row row = batch_row(world->batch, COLUMNS);
    row.values[0] = value_of(key);
    return row;
}

static struct row whole_row(struct world *world, const char *letters)
{
    struct row row = batch_row(world->batch, COLUMNS);
    for (uint16_t i = 0; i < COLUMNS; i++)
        row.values[i] = value_of(letters[i]);
    return row;
}

static struct change change_of(struct world *world, const char *word)
{
    struct change change = {.relation = world->keyed, .blind = strchr("ID", word[0]) != NULL};
    switch (word[0]) {
    case 'n':
        change.relation = world->keyless;
        change.new = whole_row(world, "1xy");
        break;
    case 'i':
    case 'I':
        change.new = whole_row(world, word + 1);
        break;
    case 'u':
        change.kind = CHANGE_UPDATE;
        change.new = whole_row(world, word + 1);
        break;
    case 'm':
        change.kind = CHANGE_UPDATE;
        change.old_image = OLD_KEY;
        change.old = key_row(world, word[1]);
        change.new = whole_row(world, word + 2);
        break;
    default:
        change.kind = CHANGE_DELETE;
        change.old_image = OLD_KEY;
        change.old = key_row(world, word[1]);
        break;
    }
    return change;
}

static char letter_of(const struct value *value)
{
    return value->kind == VALUE_UNCHANGED ? '_'
           : value->kind == VALUE_NULL    ? '0'
                                          : *value->data;
}

/* "1 present anew xy", "2 absent -" */
static void show(const struct world *world, char *text, size_t size)
{
    static const char *const WAS[] = {
        [WAS_PRESENT] = "present", [WAS_ABSENT] = "absent", [WAS_ANY] = "any"};
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < world->fold.count; i++) {
        const struct net *net = &world->fold.nets[i];
        char row[4] = "-";
        if (net->row != NULL)
            snprintf(row, sizeof row, "%c%c", letter_of(&net->row[1]), letter_of(&net->row[2]));
        used += (size_t)snprintf(text + used, size - used, "%s%c %s %s%s", i ? ", " : "",
                                 net->key == NULL ? 'n' : letter_of(&net->key[0]),
                                 WAS[net->was], net->anew ? "anew " : "", row);
    }
}

/* The number of the word that was refused; -1: none. */
static int take_all(struct world *world, const char *words)
{
    char copy[200];
    char *rest = copy;
    snprintf(copy, sizeof copy, "%s", words);
    for (int i = 0;; i++) {
        const char *word = strsep(&rest, " ");
        if (word == NULL)
            return -1;
        struct change change = change_of(world, word);
        if (!fold_take(&world->fold, &world->table, &change, (uint32_t)i))
            return i;
    }
}

struct line {
    const char *changes;
    const char *nets;
};

static void check_lines(struct world *world, const struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[400];
        fold_clear(&world->fold);
        ck_assert_msg(take_all(world, lines[i].changes) == -1, "refused: %s", lines[i].changes);
        show(world, text, sizeof text);
        ck_assert_msg(strcmp(text, lines[i].nets) == 0, "%s: %s, not %s", lines[i].changes,
                      text, lines[i].nets);
    }
}

START_TEST(changes_of_a_key_come_to_one)
{
    static const struct line LINES[] = {
        {"i1xy", "1 absent xy"},
        {"i1xy u1zy", "1 absent zy"},
        {"i1xy u1z_", "1 absent zy"},
        {"u1x_ u1_y", "1 present xy"},
        {"u1xy u1z_ u10_", "1 present 0y"},
        {"u1_x u1z_ u1y_", "1 present yx"},
        {"i1xy d1", "1 absent anew -"},
        {"i1xy d1 i1ab", "1 absent anew ab"},
        {"d1", "1 present anew -"},
        {"u1xy d1", "1 present anew -"},
        {"d1 i1xy", "1 present anew xy"},
        {"d1 i1xy u1z_", "1 present anew zy"},
        {"d1 i1xy d1", "1 present anew -"},
        {"u1xy u2ab u1cd", "1 present cd, 2 present ab"},
    };
    struct world world;
    open_world(&world);
    check_lines(&world, LINES, sizeof LINES / sizeof LINES[0]);
    close_world(&world);
}
END_TEST

START_TEST(a_key_change_is_a_delete_and_an_insert)
{
    static const struct line LINES[] = {
        {"m12xy", "1 present anew -, 2 absent xy"},
        {"m11xy", "1 present xy"},
        {"m11x_", "1 present x_"},
        {"i1ab m12xy", "1 absent anew -, 2 absent xy"},
        {"m12xy m21zz", "1 present anew zz, 2 absent anew -"},
        /* a swap by way of a third */
        {"m19aa m21bb m92aa", "1 present anew bb, 9 absent anew -, 2 present anew aa"},
        {"m12xy u2z_ d2", "1 present anew -, 2 absent anew -"},
    };
    struct world world;
    open_world(&world);
    check_lines(&world, LINES, sizeof LINES / sizeof LINES[0]);
    close_world(&world);
}
END_TEST

START_TEST(blind_changes_leave_open_what_was_there)
{
    static const struct line LINES[] = {
        {"I1xy", "1 any xy"},           {"I1xy u1z_", "1 any zy"},
        {"D1", "1 any anew -"},         {"D1 D1", "1 any anew -"},
        {"D1 I1xy", "1 any anew xy"},   {"I1xy D1", "1 any anew -"},
        {"I1xy I1ab", "1 any ab"},      {"u1x_ I1ab", "1 present ab"},
        {"i1xy D1", "1 absent anew -"}, {"d1 D1", "1 present anew -"},
    };
    struct world world;
    open_world(&world);
    check_lines(&world, LINES, sizeof LINES / sizeof LINES[0]);
    close_world(&world);
}
END_TEST

START_TEST(inserts_without_a_key_stay_apart_in_their_order)
{
    static const struct line LINES[] = {{"n i1xy n", "n absent xy, 1 absent xy, n absent xy"}};
    struct world world;
    open_world(&world);
    check_lines(&world, LINES, sizeof LINES / sizeof LINES[0]);
    close_world(&world);
}
END_TEST

/* The last word is refused, and what was folded stays as it was. */
START_TEST(what_does_not_fit_is_refused)
{
    static const struct line LINES[] = {
        {"i1xy i1ab", "1 absent xy"},
        {"u1xy i1ab", "1 present xy"},
        {"d1 u1ab", "1 present anew -"},
        {"d1 d1", "1 present anew -"},
        {"D1 d1", "1 any anew -"},
        {"i1x_", ""},
        {"m12x_", ""},
        {"d1 m12xy", "1 present anew -"},
        {"u2ab m12xy", "2 present ab"},
        {"i0xy", ""},
    };
    struct world world;
    open_world(&world);
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        char text[400];
        fold_clear(&world.fold);
        ck_assert_int_ge(take_all(&world, LINES[i].changes), 0);
        show(&world, text, sizeof text);
        ck_assert_str_eq(text, LINES[i].nets);
    }
    close_world(&world);
}
END_TEST

START_TEST(a_table_with_columns_of_its_own_keeps_its_key_changes_and_second_inserts)
{
    struct world world;
    open_world(&world);
    world.table.moves = true;
    ck_assert_int_eq(take_all(&world, "u1xy m12xy"), 1);
    fold_clear(&world.fold);
    ck_assert_int_eq(take_all(&world, "u1xy m11ab"), -1);
    fold_clear(&world.fold);
    ck_assert_int_eq(take_all(&world, "i1xy d1 i1ab"), 2);
    fold_clear(&world.fold);
    ck_assert_int_eq(take_all(&world, "i1xy d1 I1ab"), 2);
    fold_clear(&world.fold);
    ck_assert_int_eq(take_all(&world, "d1 i1xy d1 i1ab D2 I2ab"), -1);
    close_world(&world);
}
END_TEST

START_TEST(rules_texts_are_made_binary_and_what_cannot_be_is_refused)
{
    static char int8[] = "pg_catalog.int8";
    const struct catalog_column bigint = {.type_kind = 'b', .base_type = int8};
    static const char SEVEN[] = {0, 0, 0, 0, 0, 0, 0, 7};
    struct world world;
    open_world(&world);
    world.table.format = VALUE_BINARY;
    world.codecs[0] = type_codec_for(&bigint);
    struct change change = change_of(&world, "i7xy");
    change.new.values[1] = (struct value){.kind = VALUE_BINARY, .data = "x", .size = 1};
    change.new.values[2] = change.new.values[1];
    ck_assert(fold_take(&world.fold, &world.table, &change, 0));
    ck_assert_int_eq(world.fold.nets[0].key[0].kind, VALUE_BINARY);
    ck_assert_mem_eq(world.fold.nets[0].key[0].data, SEVEN, sizeof SEVEN);
    struct change removal = change_of(&world, "d7");
    ck_assert(fold_take(&world.fold, &world.table, &removal, 1));
    ck_assert_uint_eq(world.fold.count, 1);
    change.new.values[0] = value_of('x');
    ck_assert(!fold_take(&world.fold, &world.table, &change, 2));
    change.new.values[0] = value_of('8');
    change.new.values[1] = value_of('x'); /* no codec */
    ck_assert(!fold_take(&world.fold, &world.table, &change, 3));
    close_world(&world);
}
END_TEST

START_TEST(changes_that_need_no_row_of_their_own_are_counted)
{
    static const struct {
        const char *changes;
        uint32_t merged;
    } LINES[] = {
        {"i1xy", 0},        {"i1xy u1zy u1ab", 2}, {"m12xy", 0},
        {"m12xy m21ab", 1}, {"i1xy m12xy", 0},     {"n n", 0},
    };
    struct world world;
    open_world(&world);
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        fold_clear(&world.fold);
        ck_assert_int_eq(take_all(&world, LINES[i].changes), -1);
        ck_assert_uint_eq(world.fold.merged, LINES[i].merged);
    }
    fold_clear(&world.fold);
    ck_assert_int_eq(take_all(&world, "i1xy i1ab"), 1);
    ck_assert_uint_eq(world.fold.merged, 0);
    close_world(&world);
}
END_TEST

/* Many keys, several times over, so that the table grows and is emptied both ways. */
START_TEST(every_key_is_found_again)
{
    enum { KEYS = 3000 };
    static char names[KEYS][8];
    struct world world;
    open_world(&world);
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "k%d", i);
    for (int round = 0; round < 3; round++) {
        int used = round == 1 ? 5 : KEYS;
        for (int i = 0; i < 2 * used; i++) {
            struct change change = change_of(&world, i < used ? "i1xy" : "u1a_");
            change.new.values[0].data = names[i % used];
            change.new.values[0].size = (uint32_t)strlen(names[i % used]);
            ck_assert(fold_take(&world.fold, &world.table, &change, (uint32_t)i));
        }
        ck_assert_uint_eq(world.fold.count, (unsigned)used);
        for (int i = 0; i < used; i++)
            ck_assert_int_eq(letter_of(&world.fold.nets[i].row[1]), 'a');
        fold_clear(&world.fold);
        batch_reset(world.batch);
    }
    close_world(&world);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        changes_of_a_key_come_to_one,
        a_key_change_is_a_delete_and_an_insert,
        blind_changes_leave_open_what_was_there,
        inserts_without_a_key_stay_apart_in_their_order,
        what_does_not_fit_is_refused,
        a_table_with_columns_of_its_own_keeps_its_key_changes_and_second_inserts,
        rules_texts_are_made_binary_and_what_cannot_be_is_refused,
        changes_that_need_no_row_of_their_own_are_counted,
        every_key_is_found_again,
    };
    return unit_run("fold", tests, UNIT_COUNT(tests));
}
