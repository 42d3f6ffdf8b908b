/* COPY's two formats: what is written is read back, and nothing else is read at all. */
#include "base/arena.h"
#include "bytes.h"
#include "dice.h"
#include "postgres/copy_format.h"
#include "unit.h"

#define HEADER "'PGCOPY' 0A FF 0D 0A 00 00000000 00000000"
#define MOST_COLUMNS 8

/* A row to read into, and what came of it. */
struct trial {
    struct value values[MOST_COLUMNS];
    struct row row;
    struct err err;
};

static enum copy_read read_binary(struct trial *trial, const char *written, bool first,
                                  uint16_t columns)
{
    struct bytes bytes = bytes_of(written);
    *trial = (struct trial){.row = {.count = columns}};
    trial->row.values = trial->values;
    enum copy_read read =
        copy_read_binary(bytes.data, bytes.size, first, &trial->row, &trial->err);
    free(bytes.data);
    return read;
}

static void expect_binary_failure(const char *written, bool first, uint16_t columns)
{
    struct trial trial;
    ck_assert_msg(read_binary(&trial, written, first, columns) == COPY_FAILED, "%s", written);
    ck_assert_int_eq(trial.err.class, ERR_CORRUPT);
}

/* Reads a line of text; the caller frees *bytes, which the values borrow. */
static enum copy_read read_text(struct trial *trial, const char *line, size_t size,
                                uint16_t columns, struct bytes *bytes)
{
    *bytes = bytes_exact(line, size);
    *trial = (struct trial){.row = {.count = columns}};
    trial->row.values = trial->values;
    return copy_read_text(bytes->data, bytes->size, &trial->row, &trial->err);
}

static void expect_field(const char *line, const char *value)
{
    struct trial trial;
    struct bytes bytes;
    ck_assert_int_eq(read_text(&trial, line, strlen(line), 1, &bytes), COPY_ROW);
    ck_assert_int_eq(trial.values[0].kind, value ? VALUE_TEXT : VALUE_NULL);
    if (value) {
        ck_assert_uint_eq(trial.values[0].size, strlen(value));
        ck_assert_mem_eq(trial.values[0].data, value, strlen(value));
    }
    free(bytes.data);
}

static struct value text(const char *data)
{
    return (struct value){.kind = VALUE_TEXT, .data = data, .size = (uint32_t)strlen(data)};
}

/* ---- binary ---- */

START_TEST(a_binary_file_has_header_rows_and_trailer)
{
    struct value values[] = {{.kind = VALUE_BINARY, .data = "abc", .size = 3},
                             {.kind = VALUE_NULL},
                             {.kind = VALUE_BINARY, .data = "", .size = 0}};
    struct bytes expected = bytes_of(HEADER "0003 00000003 'abc' FFFFFFFF 00000000"
                                            "FFFF");
    struct buf out = {0};
    struct err err;
    copy_write_binary_header(&out);
    ck_assert(copy_write_binary(&(struct row){values, 3}, &out, &err));
    copy_write_binary_trailer(&out);
    ck_assert_uint_eq(out.size, expected.size);
    ck_assert_mem_eq(out.data, expected.data, expected.size);
    buf_free(&out);
    free(expected.data);
}
END_TEST

START_TEST(the_first_message_carries_the_header)
{
    struct trial trial;
    ck_assert_int_eq(read_binary(&trial, HEADER "0001 00000001 'x'", true, 1), COPY_ROW);
    ck_assert_int_eq(trial.values[0].kind, VALUE_BINARY);
    ck_assert_int_eq(read_binary(&trial, HEADER "FFFF", true, 1), COPY_TRAILER);
    ck_assert_int_eq(read_binary(&trial, "FFFF", false, 1), COPY_TRAILER);
    ck_assert_int_eq(
        read_binary(&trial, "'PGCOPY' 0A FF 0D 0A 00 00000000 00000002 'zz' 0000", true, 0),
        COPY_ROW); /* an extension of the header is passed over */
}
END_TEST

START_TEST(a_wrong_header_is_refused)
{
    expect_binary_failure("0001 00000001 'x'", true, 1);
    expect_binary_failure("'PGCOPY' 0A FF 0A 0A 00 00000000 00000000 0001 00000001 'x'", true,
                          1); /* a line end that somebody translated */
    expect_binary_failure("'PGCOPY' 0A FF 0D 0A 00 00000000 7FFFFFFF 0001 00000001 'x'", true,
                          1);
    expect_binary_failure(HEADER "0001 00000001 'x'", false, 1);
}
END_TEST

