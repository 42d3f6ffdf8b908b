/* See expression.h. A walk over tokens (src/backend/utils/adt/ruleutils.c prints them). */
#include "schema/expression.h"

#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    const char *at;
    const struct renaming *renamings;
    size_t count;
    struct buf *out;
    bool no_column; /* the next name is none: it follows "." or a word of BEFORE_OTHERS */
    const char *missing;
};

static bool begins_name(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           (unsigned char)byte >= 0x80;
}

static bool continues_name(char byte)
{
    return begins_name(byte) || (byte >= '0' && byte <= '9') || byte == '$';
}

static void copy_to(struct walk *walk, const char *end)
{
    buf_append(walk->out, walk->at, (size_t)(end - walk->at));
    walk->at = end;
}

static const char *end_of_name(const char *at)
{
    while (continues_name(*at))
        at++;
    return at;
}

/* Behind the closing quote; a doubled one is none. */
static const char *end_of_quoted(const char *at, bool escapes)
{
    char quote = *at++;

    for (; *at; at++) {
        if (escapes && *at == '\\' && at[1])
            at++;
        else if (*at == quote && at[1] == quote)
            at++;
        else if (*at == quote)
            return at + 1;
    }
    return at;
}

/* The name itself of a bare or quoted one. The caller frees. */
static char *plain_name(const char *at, const char *end)
{
    struct buf name = {0};
    bool quoted = *at == '"';

    for (at += quoted; at < end - quoted; at++) {
        at += quoted && *at == '"';
        buf_append_char(&name, *at);
    }
    return buf_steal(&name);
}

/* Key words behind which stands a name that is no column's: EXTRACT(year FROM at),
 * XMLELEMENT(NAME a, XMLATTRIBUTES(b AS c)). */
static const char *const BEFORE_OTHERS[] = {"COLLATE", "EXTRACT", "NAME", "AS", NULL};

static bool is_one_of(const char *const *words, const char *at, const char *end)
{
    for (; *words; words++)
        if (strlen(*words) == (size_t)(end - at) && memcmp(*words, at, strlen(*words)) == 0)
            return true;
    return false;
}

static bool is_key_word(const char *at, const char *end)
{
    for (; at < end; at++)
        if (*at >= 'A' && *at <= 'Z')
            return true;
    return false;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\n')
        at++;
    return at;
}

/* Writes the column's new name; a name that is no column's stays. */
static void copy_column(struct walk *walk, const char *end)
{
    char *name = plain_name(walk->at, end);

    for (size_t i = 0; i < walk->count; i++) {
        const struct renaming *renaming = &walk->renamings[i];

        if (strcmp(renaming->from, name) != 0)
            continue;
        if (!renaming->to)
            walk->missing = renaming->from;
        else
            ident_append(walk->out, renaming->to);
        walk->at = end;
        break;
    }
    free(name);
    copy_to(walk, end);
}

/* Of a function or a type, a qualifier, or of an argument: make_interval(days => 1). */
static bool is_of_other(const char *end)
{
    const char *next = skip_blanks(end);

    return *next == '(' || *end == '.' || (next[0] == '=' && next[1] == '>');
}

static void copy_name(struct walk *walk)
{
    bool quoted = *walk->at == '"';
    const char *end = quoted ? end_of_quoted(walk->at, false) : end_of_name(walk->at);
    bool key_word = !quoted && is_key_word(walk->at, end);
    bool before_other = key_word && is_one_of(BEFORE_OTHERS, walk->at, end);

    if (walk->no_column || key_word || is_of_other(end))
        copy_to(walk, end);
    else
        copy_column(walk, end);
    walk->no_column = before_other;
}

static bool continues_type(const char *at, const char *end)
{
    static const char *const words[] = {"varying", "precision", "without", "with", "time",
                                        "zone",    "year",      "month",   "day",  "hour",
                                        "minute",  "second",    "to",      NULL};

    return is_one_of(words, at, end);
}

/* Behind "::": schema."Type"(3) without time zone[] */
static void copy_type(struct walk *walk)
{
    const char *end = walk->at + 2;

    for (;; end++) {
        end = *end == '"' ? end_of_quoted(end, false) : end_of_name(end);
        if (*end != '.')
            break;
    }
    for (;;) {
        const char *next = *end == '(' ? strchr(end, ')') : NULL;

        if (next)
            end = next + 1;
        if (*end != ' ' || !continues_type(end + 1, end_of_name(end + 1)))
            break;
        end = end_of_name(end + 1);
    }
    copy_to(walk, end);
}

static void step(struct walk *walk)
{
    char byte = *walk->at;

    if (byte == '\'') {
        copy_to(walk, end_of_quoted(walk->at, false));
    } else if (byte == 'E' && walk->at[1] == '\'') {
        copy_to(walk, walk->at + 1);
        copy_to(walk, end_of_quoted(walk->at, true));
    } else if (byte == ':' && walk->at[1] == ':') {
        copy_type(walk);
    } else if (byte == '"' || begins_name(byte)) {
        copy_name(walk);
    } else if (byte >= '0' && byte <= '9') {
        copy_to(walk, end_of_name(walk->at));
    } else {
        walk->no_column = byte == '.' || (walk->no_column && (byte == ' ' || byte == '('));
        copy_to(walk, walk->at + 1);
    }
}

bool expression_rename(const char *expression, const struct renaming *renamings, size_t count,
                       struct buf *out, const char **missing)
{
    struct walk walk = {.at = expression, .renamings = renamings, .count = count, .out = out};

    while (*walk.at && !walk.missing)
        step(&walk);
    if (!walk.missing)
        return true;
    *missing = walk.missing;
    return false;
}
