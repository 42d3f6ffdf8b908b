/* The contract of a rule kind.
 *
 * A column entry of the file is a small pipeline of steps, each of one kind. The first step
 * gives a value (from, value, template); the others work on the value of the step before (map,
 * cast, mask), in the order of the table in kinds.c and not of the file.
 *
 *     status: { from: state, map: { a: active }, default: unknown }     from | map
 *     status: { map: { a: active } }                                    from status | map
 *
 * Life cycle of a step:
 *
 *     load      once, from the YAML entry alone: a state in the rules' arena
 *     bind      once for each table it is used with: a struct rule in the chain's arena
 *     evaluate  for each row; immutable by then, any thread. `sql` gives what its formula reads:
 *               the value itself is made by the target, in the write
 *     sql       the same as an SQL expression over the source's columns, or why there is none
 *     inverse   how to get back, or why that cannot be done
 *
 * Adding a kind: one file with its `struct rule_kind`, one line in kinds.c.
 *
 * What every kind keeps to:
 *  - A value that enters a step is text: the output of the source's type, char(n) without its
 *    trailing blanks. rule_text() sees to it. Only a lone `from` passes other formats on.
 *  - Results are VALUE_TEXT, VALUE_NULL, VALUE_UNCHANGED or VALUE_ABSENT (a lone `from` also
 *    VALUE_BINARY). Bytes live in the row, in the rule, or in the evaluation's arena.
 *  - VALUE_ABSENT in gives VALUE_ABSENT out; VALUE_UNCHANGED in gives VALUE_UNCHANGED out,
 * where nothing else that counts may have changed.
 *  - sql() yields what evaluate() yields. Where evaluate() fails it yields NULL, which the
 * steps behind then take for a value (default fills it): such a row reaches no target. */
#ifndef TRANSFORMS_RULE_H
#define TRANSFORMS_RULE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/yaml.h"
#include "model/row.h"
#include "pipeline/formula_reader.h"
#include "pipeline/lookup.h"
#include "schema/catalog.h"
#include "schema/finding.h"
#include "schema/types.h"

#include <stdbool.h>
#include <stdint.h>

struct rule_kind;
struct table_name; /* transforms/spec.h */
struct binder;     /* transforms/bind.h */

/* A column of the source table that rules read. */
struct source_column {
    const struct catalog_column *column;
    const struct type_codec *codec; /* NULL: its binary form does not travel */
    bool blank_padded;              /* char(n) */
    bool read;                      /* by any rule of the table */
    uint16_t index; /* in bound_table.source_relation; set once all rules are bound */
};

/* Where the stream is binary, a type without binary form comes as text all the same. */
static inline bool source_comes_as_text(const struct source_column *source)
{
    return source->column->type && !source->column->type->sends;
}

/* A bound step. */
struct rule {
    const struct rule_kind *kind;
    const struct rule *input; /* the step before; NULL for the first */
    const char *where;        /* "file:line:column"; NULL when carried over unnamed */
    const void *state;        /* the kind's own */
    /* Set by bind where they hold: */
    const struct source_column *plain; /* the result is this column's value as it is */
    const struct value *constant;      /* the result never varies: VALUE_TEXT or VALUE_NULL */
    const struct formula *formula;     /* the result is not written: the target makes what is */
};

/* What the target makes of a rule's result (schema/formula.h). */
struct formula {
    const char *opening;
    bool varies; /* another result for the same row */
};

/* A constant of the file. */
struct constant {
    struct value value; /* VALUE_TEXT or VALUE_NULL */
    const char *where;  /* "file:line:column" */
    bool hidden;        /* holds text of the environment, which no message shows */
};

/* One row image, as rules see it. Both arrays are indexed by source_column.index. */
struct evaluation {
    const struct value *values;
    const bool *fixed; /* cannot have changed in this update; NULL: any may have changed */
    struct arena *arena;
    struct lookup *const *lookups; /* by binder_request()'s number; NULL: there are none */
};

