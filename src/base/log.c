/* Structured logs.
 *
 * The problem: lines of several threads must not mix, and what they carry (names of tables,
 * messages of servers) is not ours: a line break or a terminal escape in it must not forge a
 * line. The invariant: one event is one line and one write(2); every byte of a name or a text
 * that is not printable UTF-8 is escaped; logging never fails its caller and keeps errno. */
#include "base/log.h"

#include "base/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct word {
    const char *text;
    int value;
};

static const struct word level_words[] = {
    {"debug", LOG_DEBUG}, {"info", LOG_INFO},    {"warn", LOG_WARN},
    {"error", LOG_ERROR}, {"warning", LOG_WARN}, {NULL, 0},
};
static const struct word format_words[] = {
    {"auto", LOG_AUTO},
    {"text", LOG_TEXT},
    {"json", LOG_JSON},
    {NULL, 0},
};
static const char *const level_tags[] = {
    [LOG_DEBUG] = "DEBUG",
    [LOG_INFO] = "INFO ",
    [LOG_WARN] = "WARN ",
    [LOG_ERROR] = "ERROR",
};

/* What the operator set; read by every thread. */
static _Atomic enum log_level current_level = LOG_INFO;
static _Atomic enum log_format current_format = LOG_AUTO;

static bool find_word(const struct word *words, const char *text, int *value)
{
    for (; words->text; words++) {
        if (strcasecmp(words->text, text) == 0) {
            *value = words->value;
            return true;
        }
    }
    return false;
}

bool log_parse_level(const char *text, enum log_level *level)
{
    int value;
    if (!find_word(level_words, text, &value))
        return false;
    *level = (enum log_level)value;
    return true;
}

bool log_parse_format(const char *text, enum log_format *format)
{
    int value;
    if (!find_word(format_words, text, &value))
        return false;
    *format = (enum log_format)value;
    return true;
}

static enum log_format resolve(enum log_format format)
{
    if (format != LOG_AUTO)
        return format;
    return isatty(STDERR_FILENO) ? LOG_TEXT : LOG_JSON;
}

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, level);
    atomic_store(&current_format, resolve(format));
}

/* Length of the UTF-8 character at text, or 0 if there is none (RFC 3629: no overlong forms, no
 * surrogates, up to U+10FFFF) or if it is a control character (C0, DEL, C1). The NUL that ends
 * the text fails every test for a continuation byte. */
static size_t printable(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, second_from, second_to, length;
    } forms[] = {
        {0x20, 0x7E, 0, 0, 1},       {0xC2, 0xC2, 0xA0, 0xBF, 2}, {0xC3, 0xDF, 0x80, 0xBF, 2},
        {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
        {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4},
        {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (forms[i].length > 1 &&
            (text[1] < forms[i].second_from || text[1] > forms[i].second_to))
            return 0;
        for (size_t next = 2; next < forms[i].length; next++)
            if ((text[next] & 0xC0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

/* The letter after a backslash that stands for a control byte, or 0. */
static char short_escape(unsigned char byte)
{
    switch (byte) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return (char)byte;
    }
    return 0;
}

static void append_escaped(struct buf *line, const char *text, bool json)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        size_t length = printable(at);
        char letter = short_escape(*at);
        if (letter)
            buf_append_format(line, "\\%c", letter);
        else if (length)
            buf_append(line, at, length);
        else if (!json)
            buf_append_format(line, "\\x%02x", *at);
        else
            buf_append_format(line, "\\u%04x", *at < 0x80 ? *at : 0xFFFD);
        at += length ? length : 1;
    }
}

static void append_json_string(struct buf *line, const char *text)
{
    buf_append_char(line, '"');
    append_escaped(line, text, true);
    buf_append_char(line, '"');
}

/* A word stands bare; anything a reader could split or mistake is quoted. */
static void append_text_value(struct buf *line, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at && printable(at) && !strchr(" \"\\=", *at))
        at += printable(at);
    if (*text && !*at) {
        buf_append_text(line, text);
        return;
    }
    buf_append_char(line, '"');
    append_escaped(line, text, false);
    buf_append_char(line, '"');
}

static void append_real(struct buf *line, double real, bool json)
{
    if (isfinite(real) || !json)
        buf_append_format(line, "%.6g", real);
    else
        buf_append_text(line, "null"); /* JSON knows no infinity */
}

static void append_value(struct buf *line, const struct log_field *field, bool json)
{
    const char *quote = json ? "\"" : "";
    switch (field->kind) {
    case LOG_KIND_END:
        break;
    case LOG_KIND_TEXT:
        if (json)
            append_json_string(line, field->value.text);
        else
            append_text_value(line, field->value.text);
        break;
    case LOG_KIND_INT:
        buf_append_format(line, "%" PRId64, field->value.signed_number);
        break;
    case LOG_KIND_UINT:
        buf_append_format(line, "%" PRIu64, field->value.number);
        break;
    case LOG_KIND_REAL:
        append_real(line, field->value.real, json);
        break;
    case LOG_KIND_LSN:
        buf_append_format(line, "%s%" PRIX32 "/%" PRIX32 "%s", quote,
                          (uint32_t)(field->value.number >> 32), (uint32_t)field->value.number,
                          quote);
        break;
    case LOG_KIND_BOOL:
        buf_append_text(line, field->value.boolean ? "true" : "false");
        break;
    }
}

static void format_text(struct buf *line, const char *when, enum log_level level,
                        const char *event, const struct log_field *fields)
{
    buf_append_format(line, "%s %s ", when, level_tags[level]);
    append_escaped(line, event, false);
    for (; fields->kind != LOG_KIND_END; fields++) {
        buf_append_char(line, ' ');
        append_escaped(line, fields->name, false);
        buf_append_char(line, '=');
        append_value(line, fields, false);
    }
    buf_append_char(line, '\n');
}

static void format_json(struct buf *line, const char *when, enum log_level level,
                        const char *event, const struct log_field *fields)
{
    buf_append_format(line, "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":", when,
                      level_words[level].text);
    append_json_string(line, event);
    for (; fields->kind != LOG_KIND_END; fields++) {
        buf_append_char(line, ',');
        append_json_string(line, fields->name);
        buf_append_char(line, ':');
        append_value(line, fields, true);
    }
    buf_append_text(line, "}\n");
}

/* One write carries the line; only when the kernel takes a part of it is there a second. */
static void write_line(const struct buf *line)
{
    size_t sent = 0;
    while (sent < line->size) {
        ssize_t written = write(STDERR_FILENO, line->data + sent, line->size - sent);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nobody listens: nothing to be done, and nothing to fail for */
        sent += (size_t)written;
    }
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (level < atomic_load(&current_level))
        return;
    int saved = errno;
    char when[32];
    struct buf line = {0};
    clock_format_wall(clock_wall(), when, sizeof(when));
    if (resolve(atomic_load(&current_format)) == LOG_JSON)
        format_json(&line, when, level, event, fields);
    else
        format_text(&line, when, level, event, fields);
    write_line(&line);
    buf_free(&line);
    errno = saved;
}
