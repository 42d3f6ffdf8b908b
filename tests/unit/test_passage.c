/* Passages: which types' values go in binary, which with other OIDs, which as text, and which
 * must not go at all. */
#include "base/mem.h"
#include "bytes.h"
#include "schema/passage.h"
#include "unit.h"

#include <string.h>

/* One side's types; their OIDs are those of the line plus the side's own. */
#define MOST_TYPES 32

struct side {
    struct catalog catalog;
    struct catalog_type types[MOST_TYPES];
    struct catalog_field fields[MOST_TYPES][3];
    uint32_t shift;
};

static struct catalog_type *add(struct side *side, uint32_t oid, const char *name, char kind,
                                uint32_t inner)
{
    struct catalog_type *type = &side->types[side->catalog.type_count];
    const char *dot = strrchr(name, '.');

    *type = (struct catalog_type){
        .oid = oid < 16384 ? oid : oid + side->shift,
        .name = (char *)(uintptr_t)name,
        .shown = (char *)(uintptr_t)(dot + 1),
        .kind = kind,
        .sends = true,
        .receives = true,
        .inner_oid = inner < 16384 ? inner : inner + side->shift,
        .fields = side->fields[side->catalog.type_count++],
    };
    side->catalog.types = side->types;
    return type;
}

static void add_field(struct side *side, struct catalog_type *type, const char *name,
                      uint32_t oid)
{
    type->fields[type->field_count++] = (struct catalog_field){
        .name = (char *)(uintptr_t)name, .type_oid = oid < 16384 ? oid : oid + side->shift};
}

/* In the order of their OIDs. */
static void open_side(struct side *side, uint32_t shift)
{
    struct catalog_type *type;

    *side = (struct side){.shift = shift};
    add(side, 23, "pg_catalog.int4", 'b', 0);
    add(side, 25, "pg_catalog.text", 'b', 0);
    add(side, 1007, "pg_catalog._int4", 'a', 23);
    add(side, 2205, "pg_catalog.regclass", 'b', 0);
    add(side, 2210, "pg_catalog._regclass", 'a', 2205);
    add(side, 3615, "pg_catalog.tsquery", 'b', 0);
    add(side, 3904, "pg_catalog.int4range", 'r', 23);
    add(side, 3905, "pg_catalog._int4range", 'a', 3904);
    add(side, 16400, "public.mood", 'e', 0);
    add(side, 16401, "public._mood", 'a', 16400);
    add(side, 16402, "public.moods", 'd', 16401);
    add(side, 16403, "public.positive", 'd', 23);
    add(side, 16404, "public._positive", 'a', 16403);
    type = add(side, 16405, "public.pair", 'c', 0);
    add_field(side, type, "a", 23);
    add_field(side, type, "b", 16400);
    add(side, 16406, "public._pair", 'a', 16405);
    add(side, 16407, "public.pair_range", 'r', 16405);
    add(side, 16408, "public.pair_multirange", 'm', 16407);
    type = add(side, 16409, "public.holder", 'c', 0);
    add_field(side, type, "r", 2205);
    type = add(side, 16410, "ext.isbn", 'b', 0);
    type->extension = (char *)(uintptr_t) "isn";
    type->sends = type->receives = false;
    add(side, 16411, "ext._isbn", 'a', 16410);
    type = add(side, 16412, shift ? "other.hstore" : "ext.hstore", 'b', 0);
    type->extension = (char *)(uintptr_t) "hstore";
    add(side, 16413, "public.vector", 'b', 0);
    type = add(side, 16414, "public.deep", 'c', 0);
    add_field(side, type, "pairs", 16406);
    type = add(side, 16415, "public.plain", 'c', 0);
    add_field(side, type, "a", 23);
}

static struct catalog_type *type_of(struct side *side, uint32_t oid)
{
    for (size_t i = 0; i < side->catalog.type_count; i++)
        if (side->types[i].oid == (oid < 16384 ? oid : oid + side->shift))
            return &side->types[i];
    ck_abort_msg("no type %u", oid);
    return NULL;
}

struct sides {
    struct side source;
    struct side target;
    struct arena arena;
};

static void open_sides(struct sides *sides, uint32_t shift)
{
    open_side(&sides->source, 0);
    open_side(&sides->target, shift);
    arena_init(&sides->arena, 0);
}

static struct passage between(struct sides *sides, uint32_t source, uint32_t target)
{
    struct catalog_column from = {.type = type_of(&sides->source, source)};
    struct catalog_column to = {.type = type_of(&sides->target, target)};

