/* The layout of a preview (preview_view.h).
 *
 *     2 | name value | 2 | name value | 2 | rule
 *         before           after
 *
 * The two sides are equally wide, and so are their names: as wide as the longest, at most half
 * of the side. */
#include "cli/preview_view.h"

#include "base/plain.h"
#include "observe/text.h"

#include <string.h>

#define MOST_WRAPS 3 /* lines that one value may take */
#define GAP 2

struct layout {
    struct preview_style style;
    int name_width;
    int value_width;
    int rule_width;
};

static int at_most(int value, int limit)
{
    return value < limit ? value : limit;
}

static int longest_name(const struct preview_line *lines, size_t count)
{
    int longest = 6; /* "BEFORE" */

    for (size_t i = 0; i < count; i++) {
        const char *names[] = {lines[i].before.column, lines[i].after.column};

        for (size_t side = 0; side < 2; side++)
            if (names[side] && text_width(names[side]) > longest)
                longest = text_width(names[side]);
    }
    return longest;
}

static struct layout choose_layout(const struct preview_line *lines, size_t count,
                                   struct preview_style style)
{
    int width = style.width < 60 ? 60 : at_most(style.width, 160);
    struct layout layout = {.style = style, .rule_width = width >= 100 ? 22 : 14};
    int side = (width - layout.rule_width - 3 * GAP) / 2;

    layout.name_width = at_most(longest_name(lines, count), side / 2 - 1);
    layout.value_width = side - layout.name_width - 1;
    return layout;
}

/* --- values as they are shown --- */

static void show(const struct preview_value *value, struct buf *shown)
{
    bool quotes;

    if (!value->column)
        return;
    if (!value->text) {
        buf_append_text(shown, "NULL");
        return;
    }
    quotes = value->text[0] == '\0' || strcmp(value->text, "NULL") == 0;
    buf_append_text(shown, quotes ? "\"" : "");
    plain_append(shown, value->text);
    buf_append_text(shown, quotes ? "\"" : "");
}

/* --- cells --- */

static void pad(struct buf *out, int columns)
{
    for (int i = 0; i < columns; i++)
        buf_append_char(out, ' ');
}

static void append_cut(const struct layout *layout, const char *text, int width,
                       struct buf *out)
{
    int used = text_append_cut(out, text, width, layout->style.unicode ? "…" : "~");

    pad(out, width - used);
}

/* How many bytes of text fill the width: whole code points. */
static size_t bytes_that_fit(const char *text, int width)
{
    const char *at = text;

    while (*at) {
        const char *next = at;
        char piece[8] = {0};

        text_next(&next);
        memcpy(piece, at, (size_t)(next - at));
        width -= text_width(piece);
        if (width < 0)
            break;
        at = next;
    }
    return (size_t)(at - text);
}

/* Appends what stands in the cell on this line and moves *text behind it. The last line that a
 * value may take is cut. */
static void append_wrapped(const struct layout *layout, const char **text, int width, int line,
                           struct buf *out)
{
    size_t size = bytes_that_fit(*text, width);
    struct buf piece = {0};

    if (line == MOST_WRAPS - 1) {
        append_cut(layout, *text, width, out);
        *text += strlen(*text);
        return;
    }
    buf_append(&piece, *text, size);
    append_cut(layout, buf_text(&piece), width, out);
    buf_free(&piece);
    *text += size;
}

/* --- lines --- */

struct side {
    const struct preview_value *value;
    struct buf shown;
    const char *rest;
};

static void append_side(const struct layout *layout, struct side *side, int line,
                        struct buf *out)
{
    bool dim = layout->style.color && side->value->column && !side->value->text;

    append_cut(layout, line == 0 && side->value->column ? side->value->column : "",
               layout->name_width, out);
    buf_append_char(out, ' ');
    buf_append_text(out, dim ? "\033[2m" : "");
    append_wrapped(layout, &side->rest, layout->value_width, line, out);
    buf_append_text(out, dim ? "\033[0m" : "");
}

static void end_line(struct buf *out)
{
    while (out->size && out->data[out->size - 1] == ' ')
        out->data[--out->size] = '\0';
    buf_append_char(out, '\n');
}

static void append_line(const struct layout *layout, const struct preview_line *line,
                        struct buf *out)
{
    struct side sides[2] = {{.value = &line->before}, {.value = &line->after}};
    const char *rule = line->rule;

    for (size_t i = 0; i < 2; i++) {
        show(sides[i].value, &sides[i].shown);
        sides[i].rest = buf_text(&sides[i].shown);
    }
    for (int n = 0; n == 0 || *sides[0].rest || *sides[1].rest || *rule; n++) {
        for (size_t i = 0; i < 2; i++) {
            pad(out, GAP);
            append_side(layout, &sides[i], n, out);
        }
        pad(out, GAP);
        append_wrapped(layout, &rule, layout->rule_width, n, out);
        end_line(out);
    }
    buf_free(&sides[0].shown);
    buf_free(&sides[1].shown);
}

void preview_view(const struct preview_line *lines, size_t count, struct preview_style style,
                  struct buf *out)
{
    struct layout layout = choose_layout(lines, count, style);
    int side = layout.name_width + 1 + layout.value_width;

    pad(out, GAP);
    append_cut(&layout, "BEFORE", side, out);
    pad(out, GAP);
    append_cut(&layout, "AFTER", side, out);
    pad(out, GAP);
    append_cut(&layout, "RULE", layout.rule_width, out);
    end_line(out);
    for (size_t i = 0; i < count; i++)
        append_line(&layout, &lines[i], out);
}
