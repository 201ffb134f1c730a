/* On the host: the seccomp filter that a process runs under, as the kernel has it. usage: filter PID
 * One line "CODE JT JF K" for each instruction (ptrace(2), PTRACE_SECCOMP_GET_FILTER); none for a process without one. */
#include "probe.h"

#include <linux/filter.h>
#include <stdlib.h>
#include <sys/ptrace.h>

int main(int count, char **arguments) {
  static struct sock_filter code[BPF_MAXINSNS];
  pid_t pid = count > 1 ? atoi(arguments[1]) : 0;
  int status;
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || waitpid(pid, &status, __WALL) < 0) {
    perror("filter");
    return 1;
  }
  long length = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 0, code);
  int error = errno;
  ptrace(PTRACE_DETACH, pid, 0, 0);
  if (length < 0) {
    fprintf(stderr, "filter: %s\n", strerror(error));
    return error == ENOENT || error == EINVAL ? 0 : 1;
  }
  for (long i = 0; i < length; i++)
    printf("%u %u %u %u\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
}
