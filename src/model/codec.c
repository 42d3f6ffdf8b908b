/* Batches as bytes (codec.h). Encoding and decoding stand in pairs; the decoder lets the sticky
 * reader remember a short input and keeps the first other complaint, and asks for both between
 * elements, so that no count that was read is believed for longer than one of them. */
#include "model/codec.h"

#include "base/mem.h"
#include "base/reader.h"

#include <stdlib.h>
#include <string.h>

#define BEGINS_OPEN 1
#define ENDS_OPEN 2
#define MAX_COLUMNS 1664 /* the server's own bound */
#define KEY 1
#define SMALLEST_RELATION 10
#define SMALLEST_TRANSACTION 40
#define SMALLEST_CHANGE 14

/* ---- encoding ---- */

/* The relations that a batch names, in the order in which they are met. */
struct numbering {
    const struct relation **relations;
    uint32_t count;
};

/* Neighbours mostly name the same relation, and a batch few. */
static uint32_t number_of(struct numbering *numbering, const struct relation *relation)
{
    for (uint32_t i = numbering->count; i > 0; i--)
        if (numbering->relations[i - 1] == relation)
            return i - 1;
    numbering->relations =
        mem_grow(numbering->relations, numbering->count + 1U, sizeof(*numbering->relations));
    numbering->relations[numbering->count] = relation;
    return numbering->count++;
}

static void number_all(const struct batch *batch, struct numbering *numbering)
{
    for (uint32_t i = 0; i < batch->change_count; i++) {
        const struct change *change = &batch->changes[i];
        (void)number_of(numbering, change->relation);
        for (uint16_t j = 0; j < change->relation_count; j++)
            (void)number_of(numbering, change->relations[j]);
    }
}

static void encode_text(const char *text, struct buf *out)
{
    buf_append(out, text, strlen(text) + 1);
}

static void encode_relation(const struct relation *relation, struct buf *out)
{
    if (relation->sent != NULL)
        relation = relation->sent;
    buf_append_u32(out, relation->oid);
    buf_append_char(out, relation->replica_identity);
    buf_append_char(out, (char)relation->match);
    encode_text(relation->schema, out);
    encode_text(relation->name, out);
    buf_append_u16(out, relation->column_count);
    for (uint16_t i = 0; i < relation->column_count; i++) {
        const struct column *column = &relation->columns[i];
        buf_append_u32(out, column->type_oid);
        buf_append_u32(out, (uint32_t)column->type_modifier);
        buf_append_char(out, (char)(column->key ? KEY : 0));
        encode_text(column->name, out);
    }
}

static void encode_transaction(const struct transaction *transaction, struct buf *out)
{
    buf_append_u32(out, transaction->xid);
    buf_append_u64(out, transaction->commit_lsn);
    buf_append_u64(out, transaction->end_lsn);
    buf_append_u64(out, (uint64_t)transaction->commit_time);
    buf_append_u64(out, (uint64_t)transaction->heartbeat);
    buf_append_u32(out, transaction->first_change);
}

static void encode_row(const struct row *row, struct buf *out)
{
    for (uint16_t i = 0; i < row->count; i++) {
        const struct value *value = &row->values[i];
        buf_append_char(out, (char)value->kind);
        if (value->kind != VALUE_TEXT && value->kind != VALUE_BINARY)
            continue;
        buf_append_u32(out, value->size);
        buf_append(out, value->data, value->size);
    }
}

static void encode_truncate(const struct change *change, struct numbering *numbering,
                            struct buf *out)
{
    buf_append_char(out, change->truncate_restart_identity);
    buf_append_u16(out, change->relation_count);
    for (uint16_t i = 0; i < change->relation_count; i++)
        buf_append_u32(out, number_of(numbering, change->relations[i]));
}

static void encode_change(const struct change *change, struct numbering *numbering,
                          struct buf *out)
{
    buf_append_char(out, (char)change->kind);
    buf_append_char(out, (char)change->old_image);
    buf_append_u64(out, change->lsn);
    buf_append_u32(out, number_of(numbering, change->relation));
    if (change->kind == CHANGE_TRUNCATE) {
        encode_truncate(change, numbering, out);
        return;
    }
    if (change->old_image != OLD_NONE)
        encode_row(&change->old, out);
    if (change->kind != CHANGE_DELETE)
        encode_row(&change->new, out);
}

