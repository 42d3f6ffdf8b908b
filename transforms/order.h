/* Values of types that have one order everywhere, compared here exactly as PostgreSQL compares
 * them, be they text or binary: date, time, timestamp, timestamptz, bool, uuid, bytea.
 *
 * Texts are what the sessions print (ISO dates) or a person writes in the same form:
 *
 *     date         2024-02-29, 0044-03-15 BC, infinity, -infinity
 *     time         23:59[:59[.123456]], 24:00
 *     timestamp    2024-02-29[ 23:59[:59[.123456]]][ BC], with a T or a blank between
 *     timestamptz  the same with a time and its zone: Z, +02, -03:30, +00:01:15
 *     bytea        \x00ff
 *
 * Anything else (names of months, two-digit years, more than six decimals, zone names) is
 * refused: it is read by settings, tables of zones or roundings that this side does not have.
 *
 * Left out: timetz and interval (equal values look different), and text, whose order is its
 * collation's; order_of_bytes() says where that is the order of the bytes.
 *
 * Source: src/backend/utils/adt (date.c timestamp.c datetime.c uuid.c varlena.c) and
 * src/include/datatype/timestamp.h of PostgreSQL 15. */
#ifndef TRANSFORMS_ORDER_H
#define TRANSFORMS_ORDER_H

#include "base/arena.h"
#include "model/row.h"
#include "schema/catalog.h"
#include "schema/types.h"

#include <stdbool.h>
#include <stdint.h>

struct order_type; /* static */

/* How the values of a column are compared. */
struct order {
    const struct order_type *type; /* NULL: not here */
    const struct type_codec *codec;
};

/* A value as what its order goes by: the number, then the bytes. */
struct order_key {
    int64_t number;
    const char *data;
    uint32_t size;
};

struct order order_for(const struct catalog_column *column);
/* "pg_catalog.timestamptz", as it stands in SQL. */
const char *order_type_sql(const struct order *order);
/* "a date such as 2024-02-29, 0044-03-15 BC or infinity" */
const char *order_expected(const struct order *order);
/* False if a VALUE_TEXT or VALUE_BINARY value is none of the type. */
bool order_key(const struct order *order, const struct value *value, struct arena *arena,
               struct order_key *key);
/* Below 0, 0 or above 0. */
int order_compare(const struct order_key *a, const struct order_key *b);

/* The column holds text, whose order is that of a collation. */
bool order_is_of_collation(const struct catalog_column *column);
/* And that is the order of the bytes: "C" or "POSIX". */
bool order_of_bytes(const struct catalog_column *column);

#endif
