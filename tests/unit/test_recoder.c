/* Recoders: values of random types, nested at random, get the target's OIDs and nothing else;
 * bytes that are no such value are refused, whatever they are. */
#include "base/arena.h"
#include "base/mem.h"
#include "bytes.h"
#include "dice.h"
#include "schema/recoder.h"
#include "unit.h"

#include <string.h>

#define ROUNDS 20000
#define DEEPEST 5
#define MOST_FIELDS 4

static struct arena arena;

static void begin(void)
{
    arena_init(&arena, 0);
}

/* ---- random recoders ---- */

static const struct recoder *random_recoder(uint64_t *dice, int depth);

static struct recoder_part random_part(uint64_t *dice, int depth)
{
    return (struct recoder_part){
        .source_oid = 16384 + dice_below(dice, 1000),
        .target_oid = 16384 + dice_below(dice, 100000),
        .inner = dice_one_in(dice, 3) ? NULL : random_recoder(dice, depth + 1)};
}

static const struct recoder *random_recoder(uint64_t *dice, int depth)
{
    enum recoder_kind kind = dice_below(dice, 4);
    uint16_t count =
        kind == RECODER_COMPOSITE ? (uint16_t)dice_below(dice, MOST_FIELDS + 1) : 1;
    struct recoder_part parts[MOST_FIELDS];
    struct recoder *recoder;

    if (depth == DEEPEST)
        return NULL;
    for (uint16_t i = 0; i < count; i++)
        parts[i] = random_part(dice, depth);
    recoder = arena_alloc(&arena, sizeof(*recoder));
    *recoder = (struct recoder){
        .kind = kind,
        .part_count = count,
        .parts = arena_copy(&arena, parts, count * sizeof(*parts)),
    };
    return recoder;
}

/* ---- random values, as the source and as the target would send them ---- */

struct pair {
    struct buf source;
    struct buf target;
};

static void both_u32(struct pair *pair, uint32_t value)
{
    buf_append_u32(&pair->source, value);
    buf_append_u32(&pair->target, value);
}

static void both_oids(struct pair *pair, const struct recoder_part *part)
{
    buf_append_u32(&pair->source, part->source_oid);
    buf_append_u32(&pair->target, part->target_oid);
}

static void write_value(struct pair *pair, const struct recoder *recoder, uint64_t *dice);

/* With its size; what the recoder does not look into is anything. */
static void write_sized(struct pair *pair, const struct recoder *inner, bool may_be_null,
                        uint64_t *dice)
{
    struct pair value = {0};

    if (may_be_null && dice_one_in(dice, 4)) {
        both_u32(pair, UINT32_MAX);
        return;
    }
    if (inner)
        write_value(&value, inner, dice);
    for (uint32_t i = dice_below(dice, 9); !inner && i > 0; i--) {
        char byte = (char)dice_below(dice, 256);

        buf_append_char(&value.source, byte);
        buf_append_char(&value.target, byte);
    }
    both_u32(pair, (uint32_t)value.source.size);
    buf_append(&pair->source, value.source.data, value.source.size);
    buf_append(&pair->target, value.target.data, value.target.size);
    buf_free(&value.source);
    buf_free(&value.target);
}

static void write_array(struct pair *pair, const struct recoder_part *part, uint64_t *dice)
{
    uint32_t dimensions = dice_below(dice, 4), count = dimensions > 0;

    both_u32(pair, dimensions);
    both_u32(pair, dice_below(dice, 2));
    both_oids(pair, part);
    for (uint32_t i = 0; i < dimensions; i++) {
        uint32_t size = 1 + dice_below(dice, 3);

        both_u32(pair, size);
        both_u32(pair, dice_below(dice, 9) - 4);
        count *= size;
    }
    for (uint32_t i = 0; i < count; i++)
        write_sized(pair, part->inner, true, dice);
}

static void write_range(struct pair *pair, const struct recoder_part *part, uint64_t *dice)
{
    static const uint8_t flags[] = {0x01, 0x02, 0x04, 0x06, 0x08, 0x0C, 0x10, 0x12, 0x18};
    static const int bounds[] = {0, 2, 2, 2, 1, 1, 1, 1, 0};
    uint32_t which = dice_below(dice, UNIT_COUNT(flags));

    buf_append_char(&pair->source, (char)flags[which]);
    buf_append_char(&pair->target, (char)flags[which]);
    for (int i = 0; i < bounds[which]; i++)
        write_sized(pair, part->inner, false, dice);
}

