/* A QEMU TCG plugin that counts the instructions of a guest program (aarch64 Linux, user mode).
 *
 * The guest asks by getpriority(MAGIC, n), which fails with EINVAL and does nothing else: at every
 * call the plugin writes "mark N TOTAL" to QEMU's log, where TOTAL counts the instructions of all
 * threads since the start. Differences between marks are what was executed in between, and do not
 * depend on how busy the host is.
 *
 * Debian ships no qemu-plugin.h; what is used of it is declared here, by the documentation of the
 * plugin interface, version 1 (QEMU 4.2 to 8.2).
 */
#include <inttypes.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))
#define MAGIC 0x656d6f          /* "emo" */
#define AARCH64_GETPRIORITY 141
#define MOST_THREADS 512

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
typedef void (*on_block)(plugin_id, struct qemu_plugin_tb *);
typedef void (*on_run)(unsigned int, void *);
typedef void (*on_syscall)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t, uint64_t);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, on_block call);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, on_run call, int flags,
                                          void *data);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id, on_syscall call);
void qemu_plugin_outs(const char *text);

EXPORT int qemu_plugin_version = 1;

/* One counter a thread, each on cache lines of its own: threads do not wait for one another. */
static struct { uint64_t count; char apart[120]; } threads[MOST_THREADS];

static void ran(unsigned int thread, void *instructions)
{
    threads[thread % MOST_THREADS].count += (uintptr_t)instructions;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    uintptr_t instructions = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, ran, 0, (void *)instructions);
}

static void called(plugin_id id, unsigned int thread, int64_t number, uint64_t which, uint64_t mark,
                   uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)thread, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != AARCH64_GETPRIORITY || which != MAGIC)
        return;
    uint64_t total = 0;
    for (int i = 0; i < MOST_THREADS; i++)
        total += threads[i].count;
    char line[80];
    snprintf(line, sizeof line, "mark %" PRIu64 " %" PRIu64 "\n", mark, total);
    qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
