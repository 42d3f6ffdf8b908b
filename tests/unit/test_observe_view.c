/* The terminal view: never wider than asked for, never a control byte, whatever the names. */
#include "observe/forecast.h"
#include "observe/text.h"
#include "observe/view.h"
#include "picture.h"
#include "unit.h"

static const struct pen_style plain = {.width = 80, .color = false, .unicode = true};

static char *draw(struct status *status, struct pen_style style)
{
    struct buf out = {0};
    gates_evaluate(status);
    json_t *document = status_to_json(status);
    view_status(document, style, &out);
    view_gates(document, style, &out);
    json_decref(document);
    return buf_steal(&out);
}

static void assert_lines_fit(char *text, int width)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        ck_assert_msg(text_width(line) <= width, "%d columns of %d: %s", text_width(line),
                      width, line);
        for (const char *byte = line; *byte; byte++)
            ck_assert_msg((unsigned char)*byte >= 0x20 && *byte != 0x7F, "control byte: %s",
                          line);
    }
}

static void add_tables(struct status *status, size_t count)
{
    status->tables =
        mem_grow(status->tables, status->table_count + count, sizeof *status->tables);
    for (size_t i = 0; i < count; i++) {
        char *name = mem_format("public.table_%03zu", i);
        status->tables[status->table_count++] = picture_table(name, name);
        free(name);
    }
}