void codec_encode(const struct batch *batch, struct buf *out)
{
    struct numbering numbering = {0};
    number_all(batch, &numbering);
    buf_append_u32(out, numbering.count);
    for (uint32_t i = 0; i < numbering.count; i++)
        encode_relation(numbering.relations[i], out);
    buf_append_char(out, (char)((batch->begins_open ? BEGINS_OPEN : 0) |
                                (batch->ends_open ? ENDS_OPEN : 0)));
    buf_append_u64(out, batch->end_lsn);
    buf_append_u32(out, batch->transaction_count);
    for (uint32_t i = 0; i < batch->transaction_count; i++)
        encode_transaction(&batch->transactions[i], out);
    buf_append_u32(out, batch->change_count);
    for (uint32_t i = 0; i < batch->change_count; i++)
        encode_change(&batch->changes[i], &numbering, out);
    free(numbering.relations);
}

/* ---- decoding ---- */

/* A relation: how it came, and what that means by the first change of it. */
struct described {
    struct relation *sent;       /* owned */
    const struct relation *kept; /* NULL: no change of it was met */
};

struct decoding {
    struct reader reader;
    struct batch *batch;
    const struct codec_reading *reading;
    struct described *relations;
    uint32_t relation_count;
    const char *complaint; /* what is wrong though the bytes sufficed; NULL: nothing */
};

static bool is_fine(const struct decoding *d)
{
    return d->complaint == NULL && reader_ok(&d->reader);
}

static void complain(struct decoding *d, const char *complaint)
{
    if (is_fine(d))
        d->complaint = complaint;
}

/* A number of elements, each of at least so many bytes: more than are left there cannot be. */
static uint32_t decode_count(struct decoding *d, size_t smallest)
{
    uint32_t count = reader_u32(&d->reader);
    if (count <= reader_left(&d->reader) / smallest)
        return count;
    complain(d, "more elements than bytes");
    return 0;
}

/* A byte below `bound`. */
static uint8_t decode_choice(struct decoding *d, uint8_t bound, const char *complaint)
{
    uint8_t choice = reader_u8(&d->reader);
    if (choice < bound)
        return choice;
    complain(d, complaint);
    return 0;
}

static void decode_column(struct decoding *d, struct column *column)
{
    column->type_oid = reader_u32(&d->reader);
    column->type_modifier = (int32_t)reader_u32(&d->reader);
    column->key = decode_choice(d, KEY + 1, "unknown flags of a column") == KEY;
    /* relation_create copies; it does not write through name. */
    column->name = (char *)(uintptr_t)reader_string(&d->reader);
}

static struct relation *decode_relation(struct decoding *d)
{
    uint32_t oid = reader_u32(&d->reader);
    char replica_identity = (char)reader_u8(&d->reader);
    enum match match = (enum match)decode_choice(d, MATCH_NONE + 1, "unknown way to match");
    const char *schema = reader_string(&d->reader);
    const char *name = reader_string(&d->reader);
    uint16_t count = reader_u16(&d->reader);
    if (count > MAX_COLUMNS)
        complain(d, "too many columns");
    struct column *columns = mem_zero(count, sizeof(*columns));
    for (uint16_t i = 0; i < count && is_fine(d); i++)
        decode_column(d, &columns[i]);
    struct relation *relation = NULL;
    if (is_fine(d)) {
        relation = relation_create(schema, name, count, columns);
        relation->oid = oid;
        relation->replica_identity = replica_identity;
        relation->match = match;
    }
    free(columns);
    return relation;
}

static void decode_relations(struct decoding *d)
{
    uint32_t count = decode_count(d, SMALLEST_RELATION);
    d->relations = mem_zero(count, sizeof(*d->relations));
    d->relation_count = count;
    for (uint32_t i = 0; i < count && is_fine(d); i++)
        d->relations[i].sent = decode_relation(d);
}

static void free_relations(struct decoding *d)
{
    for (uint32_t i = 0; i < d->relation_count; i++)
        relation_free(d->relations[i].sent);
    free(d->relations);
}

