/* Asks the source between which bounds keys lie (pipeline/key_places.h): in a session of its
 * own, by a statement a table that holds the bounds, prepared once. */
#ifndef POSTGRES_KEY_PLACES_H
#define POSTGRES_KEY_PLACES_H

#include "base/stop.h"
#include "pipeline/key_places.h"

/* All borrowed. Does not connect. */
struct key_places *pg_key_places_create(const char *dsn, size_t table_count,
                                        const struct stop *stop);

#endif
