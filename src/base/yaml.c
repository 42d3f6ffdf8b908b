/* A YAML document as a tree that knows where each node stood.
 *
 * The problem: the configuration is written by hand, and each mistake in it has to be told with
 * its place before anything runs. The invariant: a tree that yaml_load() returns holds only
 * plain mappings with distinct keys, lists and scalars, within the limits below, and every node
 * knows its line and column. What a key or a value means is left to the callers.
 *
 * A tree is built in place: a child is linked into its parent before it is filled, so that
 * whatever fails, freeing the root frees all. */
#include "base/yaml.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <yaml.h>

#define MAX_BYTES ((size_t)16 << 20)
#define MAX_DEPTH 64
#define MAX_NODES ((size_t)1000000)

/* The root node comes first, so that a pointer to it frees the whole. */
struct document {
    struct yaml_node root;
    char *name;
};

struct loader {
    yaml_parser_t parser;
    const char *name;
    size_t nodes;
    struct err *err;
};

static void node_clear(struct yaml_node *node)
{
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys) {
            node_clear(node->keys[i]);
            free(node->keys[i]);
        }
        node_clear(node->items[i]);
        free(node->items[i]);
    }
    free(node->keys);
    free(node->items);
    free(node->text);
}

void yaml_free(struct yaml_node *root)
{
    if (!root)
        return;
    struct document *document = (struct document *)root;
    node_clear(root);
    free(document->name);
    free(document);
}

bool yaml_error(const struct yaml_node *node, struct err *err, const char *format, ...)
{
    char text[sizeof(err->message)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (!node)
        return err_set(err, ERR_CONFIG, "%s", text);
    return err_set(err, ERR_CONFIG, "%s:%d:%d: %s", node->file, node->line, node->column, text);
}

/* References to the environment. */

static size_t name_length(const char *text)
{
    size_t length = 0;
    while (isalnum((unsigned char)text[length]) || text[length] == '_')
        length++;
    return isdigit((unsigned char)text[0]) ? 0 : length;
}

/* `at` stands behind "${". Returns what follows the reference, or NULL. An empty variable takes
 * the default, as in a shell. */
static const char *expand_reference(const struct yaml_node *node, const char *at,
                                    struct buf *text, struct err *err)
{
    const char *end = strchr(at, '}');
    size_t length = name_length(at);
    bool has_default = strncmp(at + length, ":-", 2) == 0;
    if (!end || length == 0 || (at + length != end && !has_default)) {
        yaml_error(node, err,
                   "found \"${\" that begins no reference; expected ${NAME} or "
                   "${NAME:-default}");
        err_remedy(err, "Write $${ for a literal ${.");
        return NULL;
    }
    char *name = mem_string_sized(at, length);
    const char *value = getenv(name);
    if (has_default && (!value || !*value))
        buf_append(text, at + length + 2, (size_t)(end - at) - length - 2);
    else if (value)
        buf_append_text(text, value);
    else
        yaml_error(node, err, "the environment variable %s is not set", name);
    bool known = has_default || value;
    if (!known)
        err_remedy(err, "Set %s, or write ${%s:-default}.", name, name);
    free(name);
    return known ? end + 1 : NULL;
}

static bool expand(struct yaml_node *node, const char *raw, struct err *err)
{
    struct buf text = {0};
    for (const char *at = raw; at && *at;) {
        if (strncmp(at, "$${", 3) == 0) {
            buf_append_text(&text, "${");
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            node->expanded = true;
            at = expand_reference(node, at + 2, &text, err);
            if (!at) {
                buf_free(&text);
                return false;
            }
        } else {
            buf_append_char(&text, *at++);
        }
    }
    node->text = buf_steal(&text);
    return true;
}

/* Parsing. */

static bool parser_failed(struct loader *loader)
{
    const yaml_parser_t *parser = &loader->parser;
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_READER_ERROR)
        return err_set(loader->err, ERR_CONFIG, "%s: byte %zu: %s", loader->name,
                       parser->problem_offset, problem);
    return err_set(loader->err, ERR_CONFIG, "%s:%zu:%zu: %s%s%s", loader->name,
                   parser->problem_mark.line + 1, parser->problem_mark.column + 1,
                   parser->context ? parser->context : "", parser->context ? ": " : "",
                   problem);
}

static bool next_event(struct loader *loader, yaml_event_t *event)
{
    return yaml_parser_parse(&loader->parser, event) || parser_failed(loader);
}