/* What it means to its first change it means to all: one of another shape is described anew. */
static const struct relation *keep_relation(const struct decoding *d,
                                            struct described *described, lsn_t commit)
{
    if (described->kept != NULL)
        return described->kept;
    struct relation *relation = relation_copy_sent(described->sent);
    if (d->reading->read != NULL)
        d->reading->read(d->reading->context, commit, relation);
    described->kept = interner_keep(d->reading->interner, relation);
    return described->kept;
}

/* transaction: that of the change which names it. */
static const struct relation *decode_relation_number(struct decoding *d, uint32_t transaction)
{
    uint32_t number = reader_u32(&d->reader);
    if (number < d->relation_count && is_fine(d))
        return keep_relation(d, &d->relations[number],
                             d->batch->transactions[transaction].commit_lsn);
    complain(d, "a relation that is not described");
    return NULL;
}

static void decode_value(struct decoding *d, struct value *value)
{
    value->kind = (enum value_kind)decode_choice(d, VALUE_BINARY + 1, "unknown kind of value");
    if (value->kind != VALUE_TEXT && value->kind != VALUE_BINARY)
        return;
    value->size = reader_u32(&d->reader);
    value->data = (const char *)reader_bytes(&d->reader, value->size);
}

static struct row decode_row(struct decoding *d, const struct relation *relation)
{
    if (relation->column_count > reader_left(&d->reader))
        complain(d, "fewer values than columns");
    if (!is_fine(d))
        return (struct row){0};
    struct row row = batch_row(d->batch, relation->column_count);
    for (uint16_t i = 0; i < row.count && is_fine(d); i++)
        decode_value(d, &row.values[i]);
    return row;
}

static void decode_truncate(struct decoding *d, struct change *change)
{
    change->truncate_restart_identity = decode_choice(d, 2, "unknown flags of TRUNCATE") == 1;
    uint16_t count = reader_u16(&d->reader);
    if (count == 0 || count > reader_left(&d->reader) / sizeof(uint32_t)) {
        complain(d, "TRUNCATE of more relations than it names");
        return;
    }
    change->relations = arena_alloc(&d->batch->arena, count * sizeof(*change->relations));
    for (uint16_t i = 0; i < count; i++)
        change->relations[i] = decode_relation_number(d, change->transaction);
    change->relation_count = count;
}

/* Into a copy: the batch's array may move while its arena grows, and a part is never added. */
static void decode_change(struct decoding *d, uint32_t transaction)
{
    struct change change = {.transaction = transaction};
    change.kind = (enum change_kind)decode_choice(d, CHANGE_TRUNCATE + 1, "unknown change");
    change.old_image = (enum old_image)decode_choice(d, OLD_FULL + 1, "unknown old image");
    change.lsn = reader_u64(&d->reader);
    change.relation = decode_relation_number(d, transaction);
    if (change.kind == CHANGE_DELETE && change.old_image == OLD_NONE)
        complain(d, "DELETE without an old row");
    if (change.relation != NULL && change.kind == CHANGE_TRUNCATE) {
        decode_truncate(d, &change);
    } else if (change.relation != NULL) {
        if (change.old_image != OLD_NONE)
            change.old = decode_row(d, change.relation);
        if (change.kind != CHANGE_DELETE)
            change.new = decode_row(d, change.relation);
    }
    if (is_fine(d))
        *batch_add_change(d->batch) = change;
}

static struct transaction decode_transaction(struct decoding *d)
{
    struct transaction transaction = {.xid = reader_u32(&d->reader)};
    transaction.commit_lsn = reader_u64(&d->reader);
    transaction.end_lsn = reader_u64(&d->reader);
    transaction.commit_time = (usec_t)reader_u64(&d->reader);
    transaction.heartbeat = (usec_t)reader_u64(&d->reader);
    transaction.first_change = reader_u32(&d->reader);
    if (!d->reading->keep_heartbeats)
        transaction.heartbeat = 0;
    return transaction;
}

