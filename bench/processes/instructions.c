/* A plugin for QEMU's user mode: adds up in a file, for others to read, the instructions that a program executes. */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* What is used here of qemu-plugin.h (version 1 of the interface), which distributions do not ship. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int flags, void *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));

int qemu_plugin_version = 1;

static uint64_t *count;

/* Threads run at the same time; what QEMU would add by itself is not atomic. */
static void executed(unsigned cpu, void *instructions)
{
  (void)cpu;
  __atomic_fetch_add(count, (uint64_t)instructions, __ATOMIC_RELAXED);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, (void *)qemu_plugin_tb_n_insns(block));
}

/* Its one argument is `count=PATH`, of a file of eight bytes. */
int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
  (void)info;
  if (argc != 1 || strncmp(argv[0], "count=", 6) != 0) return 1;
  int file = open(argv[0] + 6, O_RDWR);
  if (file < 0) return 1;
  count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (count == MAP_FAILED) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
