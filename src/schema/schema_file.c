/* Reads a schema file (schema_file.h): the shape of the document. What stands in a table is
 * schema_file_table.c's. */
#include "schema/schema_file.h"

#include "base/mem.h"
#include "schema/schema_file_parts.h"

#include <stdlib.h>
#include <string.h>

bool schema_file_refuse(struct schema_file *file, const char *path, const char *expected,
                        const json_t *found)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return err_set(file->err, ERR_CONFIG, "%s: %s: expected %s, found %s", file->name, path,
                   expected, found ? names[json_typeof(found)] : "nothing");
}

void schema_file_note_unknown(struct schema_file *file, const char *path, json_t *object,
                              const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool found = false;
        for (size_t i = 0; known[i]; i++)
            found |= strcmp(known[i], key) == 0;
        if (found)
            continue;
        char *where = mem_format("%s: %s%s%s", file->name, path, *path ? "." : "", key);
        findings_addf(file->notes, "file.unknown_member", SEVERITY_NON_BREAKING, where,
                      "leave it out, or mend its name",
                      "\"%s\" is not a member of the schema's form and is ignored", key);
        free(where);
    }
}

/* "app.users" is users in app. */
static void name_table(const char *key, struct catalog_table *table)
{
    const char *dot = strchr(key, '.');
    table->schema = dot ? mem_string_sized(key, (size_t)(dot - key)) : mem_string("");
    table->name = mem_string(dot ? dot + 1 : key);
}

static bool load_tables(struct schema_file *file, json_t *tables)
{
    const char *key;
    json_t *value;
    struct catalog *catalog = file->catalog;
    if (!tables)
        return true;
    if (!json_is_object(tables))
        return schema_file_refuse(file, "tables", "an object", tables);
    catalog->tables = mem_zero(json_object_size(tables) + 1, sizeof *catalog->tables);
    json_object_foreach(tables, key, value)
    {
        struct catalog_table *table = &catalog->tables[catalog->table_count++];
        *table = (struct catalog_table){
            .kind = 'r', .persistence = 'p', .replica_identity = 'd', .estimated_rows = -1};
        name_table(key, table);
        char *path = mem_format("tables.%s", key);
        bool ok = schema_file_load_table(file, path, value, table);
        free(path);
        if (!ok)
            return false;
    }
    return true;
}

/* Views and procedures: compared by their text, whatever form it has. */
static bool load_objects(struct schema_file *file, const char *member, const char *kind,
                         json_t *objects)
{
    const char *key;
    json_t *value;
    struct catalog *catalog = file->catalog;
    if (!objects)
        return true;
    if (!json_is_object(objects))
        return schema_file_refuse(file, member, "an object", objects);
    catalog->objects =
        mem_grow(catalog->objects, catalog->object_count + json_object_size(objects) + 1,
                 sizeof *catalog->objects);
    json_object_foreach(objects, key, value) catalog->objects[catalog->object_count++] =
        (struct catalog_object){
            .kind = kind,
            .name = mem_string(key),
            .definition = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)};
    return true;
}

static bool load_document(struct schema_file *file, json_t *document)
{
    static const char *const known[] = {"schema_version", "database",   "tables",
                                        "views",          "procedures", NULL};
    const char *database = json_string_value(json_object_get(document, "database"));
    if (!json_is_object(document))
        return schema_file_refuse(file, "the document", "an object", document);
    schema_file_note_unknown(file, "", document, known);
    file->catalog->database = mem_string(database ? database : file->name);
    return load_tables(file, json_object_get(document, "tables")) &&
           load_objects(file, "views", "view", json_object_get(document, "views")) &&
           load_objects(file, "procedures", "procedure",
                        json_object_get(document, "procedures"));
}

bool schema_file_load(const char *path, struct catalog **catalog, struct findings *notes,
                      struct err *err)
{
    json_error_t problem;
    json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    if (!document)
        return problem.line < 0 ? err_set(err, ERR_CONFIG, "%s", problem.text)
                                : err_set(err, ERR_CONFIG, "%s:%d:%d: %s", path, problem.line,
                                          problem.column, problem.text);
    struct schema_file file = {.name = path,
                               .catalog = mem_zero(1, sizeof(struct catalog)),
                               .notes = notes,
                               .err = err};
    bool ok = load_document(&file, document);
    json_decref(document);
    if (ok)
        *catalog = file.catalog;
    else
        catalog_free(file.catalog);
    return ok;
}
