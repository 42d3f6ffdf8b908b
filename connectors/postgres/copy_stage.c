/* The stage of a copy (copy_stage.h). */
#include "postgres/copy_stage.h"

#include "schema/formula.h"
#include "schema/ident.h"

static void append_name(struct buf *sql, const struct copy_stage *stage)
{
    buf_append_format(sql, "pg_temp.slackwater_stage_%u", stage->relation->table);
}

/* Under the name that formulas read it by. */
static void append_from(struct buf *sql, const struct copy_stage *stage)
{
    buf_append_text(sql, " FROM ");
    append_name(sql, stage);
    buf_append_text(sql, " AS slackwater_stage");
}

static void append_target(struct buf *sql, const struct copy_stage *stage)
{
    ident_append_qualified(sql, stage->relation->schema, stage->relation->name);
}

static void append_columns(struct buf *sql, const struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        buf_append_text(sql, i == 0 ? "" : ", ");
        ident_append(sql, relation->columns[i].name);
    }
}

/* A column made by a formula is staged as what the formula reads. */
static void append_staged_columns(struct buf *sql, const struct relation *relation)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        const struct column *column = &relation->columns[i];
        buf_append_text(sql, i == 0 ? "" : ", ");
        if (column->formula != NULL)
            buf_append_text(sql, "NULL::text[] AS ");
        ident_append(sql, column->name);
    }
}

void copy_stage_create_sql(struct buf *sql, const struct copy_stage *stage)
{
    buf_append_text(sql, "CREATE TEMPORARY TABLE IF NOT EXISTS ");
    append_name(sql, stage);
    buf_append_text(sql, " ON COMMIT DELETE ROWS AS SELECT ");
    append_staged_columns(sql, stage->relation);
    buf_append_text(sql, " FROM ");
    append_target(sql, stage);
    buf_append_text(sql, " WITH NO DATA");
}

void copy_stage_empty_sql(struct buf *sql, const struct copy_stage *stage)
{
    buf_append_text(sql, "DELETE FROM ");
    append_name(sql, stage);
}

void copy_stage_load_sql(struct buf *sql, const struct copy_stage *stage, bool straight,
                         bool binary)
{
    buf_append_text(sql, "COPY ");
    (straight ? append_target : append_name)(sql, stage);
    if (stage->relation->column_count > 0) {
        buf_append_text(sql, " (");
        append_columns(sql, stage->relation);
        buf_append_text(sql, ")");
    }
    buf_append_format(sql, " FROM STDIN (FORMAT %s)", binary ? "binary" : "text");
}

/* ---- what is staged, and what is at the target ---- */

void copy_stage_keys(struct buf *sql, const struct copy_stage *stage)
{
    const char *separator = "(";
    for (uint16_t i = 0; i < stage->relation->column_count; i++) {
        if (!stage->relation->columns[i].key)
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, stage->relation->columns[i].name);
        separator = ", ";
    }
    buf_append_text(sql, ")");
}

/* The target's rows that have the key of one that is staged. */
static void append_join(struct buf *sql, const struct copy_stage *stage)
{
    append_from(sql, stage);
    buf_append_format(sql, " JOIN %s", stage->partitioned ? "" : "ONLY ");
    append_target(sql, stage);
    buf_append_text(sql, " AS target USING ");
    copy_stage_keys(sql, stage);
}

void copy_stage_repeated_sql(struct buf *sql, const struct copy_stage *stage)
{
    buf_append_text(sql, "SELECT");
    append_from(sql, stage);
    buf_append_text(sql, " GROUP BY ");
    copy_stage_keys(sql, stage);
    buf_append_text(sql, " HAVING count(*) > 1 LIMIT 1");
}

void copy_stage_repeated_of_blocks_sql(struct buf *sql, const struct copy_stage *stage)
{
    buf_append_text(sql, "SELECT");
    append_join(sql, stage);
    buf_append_text(sql, " WHERE age(target.xmin) <= 0 AND"
                         " pg_xact_status((pg_current_xact_id()::text::bigint"
                         " - age(target.xmin))::text::xid8) = 'in progress' LIMIT 1");
}

void copy_stage_met_sql(struct buf *sql, const struct copy_stage *stage)
{
    buf_append_text(sql, "SELECT EXISTS (SELECT");
    append_join(sql, stage);
    buf_append_text(sql, ")");
}

/* What a staged column is to be written as. */
static void append_value(struct buf *sql, const struct column *column)
{
    struct buf name = {0};
    buf_append_text(&name, "slackwater_stage.");
    ident_append(&name, column->name);
    if (column->formula != NULL)
        formula_append(sql, column->formula, buf_text(&name));
    else
        buf_append_text(sql, buf_text(&name));
    buf_free(&name);
}

void copy_stage_formula_sql(struct buf *sql, const struct copy_stage *stage,
                            const struct column *column)
{
    buf_append_text(sql, "SELECT count(x) FROM (SELECT ");
    append_value(sql, column);
    buf_append_text(sql, " AS x");
    append_from(sql, stage);
    buf_append_text(sql, " OFFSET 0) AS rows");
}

/* ---- the merge ---- */

static bool may_overwrite(const struct column *column)
{
    return !column->key && !column->identity_always;
}

static void append_overwrite(struct buf *sql, const struct copy_stage *stage)
{
    const char *separator = " DO UPDATE SET ";
    buf_append_text(sql, " ON CONFLICT ");
    copy_stage_keys(sql, stage);
    for (uint16_t i = 0; i < stage->relation->column_count; i++) {
        const struct column *column = &stage->relation->columns[i];
        if (!may_overwrite(column))
            continue;
        buf_append_text(sql, separator);
        ident_append(sql, column->name);
        buf_append_text(sql, " = EXCLUDED.");
        ident_append(sql, column->name);
        separator = ", ";
    }
    if (separator[0] == ' ')
        buf_append_text(sql, " DO NOTHING");
}

/* RETURNING cannot read xmax through a partitioned table. */
static bool tells_overwritten(const struct copy_stage *stage)
{
    bool any = false;
    for (uint16_t i = 0; i < stage->relation->column_count; i++)
        any = any || may_overwrite(&stage->relation->columns[i]);
    return stage->overwrites && any && !stage->partitioned;
}

void copy_stage_merge_sql(struct buf *sql, const struct copy_stage *stage)
{
    bool tells = tells_overwritten(stage);
    buf_append_text(sql, tells ? "WITH merged AS (INSERT INTO " : "INSERT INTO ");
    append_target(sql, stage);
    buf_append_text(sql, " (");
    append_columns(sql, stage->relation);
    buf_append_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (uint16_t i = 0; i < stage->relation->column_count; i++) {
        buf_append_text(sql, i == 0 ? "" : ", ");
        append_value(sql, &stage->relation->columns[i]);
    }
    append_from(sql, stage);
    if (stage->overwrites) /* else a row that is there already is the copier's to resolve */
        append_overwrite(sql, stage);
    if (tells)
        buf_append_text(sql, " RETURNING xmax <> 0 AS existed)"
                             " SELECT count(*) FROM merged WHERE existed");
}
