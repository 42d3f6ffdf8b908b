/* A plan of statements (ddl.h): keeping it and printing it. What is in it: ddl_plan.c. */
#include "schema/ddl.h"

#include "base/plain.h"

#include <stdlib.h>

/* A name may hold a line's end, which would end the comment. */
static void print_note(const char *note, struct buf *script)
{
    buf_append_text(script, "-- ");
    plain_append(script, note);
    buf_append_char(script, '\n');
}

void ddl_print(const struct ddl *ddl, enum ddl_phase phase, struct buf *script)
{
    for (size_t i = 0; i < ddl->count; i++) {
        const struct ddl_statement *statement = &ddl->statements[i];

        if (statement->phase != phase)
            continue;
        if (statement->kind == DDL_NOTE)
            print_note(statement->sql, script);
        else
            buf_append_format(script, "%s;\n", statement->sql);
    }
}

void ddl_free(struct ddl *ddl)
{
    if (!ddl)
        return;
    arena_free(&ddl->arena);
    free(ddl->statements);
    free(ddl);
}
