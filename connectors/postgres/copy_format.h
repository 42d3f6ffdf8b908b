/* Rows in COPY's two formats.
 *
 * Source: PostgreSQL documentation, COPY, "Text Format" and "Binary Format". Reading trusts
 * nothing: lengths are checked, and the number of fields must be the expected one. */
#ifndef POSTGRES_COPY_FORMAT_H
#define POSTGRES_COPY_FORMAT_H

#include "base/buf.h"
#include "base/err.h"
#include "model/row.h"

#include <stdbool.h>
#include <stddef.h>

enum copy_read { COPY_ROW, COPY_TRAILER, COPY_FAILED };

/* One CopyData message of COPY ... TO STDOUT (FORMAT binary). `first`: the file header stands
 * before it. Fills row->values (row->count of them) with values borrowed from data. */
enum copy_read copy_read_binary(const char *data, size_t size, bool first, struct row *row,
                                struct err *err);
/* One line in text format; unescapes in place, so data is changed. */
enum copy_read copy_read_text(char *data, size_t size, struct row *row, struct err *err);

void copy_write_binary_header(struct buf *out);
void copy_write_binary_trailer(struct buf *out);
/* ERR_BUG for a value that is neither NULL nor of the format. */
bool copy_write_binary(const struct row *row, struct buf *out, struct err *err);
bool copy_write_text(const struct row *row, struct buf *out, struct err *err);

#endif
