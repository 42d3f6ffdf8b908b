/* A type as people write it ("varchar(255)", "timestamp with time zone", "int8[]") as the facts
 * that a catalog would hold of it. For schema files, which have no server to ask. */
#ifndef SCHEMA_TYPE_NAME_H
#define SCHEMA_TYPE_NAME_H

#include "schema/catalog.h"

#include <stdbool.h>

#define TYPE_NUMBER_NONE (-1)

struct type_text {
    const char *name;      /* "numeric", "numeric(12,2)", "bigserial", any case */
    long length;           /* TYPE_NUMBER_NONE: not said besides the name */
    long precision, scale; /* the same */
};

/* Fills type_name (canonical: "numeric(12,2)"), base_type, type_kind, array and type_modifier
 * of the column; *serial: it counts by itself. An unknown name is a type of somebody's own.
 * False when the text cannot be a type at all; the column is then as it was. */
bool type_name_parse(const struct type_text *text, struct catalog_column *column, bool *serial);

#endif
