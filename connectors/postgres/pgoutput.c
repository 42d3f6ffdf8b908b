/* The pgoutput decoder (pgoutput.h). Each decode_ function reads its message's fields in wire
 * order and lets the sticky reader remember a short input; pgoutput_decode() asks once. */
#include "postgres/pgoutput.h"

#include "base/plain.h"
#include "base/reader.h"

#include <ctype.h>
#include <string.h>

struct decoding {
    struct reader reader;
    struct arena *arena;
    struct pgoutput_message *message;
    const char *complaint; /* what is wrong though the bytes sufficed; NULL: nothing */
};

static usec_t read_time(struct reader *reader)
{
    return clock_from_postgres((int64_t)reader_u64(reader));
}

/* ---- transactions ---- */

static void decode_begin(struct decoding *d)
{
    d->message->begin.commit_lsn = reader_u64(&d->reader);
    d->message->begin.commit_time = read_time(&d->reader);
    d->message->xid = reader_u32(&d->reader);
}

static void decode_commit(struct decoding *d)
{
    (void)reader_u8(&d->reader); /* flags, none defined */
    d->message->commit.commit_lsn = reader_u64(&d->reader);
    d->message->commit.end_lsn = reader_u64(&d->reader);
    d->message->commit.commit_time = read_time(&d->reader);
}

static void decode_origin(struct decoding *d)
{
    d->message->origin.lsn = reader_u64(&d->reader);
    d->message->origin.name = reader_string(&d->reader);
}

static void decode_stream_start(struct decoding *d)
{
    d->message->xid = reader_u32(&d->reader);
    d->message->stream_start.first = reader_u8(&d->reader) == 1;
}

static void decode_stream_stop(struct decoding *d)
{
    (void)d;
}

static void decode_stream_commit(struct decoding *d)
{
    d->message->xid = reader_u32(&d->reader);
    decode_commit(d);
}

static void decode_stream_abort(struct decoding *d)
{
    d->message->xid = reader_u32(&d->reader);
    d->message->stream_abort.subxid = reader_u32(&d->reader);
}

static void decode_begin_prepare(struct decoding *d)
{
    d->message->prepare.prepare_lsn = reader_u64(&d->reader);
    d->message->prepare.end_lsn = reader_u64(&d->reader);
    d->message->prepare.time = read_time(&d->reader);
    d->message->xid = reader_u32(&d->reader);
    d->message->prepare.gid = reader_string(&d->reader);
}

/* PREPARE, COMMIT_PREPARED and STREAM_PREPARE are begin_prepare's fields behind flags. */
static void decode_prepare(struct decoding *d)
{
    (void)reader_u8(&d->reader);
    decode_begin_prepare(d);
}

static void decode_rollback_prepared(struct decoding *d)
{
    (void)reader_u8(&d->reader);
    d->message->prepare.prepare_lsn = reader_u64(&d->reader);
    d->message->prepare.end_lsn = reader_u64(&d->reader);
    d->message->prepare.time = read_time(&d->reader);
    d->message->prepare.second_time = read_time(&d->reader);
    d->message->xid = reader_u32(&d->reader);
    d->message->prepare.gid = reader_string(&d->reader);
}

/* ---- shapes ---- */

static uint16_t read_count(struct decoding *d)
{
    uint16_t count = reader_u16(&d->reader);
    if (count <= PGOUTPUT_MAX_COLUMNS)
        return count;
    d->complaint = "too many columns";
    return 0;
}

static void decode_relation(struct decoding *d)
{
    d->message->relation.oid = reader_u32(&d->reader);
    d->message->relation.schema = reader_string(&d->reader);
    d->message->relation.name = reader_string(&d->reader);
    d->message->relation.replica_identity = (char)reader_u8(&d->reader);
    uint16_t count = read_count(d);
    struct pgoutput_column *columns = arena_alloc(d->arena, (count + 1U) * sizeof *columns);
    for (uint16_t i = 0; i < count; i++) {
        columns[i].key = (reader_u8(&d->reader) & 1) != 0;
        columns[i].name = reader_string(&d->reader);
        columns[i].type_oid = reader_u32(&d->reader);
        columns[i].type_modifier = (int32_t)reader_u32(&d->reader);
    }
    d->message->relation.column_count = count;
    d->message->relation.columns = columns;
}

static void decode_type(struct decoding *d)
{
    d->message->type.oid = reader_u32(&d->reader);
    d->message->type.schema = reader_string(&d->reader);
    d->message->type.name = reader_string(&d->reader);
}

