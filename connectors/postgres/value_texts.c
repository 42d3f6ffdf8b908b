/* Values as text, and back (value_texts.h). */
#include "postgres/value_texts.h"

#include "schema/types.h"

#include <string.h>

#define PATIENCE (20 * USEC_PER_SEC)

void value_texts_close(struct value_texts *texts)
{
    session_close(&texts->session);
}

static bool connected(struct value_texts *texts, struct err *err)
{
    if (session_is_open(&texts->session))
        return true;
    if (!session_reopen(&texts->session, "source", texts->dsn, SESSION_SQL, texts->stop, err))
        return false;
    texts->session.patience = PATIENCE;
    return true;
}

static const struct type_codec *codec_of(const struct value_texts *texts, uint32_t type)
{
    return type_codec_of(catalog_find_type(texts->source, type));
}

static void take_result(const PGresult *result, bool binary, struct arena *arena,
                        struct value *out)
{
    *out = (struct value){.kind = VALUE_NULL};
    if (PQgetisnull(result, 0, 0))
        return;
    out->kind = binary ? VALUE_BINARY : VALUE_TEXT;
    out->size = (uint32_t)PQgetlength(result, 0, 0);
    out->data = arena_copy(arena, PQgetvalue(result, 0, 0), out->size);
}

/* One value goes in in one format and comes out in the other. */
static bool ask(struct value_texts *texts, uint32_t type, const char *data, uint32_t size,
                bool to_binary, struct arena *arena, struct value *out, struct err *err)
{
    const int length = (int)size;
    const int format = !to_binary;
    if (!connected(texts, err))
        return false;
    PGresult *result = session_query_formatted(&texts->session, "SELECT $1", 1, &(Oid){type},
                                               &data, &length, &format, to_binary, err);
    if (result != NULL)
        take_result(result, to_binary, arena, out);
    PQclear(result);
    return result != NULL;
}

static bool text_of(struct value_texts *texts, uint32_t type, const struct value *value,
                    struct arena *arena, struct value *out, struct err *err)
{
    const struct type_codec *codec = codec_of(texts, type);
    if (value->kind != VALUE_BINARY) {
        *out = *value;
        return true;
    }
    return (codec != NULL && type_has_text(codec) && type_to_text(codec, value, arena, out)) ||
           ask(texts, type, value->data, value->size, false, arena, out, err);
}

bool value_texts_of(struct value_texts *texts, const struct relation *relation,
                    const struct row *row, struct arena *arena, struct row *out,
                    struct err *err)
{
    struct row made = {.count = row->count};
    made.values = arena_alloc(arena, (row->count + 1U) * sizeof *made.values);
    for (uint16_t i = 0; i < row->count; i++)
        if (!text_of(texts, relation->columns[i].type_oid, &row->values[i], arena,
                     &made.values[i], err))
            return err_wrap(err, "the text of column %s of %s.%s", relation->columns[i].name,
                            relation->schema, relation->name);
    *out = made;
    return true;
}

bool value_texts_wire(struct value_texts *texts, uint32_t type, const char *text,
                      struct arena *arena, struct value *out, struct err *err)
{
    const struct type_codec *codec = codec_of(texts, type);
    const struct value value = {text, (uint32_t)strlen(text), VALUE_TEXT};
    if (codec != NULL && type_has_binary(codec) && type_to_binary(codec, &value, arena, out))
        return true;
    if (ask(texts, type, text, value.size, true, arena, out, err))
        return true;
    if (strcmp(err->sqlstate, "42883") != 0) /* no binary output: the stream brings its text */
        return false;
    err_clear(err);
    *out = value;
    return true;
}
