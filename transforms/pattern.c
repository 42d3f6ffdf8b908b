/* See pattern.h. */
#include "transforms/pattern.h"

#include "base/mem.h"
#include "transforms/text.h"

#include <stdlib.h>
#include <string.h>

bool pattern_is(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (strchr("*?()", text[i]))
            return true;
    return false;
}

const char *pattern_fault(const char *pattern)
{
    bool open = false;
    size_t groups = 0;

    for (; *pattern; pattern++) {
        if (*pattern == '(') {
            if (open)
                return "groups do not nest";
            open = true;
            groups++;
        } else if (*pattern == ')') {
            if (!open)
                return "a \")\" without its \"(\"";
            open = false;
        }
    }
    if (open)
        return "a \"(\" without its \")\"";
    return groups > PATTERN_GROUPS ? "more than nine groups" : NULL;
}

struct match {
    const char *begins[PATTERN_GROUPS];
    const char *ends[PATTERN_GROUPS];
    size_t count;
    /* Where the rest of the pattern is known not to match the rest of the name: without it the
     * time would grow with each star by a factor of the name's length. */
    const char *pattern, *name;
    size_t width;
    bool *dead;
};

static bool match_from(const char *pattern, const char *name, struct match *match);

/* As little as it can. */
static bool match_star(const char *pattern, const char *name, struct match *match)
{
    size_t count = match->count;

    for (;; name++) {
        match->count = count;
        if (match_from(pattern + 1, name, match))
            return true;
        if (!*name)
            return false;
    }
}

static bool match_next(const char *pattern, const char *name, struct match *match)
{
    size_t count = match->count;

    switch (*pattern) {
    case '\0':
        return *name == '\0';
    case '(':
        if (count == PATTERN_GROUPS)
            return false;
        match->begins[match->count++] = name;
        break;
    case ')':
        match->ends[count - 1] = name;
        break;
    case '*':
        return match_star(pattern, name, match);
    default:
        if (!*name || (*pattern != '?' && *pattern != *name))
            return false;
        name++;
    }
    return match_from(pattern + 1, name, match);
}

static bool match_from(const char *pattern, const char *name, struct match *match)
{
    bool *dead = &match->dead[(size_t)(pattern - match->pattern) * match->width +
                              (size_t)(name - match->name)];

    if (!*dead && match_next(pattern, name, match))
        return true;
    *dead = true;
    return false;
}

static bool match_whole(const char *pattern, const char *name, struct match *match)
{
    bool matches;

    *match = (struct match){.pattern = pattern, .name = name, .width = strlen(name) + 1};
    match->dead = mem_zero(strlen(pattern) + 1, match->width);
    matches = match_from(pattern, name, match);
    free(match->dead);
    return matches;
}

bool pattern_match(const char *pattern, const char *name, struct arena *arena,
                   struct captures *captures)
{
    struct match match;

    if (!match_whole(pattern, name, &match) || captures->count + match.count > PATTERN_GROUPS)
        return false;
    for (size_t i = 0; i < match.count; i++)
        captures->texts[captures->count++] =
            text_copy_sized(arena, match.begins[i], (size_t)(match.ends[i] - match.begins[i]));
    return true;
}

static bool is_reference(const char *at)
{
    return at[0] == '\\' && at[1] >= '1' && at[1] <= '9';
}

size_t pattern_highest_reference(const char *text)
{
    size_t highest = 0;

    for (; *text; text++)
        if (is_reference(text) && (size_t)(text[1] - '0') > highest)
            highest = (size_t)(text[1] - '0');
    return highest;
}

const char *pattern_fill(const char *text, const struct captures *captures, struct arena *arena)
{
    struct buf filled = {0};

    for (; *text; text++) {
        if (is_reference(text) && (size_t)(text[1] - '1') < captures->count)
            buf_append_text(&filled, captures->texts[*++text - '1']);
        else
            buf_append_char(&filled, *text);
    }
    return text_take(arena, &filled);
}