START_TEST(no_part_of_a_binary_row_is_taken_for_one)
{
    struct bytes whole = bytes_of(HEADER "0003 00000003 'abc' FFFFFFFF 00000000");
    for (size_t size = 0; size < whole.size; size++) {
        struct trial trial = {.row = {.count = 3}};
        struct bytes part = bytes_exact(whole.data, size);
        trial.row.values = trial.values;
        ck_assert_int_eq(copy_read_binary(part.data, size, true, &trial.row, &trial.err),
                         COPY_FAILED);
        ck_assert_int_eq(trial.err.class, ERR_CORRUPT);
        free(part.data);
    }
    free(whole.data);
}
END_TEST

START_TEST(binary_lengths_and_counts_that_do_not_add_up_are_refused)
{
    expect_binary_failure("0001 00000002 'x'", false, 1);
    expect_binary_failure("0001 7FFFFFFF 'x'", false, 1);
    expect_binary_failure("0001 FFFFFFFE 'x'", false, 1);
    expect_binary_failure("0001 00000001 'xy'", false, 1);
    expect_binary_failure("0001 00000001 'x'", false, 2);
    expect_binary_failure("0002 00000001 'x' 00000001 'y'", false, 1);
    expect_binary_failure("0000", false, 1);
}
END_TEST

/* ---- text ---- */

START_TEST(escapes_are_undone)
{
    static const struct {
        const char *line, *value;
    } rows[] = {
        {"plain\n", "plain"},
        {"no line end", "no line end"},
        {"\n", ""},
        {"\\N\n", NULL},
        {"\\\\N\n", "\\N"},
        {"\\N \n", "N "},
        {"a\\tb\\nc\\rd\\\\e\n", "a\tb\nc\rd\\e"},
        {"\\b\\f\\v\n", "\b\f\v"},
        {"\\x41\\101\n", "x41101"}, /* COPY TO never writes these */
        {"\\.\n", "."},
        {"caf\xC3\xA9\n", "caf\xC3\xA9"},
        {"lone\\\n", "lone\\"},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        expect_field(rows[i].line, rows[i].value);
}
END_TEST

START_TEST(fields_stand_between_tabs)
{
    struct trial trial;
    struct bytes bytes;
    ck_assert_int_eq(read_text(&trial, "a\t\t\\N\tend\n", 10, 4, &bytes), COPY_ROW);
    struct value a = text("a"), none = text(""), end = text("end");
    ck_assert(value_equal(&trial.values[0], &a));
    ck_assert(value_equal(&trial.values[1], &none));
    ck_assert_int_eq(trial.values[2].kind, VALUE_NULL);
    ck_assert(value_equal(&trial.values[3], &end));
    free(bytes.data);
}
END_TEST

START_TEST(a_text_row_of_the_wrong_width_is_refused)
{
    static const struct {
        const char *line;
        uint16_t columns;
    } rows[] = {{"a\n", 2}, {"a\tb\n", 1}, {"a\tb\tc\n", 2},
                {"\n", 2},  {"\t\n", 1},   {"a\n", 0}};
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct trial trial;
        struct bytes bytes;
        ck_assert_msg(read_text(&trial, rows[i].line, strlen(rows[i].line), rows[i].columns,
                                &bytes) == COPY_FAILED,
                      "row %zu", i);
        ck_assert_int_eq(trial.err.class, ERR_CORRUPT);
        free(bytes.data);
    }
}
END_TEST

START_TEST(a_value_is_written_with_its_escapes)
{
    struct value values[] = {
        text("a\tb\nc\rd\\e"), {.kind = VALUE_NULL}, text(""), text("\\N")};
    struct buf out = {0};
    struct err err;
    ck_assert(copy_write_text(&(struct row){values, 4}, &out, &err));
    ck_assert_str_eq(out.data, "a\\tb\\nc\\rd\\\\e\t\\N\t\t\\\\N\n");
    buf_free(&out);
}
END_TEST

/* ---- both ---- */

