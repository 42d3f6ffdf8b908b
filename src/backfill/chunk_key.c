/* Keys as ordered bytes (chunk_key.h). */
#include "backfill/chunk_key.h"

#include "base/mem.h"
#include "base/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UUID_BYTES 16
#define UUID_TEXT 36
#define NUMBER_TEXT 24 /* any 64-bit number, its sign and the end */
#define SIGN_BIT (UINT64_C(1) << 63)

/* ---- a value's parts ---- */

/* The text with an end; false when it is longer than any number. */
static bool number_text(const struct value *value, char text[NUMBER_TEXT])
{
    if (value->size == 0 || value->size >= NUMBER_TEXT ||
        memchr(value->data, '\0', value->size) != NULL)
        return false;
    memcpy(text, value->data, value->size);
    text[value->size] = '\0';
    return text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
}

static bool read_signed(const struct value *value, int64_t *number)
{
    char text[NUMBER_TEXT];
    char *end;
    struct reader reader;
    if (value->kind == VALUE_TEXT) {
        errno = 0;
        *number = number_text(value, text) ? strtoll(text, &end, 10) : 0;
        return number_text(value, text) && *end == '\0' && errno == 0;
    }
    reader_init(&reader, value->data, value->size);
    switch (value->size) {
    case 2:
        *number = (int16_t)reader_u16(&reader);
        return true;
    case 4:
        *number = (int32_t)reader_u32(&reader);
        return true;
    case 8:
        *number = (int64_t)reader_u64(&reader);
        return true;
    default:
        return false;
    }
}

static bool read_unsigned(const struct value *value, uint32_t *number)
{
    char text[NUMBER_TEXT];
    char *end;
    struct reader reader;
    if (value->kind == VALUE_TEXT) {
        if (!number_text(value, text) || text[0] == '-')
            return false;
        errno = 0;
        unsigned long long wide = strtoull(text, &end, 10);
        *number = (uint32_t)wide;
        return *end == '\0' && errno == 0 && wide <= UINT32_MAX;
    }
    reader_init(&reader, value->data, value->size);
    *number = reader_u32(&reader);
    return reader_done(&reader);
}

static bool read_bool(const struct value *value, uint8_t *truth)
{
    if (value->size != 1)
        return false;
    char byte = value->data[0];
    *truth = byte == 't' || byte == 1;
    return value->kind == VALUE_TEXT ? byte == 't' || byte == 'f' : byte == 0 || byte == 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* As PostgreSQL writes it: lower case, 8-4-4-4-12. */
static bool read_uuid(const struct value *value, uint8_t uuid[UUID_BYTES])
{
    size_t digits = 0;
    if (value->kind == VALUE_BINARY) {
        if (value->size == UUID_BYTES)
            memcpy(uuid, value->data, UUID_BYTES);
        return value->size == UUID_BYTES;
    }
    if (value->size != UUID_TEXT)
        return false;
    for (size_t i = 0; i < UUID_TEXT; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int digit = hex_digit(value->data[i]);
        if (dash ? value->data[i] != '-' : digit < 0)
            return false;
        if (dash)
            continue;
        uuid[digits / 2] = (uint8_t)(digits % 2 == 0 ? digit << 4 : uuid[digits / 2] | digit);
        digits++;
    }
    return true;
}

static bool is_text(const struct value *value)
{
    return value->size == 0 || memchr(value->data, '\0', value->size) == NULL;
}

/* ---- as bytes ---- */

static bool append_signed(const struct value *value, struct buf *out)
{
    int64_t number;
    bool ok = read_signed(value, &number);
    if (ok)
        buf_append_u64(out, (uint64_t)number ^ SIGN_BIT);
    return ok;
}

static bool append_unsigned(const struct value *value, struct buf *out)
{
    uint32_t number;
    bool ok = read_unsigned(value, &number);
    if (ok)
        buf_append_u32(out, number);
    return ok;
}

static bool append_bool(const struct value *value, struct buf *out)
{
    uint8_t truth;
    bool ok = read_bool(value, &truth);
    if (ok)
        buf_append_char(out, (char)truth);
    return ok;
}

static bool append_uuid(const struct value *value, struct buf *out)
{
    uint8_t uuid[UUID_BYTES];
    bool ok = read_uuid(value, uuid);
    if (ok)
        buf_append(out, uuid, sizeof uuid);
    return ok;
}

static bool append_bytes(const struct value *value, struct buf *out)
{
    if (!is_text(value))
        return false;
    buf_append(out, value->data, value->size);
    buf_append_char(out, '\0');
    return true;
}

bool chunk_key_append(const struct copy_key_column *column, const struct value *value,
                      struct buf *out)
{
    if (value->kind != VALUE_TEXT && value->kind != VALUE_BINARY)
        return false;
    switch (column->order) {
    case KEY_NONE:
    case KEY_ASKED:
        return false;
    case KEY_SIGNED:
        return append_signed(value, out);
    case KEY_UNSIGNED:
        return append_unsigned(value, out);
    case KEY_BOOL:
        return append_bool(value, out);
    case KEY_UUID:
        return append_uuid(value, out);
    case KEY_BYTES:
        return append_bytes(value, out);
    }
    return false;
}

bool chunk_key_append_text(const struct copy_key_column *column, const char *text,
                           struct buf *out)
{
    const struct value value = {text, (uint32_t)strlen(text), VALUE_TEXT};
    return chunk_key_append(column, &value, out);
}

/* ---- as text ---- */

static char *uuid_text(const struct value *value)
{
    uint8_t uuid[UUID_BYTES];
    char text[UUID_TEXT + 1];
    size_t at = 0;
    if (!read_uuid(value, uuid))
        return NULL;
    for (size_t i = 0; i < UUID_BYTES; i++)
        at +=
            (size_t)snprintf(text + at, sizeof text - at,
                             i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
    return mem_string(text);
}

char *chunk_key_text(const struct copy_key_column *column, const struct value *value)
{
    int64_t number;
    uint32_t oid;
    uint8_t truth;
    if (value->kind != VALUE_TEXT && value->kind != VALUE_BINARY)
        return NULL;
    switch (column->order) {
    case KEY_NONE:
    case KEY_ASKED:
        return NULL;
    case KEY_SIGNED:
        return read_signed(value, &number) ? mem_format("%" PRId64, number) : NULL;
    case KEY_UNSIGNED:
        return read_unsigned(value, &oid) ? mem_format("%" PRIu32, oid) : NULL;
    case KEY_BOOL:
        return read_bool(value, &truth) ? mem_string(truth ? "t" : "f") : NULL;
    case KEY_UUID:
        return uuid_text(value);
    case KEY_BYTES:
        return is_text(value) ? mem_string_sized(value->data, value->size) : NULL;
    }
    return NULL;
}

void chunk_key_append_place(uint32_t place, struct buf *out)
{
    buf_append_u32(out, place);
}

int chunk_key_compare(const struct buf *a, const struct buf *b)
{
    size_t common = a->size < b->size ? a->size : b->size;
    int order = common == 0 ? 0 : memcmp(a->data, b->data, common);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}
