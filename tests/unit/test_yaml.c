/* YAML: the tree, and what is said where about each mistake. */
#include "base/buf.h"
#include "base/yaml.h"
#include "unit.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct yaml_node *load(const char *text)
{
    struct yaml_node *root = NULL;
    struct err err = {0};
    if (!yaml_load("c.yaml", text, strlen(text), &root, &err))
        ck_abort_msg("%s: %s", text, err.message);
    return root;
}

/* What the loader says about a text that it must refuse. */
static const char *refusal(const char *text)
{
    static struct err err;
    struct yaml_node *root = NULL;
    err_clear(&err);
    ck_assert_msg(!yaml_load("c.yaml", text, strlen(text), &root, &err), "took %s", text);
    ck_assert_ptr_null(root);
    ck_assert_int_eq(err.class, ERR_CONFIG);
    return err.message;
}

START_TEST(a_document_is_a_tree_with_places)
{
    struct yaml_node *root = load("# a comment\n"
                                  "source: { dsn: \"x y\" }\n"
                                  "tables:\n"
                                  "  - one\n"
                                  "  -   'two'\n");
    ck_assert_int_eq(root->kind, YAML_MAPPING);
    ck_assert_uint_eq(root->count, 2);
    const struct yaml_node *dsn = yaml_get(yaml_get(root, "source"), "dsn");
    ck_assert_str_eq(dsn->text, "x y");
    ck_assert(dsn->quoted);
    ck_assert_int_eq(dsn->line, 2);
    ck_assert_int_eq(dsn->column, 16);
    ck_assert_str_eq(dsn->file, "c.yaml");
    const struct yaml_node *tables = yaml_get(root, "tables");
    ck_assert_int_eq(tables->kind, YAML_SEQUENCE);
    ck_assert_uint_eq(tables->count, 2);
    ck_assert(!tables->items[0]->quoted && tables->items[1]->quoted);
    ck_assert_int_eq(tables->items[1]->line, 5);
    ck_assert_int_eq(tables->items[1]->column, 7);
    ck_assert_ptr_null(yaml_get(root, "target"));
    ck_assert_ptr_null(yaml_get(NULL, "target"));
    ck_assert_ptr_null(yaml_get(tables, "one"));
    yaml_free(root);
    yaml_free(NULL);
}
END_TEST

START_TEST(an_empty_document_is_an_empty_mapping)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n", "\n\n", "--- ~\n...\n"};
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        struct yaml_node *root = load(texts[i]);
        ck_assert_int_eq(root->kind, YAML_MAPPING);
        ck_assert_uint_eq(root->count, 0);
        yaml_free(root);
    }
}
END_TEST

START_TEST(what_is_not_plain_yaml_is_refused_with_its_place)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"a: 1\nb: 2\na: 3\n",
         "c.yaml:3:1: the key \"a\" stands twice; it was first set at line 1"},
        {"a: {x: 1, y: 2, 'x': 3}",
         "c.yaml:1:17: the key \"x\" stands twice; it was first set at line 1"},
        {"a: &here 1\n",
         "c.yaml:1:4: found the anchor &here; anchors and aliases are not supported"},
        {"a: [&l x]\n",
         "c.yaml:1:5: found the anchor &l; anchors and aliases are not supported"},
        {"a: *here\n", "c.yaml:1:4: found an alias; anchors and aliases are not supported"},
        {"*x : 1\n", "c.yaml:1:1: found an alias; anchors and aliases are not supported"},
        {"a: !!str 1\n",
         "c.yaml:1:4: found the tag tag:yaml.org,2002:str; tags are not supported"},
        {"a: !x {}\n", "c.yaml:1:4: found the tag !x; tags are not supported"},
        {"a: !x []\n", "c.yaml:1:4: found the tag !x; tags are not supported"},
        {"a: 1\n---\nb: 2\n", "c.yaml:2:1: found a second document; expected one"},
        {"{a: 1}: 2\n", "c.yaml:1:1: found a mapping as a key; expected a word"},
        {"? [a]\n: 2\n", "c.yaml:1:3: found a list as a key; expected a word"},
        {"a: \"x\\0y\"\n", "c.yaml:1:4: found a NUL character in a value"},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        ck_assert_str_eq(refusal(rows[i].text), rows[i].message);
}
END_TEST

