/* json: one part of a document, or a document made of columns.
 *
 *     city:  { from: address, json: { pick: $.home.city } }
 *     first: { from: tags, json: { pick: [0] } }
 *     extra: { json: { build: { phone: phone, vip: is_vip } } }
 *
 * pick gives the text that PostgreSQL's #>> gives, for a json or jsonb column: a number or a
 * part with parts as it is written there, null and what is missing as NULL. A step that is a
 * number is an index in an array (negative: from its end) and a key in an object.
 *
 * build gives the text that json_build_object() gives, keys in the order of the file: numbers,
 * bools, json and jsonb as what they are, every other type and what rules make as its text,
 * NULL as null. A jsonb column of the target orders and spaces it as it likes. */
#ifndef TRANSFORMS_JSON_H
#define TRANSFORMS_JSON_H

#include "transforms/rule.h"

/* The two forms; json.c chooses when it loads. */
extern const struct rule_kind json_pick;
extern const struct rule_kind json_build;

#endif