static void place(struct loader *loader, const yaml_event_t *event, struct yaml_node *node)
{
    node->file = loader->name;
    node->line = (int)event->start_mark.line + 1;
    node->column = (int)event->start_mark.column + 1;
}

static bool refuse_extras(struct loader *loader, const struct yaml_node *node,
                          const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        return yaml_error(node, loader->err,
                          "found the anchor &%.60s; anchors and aliases are not supported",
                          (const char *)anchor);
    if (tag)
        return yaml_error(node, loader->err, "found the tag %.60s; tags are not supported",
                          (const char *)tag);
    return true;
}

static struct yaml_node *append_node(struct yaml_node ***list, size_t count)
{
    if ((count & (count - 1)) == 0) /* doubles at 0, 1, 2, 4, ... */
        *list = mem_grow(*list, count ? count * 2 : 1, sizeof(struct yaml_node *));
    return (*list)[count] = mem_zero(1, sizeof(struct yaml_node));
}

static bool fill(struct loader *loader, yaml_event_t *event, int depth, struct yaml_node *node);

static bool fill_next(struct loader *loader, int depth, struct yaml_node *node)
{
    yaml_event_t event;
    if (!next_event(loader, &event))
        return false;
    bool filled = fill(loader, &event, depth, node);
    yaml_event_delete(&event);
    return filled;
}

static bool fill_scalar(struct loader *loader, const yaml_event_t *event,
                        struct yaml_node *node)
{
    const char *raw = (const char *)event->data.scalar.value;
    node->kind = YAML_SCALAR;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!refuse_extras(loader, node, event->data.scalar.anchor, event->data.scalar.tag))
        return false;
    if (strlen(raw) != event->data.scalar.length)
        return yaml_error(node, loader->err, "found a NUL character in a value");
    return expand(node, raw, loader->err);
}

static bool fill_sequence(struct loader *loader, const yaml_event_t *event, int depth,
                          struct yaml_node *node)
{
    node->kind = YAML_SEQUENCE;
    if (!refuse_extras(loader, node, event->data.sequence_start.anchor,
                       event->data.sequence_start.tag))
        return false;
    for (;;) {
        yaml_event_t next;
        if (!next_event(loader, &next))
            return false;
        bool more = next.type != YAML_SEQUENCE_END_EVENT;
        bool filled = true;
        if (more) {
            struct yaml_node *item = append_node(&node->items, node->count);
            node->count++;
            filled = fill(loader, &next, depth + 1, item);
        }
        yaml_event_delete(&next);
        if (!more || !filled)
            return filled;
    }
}

static bool fill_key(struct loader *loader, yaml_event_t *event, int depth,
                     struct yaml_node *key)
{
    if (event->type == YAML_SCALAR_EVENT || event->type == YAML_ALIAS_EVENT)
        return fill(loader, event, depth, key);
    place(loader, event, key);
    return yaml_error(key, loader->err, "found a %s as a key; expected a word",
                      event->type == YAML_MAPPING_START_EVENT ? "mapping" : "list");
}

static int compare_keys(const void *left, const void *right)
{
    const struct yaml_node *a = *(struct yaml_node *const *)left;
    const struct yaml_node *b = *(struct yaml_node *const *)right;
    int order = strcmp(a->text, b->text);
    if (order == 0)
        order = a->line != b->line ? a->line - b->line : a->column - b->column;
    return order;
}

/* Sorted, so that a mapping of half a million keys is no attack. */
static bool refuse_duplicates(struct loader *loader, const struct yaml_node *node)
{
    if (node->count < 2)
        return true;
    struct yaml_node **sorted = mem_grow(NULL, node->count, sizeof(struct yaml_node *));
    memcpy(sorted, node->keys, node->count * sizeof(struct yaml_node *));
    qsort(sorted, node->count, sizeof(struct yaml_node *), compare_keys);
    bool distinct = true;
    for (size_t i = 1; distinct && i < node->count; i++) {
        distinct = strcmp(sorted[i - 1]->text, sorted[i]->text) != 0;
        if (!distinct)
            yaml_error(sorted[i], loader->err,
                       "the key \"%.100s\" stands twice; it was first set at line %d",
                       sorted[i]->text, sorted[i - 1]->line);
    }
    free(sorted);
    return distinct;
}

