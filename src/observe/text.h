/* Text that came from elsewhere (table names, server messages), made fit for JSON, labels and
 * terminals: valid UTF-8, known width, no control bytes. Of observe and the commands. */
#ifndef OBSERVE_TEXT_H
#define OBSERVE_TEXT_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* The next code point at *text, which moves behind it; U+FFFD for each byte that is not valid
 * UTF-8. 0 at the end, and *text stays. */
uint32_t text_next(const char **text);

/* Appends text, every byte that is not valid UTF-8 replaced by U+FFFD. */
void text_append_valid(struct buf *out, const char *text);

/* Columns in a terminal: two for East Asian wide characters, none for combining marks. */
int text_width(const char *text);

/* Appends text for a terminal, at most `width` columns of it, cut with `ellipsis` (one column
 * wide), control characters replaced by '?'. Returns the columns used. */
int text_append_cut(struct buf *out, const char *text, int width, const char *ellipsis);

#endif
