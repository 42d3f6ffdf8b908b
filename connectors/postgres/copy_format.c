/* Rows in COPY's formats (copy_format.h). */
#include "postgres/copy_format.h"

#include "base/reader.h"

#include <endian.h>
#include <string.h>

static const char SIGNATURE[11] = "PGCOPY\n\377\r\n";
#define NULL_FIELD 0xFFFFFFFFU
#define TRAILER 0xFFFFU

/* ---- binary ---- */

static bool skip_header(struct reader *reader)
{
    const uint8_t *signature = reader_bytes(reader, sizeof SIGNATURE);
    (void)reader_u32(reader); /* flags: only OIDs, which servers since 12 do not have */
    (void)reader_bytes(reader, reader_u32(reader));
    return reader_ok(reader) && memcmp(signature, SIGNATURE, sizeof SIGNATURE) == 0;
}

enum copy_read copy_read_binary(const char *data, size_t size, bool first, struct row *row,
                                struct err *err)
{
    struct reader reader;
    reader_init(&reader, data, size);
    if (first && !skip_header(&reader)) {
        err_set(err, ERR_CORRUPT, "COPY: the binary header is not right");
        return COPY_FAILED;
    }
    uint16_t count = reader_u16(&reader);
    if (reader_ok(&reader) && count == TRAILER)
        return COPY_TRAILER;
    if (count != row->count) {
        err_set(err, ERR_CORRUPT, "COPY: a row of %u fields where %u were asked for", count,
                row->count);
        return COPY_FAILED;
    }
    for (uint16_t i = 0; i < count; i++) {
        uint32_t length = reader_u32(&reader);
        row->values[i] = (struct value){.kind = VALUE_NULL};
        if (length == NULL_FIELD)
            continue;
        row->values[i].kind = VALUE_BINARY;
        row->values[i].data = (const char *)reader_bytes(&reader, length);
        row->values[i].size = length;
    }
    if (reader_done(&reader))
        return COPY_ROW;
    err_set(err, ERR_CORRUPT, "COPY: a binary row of %zu bytes does not add up", size);
    return COPY_FAILED;
}

void copy_write_binary_header(struct buf *out)
{
    buf_append(out, SIGNATURE, sizeof SIGNATURE);
    buf_append_u32(out, 0);
    buf_append_u32(out, 0);
}

void copy_write_binary_trailer(struct buf *out)
{
    buf_append_u16(out, TRAILER);
}

static bool wrong_value(uint16_t column, struct err *err)
{
    return err_set(err, ERR_BUG, "COPY: column %u has no value in the copy's format",
                   column + 1U);
}

/* The bytes that the row takes in the file; 0 and an error when a value is not binary. */
static size_t binary_size(const struct row *row, struct err *err)
{
    size_t size = sizeof(uint16_t);
    for (uint16_t i = 0; i < row->count; i++) {
        const struct value *value = &row->values[i];
        if (value->kind != VALUE_BINARY && value->kind != VALUE_NULL) {
            wrong_value(i, err);
            return 0;
        }
        size += sizeof(uint32_t) + (value->kind == VALUE_BINARY ? value->size : 0);
    }
    return size;
}

static char *put_u16(char *at, uint16_t number)
{
    number = htobe16(number);
    memcpy(at, &number, sizeof(number));
    return at + sizeof(number);
}

static char *put_u32(char *at, uint32_t number)
{
    number = htobe32(number);
    memcpy(at, &number, sizeof(number));
    return at + sizeof(number);
}

/* Room is made once a row, not once a field: this runs for every field that is copied. */
bool copy_write_binary(const struct row *row, struct buf *out, struct err *err)
{
    size_t size = binary_size(row, err);
    if (size == 0)
        return false;
    buf_reserve(out, size);
    char *at = put_u16(out->data + out->size, row->count);
    for (uint16_t i = 0; i < row->count; i++) {
        const struct value *value = &row->values[i];
        if (value->kind == VALUE_NULL) {
            at = put_u32(at, NULL_FIELD);
            continue;
        }
        at = put_u32(at, value->size);
        if (value->size > 0)
            memcpy(at, value->data, value->size);
        at += value->size;
    }
    buf_written(out, size);
    return true;
}

/* ---- text ---- */

/* The byte that a letter after a backslash stands for; others stand for themselves. COPY TO
 * writes no octal or hexadecimal escapes. */
static char unescaped(char letter)
{
    static const char FROM[] = "bfnrtv";
    static const char TO[] = "\b\f\n\r\t\v";
    const char *at = letter ? strchr(FROM, letter) : NULL;
    return at ? TO[at - FROM] : letter;
}

/* Unescapes data[0..size) in place; its new size. */
static size_t unescape(char *data, size_t size)
{
    if (memchr(data, '\\', size) == NULL)
        return size;
    size_t to = 0;
    for (size_t from = 0; from < size; from++) {
        if (data[from] == '\\' && from + 1 < size)
            data[to++] = unescaped(data[++from]);
        else
            data[to++] = data[from];
    }
    return to;
}

static void read_text_field(char *data, size_t size, struct value *value)
{
    if (size == 2 && data[0] == '\\' && data[1] == 'N')
        *value = (struct value){.kind = VALUE_NULL};
    else
        *value = (struct value){
            .kind = VALUE_TEXT, .data = data, .size = (uint32_t)unescape(data, size)};
}

enum copy_read copy_read_text(char *data, size_t size, struct row *row, struct err *err)
{
    if (size > 0 && data[size - 1] == '\n')
        size--;
    uint16_t count = 0;
    char *at = data;
    char *end = data + size;
    /* A table without columns gives empty lines. */
    bool more = row->count > 0;
    for (; more && count < row->count; count++) {
        char *tab = memchr(at, '\t', (size_t)(end - at));
        char *stop = tab ? tab : end;
        read_text_field(at, (size_t)(stop - at), &row->values[count]);
        more = tab != NULL;
        at = more ? tab + 1 : end;
    }
    if (count == row->count && !more && at == end)
        return COPY_ROW;
    err_set(err, ERR_CORRUPT, "COPY: a text row that has not %u fields", row->count);
    return COPY_FAILED;
}

static void write_escaped(const struct value *value, struct buf *out)
{
    size_t from = 0;
    for (size_t i = 0; i < value->size; i++) {
        char byte = value->data[i];
        if (byte != '\\' && byte != '\n' && byte != '\r' && byte != '\t')
            continue;
        buf_append(out, value->data + from, i - from);
        buf_append_char(out, '\\');
        buf_append_char(out, byte == '\n'   ? 'n'
                             : byte == '\r' ? 'r'
                             : byte == '\t' ? 't'
                                            : byte);
        from = i + 1;
    }
    buf_append(out, value->data + from, value->size - from);
}

bool copy_write_text(const struct row *row, struct buf *out, struct err *err)
{
    for (uint16_t i = 0; i < row->count; i++) {
        const struct value *value = &row->values[i];
        if (i > 0)
            buf_append_char(out, '\t');
        if (value->kind == VALUE_NULL)
            buf_append_text(out, "\\N");
        else if (value->kind == VALUE_TEXT)
            write_escaped(value, out);
        else
            return wrong_value(i, err);
    }
    buf_append_char(out, '\n');
    return true;
}
