/* Arenas: memory that does not overlap, is aligned, and is kept within its limit. */
#include "base/arena.h"
#include "unit.h"

#include <malloc.h>
#include <stdint.h>
#include <string.h>

struct span {
    unsigned char *data;
    size_t size;
};

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Sizes mostly small, now and then larger than any chunk. */
static size_t random_size(unsigned *state)
{
    return next_random(state) % 50 == 0 ? next_random(state) % 3000000
                                        : next_random(state) % 200;
}

/* Fills each allocation with a byte of its own; a byte that changed later was shared. */
static void fill_and_check(struct arena *arena, unsigned seed)
{
    enum { COUNT = 600 };
    static struct span spans[COUNT];
    size_t total = 0;
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = random_size(&seed);
        spans[i] = (struct span){arena_alloc(arena, size), size};
        ck_assert_uint_eq((uintptr_t)spans[i].data % _Alignof(max_align_t), 0);
        memset(spans[i].data, (int)(i & 255), size);
        total += size;
    }
    ck_assert_uint_eq(arena_used(arena), total);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t at = 0; at < spans[i].size; at++)
            if (spans[i].data[at] != (i & 255))
                ck_abort_msg("allocation %zu was overwritten at %zu", i, at);
}

START_TEST(allocations_are_aligned_and_do_not_overlap_over_many_rounds)
{
    struct arena arena;
    arena_init(&arena, (size_t)4 << 20);
    for (unsigned round = 0; round < 5; round++) {
        fill_and_check(&arena, round);
        arena_reset(&arena);
        ck_assert_uint_eq(arena_used(&arena), 0);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(a_warm_arena_hands_out_the_memory_it_kept)
{
    struct arena arena;
    arena_init(&arena, 65536);
    void *first = arena_alloc(&arena, 100);
    arena_reset(&arena);
    ck_assert_ptr_eq(arena_alloc(&arena, 100), first);
    arena_free(&arena);
}
END_TEST

/* After a reset what is left is on the spare list. */
static void expect_kept_within(struct arena *arena, size_t limit)
{
    size_t kept = 0;
    arena_reset(arena);
    for (struct arena_chunk *chunk = arena->spare; chunk; chunk = *(struct arena_chunk **)chunk)
        kept += malloc_usable_size(chunk);
    ck_assert_uint_gt(kept, 0);
    ck_assert_uint_le(kept, limit + 4096); /* the chunks' headers */
}

START_TEST(a_reset_gives_back_what_exceeds_the_limit)
{
    struct arena arena;
    arena_init(&arena, 65536);
    arena_alloc(&arena, 1000);
    arena_alloc(&arena, (size_t)1 << 24);
    expect_kept_within(&arena, 65536);
    arena_free(&arena);
    arena_init(&arena, (size_t)1 << 20);
    for (int round = 0; round < 3; round++) { /* many chunks, none above the limit alone */
        for (int i = 0; i < 1000; i++)
            arena_alloc(&arena, 10000);
        expect_kept_within(&arena, (size_t)1 << 20);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(an_arena_that_may_keep_nothing_starts_afresh)
{
    struct arena arena;
    arena_init(&arena, 0);
    arena_alloc(&arena, 10);
    arena_reset(&arena);
    ck_assert_ptr_null(arena.spare);
    ck_assert_ptr_null(arena.first);
    memset(arena_alloc(&arena, 10), 1, 10);
    arena_free(&arena);
}
END_TEST

START_TEST(a_large_value_leaves_the_room_beside_small_ones_usable)
{
    struct arena arena;
    arena_init(&arena, 0);
    char *small = arena_alloc(&arena, 16);
    arena_alloc(&arena, 100000);
    char *next = arena_alloc(&arena, 16);
    ck_assert_ptr_eq(next, small + 16);
    arena_free(&arena);
}
END_TEST

START_TEST(nothing_is_a_distinct_place_and_a_copy_is_a_copy)
{
    struct arena arena;
    arena_init(&arena, 0);
    void *a = arena_alloc(&arena, 0), *b = arena_alloc(&arena, 0);
    ck_assert(a && b && a != b);
    char text[] = "tide";
    char *copy = arena_copy(&arena, text, sizeof(text));
    text[0] = 'x';
    ck_assert_str_eq(copy, "tide");
    ck_assert_ptr_nonnull(arena_copy(&arena, NULL, 0));
    arena_free(&arena);
    arena_free(&arena); /* an empty one may be freed again */
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        allocations_are_aligned_and_do_not_overlap_over_many_rounds,
        a_warm_arena_hands_out_the_memory_it_kept,
        a_reset_gives_back_what_exceeds_the_limit,
        an_arena_that_may_keep_nothing_starts_afresh,
        a_large_value_leaves_the_room_beside_small_ones_usable,
        nothing_is_a_distinct_place_and_a_copy_is_a_copy,
    };
    return unit_run("arena", tests, UNIT_COUNT(tests));
}
