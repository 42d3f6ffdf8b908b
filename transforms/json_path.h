/* What PostgreSQL's #>> picks from the text of a json or jsonb value. */
#ifndef TRANSFORMS_JSON_PATH_H
#define TRANSFORMS_JSON_PATH_H

#include "base/arena.h"
#include "base/buf.h"
#include "model/row.h"

#include <stdbool.h>
#include <stddef.h>

#define JSON_PATH_MOST 32

struct json_step {
    const char *name; /* in an object */
    size_t size;
    bool is_index; /* in an array; negative: from its end */
    long index;
};

struct json_path {
    size_t count; /* at least 1 */
    struct json_step *steps;
};

/* A step of this text; the text is borrowed. */
struct json_step json_step(const char *text, size_t size);

/* The text at the path in the document, or VALUE_NULL: nothing there, or null. Of equal keys
 * the last one with the whole path counts, as PostgreSQL has it. False where PostgreSQL refuses
 * the document: escapes that no text can hold (\u0000, half of a surrogate pair) anywhere in
 * it. */
bool json_pick_text(const struct json_path *path, const struct value *document,
                    struct arena *arena, struct value *out);

/* Appends the text as a JSON string, as PostgreSQL's escape_json() writes it. */
void json_append_string(struct buf *buf, const char *data, size_t size);
/* True if the text is a JSON number as it stands. */
bool json_is_number(const char *data, size_t size);

#endif