/* The rest of a transaction whose beginning the batch has. */
static void go_on(struct decoding *d, const struct transaction *more)
{
    struct transaction *open = &d->batch->transactions[d->batch->transaction_count - 1];
    if (open->xid != more->xid || open->commit_lsn != more->commit_lsn) {
        complain(d, "another transaction where one was left open");
        return;
    }
    open->end_lsn = more->end_lsn;
    if (more->heartbeat != 0)
        open->heartbeat = more->heartbeat;
}

/* before: how many changes the batch had. */
static void add_transaction(struct decoding *d, uint32_t before, bool continues)
{
    struct transaction transaction = decode_transaction(d);
    if (!is_fine(d))
        return;
    if (continues && d->batch->transaction_count > 0) {
        if (transaction.first_change != 0)
            complain(d, "the rest of a transaction begins late");
        go_on(d, &transaction);
        return;
    }
    transaction.first_change += before;
    *batch_add_transaction(d->batch) = transaction;
}

/* The changes, each to the transaction in whose range it lies. first: the transaction of the
 * bytes' first. */
static void decode_changes(struct decoding *d, uint32_t before, uint32_t first)
{
    const struct batch *batch = d->batch;
    uint32_t count = decode_count(d, SMALLEST_CHANGE);
    uint32_t transaction = first;
    if (count > 0 && first >= batch->transaction_count)
        complain(d, "changes outside a transaction");
    for (uint32_t i = 0; i < count && is_fine(d); i++) {
        while (transaction + 1 < batch->transaction_count &&
               batch->transactions[transaction + 1].first_change <= before + i)
            transaction++;
        decode_change(d, transaction);
    }
}

/* Transactions lie one behind the other, and cover all changes. */
static void check_order(struct decoding *d, uint32_t before, uint32_t first)
{
    const struct batch *batch = d->batch;
    uint32_t at = before;
    for (uint32_t i = first; i < batch->transaction_count && is_fine(d); i++) {
        uint32_t begins = batch->transactions[i].first_change;
        bool is_last = i + 1 == batch->transaction_count;
        if ((begins < at && begins >= before) || begins > batch->change_count ||
            (i == first && begins > before))
            complain(d, "transactions out of order");
        if (batch->transactions[i].end_lsn == LSN_NONE && !(is_last && batch->ends_open))
            complain(d, "a transaction without an end before another");
        at = begins > at ? begins : at;
    }
}

static void decode_batch(struct decoding *d)
{
    struct batch *batch = d->batch;
    uint32_t before = batch->change_count;
    bool was_open = batch->ends_open;
    decode_relations(d);
    uint8_t flags = decode_choice(d, (BEGINS_OPEN | ENDS_OPEN) + 1, "unknown flags of a batch");
    bool begins_open = (flags & BEGINS_OPEN) != 0;
    lsn_t end_lsn = reader_u64(&d->reader);
    uint32_t first = batch->transaction_count - (begins_open && batch->transaction_count > 0);
    uint32_t count = decode_count(d, SMALLEST_TRANSACTION);
    if (batch->transaction_count > 0 && begins_open != was_open)
        complain(d, "it does not go on where the one before ended");
    if (flags != 0 && count == 0)
        complain(d, "an open transaction that is not there");
    if (batch->transaction_count == 0)
        batch->begins_open = begins_open;
    for (uint32_t i = 0; i < count && is_fine(d); i++)
        add_transaction(d, before, begins_open && i == 0);
    batch->ends_open = (flags & ENDS_OPEN) != 0;
    decode_changes(d, before, first);
    check_order(d, before, first);
    if (end_lsn != LSN_NONE)
        batch->end_lsn = end_lsn;
}

bool codec_decode(const void *bytes, size_t size, const struct codec_reading *reading,
                  struct batch *batch, struct err *err)
{
    struct decoding d = {.batch = batch, .reading = reading};
    reader_init(&d.reader, bytes, size);
    decode_batch(&d);
    free_relations(&d);
    if (d.complaint != NULL)
        return err_set(err, ERR_CORRUPT, "stored batch: %s", d.complaint);
    if (!reader_done(&d.reader))
        return err_set(err, ERR_CORRUPT, "stored batch of %zu bytes: %s", size,
                       reader_ok(&d.reader) ? "bytes left over" : "ends too early");
    return true;
}
