/* The pen: lines never wider than the terminal, and no control byte but its own colours. */
#include "observe/pen.h"
#include "observe/text.h"
#include "unit.h"

#include <string.h>

static const struct pen_style plain = {.width = 40, .unicode = true};

static void assert_drawn(struct pen *pen, const char *expected)
{
    ck_assert_str_eq(buf_text(pen->out), expected);
    buf_free(pen->out);
}

START_TEST(text_is_cut_at_the_edge_of_the_terminal)
{
    struct buf out = {0};
    struct pen pen = pen_new(&out, plain);
    for (int i = 0; i < 30; i++)
        pen_put(&pen, PEN_PLAIN, "漢字");
    ck_assert_int_le(text_width(buf_text(&out)), 40);
    ck_assert_int_ge(text_width(buf_text(&out)), 39);
    pen_end(&pen);
    pen_put(&pen, PEN_PLAIN, "next");
    ck_assert_str_eq(strchr(buf_text(&out), '\n'), "\nnext");
    buf_free(&out);
}
END_TEST

START_TEST(a_terminal_is_at_least_forty_columns_wide)
{
    struct buf out = {0};
    struct pen pen = pen_new(&out, (struct pen_style){.width = 3});
    pen_put(&pen, PEN_PLAIN, "a line of some words");
    assert_drawn(&pen, "a line of some words");
}
END_TEST

START_TEST(control_bytes_do_not_reach_the_terminal)
{
    struct buf out = {0};
    struct pen pen = pen_new(&out, plain);
    pen_format(&pen, PEN_WARN, "%s", "a\033[2Jb\nc");
    assert_drawn(&pen, "a?[2Jb?c");
}
END_TEST

START_TEST(a_colour_ends_with_its_text)
{
    struct buf out = {0};
    struct pen pen = pen_new(&out, (struct pen_style){.width = 40, .color = true});
    pen_put(&pen, PEN_GOOD, "GO");
    pen_put(&pen, PEN_PLAIN, " now");
    pen_put(&pen, PEN_BAD, "");
    assert_drawn(&pen, "\033[1;32mGO\033[0m now");
}
END_TEST

START_TEST(cells_stand_in_their_columns)
{
    struct buf out = {0};
    struct pen pen = pen_new(&out, plain);
    pen_cell(&pen, PEN_PLAIN, 4, "ab");
    pen_cell(&pen, PEN_PLAIN, 4, "abcdef");
    pen_cell_right(&pen, PEN_PLAIN, 4, "7");
    pen_cell_right(&pen, PEN_PLAIN, 4, "1234567");
    assert_drawn(&pen, " ab   abc…    7 123…");
}
END_TEST

START_TEST(a_bar_is_as_wide_whatever_is_done)
{
    static const struct {
        double fraction;
        const char *fine, *coarse;
    } bars[] = {
        {0, "░░░░", "...."}, {0.5, "██░░", "##.."}, {0.6, "██▍░", "##.."}, {1, "████", "####"}};
    for (size_t i = 0; i < UNIT_COUNT(bars); i++) {
        struct buf out = {0};
        struct pen fine = pen_new(&out, plain);
        pen_bar(&fine, 4, bars[i].fraction);
        assert_drawn(&fine, bars[i].fine);
        struct pen coarse = pen_new(&out, (struct pen_style){.width = 40});
        pen_bar(&coarse, 4, bars[i].fraction);
        assert_drawn(&coarse, bars[i].coarse);
    }
}
END_TEST

START_TEST(long_text_wraps_below_its_beginning)
{
    struct buf out = {0};
    struct pen pen = pen_new(&out, plain);
    pen_wrapped(&pen, PEN_PLAIN, 2, "why ", "the quick brown fox jumps over the lazy dog");
    pen_wrapped(&pen, PEN_PLAIN, 2, "why ", "");
    assert_drawn(&pen, "  why the quick brown fox jumps over the\n"
                       "      lazy dog\n");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        text_is_cut_at_the_edge_of_the_terminal,
        a_terminal_is_at_least_forty_columns_wide,
        control_bytes_do_not_reach_the_terminal,
        a_colour_ends_with_its_text,
        cells_stand_in_their_columns,
        a_bar_is_as_wide_whatever_is_done,
        long_text_wraps_below_its_beginning,
    };
    return unit_run("pen", tests, UNIT_COUNT(tests));
}
