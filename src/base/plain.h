/* Text that others chose (names, messages of servers), for a terminal or for one line of a
 * script: control characters are shown as \n, \t, \x1b, and not obeyed. */
#ifndef BASE_PLAIN_H
#define BASE_PLAIN_H

#include "base/buf.h"

#include <stdio.h>

void plain_append(struct buf *out, const char *text);
void plain_print(FILE *stream, const char *text);

#endif
