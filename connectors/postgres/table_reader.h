/* Reads a source table by COPY under a repeatable-read snapshot (pipeline/table_copy.h). */
#ifndef POSTGRES_TABLE_READER_H
#define POSTGRES_TABLE_READER_H

#include "base/stop.h"
#include "pipeline/table_copy.h"
#include "schema/catalog.h"

/* All borrowed. Does not connect. */
struct table_reader *pg_table_reader_create(const char *dsn, const struct catalog *source,
                                            const struct stop *stop);

#endif
