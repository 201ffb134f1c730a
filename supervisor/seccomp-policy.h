/* What is allowed and what is refused, by purpose; script/seccomp.ts makes docs/seccomp.md and the daemon's lists of it. Names that libseccomp
 * does not know on this architecture are passed over. What no list names answers ENOSYS: clone3 too, whose flags no filter sees. */
#ifndef SECCOMP_POLICY_H
#define SECCOMP_POLICY_H

static const char *const allowed_calls[] = {
  /* files by descriptor */
  "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "close", "close_range",
  "dup", "dup2", "dup3", "fcntl", "ioctl", "flock", "fsync", "fdatasync", "sync_file_range", "syncfs", "ftruncate", "fallocate", "fadvise64",
  "readahead", "copy_file_range", "sendfile", "splice", "tee", "vmsplice", "pipe", "pipe2", "memfd_create", "cachestat",
  /* files by path; the mount namespace and the ids decide what they reach */
  "open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs",
  "getdents", "getdents64", "getcwd", "chdir", "fchdir", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2",
  "link", "linkat", "symlink", "symlinkat", "readlink", "readlinkat", "truncate", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown",
  "fchown", "fchownat", "umask", "utime", "utimes", "utimensat", "futimesat", "mknod", "mknodat", "sync", "name_to_handle_at", "chroot",
  "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "getxattr", "lgetxattr", "fgetxattr", "getxattrat", "listxattr", "llistxattr", "flistxattr",
  "listxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
  "inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
  /* memory */
  "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "process_madvise", "msync", "mincore", "mlock", "mlock2", "mlockall", "munlock",
  "munlockall", "remap_file_pages", "membarrier", "pkey_alloc", "pkey_free", "pkey_mprotect", "map_shadow_stack", "mseal",
  /* processes and threads; clone's namespace flags are refused below */
  "clone", "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "getpid", "getppid", "gettid", "getpgid", "getpgrp",
  "setpgid", "getsid", "setsid", "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "arch_prctl", "prctl", "set_thread_area",
  "get_thread_area", "getcpu", "futex", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue", "restart_syscall", "pidfd_open", "pidfd_send_signal",
  /* signals */
  "kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "rt_sigreturn",
  "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "signalfd", "signalfd4", "pause", "alarm", "getitimer", "setitimer",
  /* ids and capabilities; no_new_privs and the empty bounding set decide what they can gain */
  "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid", "setgid", "setreuid", "setregid", "setresuid",
  "setresgid", "setfsuid", "setfsgid", "setgroups", "capget", "capset", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
  /* scheduling and limits of its own processes */
  "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler",
  "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "sched_getattr", "sched_setattr", "getpriority", "setpriority",
  "ioprio_get", "ioprio_set", "getrlimit", "setrlimit", "prlimit64", "getrusage", "times", "sysinfo", "uname",
  /* time, read only */
  "time", "gettimeofday", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "adjtimex", "clock_adjtime", "timer_create", "timer_settime",
  "timer_gettime", "timer_getoverrun", "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime",
  /* waiting */
  "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_wait", "epoll_wait_old", "epoll_pwait",
  "epoll_pwait2", "eventfd", "eventfd2", "io_submit", "io_getevents", "io_pgetevents", "io_cancel", "io_destroy",
  /* sockets; families are limited below */
  "socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
  "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
  /* System V and POSIX IPC, inside the IPC namespace */
  "shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl",
  "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
  /* harmless odds and ends that programs ask for */
  "getrandom", "lsm_get_self_attr", "lsm_list_modules", "rseq_slice_yield", "uretprobe", "sethostname", "setdomainname",
};

/* Allowed as their arguments are, see seccomp-filter.c: a definition may deny them, and not allow more of them. */
static const char *const conditional_calls[] = {"socket", "personality"};