START_TEST(text_that_does_not_parse_is_refused_with_its_place)
{
    static const struct {
        const char *text;
        const char *place;
    } rows[] = {
        {"a: [1, 2\n", "c.yaml:2:1: "},    {"a: b: c\n", "c.yaml:1:5: "},
        {"\ta: 1\n", "c.yaml:1:1: "},      {"a: 'x\n", "c.yaml:2:1: "},
        {"a: \xFF\n", "c.yaml: byte 3: "},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        const char *message = refusal(rows[i].text);
        ck_assert_msg(strncmp(message, rows[i].place, strlen(rows[i].place)) == 0, "%s",
                      message);
        ck_assert_uint_gt(strlen(message), strlen(rows[i].place));
    }
}
END_TEST

static char *nested(size_t levels)
{
    struct buf text = {0};
    for (size_t i = 0; i < levels - 1; i++)
        buf_append_char(&text, '[');
    buf_append_char(&text, '1');
    for (size_t i = 0; i < levels - 1; i++)
        buf_append_char(&text, ']');
    return buf_steal(&text);
}

START_TEST(nesting_has_a_limit)
{
    char *deep = nested(64), *deeper = nested(65), *absurd = nested(5000);
    yaml_free(load(deep));
    ck_assert_str_eq(refusal(deeper), "c.yaml:1:65: more than 64 levels of nesting");
    refusal(absurd);
    free(deep);
    free(deeper);
    free(absurd);
}
END_TEST

START_TEST(the_number_of_values_has_a_limit)
{
    struct buf text = {0};
    struct yaml_node *root = NULL;
    struct err err;
    buf_append_char(&text, '[');
    for (size_t i = 0; i < 1000000; i++)
        buf_append_text(&text, "1,");
    buf_append_char(&text, ']');
    ck_assert(!yaml_load("c.yaml", text.data, text.size, &root, &err));
    ck_assert_str_eq(err.message, "c.yaml:1:2000000: more than 1000000 values in one file");
    buf_free(&text);
}
END_TEST

START_TEST(many_keys_are_compared_in_time)
{
    struct buf text = {0};
    for (int i = 0; i < 100000; i++)
        buf_append_format(&text, "k%d: v\n", i);
    struct yaml_node *root = load(buf_text(&text));
    ck_assert_uint_eq(root->count, 100000);
    yaml_free(root);
    buf_append_text(&text, "k77: v\n");
    ck_assert_str_eq(
        refusal(buf_text(&text)),
        "c.yaml:100001:1: the key \"k77\" stands twice; it was first set at line 78");
    buf_free(&text);
}
END_TEST

START_TEST(a_file_above_sixteen_megabytes_is_refused)
{
    size_t size = ((size_t)16 << 20) + 1;
    char *text = malloc(size);
    struct yaml_node *root = NULL;
    struct err err;
    memset(text, ' ', size);
    ck_assert(yaml_load("c.yaml", text, size - 1, &root, &err));
    yaml_free(root);
    ck_assert(!yaml_load("c.yaml", text, size, &root, &err));
    ck_assert_str_eq(err.message, "c.yaml: larger than 16 MiB");
    free(text);
}
END_TEST

START_TEST(references_are_replaced_wherever_a_scalar_stands)
{
    setenv("TIDE", "low", 1);
    setenv("EMPTY", "", 1);
    unsetenv("UNSET");
    static const struct {
        const char *text;
        const char *value;
    } rows[] = {
        {"a: ${TIDE}", "low"},
        {"a: \"${TIDE}\"", "low"},
        {"a: '${TIDE} and ${TIDE}!'", "low and low!"},
        {"a: |-\n  x ${TIDE}", "x low"},
        {"a: ${UNSET:-high}", "high"},
        {"a: ${UNSET:-}", ""},
        {"a: ${EMPTY:-high}", "high"},
        {"a: x${EMPTY}y", "xy"},
        {"a: ${TIDE:-high}", "low"},
        {"a: $${TIDE}", "${TIDE}"},
        {"a: $$${TIDE}", "$${TIDE}"},
        {"a: cost $5 and {x} $", "cost $5 and {x} $"},
        {"a: ${UNSET:-postgres://u:p@h/d?a=b}", "postgres://u:p@h/d?a=b"},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct yaml_node *root = load(rows[i].text);
        ck_assert_str_eq(yaml_get(root, "a")->text, rows[i].value);
        yaml_free(root);
    }
    struct yaml_node *root = load("${TIDE}: 1");
    ck_assert_ptr_nonnull(yaml_get(root, "low"));
    yaml_free(root);
}
END_TEST

