/* What made a value: each target column's rule told in a few words, for people who look at rows
 * before and after (slackwater preview). */
#ifndef TRANSFORMS_STORY_H
#define TRANSFORMS_STORY_H

#include "base/arena.h"
#include "transforms/rules.h"

#include <stdint.h>

struct column_story {
    const char *rule;  /* "carried", or its steps: "from, map" */
    const char *where; /* "file:line:column"; NULL when nobody wrote it */
    uint16_t input_count;
    const uint16_t *inputs; /* what it reads: indexes into source_relation's columns */
};

/* One story for each bound column of the chain's table, in its order. All memory comes from the
 * arena or is borrowed from the chain. */
const struct column_story *table_story(const struct chain *chain, size_t table,
                                       struct arena *arena);

#endif
