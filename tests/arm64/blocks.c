/* Plugin of qemu 7.2 and later (API 1): counts how often each block of instructions ran, and says what was mapped where.

   gcc -O2 -shared -fPIC blocks.c -o blocks.so; qemu-aarch64 -plugin blocks.so,out=FILE PROGRAM

   FILE gets a line "map START END OFFSET PATH" for each mapped part of a file, then "block ADDRESS INSTRUCTIONS TIMES".
   Numbers are hexadecimal, except for the last two. Addresses are those of the emulated program, which are also those of
   the emulator as long as it maps the program's memory without an offset, as it does on x86-64. The few functions of qemu
   are declared here, for Debian 12 has no package with its header. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *, uint64_t);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
enum { ADD_U64 = 0 };

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

struct block {
    uint64_t address, instructions, times;
    struct block *next;
};
static struct block *blocks;
static char path[4096];

/* qemu calls this with its lock held. */
static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        abort();
    block->address = qemu_plugin_tb_vaddr(tb);
    block->instructions = qemu_plugin_tb_n_insns(tb);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &block->times, 1);
}

static void at_exit(plugin_id id, void *data)
{
    FILE *out = fopen(path, "w"), *maps = fopen("/proc/self/maps", "r");
    char line[8192], file[4096];
    uint64_t start, end, offset;
    if (!out || !maps) {
        fprintf(stderr, "blocks.so cannot write %s or read /proc/self/maps\n", path);
        abort();
    }
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %4095[^\n]", &start, &end, &offset, file) == 4 && file[0] == '/')
            fprintf(out, "map %" PRIx64 " %" PRIx64 " %" PRIx64 " %s\n", start, end, offset, file);
    for (struct block *b = blocks; b; b = b->next)
        if (b->times)
            fprintf(out, "block %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", b->address, b->instructions, b->times);
    fclose(maps);
    if (fclose(out))
        abort();
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    if (argc != 1 || strncmp(argv[0], "out=", 4) || strlen(argv[0] + 4) >= sizeof path) {
        fprintf(stderr, "blocks.so wants out=FILE\n");
        return 1;
    }
    strcpy(path, argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
