/* Quantities as text (quantity.h). */
#include "observe/quantity.h"

#include "base/clock.h"
#include "base/units.h"

#include <stddef.h>
#include <stdio.h>

const char *quantity_seconds(double seconds, char text[QUANTITY_TEXT])
{
    if (!(seconds >= 0) || seconds > 1e11)
        return QUANTITY_UNKNOWN;
    return units_format_duration((usec_t)(seconds * USEC_PER_SEC), text, QUANTITY_TEXT);
}

const char *quantity_bytes(double bytes, char text[QUANTITY_TEXT])
{
    if (!(bytes >= 0) || bytes > 1e18)
        return QUANTITY_UNKNOWN;
    return units_format_size((uint64_t)bytes, text, QUANTITY_TEXT);
}

const char *quantity_count(double count, char text[QUANTITY_TEXT])
{
    static const struct {
        double from, unit;
        const char *name;
    } scales[] = {{1e13, 1e12, "tn"}, {1e10, 1e9, "bn"}, {1e7, 1e6, "M"}};
    if (!(count >= 0))
        return QUANTITY_UNKNOWN;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (count >= scales[i].from) {
            snprintf(text, QUANTITY_TEXT, "%.1f %s", count / scales[i].unit, scales[i].name);
            return text;
        }
    unsigned whole = (unsigned)count;
    if (whole >= 1000000)
        snprintf(text, QUANTITY_TEXT, "%u,%03u,%03u", whole / 1000000, whole / 1000 % 1000,
                 whole % 1000);
    else if (whole >= 1000)
        snprintf(text, QUANTITY_TEXT, "%u,%03u", whole / 1000, whole % 1000);
    else
        snprintf(text, QUANTITY_TEXT, "%u", whole);
    return text;
}
