/** What calls from a sandbox could change of a guest, and what its kernel would say of them. */
import type { Guest } from "./guest.ts";

/** Settings but those that count or are random, devices, mounts, links, modules, accounts, and what lies in /run and /tmp. */
export const fingerprint = (guest: Guest): Promise<string> =>
  guest.run(`
    cd /proc/sys && find . -xdev -type f -perm -u=r ! -path './fs/*-nr' ! -path './fs/*-state' ! -path './fs/quota/*' ! -path './kernel/random/*' \\
      ! -path ./kernel/ns_last_pid ! -path ./kernel/pty/nr ! -path './*/cad_pid' | sort | xargs grep -Hs . || true
    find /dev -xdev -printf '%p %m %u %g %y\\n' | sort
    cut -d' ' -f5-10 /proc/self/mountinfo | grep -v unshared | sort
    ip -o link; ip route; ss -Hlnt
    cut -d' ' -f1 /proc/modules | sort
    sha256sum /etc/passwd /etc/shadow /etc/group
    find /run /tmp -xdev ! -path '/run/unshared*' ! -path '/run/systemd/*' ! -path '/run/udev/*' ! -path '/run/log/*' -printf '%p %m %u\\n' | sort`);

const complaint =
  "WARNING:|BUG:|UBSAN:|Oops|\\[#[0-9]+\\]|Call Trace|hung_task|blocked for more than|(soft|hard) lockup|rcu.*stall|refcount_t:|list_(add|del) corruption|Kernel panic";

/** Lines of the kernel's log that tell of harm to itself. Not that a program died of its own faults. @throws Error where the log has lost its beginning */
export const complaints = async (guest: Guest): Promise<string[]> => {
  const text = await guest.run(`dmesg | grep 'Linux version' >/dev/null && { dmesg -t | grep -E '${complaint}' || true; }`);
  return text.split("\n").filter((line) => line !== "");
};
