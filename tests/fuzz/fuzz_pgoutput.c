/* The replication stream's messages: each two bytes of length and the message, decoded one after
 * the other by one decoder, and printed. */
#include "fuzz.h"
#include "postgres/pgoutput.h"

/* In a block of its own, so that a read past its end is seen. */
static void decode(struct pgoutput *decoder, const uint8_t *data, size_t size,
                   struct arena *arena)
{
    struct pgoutput_message message;
    struct err err = {0};
    struct buf text = {0};
    char *bytes = mem_alloc(size ? size : 1);
    memcpy(bytes, data, size);
    arena_reset(arena);
    if (pgoutput_decode(decoder, bytes, size, arena, &message, &err)) {
        pgoutput_print(&message, &text);
        fuzz_must(!text.size || !memchr(text.data, '\n', text.size), "it is one line");
    } else {
        fuzz_must(err.class == ERR_CORRUPT && err.message[0], "a refusal says what is wrong");
    }
    buf_free(&text);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgoutput decoder = {0};
    struct arena arena;
    arena_init(&arena, 1 << 16);
    while (size > 2) {
        size_t length = (size_t)fuzz_byte(&data, &size) << 8;
        length |= fuzz_byte(&data, &size);
        length = length < size ? length : size;
        decode(&decoder, data, length, &arena);
        data += length;
        size -= length;
    }
    arena_free(&arena);
    return 0;
}