START_TEST(a_table_without_columns_has_rows_all_the_same)
{
    struct trial trial;
    struct bytes bytes;
    struct buf out = {0};
    struct err err;
    ck_assert(copy_write_text(&(struct row){NULL, 0}, &out, &err));
    ck_assert_str_eq(out.data, "\n");
    ck_assert_int_eq(read_text(&trial, out.data, out.size, 0, &bytes), COPY_ROW);
    free(bytes.data);
    buf_clear(&out);
    ck_assert(copy_write_binary(&(struct row){NULL, 0}, &out, &err));
    ck_assert_uint_eq(out.size, 2);
    ck_assert_int_eq(read_binary(&trial, "0000", false, 0), COPY_ROW);
    buf_free(&out);
}
END_TEST

START_TEST(a_value_that_is_not_of_the_format_is_a_bug)
{
    static const struct {
        enum value_kind kind;
        bool binary;
    } rows[] = {{VALUE_ABSENT, false},   {VALUE_ABSENT, true}, {VALUE_UNCHANGED, false},
                {VALUE_UNCHANGED, true}, {VALUE_TEXT, true},   {VALUE_BINARY, false}};
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct value values[] = {{.kind = VALUE_NULL}, {.kind = rows[i].kind, .data = ""}};
        struct row row = {values, 2};
        struct buf out = {0};
        struct err err = {0};
        ck_assert(!(rows[i].binary ? copy_write_binary(&row, &out, &err)
                                   : copy_write_text(&row, &out, &err)));
        ck_assert_int_eq(err.class, ERR_BUG);
        ck_assert_ptr_nonnull(strstr(err.message, "column 2"));
        buf_free(&out);
    }
}
END_TEST

/* Of the bytes that mean something to the text format there are many. */
static struct value random_value(uint64_t *dice, enum value_kind kind, struct arena *arena)
{
    static const char TELLING[] = "\\\t\n\r\b\f\vN.x\\";
    if (dice_one_in(dice, 4))
        return (struct value){.kind = VALUE_NULL};
    uint32_t size = dice_one_in(dice, 50) ? dice_below(dice, 5000) : dice_below(dice, 12);
    char *data = arena_alloc(arena, size);
    for (uint32_t i = 0; i < size; i++)
        data[i] = dice_one_in(dice, 2) ? TELLING[dice_below(dice, sizeof(TELLING) - 1)]
                                       : (char)dice_below(dice, 256);
    return (struct value){.kind = kind, .data = data, .size = size};
}

static enum copy_read write_and_read(const struct row *row, bool binary, struct trial *trial,
                                     struct bytes *bytes)
{
    struct buf out = {0};
    ck_assert(binary ? copy_write_binary(row, &out, &trial->err)
                     : copy_write_text(row, &out, &trial->err));
    *bytes = bytes_exact(out.data, out.size);
    buf_free(&out);
    *trial = (struct trial){.row = {.count = row->count}};
    trial->row.values = trial->values;
    return binary ? copy_read_binary(bytes->data, bytes->size, false, &trial->row, &trial->err)
                  : copy_read_text(bytes->data, bytes->size, &trial->row, &trial->err);
}

START_TEST(what_is_written_is_read_back)
{
    uint64_t dice = dice_seed();
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (int round = 0; round < 5000; round++) {
        bool binary = round % 2;
        struct value values[MOST_COLUMNS];
        struct row row = {values, (uint16_t)dice_below(&dice, MOST_COLUMNS + 1)};
        struct trial trial;
        struct bytes bytes;
        for (uint16_t i = 0; i < row.count; i++)
            values[i] = random_value(&dice, binary ? VALUE_BINARY : VALUE_TEXT, &arena);
        ck_assert_int_eq(write_and_read(&row, binary, &trial, &bytes), COPY_ROW);
        for (uint16_t i = 0; i < row.count; i++)
            ck_assert_msg(value_equal(&values[i], &trial.values[i]), "round %d column %u",
                          round, i);
        free(bytes.data);
        arena_reset(&arena);
    }
    arena_free(&arena);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_binary_file_has_header_rows_and_trailer,
        the_first_message_carries_the_header,
        a_wrong_header_is_refused,
        no_part_of_a_binary_row_is_taken_for_one,
        binary_lengths_and_counts_that_do_not_add_up_are_refused,
        escapes_are_undone,
        fields_stand_between_tabs,
        a_text_row_of_the_wrong_width_is_refused,
        a_value_is_written_with_its_escapes,
        a_table_without_columns_has_rows_all_the_same,
        a_value_that_is_not_of_the_format_is_a_bug,
        what_is_written_is_read_back,
    };
    return unit_run("copy_format", tests, UNIT_COUNT(tests));
}