    catalog_link_types(&sides->source.catalog);
    catalog_link_types(&sides->target.catalog);
    return passage_between(&from, &to, &sides->arena);
}

static const struct line {
    uint32_t source, target;
    enum passage_kind kind; /* where OIDs differ */
    const char *why;
} lines[] = {
    {23, 23, PASSAGE_BINARY, ""},
    {1007, 1007, PASSAGE_BINARY, ""},
    {3904, 3904, PASSAGE_BINARY, ""},
    {3905, 3905, PASSAGE_BINARY, ""},
    {16400, 16400, PASSAGE_BINARY, ""},
    {16403, 16403, PASSAGE_BINARY, ""},
    {16403, 23, PASSAGE_BINARY, ""},
    {16412, 16412, PASSAGE_BINARY, ""},
    {16401, 16401, PASSAGE_RECODED, "mood is OID 16400 at the source, 16500 at the target"},
    {16402, 16401, PASSAGE_RECODED, "mood is OID 16400 at the source, 16500 at the target"},
    {16404, 1007, PASSAGE_RECODED, "positive is OID 16403 at the source, 23 at the target"},
    {16405, 16405, PASSAGE_RECODED, "mood is OID 16400 at the source, 16500 at the target"},
    {16406, 16406, PASSAGE_RECODED, "pair is OID 16405 at the source, 16505 at the target"},
    {16407, 16407, PASSAGE_RECODED, "mood is OID 16400 at the source, 16500 at the target"},
    {16408, 16408, PASSAGE_RECODED, "mood is OID 16400 at the source, 16500 at the target"},
    {16414, 16414, PASSAGE_RECODED, "_pair is OID 16406 at the source, 16506 at the target"},
    {16415, 16415, PASSAGE_BINARY, ""},
    {2205, 2205, PASSAGE_TEXT, "it holds OIDs of its cluster"},
    {2210, 2210, PASSAGE_TEXT, "regclass in it: it holds OIDs of its cluster"},
    {3615, 3615, PASSAGE_TEXT, "no server reads an empty one in binary"},
    {16409, 16409, PASSAGE_TEXT, "regclass in it: it holds OIDs of its cluster"},
    {16410, 16410, PASSAGE_SENT_TEXT, "it has no binary form"},
    {16411, 16411, PASSAGE_TEXT, "isbn in it: it has no binary form"},
    {16413, 16413, PASSAGE_TEXT, "its binary form is not known"},
    {16405, 25, PASSAGE_TEXT, "the target's type is another"},
    {23, 25, PASSAGE_TEXT, "the target's type is another"},
    {1007, 16401, PASSAGE_TEXT, "int4 is not mood"},
    {16405, 16415, PASSAGE_NONE,
     "pair has 2 field(s) at the source, plain has 1 at the target"},
};

START_TEST(each_type_goes_its_way)
{
    const struct line *line = &lines[_i];
    struct sides sides;
    struct passage passage;

    open_sides(&sides, 100);
    passage = between(&sides, line->source, line->target);
    ck_assert_msg(passage.kind == line->kind, "%u to %u: %s (%s)", line->source, line->target,
                  passage_name(passage.kind), passage.why);
    ck_assert_str_eq(passage.why, line->why);
    ck_assert_int_eq(passage.recoder != NULL, line->kind == PASSAGE_RECODED);
    arena_free(&sides.arena);
}
END_TEST

START_TEST(where_oids_agree_nothing_is_rewritten)
{
    const struct line *line = &lines[_i];
    struct sides sides;
    struct passage passage;

    open_sides(&sides, 0);
    passage = between(&sides, line->source, line->source);
    ck_assert_msg(passage.kind == PASSAGE_BINARY || line->kind == PASSAGE_TEXT ||
                      line->kind == PASSAGE_SENT_TEXT,
                  "%u", line->source);
    ck_assert_ptr_null(passage.recoder);
    arena_free(&sides.arena);
}
END_TEST

/* The first thing that differs in a composite, at the target. */
enum difference { NAME, ORDER, TYPE, FEWER, TYPE_OF_ARRAY, DIFFERENCES };

static void differ(struct side *target, enum difference difference)
{
    struct catalog_type *pair = type_of(target, 16405);
    struct catalog_field first = pair->fields[0];

    switch (difference) {
    case NAME:
        pair->fields[1].name = (char *)(uintptr_t) "c";
        break;
    case ORDER:
        pair->fields[0] = pair->fields[1];
        pair->fields[1] = first;
        break;
    case TYPE:
        pair->fields[0].type_oid = 25;
        break;
    case FEWER:
        pair->field_count = 1;
        break;
    case TYPE_OF_ARRAY:
        pair->fields[0].type_oid = 1007;
        break;
    case DIFFERENCES:
        break;
    }
}

