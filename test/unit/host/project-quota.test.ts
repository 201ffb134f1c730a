import { expect, it } from "vitest";
import { projectQuotaType } from "../../../server/host/project-quota.ts";

const mounts = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,prjquota
30 22 254:1 / /var rw,relatime - ext4 /dev/vdb rw,errors=remount-ro
31 30 254:2 / /var/lib/a\\040b rw shared:3 master:4 - xfs /dev/vdc rw,attr2,inode64,prjquota
32 30 254:3 / /var/lib/plain rw - xfs /dev/vdd rw,noquota
33 30 0:40 / /var/lib/memory rw - tmpfs tmpfs rw,prjquota
34 30 254:4 / /var/lib/twice rw - xfs /dev/vde rw,prjquota
35 34 254:5 / /var/lib/twice rw - xfs /dev/vdf rw,noquota
`;

it.each([
  ["/srv", "ext4"],
  ["/var", null],
  ["/var/lib/a b/state", "xfs"],
  ["/var/lib/a bc", null],
  ["/var/lib/plain", null],
  ["/var/lib/memory", null],
  ["/var/lib/twice", null],
])("%s lies on a filesystem with project quota: %s", (directory, type) => {
  expect(projectQuotaType(mounts, directory)).toBe(type);
});
