/* See name.h. */
#include "transforms/name.h"

#include "transforms/text.h"

#include <string.h>

/* Reads one part at *at and moves *at behind it; NULL when there is none. */
static const char *quoted_part(const char **at, struct arena *arena)
{
    struct buf part = {0};
    const char *c = *at + 1;

    for (; *c && !(*c == '"' && c[1] != '"'); c++) {
        c += *c == '"';
        buf_append_char(&part, *c);
    }
    if (*c != '"' || part.size == 0) {
        buf_free(&part);
        return NULL;
    }
    *at = c + 1;
    return text_take(arena, &part);
}

static const char *name_part(const char **at, struct arena *arena)
{
    size_t size;
    const char *part;

    if (**at == '"')
        return quoted_part(at, arena);
    size = strcspn(*at, ".\"");
    if (size == 0)
        return NULL;
    part = text_copy_sized(arena, *at, size);
    *at += size;
    return part;
}

static bool is_pattern(const char *text)
{
    bool quoted = false;

    for (; *text; text++) {
        quoted ^= *text == '"';
        if (!quoted && strchr("*(", *text))
            return true;
    }
    return false;
}

bool name_load(const struct yaml_node *node, const char *what, struct arena *arena,
               struct table_name *name, struct err *err)
{
    const char *text, *at, *first, *second = NULL;

    if (!yaml_text(node, &text, err))
        return false;
    if (is_pattern(text))
        return yaml_error(node, err,
                          "%s: table patterns (\"%s\") are not in this version yet; "
                          "name each table",
                          what, node->expanded ? "..." : text);
    at = text;
    first = name_part(&at, arena);
    if (first && *at == '.') {
        at++;
        second = name_part(&at, arena);
        first = second ? first : NULL;
    }
    if (!first || *at)
        return yaml_error(node, err,
                          "%s: found \"%s\", expected schema.table, with parts that "
                          "hold dots or quotes in double quotes",
                          what, node->expanded ? "a text of the environment" : text);
    *name = (struct table_name){.schema = second ? first : "public",
                                .name = second ? second : first,
                                .where = text_position(arena, node)};
    return true;
}
