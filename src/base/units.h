/* Quantities as people write them: "250ms", "5s", "2m", "1h", "1d"; "64kB", "16MB", "1GiB".
 * A bare number without a unit is refused for durations (nobody knows which unit was meant)
 * except 0, and taken as bytes for sizes. kB, MB, GB, TB are powers of 1024, as in PostgreSQL;
 * KiB, MiB, GiB, TiB are accepted as well. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool units_parse_duration(const char *text, usec_t *duration);
bool units_parse_size(const char *text, uint64_t *bytes);

/* Of a text that is refused for its unit: with the unit that was meant ("5 seconds": "5s"), if
 * that can be told. */
bool units_nearest_duration(const char *text, char *near, size_t size);
bool units_nearest_size(const char *text, char *near, size_t size);

/* "1.5 s", "230 ms", "3 m 12 s", "2 h 5 m"; text has at least 32 bytes. Returns text. */
char *units_format_duration(usec_t duration, char *text, size_t size);
/* "1.4 GB", "12 kB"; text has at least 32 bytes. Returns text. */
char *units_format_size(uint64_t bytes, char *text, size_t size);

#endif
