/* The pgoutput decoder: every message as the server writes it, and every way to break one. */
#include "bytes.h"
#include "postgres/pgoutput.h"
#include "unit.h"

#include <stdio.h>

#define LSN "00000016B374D848"
#define END "00000016B374D878"
#define SECOND "00000000000F4240" /* one second after 2000-01-01 */
#define XID "000002F1"
#define USERS "00004001"
#define ROW_1_NULL "0002 't' 00000001 '7' 'n'"

static const struct example {
    const char *bytes;
    const char *text;
    bool in_stream;
} EXAMPLES[] = {
    {"'B'" LSN SECOND XID, "BEGIN xid=753 commit=16/B374D848 time=2000-01-01T00:00:01.000Z",
     false},
    {"'C' 00" LSN END SECOND,
     "COMMIT commit=16/B374D848 end=16/B374D878 time=2000-01-01T00:00:01.000Z", false},
    {"'O'" LSN "'upstream' 00", "ORIGIN lsn=16/B374D848 name=upstream", false},
    {"'R'" USERS "'public' 00 'users' 00 'd' 0002 01 'id' 00 00000014 FFFFFFFF"
     "00 'name' 00 00000413 00000024",
     "RELATION 16385 public.users identity=d (key id type=20 modifier=-1, name type=1043 "
     "modifier=36)",
     false},
    {"'R'" USERS "00 'bare' 00 'n' 0000", "RELATION 16385 .bare identity=n ()", false},
    {"'Y' 00004002 'public' 00 'mood' 00", "TYPE 16386 public.mood", false},
    {"'I'" USERS "'N'" ROW_1_NULL, "INSERT 16385 new=('7', null)", false},
    {"'I'" USERS "'N' 0000", "INSERT 16385 new=()", false},
    {"'I'" USERS "'N' 0003 'u' 'b' 00000002 00FF 't' 00000000",
     "INSERT 16385 new=(unchanged, b'\\x00\\xff', '')", false},
    {"'U'" USERS "'N'" ROW_1_NULL, "UPDATE 16385 new=('7', null)", false},
    {"'U'" USERS "'K' 0002 't' 00000001 '6' 'n' 'N'" ROW_1_NULL,
     "UPDATE 16385 key=('6', null) new=('7', null)", false},
    {"'U'" USERS "'O'" ROW_1_NULL "'N' 0002 't' 00000001 '8' 'u'",
     "UPDATE 16385 old=('7', null) new=('8', unchanged)", false},
    {"'D'" USERS "'K'" ROW_1_NULL, "DELETE 16385 key=('7', null)", false},
    {"'D'" USERS "'O'" ROW_1_NULL, "DELETE 16385 old=('7', null)", false},
    {"'T' 00000001 00" USERS, "TRUNCATE 16385", false},
    {"'T' 00000002 01" USERS "00004009", "TRUNCATE 16385 16393 cascade", false},
    {"'T' 00000001 03" USERS, "TRUNCATE 16385 cascade restart identity", false},
    {"'M' 01" LSN "'beat' 00 00000003 'a' 0A '\\'",
     "MESSAGE transactional lsn=16/B374D848 prefix=beat content='a\\x0a\\x5c'", false},
    {"'M' 00" LSN "00 00000000", "MESSAGE immediate lsn=16/B374D848 prefix= content=''", false},
    {"'S'" XID "01", "STREAM START xid=753 first", false},
    {"'S'" XID "00", "STREAM START xid=753", false},
    {"'E'", "STREAM STOP", true},
    {"'c'" XID "00" LSN END SECOND,
     "STREAM COMMIT xid=753 commit=16/B374D848 end=16/B374D878 time=2000-01-01T00:00:01.000Z",
     false},
    {"'A'" XID "000002F2", "STREAM ABORT xid=753 subxid=754", false},
    {"'b'" LSN END SECOND XID "'g1' 00",
     "BEGIN PREPARE xid=753 lsn=16/B374D848 end=16/B374D878 time=2000-01-01T00:00:01.000Z "
     "gid=g1",
     false},
    {"'P' 00" LSN END SECOND XID "'g1' 00",
     "PREPARE xid=753 lsn=16/B374D848 end=16/B374D878 time=2000-01-01T00:00:01.000Z gid=g1",
     false},
    {"'K' 00" LSN END SECOND XID "'g1' 00",
     "COMMIT PREPARED xid=753 lsn=16/B374D848 end=16/B374D878 time=2000-01-01T00:00:01.000Z "
     "gid=g1",
     false},
    {"'r' 00" LSN END SECOND "00000000001E8480" XID "'g1' 00",
     "ROLLBACK PREPARED xid=753 lsn=16/B374D848 end=16/B374D878 time=2000-01-01T00:00:01.000Z "
     "gid=g1 rolled back=2000-01-01T00:00:02.000Z",
     false},
    {"'p' 00" LSN END SECOND XID "'g1' 00",
     "STREAM PREPARE xid=753 lsn=16/B374D848 end=16/B374D878 time=2000-01-01T00:00:01.000Z "
     "gid=g1",
     false},
    {"'R'" XID USERS "'s' 00 't' 00 'f' 0001 00 'a' 00 00000017 FFFFFFFF",
     "RELATION xid=753 16385 s.t identity=f (a type=23 modifier=-1)", true},
    {"'Y'" XID "00004002 's' 00 'mood' 00", "TYPE xid=753 16386 s.mood", true},
    {"'I'" XID USERS "'N'" ROW_1_NULL, "INSERT xid=753 16385 new=('7', null)", true},
    {"'U'" XID USERS "'K'" ROW_1_NULL "'N'" ROW_1_NULL,
     "UPDATE xid=753 16385 key=('7', null) new=('7', null)", true},
    {"'D'" XID USERS "'O'" ROW_1_NULL, "DELETE xid=753 16385 old=('7', null)", true},
    {"'T'" XID "00000001 02" USERS, "TRUNCATE xid=753 16385 restart identity", true},
    {"'M'" XID "01" LSN "'p' 00 00000001 '!'",
     "MESSAGE xid=753 transactional lsn=16/B374D848 prefix=p content='!'", true},
};

