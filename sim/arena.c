#include <stdlib.h>

#include "simulation.h"

struct arena_block {
    struct arena_block *next;
};

enum { ALIGNMENT = 64 };

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    const size_t header = ALIGNMENT;
    const size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_block *block;

    if (size && count > (SIZE_MAX - 2 * ALIGNMENT) / size)
        return NULL;
    /* calloc: pages that are never touched are never paid for. */
    char *raw = calloc(1, header + bytes + ALIGNMENT);
    if (!raw)
        return NULL;
    block = (struct arena_block *)raw;
    block->next = a->blocks;
    a->blocks = block;
    const uintptr_t start = (uintptr_t)raw + sizeof *block;
    return (void *)((start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *block = a->blocks;

        a->blocks = block->next;
        free(block);
    }
}
