/** Seccomp filters: what one decides, by running it as the kernel does (seccomp(2), Documentation/networking/filter.rst). */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { probePath } from "./stage.ts";

interface Instruction {
  code: number;
  jt: number;
  jf: number;
  k: number;
}
export type Filter = readonly Instruction[];

export const abis = { "x86-64": 0xc000003e, x32: 0xc000003e, i386: 0x40000003 } as const;
export type Abi = keyof typeof abis;
const x32Bit = 0x40000000;

/** The one that a process is under, from the host; empty without one. @throws Error where the kernel does not tell */
export const filterOf = (pid: number): Filter => {
  const { status, stdout, stderr } = spawnSync(probePath("filter"), [String(pid)], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the filter of ${pid}: ${stderr}`);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [code = 0, jt = 0, jf = 0, k = 0] = line.split(" ").map(Number);
      return { code, jt, jf, k };
    });
};

/** "allow", an errno's name, or "kill". `argument`: each of the six. @throws Error on an instruction that seccomp filters have not */
export const decide = (filter: Filter, abi: Abi, call: number, argument = -1n): string => {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(abi === "x32" ? call + x32Bit : call, 0);
  data.writeUInt32LE(abis[abi], 4);
  for (let index = 0; index < 6; index += 1) data.writeBigInt64LE(argument, 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; at < filter.length; at += 1) {
    const { code, jt, jf, k } = filter[at] as Instruction;
    const jump = (condition: boolean) => (condition ? jt : jf);
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += jump(accumulator === k);
    else if (code === 0x25) at += jump(accumulator > k);
    else if (code === 0x35) at += jump(accumulator >= k);
    else if (code === 0x45) at += jump((accumulator & k) !== 0);
    else if (code === 0x06) return nameOf(k);
    else throw new Error(`instruction ${code} at ${at}`);
  }
  throw new Error("the filter has no end");
};

const nameOf = (action: number): string => {
  if (action === 0x7fff0000) return "allow";
  if (action >>> 16 !== 5) return "kill";
  const found = Object.entries(constants.errno).find(([, number]) => number === (action & 0xffff));
  return found?.[0] ?? `errno ${action & 0xffff}`;
};

const fields = ["nr", "arch", "ip", "ip+4", ...Array.from({ length: 6 }, (_, index) => [`arg${index}`, `arg${index}+4`]).flat()];
const jumps: Record<number, string> = { 21: "==", 37: ">", 53: ">=", 69: "&" };
const hex = (value: number): string => `0x${value.toString(16)}`;

/** The filter for readers: an instruction a line, and where one asks for the number of a call of x86-64 its name. */
export const disassemble = (filter: Filter, names: ReadonlyMap<number, string>): string => {
  let loaded = "";
  const line = ({ code, jt, jf, k }: Instruction, at: number): string => {
    const to = (distance: number) => String(at + 1 + distance).padStart(4, "0");
    if (code === 0x20) {
      loaded = fields[k / 4] ?? `${k}`;
      return `load ${loaded}`;
    }
    if (code === 0x54) return `and ${hex(k)}`;
    if (code === 0x05) return `goto ${to(k)}`;
    if (code === 0x06) return `return ${nameOf(k)}`;
    const name = code === 0x15 && loaded === "nr" ? names.get(k) : undefined;
    return `if ${jumps[code] ?? code} ${hex(k)} goto ${to(jt)} else ${to(jf)}${name === undefined ? "" : `  ; ${name}`}`;
  };
  return filter.map((instruction, at) => `${String(at).padStart(4, "0")} ${line(instruction, at)}\n`).join("");
};
