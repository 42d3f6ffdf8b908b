/* PostgreSQL's types as slackwater needs to know them: may the binary form of a value travel
 * from one cluster to another, and can we turn it into the type's text (and text into binary)
 * ourselves. One table, by name; a type that is not in it travels as text, which is always
 * right.
 *
 * Source: src/backend/utils/adt (the send and output functions), pg_type.dat. */
#ifndef SCHEMA_TYPES_H
#define SCHEMA_TYPES_H

#include "base/arena.h"
#include "model/row.h"
#include "schema/catalog.h"

#include <stdbool.h>

struct type_codec; /* opaque row of the table; static */

/* The codec for a column, or NULL when its binary form may not travel (it holds OIDs of its
 * cluster, depends on settings, or is unknown). Enums have one: their binary form is the
 * label. Arrays of types in the table have one too (without text conversion). */
const struct type_codec *type_codec_for(const struct catalog_column *column);

/* True if type_to_text() works for it: bool, int2, int4, int8, oid, text, varchar, bpchar, name,
 * "char", uuid, json, jsonb, enums, date. */
bool type_has_text(const struct type_codec *codec);
/* Turns a VALUE_BINARY value into the type's VALUE_TEXT (bytes in the arena or borrowed from
 * the input). False if the bytes are not a valid value of the type. Other kinds of values
 * are copied as they are. */
bool type_to_text(const struct type_codec *codec, const struct value *in, struct arena *arena,
                  struct value *out);

/* True if type_to_binary() works for it: the same types, but date. */
bool type_has_binary(const struct type_codec *codec);
/* Turns a VALUE_TEXT value into VALUE_BINARY. False if the text is not valid for the type. */
bool type_to_binary(const struct type_codec *codec, const struct value *in,
                    struct arena *arena, struct value *out);

/* True if values of the source column fit the target column in binary without conversion:
 * both have the same codec. (Modifiers may differ: the receive function applies them.) */
bool type_same_binary(const struct catalog_column *source,
                      const struct catalog_column *target);

#endif