static bool fill_mapping(struct loader *loader, const yaml_event_t *event, int depth,
                         struct yaml_node *node)
{
    node->kind = YAML_MAPPING;
    if (!refuse_extras(loader, node, event->data.mapping_start.anchor,
                       event->data.mapping_start.tag))
        return false;
    for (;;) {
        yaml_event_t next;
        if (!next_event(loader, &next))
            return false;
        bool more = next.type != YAML_MAPPING_END_EVENT;
        bool filled = true;
        if (more) {
            struct yaml_node *key = append_node(&node->keys, node->count);
            struct yaml_node *value = append_node(&node->items, node->count);
            node->count++;
            filled =
                fill_key(loader, &next, depth + 1, key) && fill_next(loader, depth + 1, value);
        }
        yaml_event_delete(&next);
        if (!more || !filled)
            return filled && refuse_duplicates(loader, node);
    }
}

static bool fill(struct loader *loader, yaml_event_t *event, int depth, struct yaml_node *node)
{
    place(loader, event, node);
    if (depth > MAX_DEPTH)
        return yaml_error(node, loader->err, "more than %d levels of nesting", MAX_DEPTH);
    if (++loader->nodes > MAX_NODES)
        return yaml_error(node, loader->err, "more than %zu values in one file", MAX_NODES);
    if (event->type == YAML_SCALAR_EVENT)
        return fill_scalar(loader, event, node);
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return fill_sequence(loader, event, depth, node);
    if (event->type == YAML_MAPPING_START_EVENT)
        return fill_mapping(loader, event, depth, node);
    return yaml_error(node, loader->err,
                      "found an alias; anchors and aliases are not supported");
}

/* Reads events and drops them; *type and *at say what the last one was and where. */
static bool skip_events(struct loader *loader, int count, yaml_event_type_t *type,
                        struct yaml_node *at)
{
    for (; count > 0; count--) {
        yaml_event_t event;
        if (!next_event(loader, &event))
            return false;
        *type = event.type;
        place(loader, &event, at);
        yaml_event_delete(&event);
    }
    return true;
}

/* stream start, [document start, node, document end], stream end */
static bool fill_document(struct loader *loader, struct yaml_node *root)
{
    yaml_event_type_t type = YAML_NO_EVENT;
    struct yaml_node at = {0};
    if (!skip_events(loader, 2, &type, root))
        return false;
    if (type == YAML_DOCUMENT_START_EVENT) {
        if (!fill_next(loader, 1, root) || !skip_events(loader, 2, &type, &at))
            return false;
        if (type != YAML_STREAM_END_EVENT)
            return yaml_error(&at, loader->err, "found a second document; expected one");
    }
    if (yaml_is_null(root)) { /* nothing at all, or only comments and a "---" */
        free(root->text);
        root->text = NULL;
        root->kind = YAML_MAPPING;
    }
    return true;
}

bool yaml_load(const char *name, const char *text, size_t size, struct yaml_node **root,
               struct err *err)
{
    if (size > MAX_BYTES)
        return err_set(err, ERR_CONFIG, "%s: larger than %zu MiB", name, MAX_BYTES >> 20);
    struct loader loader = {.err = err};
    if (!yaml_parser_initialize(&loader.parser))
        return err_set(err, ERR_CONFIG, "%s: no memory for the parser", name);
    yaml_parser_set_input_string(&loader.parser, (const unsigned char *)text, size);

    struct document *document = mem_zero(1, sizeof(*document));
    loader.name = document->name = mem_string(name);
    bool filled = fill_document(&loader, &document->root);
    yaml_parser_delete(&loader.parser);
    if (filled)
        *root = &document->root;
    else
        yaml_free(&document->root);
    return filled;
}

/* Files. */

/* Everything in the file, up to MAX_BYTES. Read to the end rather than by its size: it may be a
 * pipe or a file of /proc. */
static bool read_all(const char *path, struct buf *content, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "%s: cannot open it: %m", path);
    ssize_t got;
    do {
        char block[65536];
        got = read(fd, block, sizeof(block));
        if (got > 0)
            buf_append(content, block, (size_t)got);
    } while ((got > 0 || (got < 0 && errno == EINTR)) && content->size <= MAX_BYTES);
    if (got < 0)
        err_set(err, ERR_CONFIG, "%s: cannot read it: %m", path);
    else if (content->size > MAX_BYTES)
        err_set(err, ERR_CONFIG, "%s: larger than %zu MiB", path, MAX_BYTES >> 20);
    close(fd);
    return got >= 0 && content->size <= MAX_BYTES;
}

