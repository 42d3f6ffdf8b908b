/* Snapshots: which transactions they see, held against sets that are counted out. */
#include "backfill/snapshot.h"
#include "base/buf.h"
#include "dice.h"
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct snapshot parse(const char *text)
{
    struct snapshot snapshot;
    struct err err;
    ck_assert_msg(snapshot_parse(text, &snapshot, &err), "%s", text);
    return snapshot;
}

static void expect_covers(const char *newer, const char *older, bool expected)
{
    struct snapshot a = parse(newer), b = parse(older);
    ck_assert_msg(snapshot_covers(&a, &b) == expected, "%s covers %s: %d", newer, older,
                  !expected);
    snapshot_free(&a);
    snapshot_free(&b);
}

START_TEST(a_snapshot_is_xmin_xmax_and_the_list_between)
{
    struct snapshot snapshot = parse("748:752:748,750");
    ck_assert(snapshot.xmin == 748 && snapshot.xmax == 752);
    ck_assert_uint_eq(snapshot.in_progress_count, 2);
    ck_assert(snapshot.in_progress[0] == 748 && snapshot.in_progress[1] == 750);
    snapshot_free(&snapshot);
    snapshot_free(&snapshot);
    snapshot = parse("18446744073709551614:18446744073709551615:");
    ck_assert(snapshot.xmax == UINT64_MAX);
    ck_assert_uint_eq(snapshot.in_progress_count, 0);
    snapshot_free(&snapshot);
}
END_TEST

START_TEST(what_is_no_snapshot_is_refused)
{
    static const char *const TEXTS[] = {
        "",
        ":",
        "::",
        "748",
        "748:752",
        "748:752;",
        "a:752:",
        "748:b:",
        "748:752:x",
        "748:752:752",
        "748:752:747",
        " 748:752:",
        "748: 752:",
        "748:752: 750",
        "-1:752:",
        "+1:752:",
        "748:752:-750",
        "748:752:750,749",
        "748:752:750x",
        "748:752:,",
        "748:752:750,,751",
        "0x1:2:",
        "18446744073709551616:18446744073709551617:",
        "748:752:18446744073709551616",
        "748,752:",
        "748:752,",
    };
    for (size_t i = 0; i < UNIT_COUNT(TEXTS); i++) {
        struct snapshot snapshot = {.xmin = 7};
        struct err err = {0};
        ck_assert_msg(!snapshot_parse(TEXTS[i], &snapshot, &err), "\"%s\"", TEXTS[i]);
        ck_assert_int_eq(err.class, ERR_CORRUPT);
        ck_assert(snapshot.xmin == 7);
    }
}
END_TEST

/* As CREATE_REPLICATION_SLOT exports it: its xmax is the last commit that it decoded. */
START_TEST(an_exported_snapshot_sees_all_below_its_xmin)
{
    struct snapshot snapshot = parse("752:748:");
    ck_assert(snapshot_sees(&snapshot, 747) && snapshot_sees(&snapshot, 751));
    ck_assert(!snapshot_sees(&snapshot, 752));
    ck_assert(snapshot_sees_xid(&snapshot, 751) && !snapshot_sees_xid(&snapshot, 752));
    snapshot_free(&snapshot);
    expect_covers("752:752:", "752:748:", true);
    expect_covers("751:751:", "752:748:", false);
}
END_TEST

START_TEST(a_transaction_is_seen_when_it_had_ended)
{
    struct snapshot snapshot = parse("748:752:748,750");
    static const bool SEEN[] = {true, false, true, false, true, false, false};
    for (xid64_t xid = 747; xid < 754; xid++)
        ck_assert_msg(snapshot_sees(&snapshot, xid) == SEEN[xid - 747], "%" PRIu64, xid);
    ck_assert(snapshot_sees(&snapshot, 3) && !snapshot_sees(&snapshot, UINT64_MAX));
    snapshot_free(&snapshot);
}
END_TEST

START_TEST(a_32_bit_xid_is_the_one_nearest_to_the_snapshot)
{
    /* 2^32 + 10, one before and one behind the turn in progress */
    struct snapshot snapshot = parse("4294967290:4294967306:4294967290,4294967300");
    ck_assert(snapshot_sees_xid(&snapshot, 4294967289U));
    ck_assert(!snapshot_sees_xid(&snapshot, 4294967290U));
    ck_assert(snapshot_sees_xid(&snapshot, 4294967295U));
    ck_assert(snapshot_sees_xid(&snapshot, 3));
    ck_assert(!snapshot_sees_xid(&snapshot, 4));
    ck_assert(snapshot_sees_xid(&snapshot, 9));
    ck_assert(!snapshot_sees_xid(&snapshot, 10));
    ck_assert(!snapshot_sees_xid(&snapshot, 2000000000U)); /* of the future */
    ck_assert(snapshot_sees_xid(&snapshot, 2200000000U));  /* of the past */
    snapshot_free(&snapshot);
}
END_TEST