START_TEST(a_value_of_the_environment_is_no_yaml)
{
    setenv("TIDE", "a: [b, ${TIDE}]\n- c", 1);
    struct yaml_node *root = load("a: ${TIDE}");
    ck_assert_str_eq(yaml_get(root, "a")->text, "a: [b, ${TIDE}]\n- c");
    yaml_free(root);
}
END_TEST

START_TEST(a_reference_that_names_nothing_is_refused)
{
    unsetenv("UNSET");
    ck_assert_str_eq(refusal("a: 1\nb: x${UNSET}"),
                     "c.yaml:2:4: the environment variable UNSET is not set");
    static const char *const broken[] = {"a: ${TIDE", "a: ${}",    "a: ${1A}", "a: ${A B}",
                                         "a: ${A:x}", "a: ${:-x}", "a: ${A-x}"};
    for (size_t i = 0; i < UNIT_COUNT(broken); i++)
        ck_assert_str_eq(refusal(broken[i]),
                         "c.yaml:1:4: found \"${\" that begins no reference; expected ${NAME} "
                         "or ${NAME:-default}");
}
END_TEST

START_TEST(an_unknown_key_is_told_the_nearest_known_one)
{
    static const char *const known[] = {"workers", "chunk_rows", "order", NULL};
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"worker: 1",
         "c.yaml:1:1: unknown key \"worker\" in backfill; did you mean \"workers\"?"},
        {"order: x\nchunkrows: 1",
         "c.yaml:2:1: unknown key \"chunkrows\" in backfill; did you mean \"chunk_rows\"?"},
        {"rodre: 1", "c.yaml:1:1: unknown key \"rodre\" in backfill; did you mean \"order\"?"},
        {"zebra: 1", "c.yaml:1:1: unknown key \"zebra\" in backfill; known are workers, "
                     "chunk_rows and order"},
        {"[1]", "c.yaml:1:1: found a list; expected a mapping for backfill"},
        {"hm", "c.yaml:1:1: found \"hm\"; expected a mapping for backfill"},
    };
    struct err err;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct yaml_node *root = load(rows[i].text);
        ck_assert(!yaml_check_keys(root, "backfill", known, &err));
        ck_assert_str_eq(err.message, rows[i].message);
        ck_assert_int_eq(err.class, ERR_CONFIG);
        yaml_free(root);
    }
    struct yaml_node *root = load("order: 1\nworkers: 2");
    ck_assert(yaml_check_keys(root, "backfill", known, &err));
    yaml_free(root);
}
END_TEST

START_TEST(nearest_knows_slips_of_the_hand_from_other_words)
{
    static const char *const words[] = {"source", "target", "tables", "on_bad_row", NULL};
    ck_assert_str_eq(yaml_nearest("suorce", words), "source");
    ck_assert_str_eq(yaml_nearest("Source", words), "source");
    ck_assert_str_eq(yaml_nearest("table", words), "tables");
    ck_assert_str_eq(yaml_nearest("on-bad-row", words), "on_bad_row");
    ck_assert_ptr_null(yaml_nearest("xyz", words));
    ck_assert_ptr_null(yaml_nearest("", words));
    ck_assert_ptr_null(yaml_nearest("a", words));
    static const char *const letters[] = {"y", "xy", NULL};
    ck_assert_ptr_null(yaml_nearest("z", letters));
    ck_assert_str_eq(yaml_nearest("xyz", letters), "xy");
    char *endless = calloc(1, 5000);
    memset(endless, 's', 4999);
    ck_assert_ptr_null(yaml_nearest(endless, words));
    free(endless);
}
END_TEST

