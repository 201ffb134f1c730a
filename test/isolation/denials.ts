/** Named denials: calls that no process of a sandbox may make, by their number on x86-64, and why. */
export interface Denial {
  number: number;
  name: string;
  reason: string;
  /** EPERM for what exists and is refused; ENOSYS for what the filter does not know, as a kernel without it says. */
  outcome: "EPERM" | "ENOSYS";
}

const rows: [reason: string, outcome: Denial["outcome"], calls: Record<string, number>][] = [
  ["new namespaces give capabilities in them", "EPERM", { unshare: 272, setns: 308 }],
  ["its flags lie in memory, which a filter cannot read; the C library falls back to clone", "ENOSYS", { clone3: 435 }],
  ["mounts, old interface", "EPERM", { mount: 165, umount2: 166, pivot_root: 155, swapon: 167, swapoff: 168 }],
  [
    "mounts, new interface",
    "EPERM",
    { open_tree: 428, move_mount: 429, fsopen: 430, fsconfig: 431, fsmount: 432, fspick: 433, mount_setattr: 442 },
  ],
  ["mounts, calls younger than the filter's list of names", "ENOSYS", { statmount: 457, listmount: 458 }],
  ["quotas and accounting are the host's", "EPERM", { quotactl: 179, quotactl_fd: 443, acct: 163 }],
  [
    "memory and descriptors of other processes",
    "EPERM",
    { ptrace: 101, process_vm_readv: 310, process_vm_writev: 311, pidfd_getfd: 438, kcmp: 312, process_mrelease: 448 },
  ],
  [
    "a second kernel interface for every call, with a record of holes",
    "EPERM",
    { io_uring_setup: 425, io_uring_enter: 426, io_uring_register: 427 },
  ],
  ["stops the kernel in the middle of a copy, which races are won with", "EPERM", { userfaultfd: 323 }],
  ["programs in the kernel", "EPERM", { bpf: 321, perf_event_open: 298 }],
  ["files by inode, past every directory", "EPERM", { open_by_handle_at: 304 }],
  ["watches whole filesystems", "EPERM", { fanotify_init: 300 }],
  ["keys are in no namespace", "EPERM", { add_key: 248, request_key: 249, keyctl: 250 }],
  [
    "another kernel, other modules, the end of the host",
    "EPERM",
    {
      kexec_load: 246,
      kexec_file_load: 320,
      init_module: 175,
      finit_module: 313,
      delete_module: 176,
      create_module: 174,
      query_module: 178,
      get_kernel_syms: 177,
      reboot: 169,
    },
  ],
  ["the kernel's log", "EPERM", { syslog: 103 }],
  ["ports and segments of the processor", "EPERM", { iopl: 172, ioperm: 173, modify_ldt: 154 }],
  ["the clock is the host's", "EPERM", { settimeofday: 164, clock_settime: 227 }],
  ["pages of other processes", "EPERM", { move_pages: 279, migrate_pages: 256, mbind: 237, set_mempolicy: 238, get_mempolicy: 239 }],
  ["memory that is hidden from the kernel", "EPERM", { memfd_secret: 447 }],
  ["obsolete", "EPERM", { uselib: 134, ustat: 136, sysfs: 139, _sysctl: 156, nfsservctl: 180, lookup_dcookie: 212 }],
  ["hangs up terminals", "EPERM", { vhangup: 153 }],
];

export const denials: Denial[] = rows.flatMap(([reason, outcome, calls]) =>
  Object.entries(calls).map(([name, number]) => ({ number, name, reason, outcome })),
);