/* ---- rows ---- */

static void read_sized(struct decoding *d, struct value *value, enum value_kind kind)
{
    value->size = reader_u32(&d->reader);
    value->data = (const char *)reader_bytes(&d->reader, value->size);
    value->kind = kind;
}

static void read_value(struct decoding *d, struct value *value)
{
    *value = (struct value){.kind = VALUE_NULL};
    switch (reader_u8(&d->reader)) {
    case 'n':
        break;
    case 'u':
        value->kind = VALUE_UNCHANGED;
        break;
    case 't':
        read_sized(d, value, VALUE_TEXT);
        break;
    case 'b':
        read_sized(d, value, VALUE_BINARY);
        break;
    default:
        if (reader_ok(&d->reader))
            d->complaint = "unknown kind of column value";
        break;
    }
}

static struct row read_row(struct decoding *d)
{
    struct row row = {.count = read_count(d)};
    row.values = arena_alloc(d->arena, (row.count + 1U) * sizeof *row.values);
    for (uint16_t i = 0; i < row.count; i++)
        read_value(d, &row.values[i]);
    return row;
}

static void decode_insert(struct decoding *d)
{
    d->message->change = (struct pgoutput_change){.relation_oid = reader_u32(&d->reader)};
    if (reader_u8(&d->reader) != 'N')
        d->complaint = "insert without a new row";
    d->message->change.new = read_row(d);
}

static void decode_update(struct decoding *d)
{
    struct pgoutput_change *change = &d->message->change;
    *change = (struct pgoutput_change){.relation_oid = reader_u32(&d->reader)};
    char kind = (char)reader_u8(&d->reader);
    if (kind == 'K' || kind == 'O') {
        change->old_kind = kind;
        change->old = read_row(d);
        kind = (char)reader_u8(&d->reader);
    }
    if (kind != 'N')
        d->complaint = "update without a new row";
    change->new = read_row(d);
}

static void decode_delete(struct decoding *d)
{
    struct pgoutput_change *change = &d->message->change;
    *change = (struct pgoutput_change){.relation_oid = reader_u32(&d->reader)};
    change->old_kind = (char)reader_u8(&d->reader);
    if (change->old_kind != 'K' && change->old_kind != 'O')
        d->complaint = "delete without an old row";
    change->old = read_row(d);
}

static void decode_truncate(struct decoding *d)
{
    uint32_t count = reader_u32(&d->reader);
    uint8_t options = reader_u8(&d->reader);
    if (count > reader_left(&d->reader) / sizeof(uint32_t)) {
        d->complaint = "truncate of more relations than it names";
        count = 0;
    }
    d->message->truncate.count = count;
    d->message->truncate.cascade = (options & 1) != 0;
    d->message->truncate.restart_identity = (options & 2) != 0;
    d->message->truncate.relation_oids =
        arena_alloc(d->arena, (count + 1U) * sizeof *d->message->truncate.relation_oids);
    for (uint32_t i = 0; i < count; i++)
        d->message->truncate.relation_oids[i] = reader_u32(&d->reader);
}

static void decode_message(struct decoding *d)
{
    d->message->message.transactional = (reader_u8(&d->reader) & 1) != 0;
    d->message->message.lsn = reader_u64(&d->reader);
    d->message->message.prefix = reader_string(&d->reader);
    d->message->message.size = reader_u32(&d->reader);
    d->message->message.content =
        (const char *)reader_bytes(&d->reader, d->message->message.size);
}

/* Every kind: its name, its decoder, and whether it carries an xid inside a streamed block. */
static const struct kind {
    enum pgoutput_kind kind;
    const char *name;
    void (*decode)(struct decoding *d);
    bool xid_in_stream;
} KINDS[] = {
    {PGOUTPUT_BEGIN, "BEGIN", decode_begin, false},
    {PGOUTPUT_COMMIT, "COMMIT", decode_commit, false},
    {PGOUTPUT_ORIGIN, "ORIGIN", decode_origin, false},
    {PGOUTPUT_RELATION, "RELATION", decode_relation, true},
    {PGOUTPUT_TYPE, "TYPE", decode_type, true},
    {PGOUTPUT_INSERT, "INSERT", decode_insert, true},
    {PGOUTPUT_UPDATE, "UPDATE", decode_update, true},
    {PGOUTPUT_DELETE, "DELETE", decode_delete, true},
    {PGOUTPUT_TRUNCATE, "TRUNCATE", decode_truncate, true},
    {PGOUTPUT_MESSAGE, "MESSAGE", decode_message, true},
    {PGOUTPUT_STREAM_START, "STREAM START", decode_stream_start, false},
    {PGOUTPUT_STREAM_STOP, "STREAM STOP", decode_stream_stop, false},
    {PGOUTPUT_STREAM_COMMIT, "STREAM COMMIT", decode_stream_commit, false},
    {PGOUTPUT_STREAM_ABORT, "STREAM ABORT", decode_stream_abort, false},
    {PGOUTPUT_BEGIN_PREPARE, "BEGIN PREPARE", decode_begin_prepare, false},
    {PGOUTPUT_PREPARE, "PREPARE", decode_prepare, false},
    {PGOUTPUT_COMMIT_PREPARED, "COMMIT PREPARED", decode_prepare, false},
    {PGOUTPUT_ROLLBACK_PREPARED, "ROLLBACK PREPARED", decode_rollback_prepared, false},
    {PGOUTPUT_STREAM_PREPARE, "STREAM PREPARE", decode_prepare, false},
};