static void write_value(struct pair *pair, const struct recoder *recoder, uint64_t *dice)
{
    uint32_t count = dice_below(dice, 4);

    switch (recoder->kind) {
    case RECODER_ARRAY:
        write_array(pair, recoder->parts, dice);
        break;
    case RECODER_COMPOSITE:
        both_u32(pair, recoder->part_count);
        for (uint16_t i = 0; i < recoder->part_count; i++) {
            both_oids(pair, &recoder->parts[i]);
            write_sized(pair, recoder->parts[i].inner, true, dice);
        }
        break;
    case RECODER_RANGE:
        write_range(pair, recoder->parts, dice);
        break;
    case RECODER_MULTIRANGE:
        both_u32(pair, count);
        for (uint32_t i = 0; i < count; i++)
            write_sized(pair, recoder->parts->inner, false, dice);
        break;
    }
}

START_TEST(values_of_random_types_get_the_targets_oids_and_nothing_else)
{
    uint64_t dice = dice_seed();

    begin();
    for (int i = 0; i < ROUNDS; i++) {
        const struct recoder *recoder = random_recoder(&dice, 0);
        struct pair pair = {0};
        struct bytes value;

        write_value(&pair, recoder, &dice);
        value = bytes_exact(pair.source.data, pair.source.size);
        ck_assert_msg(recoder_apply(recoder, value.data, value.size), "round %d", i);
        ck_assert_msg(memcmp(value.data, pair.target.data, value.size) == 0, "round %d", i);
        free(value.data);
        buf_free(&pair.source);
        buf_free(&pair.target);
        arena_reset(&arena);
    }
    arena_free(&arena);
}
END_TEST

/* Whether it is refused depends on what the damage hit; that nothing outside the value is
 * touched, and that it ends, is what the sanitizer and the time limit see. */
static bool survives(const struct recoder *recoder, const struct buf *source, uint64_t *dice)
{
    size_t size = source->size ? dice_below(dice, (uint32_t)source->size + 1) : 0;
    struct bytes value;
    bool taken;

    if (dice_one_in(dice, 2))
        size = source->size;
    value = bytes_exact(source->data, size);
    for (uint32_t hits = dice_below(dice, 4); size && hits > 0; hits--)
        value.data[dice_below(dice, (uint32_t)size)] =
            (char)(dice_one_in(dice, 2) ? 0xFF * dice_below(dice, 2) : dice_below(dice, 256));
    taken = recoder_apply(recoder, value.data, value.size);
    free(value.data);
    return taken;
}

START_TEST(garbled_and_truncated_bytes_do_no_harm)
{
    uint64_t dice = dice_seed();
    int taken = 0;

    begin();
    for (int i = 0; i < ROUNDS; i++) {
        const struct recoder *recoder = random_recoder(&dice, 0);
        struct pair pair = {0};

        write_value(&pair, recoder, &dice);
        for (int j = 0; j < 5; j++)
            taken += survives(recoder, &pair.source, &dice);
        buf_free(&pair.source);
        buf_free(&pair.target);
        arena_reset(&arena);
    }
    ck_assert_int_gt(taken, 0);
    ck_assert_int_lt(taken, ROUNDS * 5);
    arena_free(&arena);
}
END_TEST

START_TEST(every_truncation_of_a_walked_value_is_refused)
{
    const struct recoder_part element = {.source_oid = 0x4001, .target_oid = 0x5001};
    const struct recoder array = {RECODER_ARRAY, 1, &element};
    const struct recoder_part fields[] = {{.source_oid = 23, .target_oid = 23},
                                          {0x4002, 0x5002, &array}};
    const struct recoder composite = {RECODER_COMPOSITE, 2, fields};
    struct bytes whole = bytes_of("00000002 00000017 00000004 00000007 00004002 0000001C"
                                  "00000001 00000000 00004001 00000002 00000001 FFFFFFFF"
                                  "00000000");

    for (size_t size = 0; size < whole.size; size++) {
        struct bytes part = bytes_exact(whole.data, size);

        ck_assert_msg(!recoder_apply(&composite, part.data, part.size), "%zu bytes", size);
        free(part.data);
    }
    ck_assert(recoder_apply(&composite, whole.data, whole.size));
    free(whole.data);
}
END_TEST