/* One message to decode, with all that it takes. */
struct trial {
    struct pgoutput decoder;
    struct arena arena;
    struct pgoutput_message message;
    struct err err;
    struct buf printed;
};

static bool decode(struct trial *trial, bool in_stream, const void *data, size_t size)
{
    arena_init(&trial->arena, 0);
    trial->decoder.in_stream = in_stream;
    trial->err = (struct err){0};
    return pgoutput_decode(&trial->decoder, data, size, &trial->arena, &trial->message,
                           &trial->err);
}

static const char *print(struct trial *trial)
{
    buf_clear(&trial->printed);
    pgoutput_print(&trial->message, &trial->printed);
    return trial->printed.data;
}

static void end(struct trial *trial)
{
    arena_free(&trial->arena);
    buf_free(&trial->printed);
}

static void expect_refusal(const char *written, bool in_stream, const char *reason)
{
    struct trial trial = {0};
    struct bytes bytes = bytes_of(written);
    ck_assert_msg(!decode(&trial, in_stream, bytes.data, bytes.size), "%s was accepted",
                  written);
    ck_assert_int_eq(trial.err.class, ERR_CORRUPT);
    ck_assert_msg(strstr(trial.err.message, reason) != NULL,
                  "%s: \"%s\" says nothing of \"%s\"", written, trial.err.message, reason);
    free(bytes.data);
    end(&trial);
}

START_TEST(every_kind_of_message_is_read_and_printed)
{
    for (size_t i = 0; i < UNIT_COUNT(EXAMPLES); i++) {
        struct trial trial = {0};
        struct bytes bytes = bytes_of(EXAMPLES[i].bytes);
        ck_assert_msg(decode(&trial, EXAMPLES[i].in_stream, bytes.data, bytes.size), "%s: %s",
                      EXAMPLES[i].text, trial.err.message);
        ck_assert_str_eq(print(&trial), EXAMPLES[i].text);
        free(bytes.data);
        end(&trial);
    }
}
END_TEST

START_TEST(every_kind_has_an_example)
{
    static const char KINDS[] = "BCORYIUDTMSEcAbPKrp";
    for (const char *kind = KINDS; *kind; kind++) {
        bool found = false;
        for (size_t i = 0; i < UNIT_COUNT(EXAMPLES); i++)
            found = found || EXAMPLES[i].bytes[1] == *kind;
        ck_assert_msg(found, "no example of %c", *kind);
    }
}
END_TEST

START_TEST(no_part_of_a_message_is_taken_for_one)
{
    for (size_t i = 0; i < UNIT_COUNT(EXAMPLES); i++) {
        struct bytes whole = bytes_of(EXAMPLES[i].bytes);
        for (size_t size = 0; size < whole.size; size++) {
            struct trial trial = {0};
            struct bytes part = bytes_exact(whole.data, size);
            ck_assert_msg(!decode(&trial, EXAMPLES[i].in_stream, part.data, size),
                          "%s: its first %zu bytes were accepted", EXAMPLES[i].text, size);
            ck_assert_int_eq(trial.err.class, ERR_CORRUPT);
            ck_assert(trial.decoder.in_stream == EXAMPLES[i].in_stream);
            free(part.data);
            end(&trial);
        }
        free(whole.data);
    }
}
END_TEST