START_TEST(composites_that_differ_never_pass_however_deep_they_lie)
{
    static const char *const why[DIFFERENCES] = {
        [NAME] = "field 2 is \"b\" in pair of the source, \"c\" in pair of the target",
        [ORDER] = "field 1 is \"a\" in pair of the source, \"b\" in pair of the target",
        [TYPE] = "field \"a\" of pair is int4 at the source, text at the target",
        [FEWER] = "pair has 2 field(s) at the source, pair has 1 at the target",
        [TYPE_OF_ARRAY] = "field \"a\" of pair is int4 at the source, _int4 at the target",
    };
    static const uint32_t holders[] = {16405, 16406, 16407, 16408, 16414};
    struct passage passage;
    struct sides sides;

    for (size_t i = 0; i < UNIT_COUNT(holders); i++) {
        open_sides(&sides, 100);
        differ(&sides.target, (enum difference)_i);
        passage = between(&sides, holders[i], holders[i]);
        ck_assert_int_eq(passage.kind, PASSAGE_NONE);
        ck_assert_str_eq(passage.why, why[_i]);
        arena_free(&sides.arena);
    }
}
END_TEST

START_TEST(the_recoder_of_a_passage_knows_every_oid_on_the_way)
{
    struct bytes value = bytes_of("00000001 00004016 00000032" /* pairs */
                                  "00000001 00000000 00004015 00000001 00000001 0000001A"
                                  "00000002 00000017 00000004 00000007 00004010 00000002 'ok'");
    struct bytes expected =
        bytes_of("00000001 0000407A 00000032"
                 "00000001 00000000 00004079 00000001 00000001 0000001A"
                 "00000002 00000017 00000004 00000007 00004074 00000002 'ok'");
    struct passage passage;
    struct sides sides;

    open_sides(&sides, 100);
    passage = between(&sides, 16414, 16414);
    ck_assert(recoder_apply(passage.recoder, value.data, value.size));
    ck_assert_mem_eq(value.data, expected.data, expected.size);
    free(value.data);
    free(expected.data);
    arena_free(&sides.arena);
}
END_TEST

START_TEST(types_that_nobody_described_go_as_text_unless_they_are_built_in)
{
    char int4[] = "pg_catalog.int4", pair[] = "public.pair";
    struct catalog_column number = {.base_type = int4, .type_kind = 'b'};
    struct catalog_column other = {.base_type = pair, .type_kind = 'c'};
    struct arena arena;

    arena_init(&arena, 0);
    ck_assert_int_eq(passage_between(&number, &number, &arena).kind, PASSAGE_BINARY);
    ck_assert_int_eq(passage_between(&other, &other, &arena).kind, PASSAGE_TEXT);
    arena_free(&arena);
}
END_TEST

START_TEST(infinite_intervals_go_as_text_to_a_server_that_knows_none)
{
    char interval[] = "pg_catalog.interval";
    struct catalog_type older = {
        .name = interval, .shown = interval, .kind = 'b', .sends = true, .receives = true};
    struct catalog_type newer = older;
    newer.infinite = true;
    struct catalog_column from = {.base_type = interval, .type_kind = 'b', .type = &newer};
    struct catalog_column to = {.base_type = interval, .type_kind = 'b', .type = &older};
    struct arena arena;

    arena_init(&arena, 0);
    ck_assert_int_eq(passage_between(&from, &to, &arena).kind, PASSAGE_TEXT);
    ck_assert_int_eq(passage_between(&to, &from, &arena).kind, PASSAGE_BINARY);
    ck_assert_int_eq(passage_between(&from, &from, &arena).kind, PASSAGE_BINARY);
    arena_free(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("passage");
    TCase *stories = tcase_create("passage");
    SRunner *runner;
    int failed;

    tcase_set_timeout(stories, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(stories, each_type_goes_its_way, 0, (int)UNIT_COUNT(lines));
    tcase_add_loop_test(stories, where_oids_agree_nothing_is_rewritten, 0,
                        (int)UNIT_COUNT(lines));
    tcase_add_loop_test(stories, composites_that_differ_never_pass_however_deep_they_lie, 0,
                        DIFFERENCES);
    tcase_add_test(stories, the_recoder_of_a_passage_knows_every_oid_on_the_way);
    tcase_add_test(stories, infinite_intervals_go_as_text_to_a_server_that_knows_none);
    tcase_add_test(stories, types_that_nobody_described_go_as_text_unless_they_are_built_in);
    suite_add_tcase(suite, stories);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
