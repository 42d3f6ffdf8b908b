/* One row's values, in the column order of its relation. Borrowed bytes: a row owns nothing;
 * its bytes live in a batch's arena or in a reader's buffer. */
#ifndef MODEL_ROW_H
#define MODEL_ROW_H

#include <stdbool.h>
#include <stdint.h>

enum value_kind {
    VALUE_ABSENT, /* not sent: a column outside the key in an old key image */
    VALUE_NULL,
    VALUE_UNCHANGED, /* an unchanged TOAST value: the target keeps what it has */
    VALUE_TEXT,      /* the type's text output, UTF-8 */
    VALUE_BINARY,    /* the type's send format */
};

struct value {
    const char *data; /* not NUL-terminated */
    uint32_t size;
    enum value_kind kind;
};

struct row {
    struct value *values; /* NULL: there is no such row image */
    uint16_t count;
};

static inline bool value_is_known(const struct value *value)
{
    return value->kind == VALUE_NULL || value->kind == VALUE_TEXT ||
           value->kind == VALUE_BINARY;
}

/* Same kind and same bytes. ABSENT and UNCHANGED equal only themselves. */
bool value_equal(const struct value *a, const struct value *b);

#endif
