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

/* How many characters the text form of the type can have at most, 0 when there is no limit. */
int type_max_length(const struct catalog_column *column);

/* True for varchar(n) and char(n), with n in *limit. */
bool type_length_limit(const struct catalog_column *column, int *limit);

#endif
