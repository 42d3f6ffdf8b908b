/* Reads single rows of the source again (pipeline/row_reader.h), over a session of its own. */
#ifndef POSTGRES_ROW_READER_H
#define POSTGRES_ROW_READER_H

#include "base/stop.h"
#include "pipeline/row_reader.h"
#include "schema/catalog.h"

/* All borrowed. Does not connect. */
struct row_reader *pg_row_reader_create(const char *dsn, const struct catalog *source,
                                        const struct stop *stop);

#endif