/* The profile "strict": what a computation with files of its own needs, in as many processes and threads as it likes. socket gives AF_UNIX only. */
static const char *const strict_calls[] = {
  /* files by descriptor */
  "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "close", "close_range",
  "dup", "dup2", "dup3", "fcntl", "ioctl", "flock", "fsync", "fdatasync", "ftruncate", "fallocate", "fadvise64", "copy_file_range", "sendfile",
  "splice", "pipe", "pipe2", "memfd_create",
  /* files by path */
  "open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs",
  "getdents", "getdents64", "getcwd", "chdir", "fchdir", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2",
  "link", "linkat", "symlink", "symlinkat", "readlink", "readlinkat", "truncate", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown",
  "fchown", "fchownat", "umask", "utime", "utimes", "utimensat", "futimesat",
  /* memory */
  "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "membarrier", "map_shadow_stack", "mseal",
  /* processes and threads */
  "clone", "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "getpid", "getppid", "gettid", "getpgid", "getpgrp",
  "setpgid", "getsid", "setsid", "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "arch_prctl", "prctl", "getcpu", "futex",
  "futex_waitv", "futex_wait", "futex_wake", "futex_requeue", "restart_syscall", "pidfd_open", "pidfd_send_signal",
  /* signals */
  "kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "rt_sigreturn",
  "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "signalfd", "signalfd4", "pause", "alarm", "getitimer", "setitimer",
  /* ids and capabilities: to look, and to give up more */
  "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget", "seccomp", "landlock_create_ruleset",
  "landlock_add_rule", "landlock_restrict_self",
  /* scheduling and limits of its own processes */
  "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
  "sched_get_priority_min", "sched_rr_get_interval", "sched_getattr", "getpriority", "setpriority", "getrlimit", "setrlimit", "prlimit64",
  "getrusage", "times", "sysinfo", "uname",
  /* time, read only */
  "time", "gettimeofday", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "timer_create", "timer_settime", "timer_gettime",
  "timer_getoverrun", "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime",
  /* waiting */
  "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd",
  "eventfd2",
  /* sockets, of AF_UNIX */
  "socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
  "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
  /* harmless odds and ends that programs ask for */
  "getrandom", "rseq_slice_yield", "uretprobe",
};

/* Refused, unless a definition asks for them by name, which needs the admin scope: each widens what hostile code can try on the kernel. */
static const char *const on_request_calls[] = {
  /* other processes' memory and descriptors, of the same sandbox: debuggers and tracers */
  "ptrace", "process_vm_readv", "process_vm_writev", "process_mrelease", "pidfd_getfd", "kcmp",
  /* kernel interfaces with a long record of holes */
  "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "bpf", "perf_event_open", "fanotify_init", "fanotify_mark", "memfd_secret", "modify_ldt",
  /* NUMA placement touches memory of others */
  "move_pages", "migrate_pages", "mbind", "set_mempolicy", "get_mempolicy", "set_mempolicy_home_node",
  /* contexts of libaio count for the whole host (fs.aio-max-nr): one sandbox could take them from all, databases of the host among them */
  "io_setup",
};

/* Refused whoever asks. */
static const char *const refused_calls[] = {
  /* namespaces and mounts: a sandbox gets what its definition says, and makes no more */
  "unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
  "mount_setattr", "statmount", "listmount", "listns", "swapon", "swapoff", "quotactl", "quotactl_fd", "acct",
  /* files past every path: a handle names them in the whole filesystem */
  "open_by_handle_at",
  /* the machine as a whole, and what nobody has needed for decades */
  "lookup_dcookie", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "vhangup", "kexec_load", "kexec_file_load", "init_module",
  "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms", "reboot", "syslog", "iopl", "ioperm",
  /* keys are not in a namespace */
  "add_key", "request_key", "keyctl",
  /* the clock is the host's */
  "settimeofday", "clock_settime", "stime",
  /* LSM attributes */
  "lsm_set_self_attr",
};

/* What the init and the way to the command's execve make under the filter themselves: cannot be denied. */
static const char *const needed_calls[] = {
  /* the way to the command */
  "setsid", "ioctl", "dup2", "dup3", "close", "close_range", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "open", "openat", "openat2",
  "fchdir", "execve", "write", "exit", "exit_group", "clone", "munmap", "sendmsg", "recvmsg", "prctl",
  /* the init */
  "wait4", "sendto", "rt_sigtimedwait", "kill",
};

#endif