/* Each typed reader takes the values of the list `good` and refuses those of `bad`. */
static const struct yaml_node *item(const struct yaml_node *root, const char *list, size_t i)
{
    const struct yaml_node *values = yaml_get(root, list);
    return i < values->count ? values->items[i] : NULL;
}

START_TEST(truth_values_are_bare_words)
{
    struct yaml_node *root = load("good: [true, yes, on, True, false, no, off, FALSE]\n"
                                  "bad: [\"true\", 1, maybe, ~, [], {}]");
    struct err err;
    for (size_t i = 0; item(root, "good", i); i++) {
        bool value = i >= 4;
        ck_assert(yaml_bool(item(root, "good", i), &value, &err));
        ck_assert_int_eq(value, i < 4);
    }
    for (size_t i = 0; item(root, "bad", i); i++) {
        bool value = true;
        ck_assert(!yaml_bool(item(root, "bad", i), &value, &err));
        ck_assert(value);
    }
    yaml_bool(item(root, "bad", 0), &(bool){0}, &err);
    ck_assert_str_eq(err.message,
                     "c.yaml:2:7: found \"true\" in quotes; expected true or false");
    yaml_free(root);
}
END_TEST

START_TEST(whole_numbers_are_whole_and_within_their_bounds)
{
    struct yaml_node *root =
        load("good: [1, 10, +7, '5', 08]\n"
             "bad: [0, 11, 1.0, x, '', 0x5, ~, 99999999999999999999, 1-, [1]]");
    static const long expected[] = {1, 10, 7, 5, 8};
    struct err err;
    long value;
    for (size_t i = 0; item(root, "good", i); i++) {
        ck_assert(yaml_int(item(root, "good", i), 1, 10, &value, &err));
        ck_assert_int_eq(value, expected[i]);
    }
    for (size_t i = 0; item(root, "bad", i); i++)
        ck_assert_msg(!yaml_int(item(root, "bad", i), 1, 10, &value, &err), "%zu", i);
    ck_assert(!yaml_int(item(root, "bad", 1), 1, 10, &value, &err));
    ck_assert_str_eq(err.message,
                     "c.yaml:2:10: found \"11\"; expected a whole number from 1 to 10");
    ck_assert(!yaml_int(item(root, "bad", 0), 1, LONG_MAX, &value, &err));
    ck_assert_str_eq(err.message,
                     "c.yaml:2:7: found \"0\"; expected a whole number of at least 1");
    ck_assert(yaml_int(item(root, "bad", 0), LONG_MIN, LONG_MAX, &value, &err));
    ck_assert(!yaml_int(item(root, "bad", 7), LONG_MIN, LONG_MAX, &value, &err));
    yaml_free(root);
}
END_TEST

START_TEST(real_numbers_are_finite_decimals)
{
    struct yaml_node *root = load("good: [0.001, 1, 1e-3, .5, -0]\n"
                                  "bad: [nan, inf, 0x1p3, '', 1.5, -0.1, 1e999, 1e, ~]");
    struct err err;
    double value;
    for (size_t i = 0; item(root, "good", i); i++)
        ck_assert_msg(yaml_real(item(root, "good", i), 0, 1, &value, &err), "%zu", i);
    for (size_t i = 0; item(root, "bad", i); i++)
        ck_assert_msg(!yaml_real(item(root, "bad", i), 0, 1, &value, &err), "%zu", i);
    ck_assert(!yaml_real(item(root, "bad", 6), 0, HUGE_VAL, &value, &err)); /* 1e999 */
    ck_assert(!yaml_real(item(root, "bad", 4), 0, 1, &value, &err));
    ck_assert_str_eq(err.message, "c.yaml:2:28: found \"1.5\"; expected a number from 0 to 1");
    yaml_free(root);
}
END_TEST

