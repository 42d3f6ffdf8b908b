/* The documents that a running slackwater gives over HTTP, as the commands that ask for them
 * draw them: whoever answers at that port must not draw on the operator's terminal. */
#include "fuzz.h"
#include "observe/view.h"

static void expect_plain(const struct buf *text)
{
    for (size_t i = 0; i < text->size; i++) {
        unsigned char c = (unsigned char)text->data[i];
        fuzz_must((c >= ' ' || c == '\n') && c != 0x7f, "no control character is obeyed");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pen_style style = {.width = 40 + fuzz_byte(&data, &size)};
    style.unicode = fuzz_byte(&data, &size) & 1;
    json_t *document = json_loadb((const char *)data, size, 0, NULL);
    if (!document)
        return 0;
    struct buf text = {0};
    view_status(document, style, &text);
    view_gates(document, style, &text);
    expect_plain(&text);
    buf_free(&text);
    json_decref(document);
    return 0;
}
