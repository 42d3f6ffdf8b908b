/* A member of a JSON document, by its path: names joined by dots ("lag.seconds").
 *
 * The document is whatever came over the wire: any member may be missing, null or of another
 * type, and then reads as "not there". Texts are borrowed from the document, and may hold
 * anything. */
#ifndef OBSERVE_MEMBER_H
#define OBSERVE_MEMBER_H

#include <jansson.h>
#include <stdbool.h>

const json_t *member_at(const json_t *document, const char *path); /* NULL: not there */
const char *member_text(const json_t *document, const char *path); /* "": not there */
double member_number(const json_t *document, const char *path);    /* NAN: not there */
bool member_true(const json_t *document, const char *path);
double member_share(const json_t *document, const char *path); /* 0..1; 0: not there */

#endif
