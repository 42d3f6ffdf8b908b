/* PostgreSQL's text form of text[], of one dimension and without NULLs, both ways.
 *
 * Source: documentation, "Array Input and Output Syntax" (8.15.6). Written: every element in
 * double quotes. Read: what array_out() gives, which quotes where it must. */
#ifndef POSTGRES_TEXT_ARRAY_H
#define POSTGRES_TEXT_ARRAY_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* "a" */
void text_array_append_item(struct buf *buf, const char *text, size_t size);
/* {"a","b"} */
void text_array_append(struct buf *buf, const char *const *items, size_t count);
/* The caller frees with text_array_free(). ERR_CORRUPT for what is no such array. */
bool text_array_parse(const char *text, char ***items, size_t *count, struct err *err);
void text_array_free(char **items, size_t count); /* NULL is accepted */

#endif
