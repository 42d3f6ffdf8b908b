/* See index_text.h. */
#include "schema/index_text.h"

#include <string.h>

/* Behind a quoted name or text; a doubled quote reads as two of them side by side. */
static const char *end_of_quoted(const char *at)
{
    const char *end = strchr(at + 1, *at);

    return end ? end + 1 : at + strlen(at);
}

/* Behind the parenthesis that closes the one at `at`. */
static const char *end_of_group(const char *at)
{
    int depth = 0;

    while (*at) {
        if (*at == '\'' || *at == '"') {
            at = end_of_quoted(at);
            continue;
        }
        depth += (*at == '(') - (*at == ')');
        at++;
        if (depth == 0)
            break;
    }
    return at;
}

/* The word where it stands by itself, outside quotes and parentheses; NULL: nowhere. */
static const char *find(const char *at, const char *end, const char *word)
{
    size_t size = strlen(word);

    while (at < end) {
        if ((size_t)(end - at) >= size && memcmp(at, word, size) == 0)
            return at;
        at = *at == '('                  ? end_of_group(at)
             : *at == '\'' || *at == '"' ? end_of_quoted(at)
                                         : at + 1;
    }
    return NULL;
}

static const char *copy(struct arena *arena, const char *at, const char *end)
{
    char *text = arena_alloc(arena, (size_t)(end - at) + 1);

    memcpy(text, at, (size_t)(end - at));
    text[end - at] = '\0';
    return text;
}

/* "public.lower(email)" of "public.lower(email) text_ops DESC". */
static const char *end_of_value(const char *at, const char *end)
{
    while (at < end && *at != ' ' && *at != '(')
        at = *at == '"' ? end_of_quoted(at) : at + 1;
    return at < end && *at == '(' ? end_of_group(at) : at;
}

static void add_element(struct arena *arena, const char *at, const char *end,
                        struct index_text *index)
{
    const char *with = find(at, end, " WITH ");

    index->expressions[index->count] = copy(arena, at, end_of_value(at, end));
    index->operators[index->count++] = with ? copy(arena, with + strlen(" WITH "), end) : NULL;
}

static void add_elements(struct arena *arena, const char *at, const char *end,
                         struct index_text *index)
{
    const char *comma;
    size_t most = 1;

    for (const char *byte = at; byte < end; byte++)
        most += *byte == ',';
    index->expressions = arena_alloc(arena, most * sizeof(*index->expressions));
    index->operators = arena_alloc(arena, most * sizeof(*index->operators));
    for (; (comma = find(at, end, ", ")); at = comma + 2)
        add_element(arena, at, comma, index);
    add_element(arena, at, end, index);
}

bool index_text_parse(const char *definition, struct arena *arena, struct index_text *index)
{
    const char *end = definition + strlen(definition);
    const char *method = find(definition, end, "USING "), *open, *close, *where;
    bool constraint = strncmp(definition, "EXCLUDE ", 8) == 0;

    open = method ? strchr(method, '(') : NULL;
    if (!open)
        return false;
    close = end_of_group(open);
    *index = (struct index_text){0};
    add_elements(arena, open + 1, close - 1, index);
    where = find(close, end, " WHERE ");
    if (where)
        index->predicate = copy(arena, where + strlen(" WHERE "),
                                constraint ? end_of_group(where + strlen(" WHERE ")) : end);
    return true;
}
