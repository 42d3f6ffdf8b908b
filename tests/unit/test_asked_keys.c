/* Where keys lie, as the source tells it: asked for together, remembered, forgotten. */
#include "backfill/asked_keys.h"
#include "base/mem.h"
#include "unit.h"

#include <string.h>

/* A source that puts keys in the order of their sizes: a key's place is its size. */
struct source {
    struct key_places contract;
    int asked;   /* so often */
    size_t most; /* keys in one question */
    enum value_kind kinds[4];
    bool fails;
};

static bool find(struct key_places *places, const struct key_division *division, size_t count,
                 const struct value *const *keys, uint32_t *found, struct err *err)
{
    struct source *source = (struct source *)(void *)places;
    ck_assert_uint_eq(division->table, 7);
    ck_assert_uint_gt(count, 0);
    if (source->fails)
        return err_set(err, ERR_RETRY, "the source is away");
    source->kinds[source->asked++ % 4] = keys[0]->kind;
    source->most = count > source->most ? count : source->most;
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(keys[i][0].kind, keys[0][0].kind);
        found[i] = keys[i][0].size;
        if (division->columns > 1) {
            ck_assert_int_eq(keys[i][1].kind, keys[0][1].kind);
            found[i] += 100 * keys[i][1].size;
        }
    }
    return true;
}

static struct source make_source(void)
{
    static const struct key_places_ops OPS = {.find = find};
    return (struct source){.contract.ops = &OPS};
}

static struct value text(const char *bytes)
{
    return (struct value){bytes, (uint32_t)strlen(bytes), VALUE_TEXT};
}

/* -1 when there was no answer. */
static int place_of(struct asked_keys *keys, struct source *source, struct value key)
{
    const struct key_division division = {.table = 7, .columns = 1};
    struct err err = {0};
    uint32_t place = 0;
    if (asked_keys_find(keys, &source->contract, &division, &key, &place, &err))
        return (int)place;
    ck_assert_int_eq(err.class, ERR_RETRY);
    return -1;
}

START_TEST(what_is_expected_is_asked_for_at_once)
{
    struct asked_keys keys = {0};
    struct source source = make_source();
    const struct value expected[] = {text("a"), text("bb"), text("a"), text(""), text("cccc")};
    for (size_t i = 0; i < 5; i++)
        asked_keys_expect(&keys, &expected[i], 1);
    ck_assert_int_eq(source.asked, 0);
    ck_assert_int_eq(place_of(&keys, &source, text("bb")), 2);
    ck_assert_int_eq(place_of(&keys, &source, text("a")), 1);
    ck_assert_int_eq(place_of(&keys, &source, text("")), 0);
    ck_assert_int_eq(place_of(&keys, &source, text("cccc")), 4);
    ck_assert_int_eq(source.asked, 1);
    ck_assert_uint_eq(source.most, 4);
    asked_keys_forget(&keys);
}
END_TEST

START_TEST(what_was_not_expected_is_asked_for_alone)
{
    struct asked_keys keys = {0};
    struct source source = make_source();
    ck_assert_int_eq(place_of(&keys, &source, text("abc")), 3);
    ck_assert_int_eq(place_of(&keys, &source, text("abc")), 3);
    ck_assert_int_eq(source.asked, 1);
    ck_assert_int_eq(place_of(&keys, &source, text("ab")), 2);
    ck_assert_int_eq(source.asked, 2);
    asked_keys_forget(&keys);
    ck_assert_int_eq(place_of(&keys, &source, text("abc")), 3);
    ck_assert_int_eq(source.asked, 3);
    asked_keys_forget(&keys);
}
END_TEST

START_TEST(texts_and_binary_values_are_not_taken_for_each_other)
{
    struct asked_keys keys = {0};
    struct source source = make_source();
    const struct value binary = {"ab", 2, VALUE_BINARY}, same = text("ab");
    asked_keys_expect(&keys, &binary, 1);
    asked_keys_expect(&keys, &same, 1);
    ck_assert_int_eq(place_of(&keys, &source, binary), 2);
    ck_assert_int_eq(source.asked, 2);
    ck_assert_int_ne(source.kinds[0], source.kinds[1]);
    ck_assert_int_eq(place_of(&keys, &source, same), 2);
    ck_assert_int_eq(source.asked, 2);
    asked_keys_forget(&keys);
}
END_TEST

