/* The gates in the terminal view, and the verdict that they make. */
#include "observe/view.h"

#include "observe/member.h"
#include "observe/text.h"
#include "observe/view_parts.h"

#include <string.h>

#define VERDICT_WIDTH 8

static enum pen_tone tone_of(const char *verdict)
{
    if (strcmp(verdict, "GO") == 0)
        return PEN_GOOD;
    return strcmp(verdict, "UNKNOWN") == 0 ? PEN_WARN : PEN_BAD;
}

static bool is_go(const json_t *gate)
{
    return strcmp(member_text(gate, "verdict"), "GO") == 0;
}

static int name_width_of(const json_t *gates)
{
    int widest = 4;
    for (size_t i = 0; i < json_array_size(gates); i++) {
        int width = text_width(member_text(json_array_get(gates, i), "name"));
        if (width > widest)
            widest = width;
    }
    return widest < 24 ? widest : 24;
}

/* The verdict, counted from the gates, so that both documents will do. */
static void show_verdict(struct pen *pen, const json_t *gates, const char *hint)
{
    size_t count = json_array_size(gates), go = 0;
    for (size_t i = 0; i < count; i++)
        go += is_go(json_array_get(gates, i));
    pen_to(pen, 1);
    if (count && go == count) {
        pen_put(pen, PEN_GOOD, "GO");
        pen_format(pen, PEN_PLAIN, "  all %zu gates are GO", count);
    } else {
        pen_put(pen, PEN_BAD, "NO-GO");
        pen_format(pen, PEN_PLAIN, "  %zu of %zu gates are GO", go, count);
        if (hint)
            pen_put(pen, PEN_DIM, hint);
    }
    pen_end(pen);
}

/* The line of a gate, left open. */
static void show_gate(struct pen *pen, const json_t *gate, int name_width)
{
    const char *verdict = member_text(gate, "verdict"),
               *threshold = member_text(gate, "threshold");
    pen_to(pen, 1);
    pen_put_cut(pen, tone_of(verdict), VERDICT_WIDTH, verdict);
    pen_to(pen, 1 + VERDICT_WIDTH - 1);
    pen_cell(pen, PEN_PLAIN, name_width, member_text(gate, "name"));
    pen_put(pen, PEN_PLAIN, "  ");
    pen_put(pen, PEN_PLAIN, member_text(gate, "value"));
    /* A threshold in the value's own words says nothing more ("complete", "none"). */
    if (*threshold && strcmp(threshold, member_text(gate, "value")) != 0)
        pen_format(pen, PEN_DIM, " (%s)", threshold);
}

static void show_gate_in_short(struct pen *pen, const json_t *gate, int name_width)
{
    show_gate(pen, gate, name_width);
    if (!is_go(gate))
        pen_format(pen, PEN_PLAIN, ": %s", member_text(gate, "reason"));
    pen_end(pen);
}

static void show_gate_in_full(struct pen *pen, const json_t *gate, int name_width)
{
    show_gate(pen, gate, name_width);
    pen_end(pen);
    if (is_go(gate))
        return;
    pen_wrapped(pen, PEN_PLAIN, 1 + VERDICT_WIDTH, "reason  ", member_text(gate, "reason"));
    pen_wrapped(pen, PEN_PLAIN, 1 + VERDICT_WIDTH, "remedy  ", member_text(gate, "remedy"));
}

void view_show_gates(struct pen *pen, const json_t *gates, const char *hint)
{
    int name_width = name_width_of(gates);
    for (size_t i = 0; i < json_array_size(gates); i++)
        show_gate_in_short(pen, json_array_get(gates, i), name_width);
    pen_end(pen);
    show_verdict(pen, gates, hint);
}

void view_gates(const json_t *document, struct pen_style style, struct buf *out)
{
    struct pen pen = pen_new(out, style);
    const json_t *gates = member_at(document, "gates");
    int name_width = name_width_of(gates);
    for (size_t i = 0; i < json_array_size(gates); i++)
        show_gate_in_full(&pen, json_array_get(gates, i), name_width);
    pen_end(&pen);
    show_verdict(&pen, gates, NULL);
}