START_TEST(bytes_left_over_are_refused)
{
    for (size_t i = 0; i < UNIT_COUNT(EXAMPLES); i++) {
        char longer[512];
        snprintf(longer, sizeof(longer), "%s 00", EXAMPLES[i].bytes);
        expect_refusal(longer, EXAMPLES[i].in_stream, "bytes left over");
    }
}
END_TEST

/* Whatever stands in a byte, the rest of the message is read within its bounds, and what was
 * accepted can be printed. */
START_TEST(a_wrong_byte_leads_nowhere_outside_the_message)
{
    static const char WRONG[] = "\x00\x01\x02\x03\x04\x7F\x80\xFE\xFFntubNKOISE";
    size_t accepted = 0, refused = 0;
    for (size_t i = 0; i < UNIT_COUNT(EXAMPLES); i++) {
        struct bytes bytes = bytes_of(EXAMPLES[i].bytes);
        for (size_t at = 0; at < bytes.size * sizeof(WRONG); at++) {
            struct trial trial = {0};
            char *byte = &bytes.data[at / sizeof(WRONG)];
            char right = *byte;
            *byte = WRONG[at % sizeof(WRONG)];
            bool decoded = decode(&trial, EXAMPLES[i].in_stream, bytes.data, bytes.size);
            ck_assert(decoded ? print(&trial) != NULL : trial.err.class == ERR_CORRUPT);
            accepted += decoded;
            refused += !decoded;
            *byte = right;
            end(&trial);
        }
        free(bytes.data);
    }
    ck_assert(accepted > 0 && refused > 0);
}
END_TEST

START_TEST(an_unknown_kind_is_refused)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        struct trial trial = {0};
        char message[1] = {(char)byte};
        bool known = byte != 0 && strchr("BCORYIUDTMSEcAbPKrp", (int)byte) != NULL;
        bool decoded = decode(&trial, false, message, sizeof(message));
        ck_assert_msg(decoded == (byte == 'E'), "0x%02x", byte);
        if (!known)
            ck_assert_ptr_nonnull(strstr(trial.err.message, "unknown message kind"));
        end(&trial);
    }
}
END_TEST

START_TEST(a_length_longer_than_the_message_is_refused)
{
    static const char *const LENGTHS[] = {"00000002", "7FFFFFFF", "80000000", "FFFFFFFF"};
    for (size_t i = 0; i < UNIT_COUNT(LENGTHS); i++) {
        char written[128];
        snprintf(written, sizeof(written), "'I'" USERS "'N' 0001 't' %s '7'", LENGTHS[i]);
        expect_refusal(written, false, "ends too early");
        snprintf(written, sizeof(written), "'M' 00" LSN "'p' 00 %s '7'", LENGTHS[i]);
        expect_refusal(written, false, "ends too early");
        snprintf(written, sizeof(written), "'T' %s 00" USERS, LENGTHS[i]);
        expect_refusal(written, false, "more relations than it names");
    }
}
END_TEST

START_TEST(images_of_the_wrong_kind_are_refused)
{
    expect_refusal("'I'" USERS "'K'" ROW_1_NULL, false, "insert without a new row");
    expect_refusal("'U'" USERS "'K'" ROW_1_NULL "'O'" ROW_1_NULL, false,
                   "update without a new row");
    expect_refusal("'U'" USERS "'X'" ROW_1_NULL, false, "update without a new row");
    expect_refusal("'D'" USERS "'N'" ROW_1_NULL, false, "delete without an old row");
    expect_refusal("'I'" USERS "'N' 0001 'x'", false, "unknown kind of column value");
}
END_TEST

/* A relation or an insert of `count` columns. */
static bool decode_wide(struct trial *trial, bool relation, uint16_t count)
{
    struct buf wide = {0};
    bytes_append(&wide, relation ? "'R'" USERS "'s' 00 't' 00 'd'" : "'I'" USERS "'N'");
    buf_append_u16(&wide, count);
    for (unsigned i = 0; i < count; i++)
        bytes_append(&wide, relation ? "00 'c' 00 00000019 FFFFFFFF" : "'n'");
    bool decoded = decode(trial, false, wide.data, wide.size);
    if (decoded && relation)
        ck_assert_uint_eq(trial->message.relation.column_count, count);
    if (decoded && !relation)
        ck_assert_uint_eq(trial->message.change.new.count, count);
    buf_free(&wide);
    return decoded;
}

