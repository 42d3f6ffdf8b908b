/* Text in an arena, for messages and names that live as long as the rules or the chain. */
#ifndef TRANSFORMS_TEXT_H
#define TRANSFORMS_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/yaml.h"

#include <stddef.h>

/* A copy with a NUL. NULL gives NULL. */
const char *text_copy(struct arena *arena, const char *text);
const char *text_copy_sized(struct arena *arena, const char *data, size_t size);
const char *text_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The buffer's content; frees the buffer. */
const char *text_take(struct arena *arena, struct buf *buf);

/* A double-quoted YAML scalar that base/yaml.h reads as this (UTF-8) text. */
void text_append_yaml(struct buf *buf, const char *data, size_t size);

/* "config.yaml:12:5" */
const char *text_position(struct arena *arena, const struct yaml_node *node);

/* `; did you mean "nearest"?`, or "" when no candidate is near. */
const char *text_did_you_mean(struct arena *arena, const char *word,
                              const char *const *candidates);

#endif
