/* Structured logs: one event a line, text for a terminal, JSON otherwise.
 *
 *   log_event(LOG_INFO, "slot created", log_text("slot", name), log_lsn("lsn", lsn));
 *
 * text:  2026-11-21T02:27:26.123Z INFO  slot created slot=slackwater_shop lsn=0/16B3748
 * JSON:  {"ts":"...","level":"info","event":"slot created","slot":"...","lsn":"0/16B3748"}
 *
 * Lines go to standard error in one write each, so lines of several threads do not mix. Text
 * values are quoted where they hold blanks, quotes or control bytes. Nobody logs a DSN, a
 * password or a row's values; log_text() of a DSN goes through dsn_redact() first. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON }; /* AUTO: text if stderr is a terminal */

enum log_kind {
    LOG_KIND_END,
    LOG_KIND_TEXT,
    LOG_KIND_INT,
    LOG_KIND_UINT,
    LOG_KIND_REAL,
    LOG_KIND_LSN,
    LOG_KIND_BOOL
};

struct log_field {
    enum log_kind kind;
    const char *name;
    union {
        const char *text;
        int64_t signed_number;
        uint64_t number;
        double real;
        bool boolean;
    } value;
};

void log_setup(enum log_level level, enum log_format format);
/* False for an unknown word. */
bool log_parse_level(const char *text, enum log_level *level);
bool log_parse_format(const char *text, enum log_format *format);

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){LOG_KIND_TEXT, name, {.text = text ? text : ""}};
}
static inline struct log_field log_int(const char *name, int64_t number)
{
    return (struct log_field){LOG_KIND_INT, name, {.signed_number = number}};
}
static inline struct log_field log_uint(const char *name, uint64_t number)
{
    return (struct log_field){LOG_KIND_UINT, name, {.number = number}};
}
static inline struct log_field log_real(const char *name, double real)
{
    return (struct log_field){LOG_KIND_REAL, name, {.real = real}};
}
static inline struct log_field log_lsn(const char *name, uint64_t lsn)
{
    return (struct log_field){LOG_KIND_LSN, name, {.number = lsn}};
}
static inline struct log_field log_bool(const char *name, bool boolean)
{
    return (struct log_field){LOG_KIND_BOOL, name, {.boolean = boolean}};
}

/* `fields` ends with a field of kind LOG_KIND_END. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define log_event(level, event, ...)                                                           \
    log_write(                                                                                 \
        (level), (event),                                                                      \
        (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){LOG_KIND_END, NULL, {NULL}}})

#endif