/* The way back from a target column, built from the last step to the first. */
struct inverse {
    const char *source_column; /* NULL: nothing to restore, the column was made up */
    struct buf steps;          /* ", map: {...}" for the reverse migration's file */
    const char *reason;        /* why there is none; NULL: there is one. Static. */
    bool one_to_one;           /* different inputs never give the same result */
};

/* What a step gives where NULL comes in, and whether it gives NULL of itself. */
enum nulls {
    NULLS_KEPT, /* NULL of NULL, and of nothing else */
    NULLS_MADE, /* NULL of some values too, or it fails for some (sql() yields NULL then) */
    NULLS_NONE, /* never NULL */
};

struct rule_kind {
    const char *key; /* the key of a column entry that asks for it */
    /* Further keys it reads from the entry; NULL-terminated. Where such a key is a kind of its
     * own as well (default), it is this kind's in an entry that has both. */
    const char *companions[4];
    /* Whether the step gives a value, by what stands under the key; else it takes the step
     * before. NULL: it never gives one. */
    bool (*begins)(const struct yaml_node *value);
    bool asks; /* evaluating asks a database, so that nothing is known before the run */

    /* `value` stands under the key, `entry` is the whole column entry. */
    bool (*load)(const struct yaml_node *value, const struct yaml_node *entry,
                 struct arena *arena, const void **state, struct err *err);
    /* Resolves names and checks types; fills rule->state (from the loaded state), plain and
     * constant. On failure a breaking finding was left. */
    bool (*bind)(struct binder *binder, const void *loaded, struct rule *rule);
    bool (*evaluate)(const struct rule *rule, const struct evaluation *in, struct value *out,
                     struct err *err);
    /* Appends an expression of type text (a formula's: of its own type); its input's through
     * rule_sql(). Only called where
     * rule_no_sql() gives no reason; NULL where there always is one. */
    void (*sql)(const struct rule *rule, struct buf *sql);
    /* Why this step cannot be said in SQL, as a clause ("PostgreSQL has no xxh64"); NULL: it
     * can. A NULL member: it always can, if its input can. */
    const char *(*no_sql)(const struct rule *rule);
    enum nulls (*nulls)(const struct rule *rule); /* NULL: NULLS_KEPT */
    /* Fills *inverse, which is zeroed but for one_to_one = true; a step calls its input's. */
    void (*inverse)(const struct rule *rule, struct inverse *inverse);
};

extern const struct rule_kind rule_from;
extern const struct rule_kind rule_value;
extern const struct rule_kind rule_template;
extern const struct rule_kind rule_json;
extern const struct rule_kind rule_null_if;
extern const struct rule_kind rule_lookup;
extern const struct rule_kind rule_map;
extern const struct rule_kind rule_cast;
extern const struct rule_kind rule_mask;
extern const struct rule_kind rule_hash;
extern const struct rule_kind rule_uuid5;
extern const struct rule_kind rule_default;
extern const struct rule_kind rule_formula;
/* The expression of a loaded `sql`. */
const char *expression_text(const void *loaded);

/* kinds.c: every kind, in the order in which the steps of one entry work. NULL-terminated. */
extern const struct rule_kind *const rule_kinds[];

/* The rule's result as text: VALUE_TEXT, VALUE_NULL, VALUE_ABSENT or VALUE_UNCHANGED. */
bool rule_text(const struct rule *rule, const struct evaluation *in, struct value *out,
               struct err *err);
/* For struct rule_kind.begins. */
bool rule_always_begins(const struct yaml_node *value);
/* The rule's result as an expression of type text; only where rule_no_sql() is NULL. */
void rule_sql(const struct rule *rule, struct buf *sql);
/* The first reason of the rule and of what it reads why there is no SQL for it, or NULL. */
const char *rule_no_sql(const struct rule *rule);
/* For struct rule_kind.nulls. */
enum nulls rule_makes_nulls(const struct rule *rule);
enum nulls rule_makes_no_null(const struct rule *rule);
/* Puts `(SELECT result FROM (SELECT (input) COLLATE "C" AS v) AS s)` around a result that names
 * its input v, as often as it likes: the text of nested steps grows by sums, not by products,
 * and comparisons are those of bytes. */
