/* Inside schema files: what schema_file.c and schema_file_table.c share. */
#ifndef SCHEMA_SCHEMA_FILE_PARTS_H
#define SCHEMA_SCHEMA_FILE_PARTS_H

#include "schema/schema_file.h"

#include <jansson.h>

struct schema_file {
    const char *name; /* of the file */
    struct catalog *catalog;
    struct findings *notes;
    struct err *err;
};

/* "a.json: tables.users: expected an object, found a text". `found` NULL: nothing. Returns
 * false. */
bool schema_file_refuse(struct schema_file *file, const char *path, const char *expected,
                        const json_t *found);
/* A note for each member of the object that is not in the NULL-terminated list. */
void schema_file_note_unknown(struct schema_file *file, const char *path, json_t *object,
                              const char *const *known);

/* Fills columns, indexes, constraints and foreign keys of a zeroed, named table. What was
 * filled before a failure belongs to the catalog all the same. */
bool schema_file_load_table(struct schema_file *file, const char *path, json_t *value,
                            struct catalog_table *table);

#endif
