/* PostgreSQL's types as slackwater needs to know them: may the binary form of a value travel
 * from one cluster to another, and can we turn it into the type's text (and text into binary)
 * ourselves. Tables by name; a type that is in none travels as text, which is always right.
 * What is made of other types (arrays, composites, ranges) is schema/passage.h's.
 *
 * Source: src/backend/utils/adt and contrib (the send and output functions). */
#ifndef SCHEMA_TYPES_H
#define SCHEMA_TYPES_H

#include "base/arena.h"
#include "model/row.h"
#include "schema/catalog.h"

#include <stdbool.h>

struct type_codec; /* opaque row of the table; static */

/* The codec for a column, or NULL when its binary form may not travel by itself (it holds OIDs
 * of its cluster, is made of other types, or is unknown). Enums have one: their binary form is
 * the label. */
const struct type_codec *type_codec_for(const struct catalog_column *column);
/* The same for a type; domains count as what they are over. NULL is accepted. */
const struct type_codec *type_codec_of(const struct catalog_type *type);

/* True if type_to_text() works for it: bool, int2, int4, int8, oid, text, varchar, bpchar, name,
 * "char", refcursor, uuid, json, jsonb, enums, citext, ltree, lquery, ltxtquery, date, xml. */
bool type_has_text(const struct type_codec *codec);
/* Turns a VALUE_BINARY value into the type's VALUE_TEXT (bytes in the arena or borrowed from
 * the input). False if the bytes are not a valid value of the type. Other kinds of values
 * are copied as they are. */
bool type_to_text(const struct type_codec *codec, const struct value *in, struct arena *arena,
                  struct value *out);

/* True if type_to_binary() works for it: the same types, but date and xml. */
bool type_has_binary(const struct type_codec *codec);
/* Turns a VALUE_TEXT value into VALUE_BINARY. False if the text is not valid for the type. */
bool type_to_binary(const struct type_codec *codec, const struct value *in, struct arena *arena,
                    struct value *out);

#endif