START_TEST(the_picture_of_health_says_go)
{
    struct status status = picture_of_health();
    char *text = draw(&status, plain);
    static const char *const parts[] = {"shop",
                                        "streaming",
                                        "complete, 2,400 rows",
                                        "12 ms",
                                        "5 batches set-wise, 7 in order",
                                        "72 B",
                                        "public.users → app.accounts",
                                        "all 14 gates are GO",
                                        "16/B374D800"};
    for (size_t i = 0; i < UNIT_COUNT(parts); i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "%s", parts[i]);
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(what_is_parked_has_a_line)
{
    struct status status = picture_of_health();
    status.tables[0].dead_letters = 3;
    status.tables[0].parked_keys = 2;
    char *text = draw(&status, plain);
    ck_assert_ptr_nonnull(strstr(text, "parked"));
    ck_assert_ptr_nonnull(strstr(text, "3 changes of 2 keys  ·  slackwater dlq list"));
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(a_closed_gate_says_why_and_what_to_do)
{
    struct status status = picture_of_health();
    strcpy(status.slot.wal_status, "lost");
    char *text = draw(&status, plain);
    ck_assert_ptr_nonnull(strstr(text, "NO-GO   slot"));
    ck_assert_ptr_nonnull(strstr(text, "reason  the source has removed WAL"));
    ck_assert_ptr_nonnull(strstr(text, "remedy  the slot cannot be used"));
    ck_assert_ptr_nonnull(strstr(text, "NO-GO  13 of 14 gates are GO"));
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(no_line_is_wider_than_the_terminal)
{
    static const char *const names[] = {
        "public.a_name_of_sixty_three_bytes_which_is_as_long_as_postgres_allows",
        "public.漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
        "public.line\nbreak\ttab\x1b[31mred\x7f\xc2\x9bm",
        "public.caf\xE9\xFF\xFE",
        "public.e\xCC\x81\xCC\x81\xCC\x81 combining \xE2\x80\xAE right to left",
    };
    for (int width = 0; width < 200; width += 7)
        for (size_t i = 0; i < UNIT_COUNT(names); i++) {
            struct status status = picture_of_health();
            free(status.tables[0].source);
            free(status.migration);
            status.tables[0].source = mem_string(names[i]);
            status.migration = mem_string(names[i]);
            status.tables[0].insert_only = true;
            status.tables[0].unseen_writes = 1;
            snprintf(status.last_error, sizeof status.last_error, "%s", names[i]);
            struct pen_style style = {.width = width, .unicode = i % 2};
            char *text = draw(&status, style);
            assert_lines_fit(text, width < 40 ? 40 : width);
            free(text);
            status_free(&status);
        }
}
END_TEST

START_TEST(many_tables_are_capped_with_the_unfinished_first)
{
    struct status status = picture_of_health();
    add_tables(&status, 300);
    status.tables[200].copy = COPY_WAITING;
    status.tables[250].copy = COPY_RUNNING;
    char *text = draw(&status, plain);
    const char *running = strstr(text, "public.table_248"),
               *waiting = strstr(text, "table_198");
    const char *done = strstr(text, "public.users");
    ck_assert(running && waiting && done);
    ck_assert(running < waiting && waiting < done);
    ck_assert_ptr_nonnull(strstr(text, "+290 more"));
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(a_backfill_says_how_far_it_is_and_what_it_waits_for)
{
    struct status status = picture_of_health();
    status.phase = PHASE_BACKFILL;
    status.backfill_complete = false;
    status.backfill_rows_per_second = 110;
    status.backfill_bytes_per_second = 9000;
    status.tables[1].copy = COPY_RUNNING;
    status.tables[1].copied_rows = 300;
    status.tables[1].copied_bytes = 24576;
    status.tables[1].copy_rows_per_second = 100;
    status.tables[1].chunks_retried = 2;
    status_wait(&status, WAIT_REPLICA_LAG, true, "replica lag 7.2 s (replica1), at most 5 s");
    status_wait(&status, WAIT_RATE_LIMIT, false, "not now");
    forecast_fill(&status);
    char *text = draw(&status, plain);
    static const char *const parts[] = {"65 %  1,500 of 2,300 rows, 7.2 s left",
                                        "110 rows/s",
                                        "6 chunks, 2 copied again",
                                        "replica lag 7.2 s (replica1), at most 5 s",
                                        "rows       left",
                                        "        300        8 s"};
    for (size_t i = 0; i < UNIT_COUNT(parts); i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "%s in\n%s", parts[i], text);
    ck_assert_ptr_null(strstr(text, "not now"));
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(an_estimate_that_was_too_low_never_looks_done)
{
    struct status status = picture_of_health();
    status.backfill_complete = false;
    status.tables[0].copy = COPY_RUNNING;
    status.tables[0].copied_rows = 5000; /* of 1100 estimated */
    forecast_fill(&status);
    char *text = draw(&status, plain);
    ck_assert_ptr_nonnull(strstr(text, "99 %"));
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(colours_come_only_when_asked_for)
{
    struct status status = picture_of_health();
    char *text = draw(&status, plain);
    ck_assert_ptr_null(strchr(text, '\033'));
    free(text);
    text = draw(&status, (struct pen_style){.width = 80, .color = true, .unicode = true});
    ck_assert_ptr_nonnull(strstr(text, "\033[1;32mGO\033[0m"));
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(without_unicode_the_view_itself_is_ascii)
{
    struct status status = picture_of_health();
    char *text = draw(&status, (struct pen_style){.width = 60});
    for (const char *byte = text; *byte; byte++)
        ck_assert_msg((unsigned char)*byte < 0x80, "%s", byte);
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(a_document_without_members_is_drawn_with_dashes)
{
    struct buf out = {0};
    json_t *empty = json_object();
    view_status(empty, plain, &out);
    view_gates(empty, plain, &out);
    view_status(NULL, plain, &out);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "NO-GO  0 of 0"));
    json_decref(empty);
    buf_free(&out);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        the_picture_of_health_says_go,
        what_is_parked_has_a_line,
        a_closed_gate_says_why_and_what_to_do,
        no_line_is_wider_than_the_terminal,
        many_tables_are_capped_with_the_unfinished_first,
        a_backfill_says_how_far_it_is_and_what_it_waits_for,
        an_estimate_that_was_too_low_never_looks_done,
        colours_come_only_when_asked_for,
        without_unicode_the_view_itself_is_ascii,
        a_document_without_members_is_drawn_with_dashes,
    };
    return unit_run("view", tests, UNIT_COUNT(tests));
}