START_TEST(quantities_name_their_unit)
{
    struct yaml_node *root = load("lag: 5s\nrows: 5\nsize: 64kB\nbad: 5s5");
    long long usec;
    unsigned long long bytes;
    struct err err;
    ck_assert(yaml_duration(yaml_get(root, "lag"), &usec, &err));
    ck_assert_int_eq(usec, 5000000);
    ck_assert(!yaml_duration(yaml_get(root, "rows"), &usec, &err));
    ck_assert_str_eq(err.message, "c.yaml:2:7: found \"5\"; expected a duration with its unit, "
                                  "such as 250ms, 5s, 2m, 1h or 1d");
    ck_assert(yaml_size(yaml_get(root, "size"), &bytes, &err));
    ck_assert_uint_eq(bytes, 65536);
    ck_assert(!yaml_size(yaml_get(root, "bad"), &bytes, &err));
    ck_assert_str_eq(err.message,
                     "c.yaml:4:6: found \"5s5\"; expected a size, such as 64kB, 16MB or 1GB");
    yaml_free(root);
}
END_TEST

START_TEST(text_is_anything_but_null_and_trees)
{
    struct yaml_node *root =
        load("good: [5, true, 'null', \"\", x y]\nbad: [null, ~, {a: 1}, []]");
    const char *text;
    struct err err;
    for (size_t i = 0; item(root, "good", i); i++)
        ck_assert(yaml_text(item(root, "good", i), &text, &err));
    ck_assert_str_eq(text, "x y");
    for (size_t i = 0; item(root, "bad", i); i++)
        ck_assert(!yaml_text(item(root, "bad", i), &text, &err));
    ck_assert(!yaml_text(NULL, &text, &err));
    ck_assert_int_eq(err.class, ERR_CONFIG);
    yaml_free(root);
}
END_TEST

START_TEST(null_is_a_bare_word)
{
    struct yaml_node *root =
        load("yes: [null, ~, Null, ]\nno: ['null', '~', \"\", nul, 0, [], {}]\n"
             "nothing:\n");
    for (size_t i = 0; item(root, "yes", i); i++)
        ck_assert(yaml_is_null(item(root, "yes", i)));
    for (size_t i = 0; item(root, "no", i); i++)
        ck_assert(!yaml_is_null(item(root, "no", i)));
    ck_assert(yaml_is_null(yaml_get(root, "nothing")));
    ck_assert(!yaml_is_null(NULL));
    yaml_free(root);
}
END_TEST

START_TEST(a_secret_in_the_wrong_place_is_not_shown)
{
    setenv("SECRET", "hunter2", 1);
    struct yaml_node *root = load("workers: ${SECRET}");
    struct err err;
    ck_assert(!yaml_int(yaml_get(root, "workers"), 1, 10, &(long){0}, &err));
    ck_assert_ptr_null(strstr(err.message, "hunter2"));
    ck_assert_ptr_nonnull(strstr(err.message, "c.yaml:1:10: "));
    yaml_free(root);
}
END_TEST

/* Writes a temporary file and returns its path. */
static const char *temporary(const void *content, size_t size)
{
    static char path[64];
    strcpy(path, "/tmp/slackwater-unit-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
    close(fd);
    return path;
}

/* What `dsn: file:PATH` gives for a file of this content; NULL when it is refused. */
static char *text_of_file(const void *content, size_t size, struct err *err)
{
    char document[128], *text = NULL;
    const char *path = temporary(content, size);
    snprintf(document, sizeof(document), "dsn: file:%s", path);
    struct yaml_node *root = load(document);
    if (!yaml_text_or_file(yaml_get(root, "dsn"), &text, err))
        text = NULL;
    yaml_free(root);
    unlink(path);
    return text;
}

START_TEST(a_file_scalar_is_the_files_content_without_its_last_newline)
{
    static const struct {
        const char *content, *text;
    } rows[] = {{"host=a", "host=a"},
                {"host=a\n", "host=a"},
                {"host=a\r\n", "host=a"},
                {"a\n\n", "a\n"},
                {"", ""},
                {"\n", ""},
                {"${HOME}", "${HOME}"}};
    struct err err;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char *text = text_of_file(rows[i].content, strlen(rows[i].content), &err);
        ck_assert_str_eq(text, rows[i].text);
        free(text);
    }
    ck_assert_ptr_null(text_of_file("a\0b", 3, &err));
    ck_assert_ptr_nonnull(strstr(err.message, "holds a NUL character"));
}
END_TEST