START_TEST(a_table_has_as_many_columns_as_the_server_allows_and_no_more)
{
    for (int relation = 0; relation < 2; relation++) {
        struct trial widest = {0}, too_wide = {0};
        ck_assert(decode_wide(&widest, relation, PGOUTPUT_MAX_COLUMNS));
        ck_assert(!decode_wide(&too_wide, relation, PGOUTPUT_MAX_COLUMNS + 1));
        ck_assert_int_eq(too_wide.err.class, ERR_CORRUPT);
        ck_assert_ptr_nonnull(strstr(too_wide.err.message, "too many columns"));
        end(&widest);
        end(&too_wide);
    }
}
END_TEST

START_TEST(a_block_begins_and_ends_where_the_stream_says)
{
    struct trial trial = {0};
    struct bytes start = bytes_of("'S'" XID "01"), stop = bytes_of("'E'");
    struct bytes plain = bytes_of("'D'" USERS "'K'" ROW_1_NULL);
    struct bytes with_xid = bytes_of("'D'" XID USERS "'K'" ROW_1_NULL);
    struct pgoutput *decoder = &trial.decoder;
    struct pgoutput_message *message = &trial.message;
    struct arena *arena = &trial.arena;
    struct err *err = &trial.err;
    arena_init(arena, 0);
    ck_assert(pgoutput_decode(decoder, plain.data, plain.size, arena, message, err));
    ck_assert_uint_eq(message->xid, 0);
    ck_assert(pgoutput_decode(decoder, start.data, start.size, arena, message, err));
    ck_assert(!pgoutput_decode(decoder, plain.data, plain.size, arena, message, err));
    ck_assert(pgoutput_decode(decoder, with_xid.data, with_xid.size, arena, message, err));
    ck_assert_uint_eq(message->xid, 753);
    ck_assert(pgoutput_decode(decoder, stop.data, stop.size, arena, message, err));
    ck_assert(!pgoutput_decode(decoder, with_xid.data, with_xid.size, arena, message, err));
    ck_assert(pgoutput_decode(decoder, plain.data, plain.size, arena, message, err));
    free(start.data);
    free(stop.data);
    free(plain.data);
    free(with_xid.data);
    end(&trial);
}
END_TEST

START_TEST(only_changes_and_shapes_carry_an_xid_in_a_block)
{
    for (size_t i = 0; i < UNIT_COUNT(EXAMPLES); i++) {
        struct trial trial = {0};
        struct bytes bytes = bytes_of(EXAMPLES[i].bytes);
        bool has_one = strchr("RYIUDTM", bytes.data[0]) != NULL;
        if (!EXAMPLES[i].in_stream && !has_one) {
            ck_assert(decode(&trial, true, bytes.data, bytes.size));
            ck_assert_str_eq(print(&trial), EXAMPLES[i].text);
            end(&trial);
        }
        free(bytes.data);
    }
}
END_TEST

START_TEST(values_are_borrowed_from_the_message)
{
    struct trial trial = {0};
    struct bytes bytes = bytes_of("'U'" USERS "'O'" ROW_1_NULL "'N' 0001 'b' 00000003 'abc'");
    ck_assert(decode(&trial, false, bytes.data, bytes.size));
    const struct pgoutput_change *change = &trial.message.change;
    ck_assert_int_eq(change->old_kind, 'O');
    ck_assert_uint_eq(change->old.count, 2);
    ck_assert_int_eq(change->old.values[1].kind, VALUE_NULL);
    ck_assert_int_eq(change->new.values[0].kind, VALUE_BINARY);
    ck_assert_uint_eq(change->new.values[0].size, 3);
    ck_assert_ptr_eq(change->new.values[0].data, bytes.data + bytes.size - 3);
    free(bytes.data);
    end(&trial);
}
END_TEST

START_TEST(printed_values_are_plain_ascii)
{
    struct trial trial = {0};
    struct bytes bytes = bytes_of("'I'" USERS "'N' 0001 't' 00000008 'a' 27 5C 00 1B C3A9 ' '");
    ck_assert(decode(&trial, false, bytes.data, bytes.size));
    ck_assert_str_eq(print(&trial), "INSERT 16385 new=('a\\x27\\x5c\\x00\\x1b\\xc3\\xa9 ')");
    free(bytes.data);
    end(&trial);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        every_kind_of_message_is_read_and_printed,
        every_kind_has_an_example,
        no_part_of_a_message_is_taken_for_one,
        bytes_left_over_are_refused,
        a_wrong_byte_leads_nowhere_outside_the_message,
        an_unknown_kind_is_refused,
        a_length_longer_than_the_message_is_refused,
        images_of_the_wrong_kind_are_refused,
        a_table_has_as_many_columns_as_the_server_allows_and_no_more,
        a_block_begins_and_ends_where_the_stream_says,
        only_changes_and_shapes_carry_an_xid_in_a_block,
        values_are_borrowed_from_the_message,
        printed_values_are_plain_ascii,
    };
    return unit_run("pgoutput", tests, UNIT_COUNT(tests));
}
