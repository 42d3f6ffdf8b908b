/* Metrics: the exposition format, and what is left out. */
#include "observe/metrics.h"
#include "picture.h"
#include "unit.h"

static char *render(struct status *status)
{
    struct buf out = {0};
    gates_evaluate(status);
    metrics_render(status, &out);
    return buf_steal(&out);
}

static void assert_line(const char *text, const char *line)
{
    char *whole = mem_format("\n%s\n", line);
    ck_assert_msg(strstr(text, whole) != NULL, "no line: %s", line);
    free(whole);
}

START_TEST(samples_stand_under_their_help_and_type)
{
    struct status status = picture_of_health();
    char *text = render(&status);
    assert_line(text, "# HELP slackwater_lag_bytes WAL bytes of the source not yet applied.\n"
                      "# TYPE slackwater_lag_bytes gauge\n"
                      "slackwater_lag_bytes{migration=\"shop\"} 72");
    assert_line(text, "slackwater_lag_seconds{migration=\"shop\"} 0.012");
    assert_line(text, "slackwater_ready{migration=\"shop\"} 1");
    assert_line(text, "slackwater_gate{migration=\"shop\",gate=\"backfill\"} 1");
    assert_line(text, "slackwater_phase{migration=\"shop\",phase=\"streaming\"} 1");
    assert_line(text, "slackwater_phase{migration=\"shop\",phase=\"backfill\"} 0");
    assert_line(text, "slackwater_backfill_waiting{migration=\"shop\",reason=\"paused\"} 0");
    assert_line(
        text,
        "slackwater_table_applied_total{migration=\"shop\",source=\"public.users\",target=\"app.accounts\"} 50\n"
        "slackwater_table_applied_total{migration=\"shop\",source=\"public.orders\",target=\"app.orders\"} 50");
    free(text);
    status_free(&status);
}
END_TEST

/* Every line is a comment about the family that follows, or a sample of the family before it;
 * no family comes twice; a counter's name ends with _total. */
START_TEST(every_family_is_whole_and_comes_once)
{
    struct status status = picture_of_health();
    char *text = render(&status), *rest = NULL;
    char family[128] = "", type[16];
    size_t families = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[128];
        if (sscanf(line, "# HELP %127s", name) == 1) {
            char *again = strstr(rest, line);
            ck_assert_msg(!again, "twice: %s", line);
            strcpy(family, name);
            families++;
        } else if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
            ck_assert_str_eq(name, family);
            bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
            ck_assert_msg(total == (strcmp(type, "counter") == 0), "%s is a %s", name, type);
        } else {
            ck_assert_int_eq(sscanf(line, "%127[a-z_]{migration=\"shop\"", name), 1);
            ck_assert_str_eq(name, family);
        }
    }
    ck_assert_uint_gt(families, 50);
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(what_is_not_known_has_no_sample)
{
    struct status status = picture_of_health();
    status.lag.known = status.slot.known = false;
    status.tables[0].estimated_rows = -1;
    char *text = render(&status);
    ck_assert_ptr_null(strstr(text, "slackwater_lag_seconds"));
    ck_assert_ptr_null(strstr(text, "slackwater_slot_"));
    ck_assert_ptr_null(strstr(text, "slackwater_source_replica_lag"));
    ck_assert_ptr_null(strstr(text, "slackwater_table_estimated_rows{migration=\"shop\",source="
                                    "\"public.users\""));
    assert_line(
        text,
        "slackwater_table_estimated_rows{migration=\"shop\",source=\"public.orders\",target="
        "\"app.orders\"} 1100");
    assert_line(text, "slackwater_gate{migration=\"shop\",gate=\"slot\"} 0");
    assert_line(text, "slackwater_ready{migration=\"shop\"} 0");
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(label_values_are_escaped)
{
    struct status status = picture_of_health();
    free(status.tables[0].source);
    status.tables[0].source = mem_string("a\"b\\c\nd\xE9");
    char *text = render(&status);
    assert_line(text,
                "slackwater_table_inserts_total{migration=\"shop\",source=\"a\\\"b\\\\c\\nd"
                "\xEF\xBF\xBD\",target=\"app.accounts\"} 30");
    free(text);
    status_free(&status);
}
END_TEST

START_TEST(large_counters_keep_their_last_digit)
{
    struct status status = picture_of_health();
    status.bytes_received = 9007199254740991;
    char *text = render(&status);
    assert_line(text, "slackwater_received_bytes_total{migration=\"shop\"} 9007199254740991");
    free(text);
    status_free(&status);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        samples_stand_under_their_help_and_type, every_family_is_whole_and_comes_once,
        what_is_not_known_has_no_sample,         label_values_are_escaped,
        large_counters_keep_their_last_digit,
    };
    return unit_run("metrics", tests, UNIT_COUNT(tests));
}
