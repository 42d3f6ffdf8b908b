/* A row's key as bytes whose order, by memcmp and then by length, is the source's order of the
 * keys: so a streamed change finds its chunk without asking anybody.
 *
 *     signed integers    8 bytes, big-endian, sign bit flipped
 *     oid                4 bytes, big-endian
 *     bool               1 byte
 *     uuid               16 bytes
 *     text, collation C  its bytes and a zero (which no text holds)
 *     any other          its lane's number as the source has told it, 4 bytes, big-endian
 *
 * Values come as text (bounds, COPY, a text stream) or in the type's binary form; both give the
 * same bytes. Nothing here is trusted: what is no value of the type is refused. */
#ifndef BACKFILL_CHUNK_KEY_H
#define BACKFILL_CHUNK_KEY_H

#include "base/buf.h"
#include "model/row.h"
#include "pipeline/table_copy.h"

#include <stdbool.h>

/* Appends one value. False, and nothing appended, when it is not known or not of the type. */
bool chunk_key_append(const struct copy_key_column *column, const struct value *value,
                      struct buf *out);
bool chunk_key_append_text(const struct copy_key_column *column, const char *text,
                           struct buf *out);

/* Appends a key of which only its lane is known. */
void chunk_key_append_place(uint32_t place, struct buf *out);

/* The value as the type's text, which the caller frees; NULL as above. */
char *chunk_key_text(const struct copy_key_column *column, const struct value *value);

/* Less than, equal to or greater than zero, as memcmp. */
int chunk_key_compare(const struct buf *a, const struct buf *b);

#endif
