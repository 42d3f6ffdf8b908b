/* See name.h. */
#include "transforms/name.h"

#include "transforms/text.h"

#include <string.h>

/* One part of a name. */
struct part {
    const char *text; /* NULL: there is none */
    bool quoted;
};

/* Reads one part at *at and moves *at behind it. */
static struct part quoted_part(const char **at, struct arena *arena)
{
    struct buf part = {0};
    const char *c = *at + 1;

    for (; *c && !(*c == '"' && c[1] != '"'); c++) {
        c += *c == '"';
        buf_append_char(&part, *c);
    }
    if (*c != '"' || part.size == 0) {
        buf_free(&part);
        return (struct part){0};
    }
    *at = c + 1;
    return (struct part){.text = text_take(arena, &part), .quoted = true};
}

static struct part name_part(const char **at, struct arena *arena)
{
    size_t size;
    struct part part = {0};

    if (**at == '"')
        return quoted_part(at, arena);
    size = strcspn(*at, ".\"");
    if (size == 0)
        return part;
    part.text = text_copy_sized(arena, *at, size);
    *at += size;
    return part;
}

static bool is_pattern(const struct part *part)
{
    return part->text && !part->quoted && pattern_is(part->text, strlen(part->text));
}

static bool check_pattern(const struct yaml_node *node, const char *what, bool allowed,
                          const struct part *part, struct err *err)
{
    const char *fault;

    if (!is_pattern(part))
        return true;
    if (!allowed)
        return yaml_error(node, err,
                          "%s: found \"%s\", expected the name of one table; patterns stand in "
                          "source: and exclude:, and names with *, ?, ( or ) in double quotes",
                          what, node->expanded ? "a text of the environment" : node->text);
    fault = pattern_fault(part->text);
    return !fault || yaml_error(node, err, "%s: %s", what, fault);
}

static bool load(const struct yaml_node *node, const char *what, bool patterns,
                 struct arena *arena, struct table_name *name, struct err *err)
{
    const char *text, *at;
    struct part first, second = {0};

    if (!yaml_text(node, &text, err))
        return false;
    at = text;
    first = name_part(&at, arena);
    if (first.text && *at == '.') {
        at++;
        second = name_part(&at, arena);
        first.text = second.text ? first.text : NULL;
    }
    if (!first.text || *at)
        return yaml_error(node, err,
                          "%s: found \"%s\", expected schema.table, with parts that "
                          "hold dots or quotes in double quotes",
                          what, node->expanded ? "a text of the environment" : text);
    if (!second.text) {
        second = first;
        first = (struct part){.text = "public", .quoted = true};
    }
    *name = (struct table_name){.schema = first.text,
                                .name = second.text,
                                .schema_quoted = first.quoted,
                                .name_quoted = second.quoted,
                                .is_pattern = is_pattern(&first) || is_pattern(&second),
                                .where = text_position(arena, node)};
    return check_pattern(node, what, patterns, &first, err) &&
           check_pattern(node, what, patterns, &second, err);
}

bool name_load(const struct yaml_node *node, const char *what, struct arena *arena,
               struct table_name *name, struct err *err)
{
    return load(node, what, false, arena, name, err);
}

bool name_load_pattern(const struct yaml_node *node, const char *what, struct arena *arena,
                       struct table_name *name, struct err *err)
{
    return load(node, what, true, arena, name, err);
}

size_t name_highest_reference(const struct table_name *name)
{
    size_t schema = name->schema_quoted ? 0 : pattern_highest_reference(name->schema);
    size_t table = name->name_quoted ? 0 : pattern_highest_reference(name->name);

    return schema > table ? schema : table;
}

static bool part_matches(const char *part, bool quoted, const char *text, struct arena *arena,
                         struct captures *captures)
{
    return quoted ? strcmp(part, text) == 0 : pattern_match(part, text, arena, captures);
}

bool name_matches(const struct table_name *name, const char *schema, const char *table,
                  struct arena *arena, struct captures *captures)
{
    *captures = (struct captures){0};
    return part_matches(name->schema, name->schema_quoted, schema, arena, captures) &&
           part_matches(name->name, name->name_quoted, table, arena, captures);
}

struct table_name name_fill(const struct table_name *name, const struct captures *captures,
                            struct arena *arena)
{
    struct table_name filled = *name;

    if (!name->schema_quoted)
        filled.schema = pattern_fill(name->schema, captures, arena);
    if (!name->name_quoted)
        filled.name = pattern_fill(name->name, captures, arena);
    return filled;
}

bool name_equal(const struct table_name *a, const struct table_name *b)
{
    return strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}