START_TEST(keys_of_two_values_are_told_apart_by_both)
{
    struct asked_keys keys = {0};
    struct source source = make_source();
    const struct key_division division = {.table = 7, .columns = 2};
    const struct value pairs[][2] = {{text("a"), text("bc")},
                                     {text("ab"), text("c")},
                                     {text("abc"), text("")},
                                     {text("a"), {"bc", 2, VALUE_BINARY}},
                                     {{"a", 1, VALUE_BINARY}, text("bc")}};
    const uint32_t places[] = {201, 102, 3, 201, 201};
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++)
        asked_keys_expect(&keys, pairs[i], 2);
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        struct err err = {0};
        uint32_t place;
        ck_assert(asked_keys_find(&keys, &source.contract, &division, pairs[i], &place, &err));
        ck_assert_uint_eq(place, places[i]);
    }
    ck_assert_int_eq(source.asked, 3); /* one for each pair of kinds */
    ck_assert_uint_eq(source.most, 3);
    asked_keys_forget(&keys);
}
END_TEST

START_TEST(without_an_answer_nothing_is_known_and_all_is_asked_again)
{
    struct asked_keys keys = {0};
    struct source source = make_source();
    const struct value other = text("other");
    asked_keys_expect(&keys, &other, 1);
    source.fails = true;
    ck_assert_int_eq(place_of(&keys, &source, text("abc")), -1);
    ck_assert_int_eq(place_of(&keys, &source, text("abc")), -1);
    source.fails = false;
    ck_assert_int_eq(place_of(&keys, &source, text("abc")), 3);
    ck_assert_uint_eq(source.most, 2);
    ck_assert_int_eq(place_of(&keys, &source, other), 5);
    ck_assert_int_eq(source.asked, 1);
    asked_keys_forget(&keys);
}
END_TEST

START_TEST(what_was_expected_is_kept_until_others_are)
{
    enum { SIZE = 1 << 20, KEYS = 16 };
    struct asked_keys keys = {0};
    struct source source = make_source();
    char *bytes = mem_zero(SIZE, 1);
    for (int i = 0; i < KEYS; i++) {
        bytes[0] = (char)i;
        asked_keys_expect(&keys, &(struct value){bytes, SIZE, VALUE_BINARY}, 1);
    }
    for (int i = 0; i < KEYS; i++) {
        bytes[0] = (char)i;
        ck_assert_int_eq(place_of(&keys, &source, (struct value){bytes, SIZE, VALUE_BINARY}),
                         SIZE);
        (void)place_of(&keys, &source, text("none expected it"));
    }
    ck_assert_int_eq(source.asked, 2);
    const struct value other = text("other");
    asked_keys_expect(&keys, &other, 1);
    ck_assert_uint_lt(keys.bytes, SIZE);
    free(bytes);
    asked_keys_forget(&keys);
}
END_TEST

START_TEST(what_is_remembered_is_bounded)
{
    enum { SIZE = 1 << 20, KEYS = 100 };
    struct asked_keys keys = {0};
    struct source source = make_source();
    char *bytes = mem_zero(SIZE, 1);
    for (int i = 0; i < KEYS; i++) {
        bytes[0] = (char)i;
        ck_assert_int_eq(place_of(&keys, &source, (struct value){bytes, SIZE, VALUE_BINARY}),
                         SIZE);
        ck_assert_uint_le(keys.bytes, 40 * SIZE);
    }
    for (int i = 0; i < KEYS; i++) { /* expected, and never looked for */
        bytes[0] = (char)-i;
        const struct value key = {bytes, SIZE, VALUE_BINARY};
        asked_keys_expect(&keys, &key, 1);
        ck_assert_uint_le(keys.bytes, 40 * SIZE);
    }
    free(bytes);
    asked_keys_forget(&keys);
    ck_assert_uint_eq(keys.bytes, 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        what_is_expected_is_asked_for_at_once,
        what_was_not_expected_is_asked_for_alone,
        texts_and_binary_values_are_not_taken_for_each_other,
        keys_of_two_values_are_told_apart_by_both,
        without_an_answer_nothing_is_known_and_all_is_asked_again,
        what_was_expected_is_kept_until_others_are,
        what_is_remembered_is_bounded,
    };
    return unit_run("asked keys", tests, UNIT_COUNT(tests));
}
