/* Prints pgoutput messages: reads one message a line, in hexadecimal, from standard input, and
 * writes one line of text for each. Lines that begin with # and empty ones are passed over. What
 * the golden tests compare; handy also for looking at a capture. */
#include "base/buf.h"
#include "postgres/pgoutput.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit(char c)
{
    static const char DIGITS[] = "0123456789abcdef";
    const char *at = strchr(DIGITS, tolower((unsigned char)c));
    return c && at ? (int)(at - DIGITS) : -1;
}

/* Decodes in place; -1 when it is no hexadecimal. */
static ssize_t unhex(char *line)
{
    size_t size = 0;
    for (char *at = line; *at && *at != '\n'; at += 2, size++) {
        int high = digit(at[0]);
        int low = high < 0 ? -1 : digit(at[1]);
        if (low < 0)
            return -1;
        line[size] = (char)(high << 4 | low);
    }
    return (ssize_t)size;
}

static bool print_message(struct pgoutput *decoder, char *line, struct arena *arena,
                          struct buf *out)
{
    struct pgoutput_message message;
    struct err err = {0};
    ssize_t size = unhex(line);
    arena_reset(arena);
    if (size < 0)
        err_set(&err, ERR_CORRUPT, "not hexadecimal");
    else if (pgoutput_decode(decoder, line, (size_t)size, arena, &message, &err))
        pgoutput_print(&message, out);
    if (err.class != ERR_NONE)
        buf_append_format(out, "error: %s", err.message);
    buf_append_char(out, '\n');
    return err.class == ERR_NONE;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    bool ok = true;
    struct pgoutput decoder = {0};
    struct arena arena;
    struct buf out = {0};
    arena_init(&arena, 1 << 16);
    while (getline(&line, &capacity, stdin) > 0) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        ok = print_message(&decoder, line, &arena, &out) && ok;
        fwrite(out.data, 1, out.size, stdout);
        buf_clear(&out);
    }
    free(line);
    buf_free(&out);
    arena_free(&arena);
    return ok ? 0 : 1;
}
