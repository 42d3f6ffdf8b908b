/* A YAML document as a tree that knows where each node stood.
 *
 * Built on libyaml's event parser. One document; mappings, sequences and scalars; anchors and
 * aliases, tags and a second document are refused, as is a duplicate key, each with
 * file:line:column. Limits: 16 MiB of text, 64 levels, 1,000,000 nodes.
 *
 * References: in a scalar, ${NAME} is replaced by the environment variable, ${NAME:-default}
 * by it or the default; an unset name without default is refused. A scalar that begins with
 * "file:" in full ("file:/run/secrets/dsn") is replaced by that file's content without its
 * trailing newline; only when the caller asks through yaml_text_or_file().
 *
 * The tree is owned by its root; yaml_free(root) frees all. Nodes are borrowed. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    const char *file; /* borrowed from the root */
    int line;         /* from 1 */
    int column;       /* from 1 */
    char *text;       /* scalar: after ${} expansion; else NULL */
    bool quoted;      /* scalar: written with quotes, so never null or bool */
    bool expanded;    /* scalar: holds text of the environment, which no message shows */
    struct yaml_node **items; /* sequence: children; mapping: values */
    struct yaml_node **keys;  /* mapping: key nodes, same order; else NULL */
    size_t count;
};

/* Parses a file. ERR_CONFIG on any failure, with the position in the message. */
bool yaml_load_file(const char *path, struct yaml_node **root, struct err *err);
/* The same from memory; `name` stands for the file in messages. An empty document gives an
 * empty mapping. */
bool yaml_load(const char *name, const char *text, size_t size, struct yaml_node **root,
               struct err *err);
void yaml_free(struct yaml_node *root); /* NULL is accepted */

/* The value of a mapping's key, or NULL. NULL node gives NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);

/* ERR_CONFIG "file:line:column: " followed by the message. Returns false. */
bool yaml_error(const struct yaml_node *node, struct err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Refuses a node that is not a mapping, and any key not in the NULL-terminated list `known`,
 * naming the nearest known key ("did you mean ...?"). `what` names the thing: "tables entry". */
bool yaml_check_keys(const struct yaml_node *mapping, const char *what,
                     const char *const *known, struct err *err);

/* ERR_CONFIG "what: found ..., expected ...", with the position. Returns false. */
bool yaml_expected(const struct yaml_node *node, const char *what, const char *expected,
                   struct err *err);
/* One of the words of the NULL-terminated list; *choice is its index. */
bool yaml_choice(const struct yaml_node *node, const char *const *words, int *choice,
                 struct err *err);

/* Typed scalars; the error says what was found and what was expected. Outputs borrowed. */
bool yaml_text(const struct yaml_node *node, const char **text, struct err *err);
bool yaml_bool(const struct yaml_node *node, bool *value, struct err *err);
bool yaml_int(const struct yaml_node *node, long min, long max, long *value, struct err *err);
bool yaml_real(const struct yaml_node *node, double min, double max, double *value,
               struct err *err);
bool yaml_duration(const struct yaml_node *node, long long *usec, struct err *err);
bool yaml_size(const struct yaml_node *node, unsigned long long *bytes, struct err *err);
/* True for an unquoted null, ~ or empty scalar. */
bool yaml_is_null(const struct yaml_node *node);
/* The text, or the content of the file that a "file:PATH" scalar names. Caller frees. */
bool yaml_text_or_file(const struct yaml_node *node, char **text, struct err *err);

/* The candidate nearest to `word` by edit distance, or NULL when none is near. `candidates`
 * ends with NULL. For "did you mean" everywhere. */
const char *yaml_nearest(const char *word, const char *const *candidates);

#endif