static const struct kind *find_kind(uint8_t byte)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if ((uint8_t)KINDS[i].kind == byte)
            return &KINDS[i];
    return NULL;
}

bool pgoutput_carries_xid(char byte)
{
    const struct kind *kind = find_kind((uint8_t)byte);
    return kind != NULL && kind->xid_in_stream;
}

bool pgoutput_is_content(char byte)
{
    return byte == PGOUTPUT_ORIGIN || pgoutput_carries_xid(byte);
}

bool pgoutput_decode(struct pgoutput *decoder, const void *data, size_t size,
                     struct arena *arena, struct pgoutput_message *message, struct err *err)
{
    struct decoding d = {.arena = arena, .message = message};
    reader_init(&d.reader, data, size);
    uint8_t byte = reader_u8(&d.reader);
    const struct kind *kind = find_kind(byte);
    if (kind == NULL)
        return err_set(err, ERR_CORRUPT, "pgoutput: unknown message kind 0x%02x", byte);
    memset(message, 0, sizeof *message);
    message->kind = kind->kind;
    if (decoder->in_stream && kind->xid_in_stream)
        message->xid = reader_u32(&d.reader);
    kind->decode(&d);
    if (d.complaint != NULL)
        return err_set(err, ERR_CORRUPT, "pgoutput: %s: %s", kind->name, d.complaint);
    if (!reader_done(&d.reader))
        return err_set(err, ERR_CORRUPT, "pgoutput: %s of %zu bytes: %s", kind->name, size,
                       reader_ok(&d.reader) ? "bytes left over" : "ends too early");
    if (kind->kind == PGOUTPUT_STREAM_START)
        decoder->in_stream = true;
    if (kind->kind == PGOUTPUT_STREAM_STOP)
        decoder->in_stream = false;
    return true;
}

/* ---- printing ---- */

static void print_bytes(const char *data, uint32_t size, struct buf *out)
{
    buf_append_char(out, '\'');
    for (uint32_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)data[i];
        if (isprint(byte) && byte != '\'' && byte != '\\')
            buf_append_char(out, (char)byte);
        else
            buf_append_format(out, "\\x%02x", byte);
    }
    buf_append_char(out, '\'');
}

static void print_value(const struct value *value, struct buf *out)
{
    switch (value->kind) {
    case VALUE_ABSENT:
        buf_append_text(out, "absent");
        break;
    case VALUE_NULL:
        buf_append_text(out, "null");
        break;
    case VALUE_UNCHANGED:
        buf_append_text(out, "unchanged");
        break;
    case VALUE_BINARY:
        buf_append_text(out, "b");
        print_bytes(value->data, value->size, out);
        break;
    case VALUE_TEXT:
        print_bytes(value->data, value->size, out);
        break;
    }
}

static void print_row(const char *label, const struct row *row, struct buf *out)
{
    buf_append_format(out, " %s=(", label);
    for (uint16_t i = 0; i < row->count; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        print_value(&row->values[i], out);
    }
    buf_append_char(out, ')');
}

static void print_lsn(const char *label, lsn_t lsn, struct buf *out)
{
    char text[LSN_TEXT_SIZE];
    buf_append_format(out, " %s=%s", label, lsn_format(lsn, text));
}

static void print_time(const char *label, usec_t time, struct buf *out)
{
    char text[32];
    buf_append_format(out, " %s=%s", label, clock_format_wall(time, text, sizeof text));
}