START_TEST(a_file_scalar_that_cannot_be_read_is_refused_with_its_place)
{
    struct yaml_node *root = load("dsn: file:/nowhere/at/all\nplain: host=a");
    struct err err;
    char *text = NULL;
    ck_assert(!yaml_text_or_file(yaml_get(root, "dsn"), &text, &err));
    ck_assert_str_eq(err.message,
                     "c.yaml:1:6: /nowhere/at/all: cannot open it: No such file or "
                     "directory");
    ck_assert(yaml_text_or_file(yaml_get(root, "plain"), &text, &err));
    ck_assert_str_eq(text, "host=a");
    free(text);
    yaml_free(root);
}
END_TEST

START_TEST(a_document_is_loaded_from_a_file)
{
    const char *path = temporary("a: 1\n", 5);
    struct yaml_node *root = NULL;
    struct err err;
    ck_assert(yaml_load_file(path, &root, &err));
    ck_assert_str_eq(root->file, path);
    ck_assert_str_eq(yaml_get(root, "a")->text, "1");
    yaml_free(root);
    unlink(path);
    ck_assert(!yaml_load_file(path, &root, &err));
    ck_assert_int_eq(err.class, ERR_CONFIG);
    ck_assert(!yaml_load_file("/tmp", &root, &err));
    ck_assert_str_eq(err.message, "/tmp: cannot read it: Is a directory");
}
END_TEST

/* Whatever a byte becomes, the loader says yes or no and leaves nothing behind. */
START_TEST(broken_bytes_do_not_break_the_loader)
{
    static const char whole[] = "migration: shop\nsource: { dsn: \"${TIDE:-x}\" }\n"
                                "tables:\n  - source: public.users\n    key: [a, 'b']\n"
                                "    columns:\n      x: { map: { a: b }, default: ~ }\n"
                                "text: |\n  one\n  two\n";
    char text[sizeof(whole)];
    unsigned state = 1, taken = 0;
    for (int round = 0; round < 20000; round++) {
        struct yaml_node *root = NULL;
        struct err err = {0};
        memcpy(text, whole, sizeof(whole));
        for (int change = 0; change < 1 + round % 3; change++) {
            state = state * 1664525u + 1013904223u;
            text[(state >> 8) % (sizeof(whole) - 1)] = (char)(state >> 24);
        }
        if (yaml_load("c.yaml", text, sizeof(whole) - 1, &root, &err))
            taken++;
        else
            ck_assert_int_eq(err.class, ERR_CONFIG);
        yaml_free(root);
    }
    ck_assert_uint_gt(taken, 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_document_is_a_tree_with_places,
        an_empty_document_is_an_empty_mapping,
        what_is_not_plain_yaml_is_refused_with_its_place,
        text_that_does_not_parse_is_refused_with_its_place,
        nesting_has_a_limit,
        the_number_of_values_has_a_limit,
        many_keys_are_compared_in_time,
        a_file_above_sixteen_megabytes_is_refused,
        references_are_replaced_wherever_a_scalar_stands,
        a_value_of_the_environment_is_no_yaml,
        a_reference_that_names_nothing_is_refused,
        an_unknown_key_is_told_the_nearest_known_one,
        nearest_knows_slips_of_the_hand_from_other_words,
        truth_values_are_bare_words,
        whole_numbers_are_whole_and_within_their_bounds,
        real_numbers_are_finite_decimals,
        quantities_name_their_unit,
        text_is_anything_but_null_and_trees,
        null_is_a_bare_word,
        a_secret_in_the_wrong_place_is_not_shown,
        a_file_scalar_is_the_files_content_without_its_last_newline,
        a_file_scalar_that_cannot_be_read_is_refused_with_its_place,
        a_document_is_loaded_from_a_file,
        broken_bytes_do_not_break_the_loader,
    };
    return unit_run("yaml", tests, UNIT_COUNT(tests));
}
