/* See formula.h. */
#include "schema/formula.h"

#include "schema/ident.h"

#include <string.h>

#define ROW_NAME "\"slackwater source row\""

/* On lines of its own: a comment at the expression's end ends there too. */
static const char before[] = "(SELECT (\n";
static const char after[] = "\n) FROM (SELECT ";

void formula_open(struct buf *sql, const char *expression, const struct formula_input *inputs,
                  size_t count)
{
    buf_append_text(sql, before);
    buf_append_text(sql, expression);
    buf_append_text(sql, after);
    for (size_t i = 0; i < count; i++) {
        buf_append_format(sql, "%sv[%zu]::%s AS ", i ? ", " : "", i + 1, inputs[i].type);
        ident_append(sql, inputs[i].name);
    }
    buf_append_text(sql, " FROM (SELECT ");
}

void formula_append(struct buf *sql, const char *opening, const char *value)
{
    buf_append_text(sql, opening);
    buf_append_text(sql, value);
    buf_append_text(sql, " AS v) AS i WHERE v IS NOT NULL) AS " ROW_NAME ")");
}

void formula_append_plain(struct buf *sql, const char *expression,
                          const struct formula_input *inputs, size_t count)
{
    buf_append_text(sql, before);
    buf_append_text(sql, expression);
    buf_append_text(sql, after);
    for (size_t i = 0; i < count; i++) {
        buf_append_text(sql, i ? ", " : "");
        ident_append(sql, inputs[i].name);
        buf_append_format(sql, "::%s AS ", inputs[i].type);
        ident_append(sql, inputs[i].name);
    }
    buf_append_text(sql, ") AS " ROW_NAME ")");
}

size_t formula_offset(void)
{
    return strlen(before);
}