START_TEST(a_later_snapshot_covers_an_earlier_one)
{
    expect_covers("748:752:748,750", "748:752:748,750", true);
    expect_covers("748:753:748", "748:752:748,750", true);
    expect_covers("760:760:", "748:752:748,750", true);
    expect_covers("748:752:748,750", "740:745:", true);
}
END_TEST

START_TEST(a_snapshot_that_lacks_a_commit_does_not_cover)
{
    expect_covers("748:752:748,750", "752:752:", false); /* 748 and 750 are missing */
    expect_covers("748:752:750", "748:752:748", false);
    expect_covers("748:750:", "748:751:", false);       /* 750 had not begun */
    expect_covers("748:750:", "748:752:750,751", true); /* and was not seen before either */
}
END_TEST

#define WIDTH 40

/* A snapshot over base..base+WIDTH, as text and as the set of what it sees. */
struct model {
    xid64_t base;
    bool sees[WIDTH];
    struct snapshot snapshot;
};

static void roll_model(uint64_t *dice, xid64_t base, struct model *model)
{
    struct buf text = {0};
    xid64_t xmin = base + dice_below(dice, WIDTH), xmax = xmin;
    xmax += dice_below(dice, (uint32_t)(base + WIDTH - xmin) + 1);
    buf_append_format(&text, "%" PRIu64 ":%" PRIu64 ":", xmin, xmax);
    uint32_t busy = 1 + dice_below(dice, 8);
    const char *separator = "";
    for (xid64_t xid = base; xid < base + WIDTH; xid++) {
        bool in_progress = xid >= xmin && xid < xmax && dice_one_in(dice, busy);
        model->sees[xid - base] = xid < xmax && !in_progress;
        if (in_progress) {
            buf_append_format(&text, "%s%" PRIu64, separator, xid);
            separator = ",";
        }
    }
    model->base = base;
    model->snapshot = parse(buf_text(&text));
    buf_free(&text);
}

static bool model_covers(const struct model *newer, const struct model *older)
{
    for (int i = 0; i < WIDTH; i++)
        if (older->sees[i] && !newer->sees[i])
            return false;
    return true;
}

START_TEST(sees_and_covers_agree_with_sets)
{
    static const xid64_t BASES[] = {3, 4294967270, 4294967296, 12884901870, 1ULL << 62};
    uint64_t dice = dice_seed();
    int covered = 0;
    for (int round = 0; round < 3000; round++) {
        struct model a, b;
        xid64_t base = BASES[dice_below(&dice, UNIT_COUNT(BASES))];
        roll_model(&dice, base, &a);
        roll_model(&dice, base, &b);
        for (xid64_t xid = base; xid < base + WIDTH; xid++) {
            bool seen = a.sees[xid - base];
            ck_assert_msg(snapshot_sees(&a.snapshot, xid) == seen, "round %d", round);
            ck_assert_msg(snapshot_sees_xid(&a.snapshot, (xid_t)xid) == seen, "round %d",
                          round);
        }
        bool expected = model_covers(&a, &b);
        covered += expected;
        ck_assert_msg(snapshot_covers(&a.snapshot, &b.snapshot) == expected, "round %d", round);
        snapshot_free(&a.snapshot);
        snapshot_free(&b.snapshot);
    }
    ck_assert_int_gt(covered, 150); /* both answers were put to the test */
    ck_assert_int_lt(covered, 2850);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_snapshot_is_xmin_xmax_and_the_list_between,
        what_is_no_snapshot_is_refused,
        an_exported_snapshot_sees_all_below_its_xmin,
        a_transaction_is_seen_when_it_had_ended,
        a_32_bit_xid_is_the_one_nearest_to_the_snapshot,
        a_later_snapshot_covers_an_earlier_one,
        a_snapshot_that_lacks_a_commit_does_not_cover,
        sees_and_covers_agree_with_sets,
    };
    return unit_run("snapshot", tests, UNIT_COUNT(tests));
}
