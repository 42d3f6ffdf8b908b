/* Will the values of one column fit another, when they go as text: the source type's output
 * into the target type's input function? A table over categories of types, so that a new type
 * is one line. What it cannot know (a type of an extension, a user's own) it calls FIT_PERHAPS.
 *
 * Domains count as their base type. Enums, composites and other own types are the same when
 * their schema-qualified names are; that the labels or fields agree is not looked at here. */
#ifndef SCHEMA_COMPATIBILITY_H
#define SCHEMA_COMPATIBILITY_H

#include "schema/catalog.h"

#include <stdbool.h>

enum fit {
    FIT_SAME,    /* the same type, and length and precision are no smaller */
    FIT_ALWAYS,  /* another type that takes every value */
    FIT_PERHAPS, /* some values may be refused or lose something */
    FIT_NEVER,   /* the type cannot be cast */
};

/* *why is a static phrase for FIT_PERHAPS ("values may be out of range"), else "". */
enum fit type_fit(const struct catalog_column *source, const struct catalog_column *target,
                  const char **why);

/* The same question as a change of one column's type. */
enum type_change {
    TYPE_UNCHANGED,
    TYPE_WIDENED,      /* takes every value, and no less well */
    TYPE_NARROWED,     /* values may be refused: range, length, labels */
    TYPE_LESS_PRECISE, /* values may be rounded or lose a part */
    TYPE_WITHOUT_ZONE, /* the time zone is lost */
    TYPE_CONVERTED,    /* a type of another kind: clients see another one, values may change */
    TYPE_INCOMPATIBLE, /* cannot be cast */
    TYPE_CHANGE_COUNT,
};

enum type_change type_change(const struct catalog_column *source,
                             const struct catalog_column *target, const char **why);
/* The finding's id: "column.type_narrowed". Static; NULL for TYPE_UNCHANGED. */
const char *type_change_id(enum type_change change);

/* The target column's precision has not every digit that a value of the source column may have:
 * it is rounded, not refused. Numbers, dates and times. */
bool type_rounds(const struct catalog_column *source, const struct catalog_column *target);

/* How many characters the text form of the type can have at most, 0 when there is no limit. */
int type_max_length(const struct catalog_column *column);

/* True for varchar(n) and char(n), with n in *limit. */
bool type_length_limit(const struct catalog_column *column, int *limit);

#endif
