/* A quantity as a person reads it: "12 ms", "3.4 GiB", "1,234,567".
 *
 * Numbers come from a JSON document: what is negative, NAN or beyond all sense is not known, and
 * shows as QUANTITY_UNKNOWN. What is returned is that, or `text`, written to. */
#ifndef OBSERVE_QUANTITY_H
#define OBSERVE_QUANTITY_H

#define QUANTITY_TEXT 64 /* bytes, more than any of them takes */
#define QUANTITY_UNKNOWN "-"

const char *quantity_seconds(double seconds, char text[QUANTITY_TEXT]);
const char *quantity_bytes(double bytes, char text[QUANTITY_TEXT]);
/* In short from ten million on: "12.3 M". */
const char *quantity_count(double count, char text[QUANTITY_TEXT]);

#endif