/* Names may hold anything, a newline too. */
static void print_name(const char *label, const char *name, struct buf *out)
{
    buf_append_text(out, label);
    plain_append(out, name);
}

static void print_relation(const struct pgoutput_message *message, struct buf *out)
{
    char identity[] = {message->relation.replica_identity, '\0'};
    buf_append_format(out, " %u", message->relation.oid);
    print_name(" ", message->relation.schema, out);
    print_name(".", message->relation.name, out);
    print_name(" identity=", identity, out);
    buf_append_text(out, " (");
    for (uint16_t i = 0; i < message->relation.column_count; i++) {
        const struct pgoutput_column *column = &message->relation.columns[i];
        buf_append_text(out, i == 0 ? "" : ", ");
        print_name(column->key ? "key " : "", column->name, out);
        buf_append_format(out, " type=%u modifier=%d", column->type_oid, column->type_modifier);
    }
    buf_append_char(out, ')');
}

static void print_change(const struct pgoutput_change *change, struct buf *out)
{
    buf_append_format(out, " %u", change->relation_oid);
    if (change->old_kind != 0)
        print_row(change->old_kind == 'K' ? "key" : "old", &change->old, out);
    if (change->new.values != NULL)
        print_row("new", &change->new, out);
}

static void print_truncate(const struct pgoutput_message *message, struct buf *out)
{
    for (uint32_t i = 0; i < message->truncate.count; i++)
        buf_append_format(out, " %u", message->truncate.relation_oids[i]);
    buf_append_format(out, "%s%s", message->truncate.cascade ? " cascade" : "",
                      message->truncate.restart_identity ? " restart identity" : "");
}

static void print_logical(const struct pgoutput_message *message, struct buf *out)
{
    buf_append_text(out, message->message.transactional ? " transactional" : " immediate");
    print_lsn("lsn", message->message.lsn, out);
    print_name(" prefix=", message->message.prefix, out);
    buf_append_text(out, " content=");
    print_bytes(message->message.content, message->message.size, out);
}

static void print_prepare(const struct pgoutput_message *message, struct buf *out)
{
    print_lsn("lsn", message->prepare.prepare_lsn, out);
    print_lsn("end", message->prepare.end_lsn, out);
    print_time("time", message->prepare.time, out);
    print_name(" gid=", message->prepare.gid, out);
}

static void print_fields(const struct pgoutput_message *message, struct buf *out)
{
    switch (message->kind) {
    case PGOUTPUT_BEGIN:
        print_lsn("commit", message->begin.commit_lsn, out);
        print_time("time", message->begin.commit_time, out);
        break;
    case PGOUTPUT_COMMIT:
    case PGOUTPUT_STREAM_COMMIT:
        print_lsn("commit", message->commit.commit_lsn, out);
        print_lsn("end", message->commit.end_lsn, out);
        print_time("time", message->commit.commit_time, out);
        break;
    case PGOUTPUT_ORIGIN:
        print_lsn("lsn", message->origin.lsn, out);
        print_name(" name=", message->origin.name, out);
        break;
    case PGOUTPUT_RELATION:
        print_relation(message, out);
        break;
    case PGOUTPUT_TYPE:
        buf_append_format(out, " %u", message->type.oid);
        print_name(" ", message->type.schema, out);
        print_name(".", message->type.name, out);
        break;
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        print_change(&message->change, out);
        break;
    case PGOUTPUT_TRUNCATE:
        print_truncate(message, out);
        break;
    case PGOUTPUT_MESSAGE:
        print_logical(message, out);
        break;
    case PGOUTPUT_STREAM_START:
        buf_append_text(out, message->stream_start.first ? " first" : "");
        break;
    case PGOUTPUT_STREAM_STOP:
        break;
    case PGOUTPUT_STREAM_ABORT:
        buf_append_format(out, " subxid=%u", message->stream_abort.subxid);
        break;
    case PGOUTPUT_BEGIN_PREPARE:
    case PGOUTPUT_PREPARE:
    case PGOUTPUT_COMMIT_PREPARED:
    case PGOUTPUT_STREAM_PREPARE:
        print_prepare(message, out);
        break;
    case PGOUTPUT_ROLLBACK_PREPARED:
        print_prepare(message, out);
        print_time("rolled back", message->prepare.second_time, out);
        break;
    }
}

void pgoutput_print(const struct pgoutput_message *message, struct buf *out)
{
    buf_append_text(out, find_kind((uint8_t)message->kind)->name);
    if (message->xid != 0)
        buf_append_format(out, " xid=%u", message->xid);
    print_fields(message, out);
}