bool yaml_load_file(const char *path, struct yaml_node **root, struct err *err)
{
    struct buf content = {0};
    bool loaded = read_all(path, &content, err) &&
                  yaml_load(path, buf_text(&content), content.size, root, err);
    buf_free(&content);
    return loaded;
}

bool yaml_text_or_file(const struct yaml_node *node, char **text, struct err *err)
{
    const char *scalar = NULL;
    if (!yaml_text(node, &scalar, err))
        return false;
    if (strncmp(scalar, "file:", 5) != 0) {
        *text = mem_string(scalar);
        return true;
    }
    struct buf content = {0};
    struct err cause;
    bool usable =
        read_all(scalar + 5, &content, &cause) || yaml_error(node, err, "%s", cause.message);
    if (usable && strlen(buf_text(&content)) != content.size)
        usable = yaml_error(node, err, "%s holds a NUL character", scalar + 5);
    if (!usable) {
        buf_free(&content);
        return false;
    }
    size_t size = content.size;
    size -= size && content.data[size - 1] == '\n';
    size -= size && size < content.size && content.data[size - 1] == '\r';
    *text = mem_string_sized(buf_text(&content), size);
    buf_free(&content);
    return true;
}

/* Reading the tree. */

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
    if (!mapping || mapping->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++)
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return mapping->items[i];
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    if (!node || node->kind != YAML_SCALAR || node->quoted)
        return false;
    return !node->text || !*node->text || strcmp(node->text, "~") == 0 ||
           strcasecmp(node->text, "null") == 0;
}

/* What stands there, in words. What came from the environment may be a secret in the wrong
 * place, and is not shown. */
static void describe(const struct yaml_node *node, char *text, size_t size)
{
    if (!node)
        snprintf(text, size, "nothing");
    else if (node->kind == YAML_MAPPING)
        snprintf(text, size, node->count ? "a mapping" : "an empty mapping");
    else if (node->kind == YAML_SEQUENCE)
        snprintf(text, size, node->count ? "a list" : "an empty list");
    else if (node->expanded)
        snprintf(text, size, "a value from the environment");
    else if (yaml_is_null(node))
        snprintf(text, size, "%s", *node->text ? "null" : "nothing");
    else
        snprintf(text, size, "\"%.80s\"%s", node->text, node->quoted ? " in quotes" : "");
}

static bool unexpected(const struct yaml_node *node, const char *expected, struct err *err)
{
    char found[128];
    describe(node, found, sizeof(found));
    yaml_error(node, err, "found %s; expected %s", found, expected);
    return false;
}

bool yaml_expected(const struct yaml_node *node, const char *what, const char *expected,
                   struct err *err)
{
    char found[128];
    describe(node, found, sizeof(found));
    return yaml_error(node, err, "%s: found %s, expected %s", what, found, expected);
}

/* "a, b or c" */
static void list_words(const char *const *words, const char *last, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; words[i] && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0         ? ""
                                 : words[i + 1] ? ", "
                                                : last,
                                 words[i]);
}

bool yaml_choice(const struct yaml_node *node, const char *const *words, int *choice,
                 struct err *err)
{
    const char *text, *near;
    char known[256], found[128];
    if (!yaml_text(node, &text, err))
        return false;
    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *choice = i;
            return true;
        }
    }
    near = yaml_nearest(text, words);
    list_words(words, " or ", known, sizeof(known));
    describe(node, found, sizeof(found));
    return yaml_error(node, err, "found %s; expected %s%s%s%s", found, known,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* The keys that there are, where none of them is near. */
static bool refuse_key(const struct yaml_node *key, const char *what, const char *const *known,
                       struct err *err)
{
    const char *near = yaml_nearest(key->text, known);
    char list[512];
    if (near)
        return yaml_error(key, err, "unknown key \"%.100s\" in %s; did you mean \"%s\"?",
                          key->text, what, near);
    list_words(known, " and ", list, sizeof(list));
    return yaml_error(key, err, "unknown key \"%.100s\" in %s; known are %s", key->text, what,
                      list);
}

bool yaml_check_keys(const struct yaml_node *mapping, const char *what,
                     const char *const *known, struct err *err)
{
    if (!mapping || mapping->kind != YAML_MAPPING) {
        char expected[128];
        snprintf(expected, sizeof(expected), "a mapping for %s", what);
        return unexpected(mapping, expected, err);
    }
    for (size_t i = 0; i < mapping->count; i++) {
        const struct yaml_node *key = mapping->keys[i];
        size_t at = 0;
        while (known[at] && strcmp(known[at], key->text) != 0)
            at++;
        if (known[at])
            continue;
        return refuse_key(key, what, known, err);
    }
    return true;
}

static bool is_scalar(const struct yaml_node *node)
{
    return node && node->kind == YAML_SCALAR && !yaml_is_null(node);
}

bool yaml_text(const struct yaml_node *node, const char **text, struct err *err)
{
    if (!is_scalar(node))
        return unexpected(node, "text (in quotes, if the word null is meant)", err);
    *text = node->text;
    return true;
}

bool yaml_bool(const struct yaml_node *node, bool *value, struct err *err)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"yes", true},
                 {"no", false},  {"on", true},     {"off", false}};
    bool usable = is_scalar(node) && !node->quoted;
    for (size_t i = 0; usable && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(node->text, words[i].word) == 0) {
            *value = words[i].value;
            return true;
        }
    }
    return unexpected(node, "true or false", err);
}