static const struct recoder_part the_element = {.source_oid = 0x4001, .target_oid = 0x5001};
static const struct recoder an_array = {RECODER_ARRAY, 1, &the_element};
static const struct recoder_part an_array_in_it = {0x4002, 0x5002, &an_array};
static const struct recoder array_of_arrays = {RECODER_ARRAY, 1, &an_array_in_it};
static const struct recoder range_of_arrays = {RECODER_RANGE, 1, &an_array_in_it};
static const struct recoder ranges_of_arrays = {RECODER_MULTIRANGE, 1, &an_array_in_it};
static const struct recoder one_field = {RECODER_COMPOSITE, 1, &the_element};

static const struct {
    const struct recoder *recoder;
    const char *bytes;
    const char *what;
} refused[] = {
    {&an_array, "", "nothing"},
    {&an_array, "00000000 00000000 00004002", "another element"},
    {&an_array, "00000007 00000000 00004001", "seven dimensions"},
    {&an_array, "00000001 00000000 00004001 7FFFFFFF 00000001", "a size beyond the bytes"},
    {&an_array, "00000002 00000000 00004001 FFFFFFFF 00000001 FFFFFFFF 00000001", "no product"},
    {&array_of_arrays, "00000001 00000000 00004002 00000001 00000001 FFFFFFFE", "size -2"},
    {&array_of_arrays, "00000001 00000000 00004002 00000001 00000001 FFFFFFFF 00",
     "a byte more"},
    {&array_of_arrays, "00000001 00000000 00004002 00000001 00000001 00000000",
     "an empty element"},
    {&one_field, "00000002 00004001 FFFFFFFF 00004001 FFFFFFFF", "two fields"},
    {&one_field, "00000000", "no field"},
    {&one_field, "00000001 00000017 FFFFFFFF", "a field of another type"},
    {&one_field, "00000001 00004001 FFFFFFFF 00", "a byte after the fields"},
    {&range_of_arrays, "", "no flags"},
    {&range_of_arrays, "18 00", "a bound that the flags deny"},
    {&range_of_arrays, "08", "no upper bound"},
    {&range_of_arrays, "08 FFFFFFFF", "a bound that is NULL"},
    {&ranges_of_arrays, "00000001", "a range missing"},
    {&ranges_of_arrays, "FFFFFFFF", "ranges without number"},
    {&ranges_of_arrays, "00000000 00", "a byte after the ranges"},
};

START_TEST(bytes_that_are_no_value_of_the_type_are_refused)
{
    struct bytes value = bytes_of(refused[_i].bytes);

    ck_assert_msg(!recoder_apply(refused[_i].recoder, value.data, value.size), "%s",
                  refused[_i].what);
    free(value.data);
}
END_TEST

START_TEST(an_empty_array_names_its_element_too)
{
    struct bytes value = bytes_of("00000000 00000000 00004001");
    struct bytes expected = bytes_of("00000000 00000000 00005001");

    ck_assert(recoder_apply(&an_array, value.data, value.size));
    ck_assert_mem_eq(value.data, expected.data, expected.size);
    free(value.data);
    free(expected.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recoder");
    TCase *stories = tcase_create("recoder");
    SRunner *runner;
    int failed;

    tcase_set_timeout(stories, UNIT_TIMEOUT_SECONDS);
    tcase_add_test(stories, values_of_random_types_get_the_targets_oids_and_nothing_else);
    tcase_add_test(stories, garbled_and_truncated_bytes_do_no_harm);
    tcase_add_test(stories, every_truncation_of_a_walked_value_is_refused);
    tcase_add_test(stories, an_empty_array_names_its_element_too);
    tcase_add_loop_test(stories, bytes_that_are_no_value_of_the_type_are_refused, 0,
                        (int)UNIT_COUNT(refused));
    suite_add_tcase(suite, stories);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