void rule_sql_open(struct buf *sql);
void rule_sql_close(const struct rule *input, struct buf *sql);
/* The same for a source column. */
bool source_text(const struct source_column *column, const struct evaluation *in,
                 struct value *out, struct err *err);
/* Appends the source column's text form as an expression of type text. */
void source_text_sql(const struct source_column *column, struct buf *sql);
/* Appends `'text'::text` or `NULL::text`. */
void constant_sql(const struct value *value, struct buf *sql);

/* A scalar: text, number and bool are kept as they are written, null is NULL. `what` names it
 * in the error. */
bool constant_load(const struct yaml_node *node, const char *what, struct arena *arena,
                   struct constant *constant, struct err *err);
/* The same in another arena. */
struct constant constant_copy(struct arena *arena, const struct constant *constant);
/* `"text"` for a message. */
const char *constant_show(struct arena *arena, const struct constant *constant);

/* The whole way back of a column's rule; free inverse->steps. */
struct inverse rule_inverse(const struct rule *rule);
/* For inverse(): there is no way back past this step; `one_to_one`: and yet it keeps different
 * inputs apart. */
void inverse_refuse(struct inverse *inverse, const struct rule *rule, bool one_to_one,
                    const char *reason);

/* For bind(). The source column of this name, noted as an input of the target column being
 * bound; NULL and a finding when there is none that can be read. */
const struct source_column *binder_source(struct binder *binder, const char *name,
                                          const char *where);
/* A source column, else a column of the target that this table's rules make: one of *column
 * and *rule is set. False and a finding when there is neither, or the rules form a circle. */
bool binder_name(struct binder *binder, const char *name, const char *where,
                 const struct source_column **column, const struct rule **rule);
/* A constant that the text of an input is compared with, spelled as the input's type prints it:
 * "true" of a bool is t. False and a finding that calls it `what` if it is no value of that
 * type. */
bool binder_spell(struct binder *binder, const char *id, const char *what,
                  const struct rule *input, struct constant *constant);
/* Binds a step of another kind that this one takes its value from, from that kind's loaded
 * state; NULL when a finding was left. */
const struct rule *binder_before(struct binder *binder, const struct rule_kind *kind,
                                 const void *loaded, const char *where);
/* True if the constant is a value of the target column being bound, as far as can be known
 * here; else a finding that calls it `what`. Before the last step it always is. */
bool binder_fits(struct binder *binder, const char *what, const struct constant *constant);
/* In an entry with a pattern: puts what its groups took for \1 to \9. False, with a finding,
 * where it has fewer groups. */
bool binder_fill(struct binder *binder, const char *what, struct constant *constant);
/* The same in a table's name. */
bool binder_fill_name(struct binder *binder, const char *what, struct table_name *name);
struct arena *binder_arena(struct binder *binder);
/* "public.users.status", the target column being bound. */
const char *binder_object(struct binder *binder);
/* Leaves a breaking finding at `where` (NULL: at the target column). Returns false. */
bool binder_refuse(struct binder *binder, const char *id, const char *where, const char *fix,
                   const char *what, ...) __attribute__((format(printf, 5, 6)));
/* Both sides' catalogs; NULL for a target that is still to be made. */
const struct catalog *binder_catalog(struct binder *binder, bool target);
/* Notes what a rule will ask at run time; its number is that of evaluation.lookups, and the
 * same for who asks the same. The request is copied, its texts are borrowed from the binder's
 * arena. */
size_t binder_request(struct binder *binder, const struct lookup_request *request);
/* `; did you mean "public.users"?`, or "". */
const char *binder_table_did_you_mean(struct binder *binder, const struct catalog *catalog,
                                      const struct table_name *name);
/* The source table, for messages and statements. */
const struct catalog_table *binder_source_table(struct binder *binder);
/* Has the target read an expression for the column being bound, over all columns of the source
 * table. False when a breaking finding was left, or the server did not answer. */
bool binder_read_formula(struct binder *binder, const char *expression, const char *where,
                         struct formula_facts *facts);
/* Leaves a finding that does not break at `where`. */
void binder_warn(struct binder *binder, const char *id, enum severity severity,
                 const char *where, const char *impact, const char *what);

#endif