bool yaml_int(const struct yaml_node *node, long min, long max, long *value, struct err *err)
{
    if (is_scalar(node) && strspn(node->text, "+-0123456789") == strlen(node->text)) {
        char *end;
        errno = 0;
        long number = strtol(node->text, &end, 10);
        if (!*end && end != node->text && errno == 0 && number >= min && number <= max) {
            *value = number;
            return true;
        }
    }
    char expected[96];
    snprintf(expected, sizeof(expected), "a whole number from %ld to %ld", min, max);
    if (max == LONG_MAX)
        snprintf(expected, sizeof(expected), "a whole number of at least %ld", min);
    return unexpected(node, expected, err);
}

bool yaml_real(const struct yaml_node *node, double min, double max, double *value,
               struct err *err)
{
    if (is_scalar(node) && strspn(node->text, "+-.0123456789eE") == strlen(node->text)) {
        char *end;
        double number = strtod(node->text, &end);
        if (!*end && end != node->text && isfinite(number) && number >= min && number <= max) {
            *value = number;
            return true;
        }
    }
    char expected[96];
    snprintf(expected, sizeof(expected), "a number from %g to %g", min, max);
    return unexpected(node, expected, err);
}

static bool refuse_quantity(const struct yaml_node *node, const char *expected,
                            bool (*nearest)(const char *text, char *near, size_t size),
                            struct err *err)
{
    char found[128], near[64];
    if (!is_scalar(node) || node->expanded || !nearest(node->text, near, sizeof(near)))
        return unexpected(node, expected, err);
    describe(node, found, sizeof(found));
    return yaml_error(node, err, "found %s; expected %s; did you mean \"%s\"?", found, expected,
                      near);
}

bool yaml_duration(const struct yaml_node *node, long long *usec, struct err *err)
{
    usec_t duration;
    if (!is_scalar(node) || !units_parse_duration(node->text, &duration))
        return refuse_quantity(node,
                               "a duration with its unit, such as 250ms, 5s, 2m, 1h or 1d",
                               units_nearest_duration, err);
    *usec = duration;
    return true;
}

bool yaml_size(const struct yaml_node *node, unsigned long long *bytes, struct err *err)
{
    uint64_t size;
    if (!is_scalar(node) || !units_parse_size(node->text, &size))
        return refuse_quantity(node, "a size, such as 64kB, 16MB or 1GB", units_nearest_size,
                               err);
    *bytes = size;
    return true;
}

/* Did you mean. */

#define NEAREST_LENGTH 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edit distance with insertions, deletions, changes and swaps of neighbours (optimal string
 * alignment), by rows: `before` two up, `above` one up, `row` this one. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][NEAREST_LENGTH + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        before[j] = above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_length];
}

const char *yaml_nearest(const char *word, const char *const *candidates)
{
    size_t length = strlen(word);
    const char *nearest = NULL;
    size_t nearest_distance = 1 + length / 3; /* a third of the letters may be wrong */
    if (length == 0 || length > NEAREST_LENGTH)
        return NULL;
    for (; *candidates; candidates++) {
        size_t candidate_length = strlen(*candidates);
        if (candidate_length > NEAREST_LENGTH)
            continue;
        size_t distance = edit_distance(word, length, *candidates, candidate_length);
        /* An unrelated word of the same length needs a change in every letter. */
        if (distance >= length || distance > nearest_distance)
            continue;
        if (nearest && distance == nearest_distance)
            continue;
        nearest = *candidates;
        nearest_distance = distance;
    }
    return nearest;
}
