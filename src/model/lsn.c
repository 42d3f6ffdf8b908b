/* Log sequence numbers as text.
 *
 * The problem: operators, logs and SQL write an LSN as two hexadecimal halves. The invariant:
 * what lsn_format() writes is what PostgreSQL prints (%X/%X, pg_lsn.c), and lsn_parse() takes
 * exactly what pg_lsn_in() takes. */
#include "model/lsn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

char *lsn_format(lsn_t lsn, char *text)
{
    snprintf(text, LSN_TEXT_SIZE, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
    return text;
}

/* One to eight digits; returns how many there are, or 0. */
static size_t parse_half(const char *text, uint32_t *half)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    size_t length = strspn(text, digits);
    if (length < 1 || length > 8)
        return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t digit = (uint32_t)(strchr(digits, text[i]) - digits);
        value = value << 4 | (digit < 16 ? digit : digit - 6);
    }
    *half = value;
    return length;
}

bool lsn_parse(const char *text, lsn_t *lsn)
{
    uint32_t high, low;
    size_t first = parse_half(text, &high);
    if (!first || text[first] != '/')
        return false;
    size_t second = parse_half(text + first + 1, &low);
    if (!second || text[first + 1 + second] != '\0')
        return false;
    *lsn = (lsn_t)high << 32 | low;
    return true;
}
