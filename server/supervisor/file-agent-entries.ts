/** Entries and paths as the file agent speaks of them (supervisor/PROTOCOL.md). */
import type { Entry, EntryType, PlantedEntry, Segment } from "../domain/file-ports.ts";
import type { AgentField, AgentFrame } from "./file-agent-frames.ts";
import { ProtocolError } from "./protocol.ts";

export type Message = Exclude<AgentFrame, { name: "DATA" }>;

/** The bytes of a value, which frames hold as latin1. */
export const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const types: readonly string[] = ["file", "directory", "link", "fifo", "socket", "device"];

const maxId = 0xffff_ffff;
/** Of what a Date holds. */
const maxMicroseconds = 8.64e18;

/** Whoever is inside dates files as they like, where the filesystem has the room. @throws ProtocolError */
const timeOf = (text: string): number => {
  if (!/^-?\d{1,20}$/.test(text)) throw new ProtocolError("an entry with a time that is no number");
  return Math.min(Math.max(Number(text), -maxMicroseconds), maxMicroseconds);
};

/** @throws ProtocolError */
const segmentsOf = (text: string): Segment[] =>
  text === ""
    ? []
    : text.split(",").map((part) => {
        const [, offset, length] = /^(\d{1,16})\+(\d{1,16})$/.exec(part) ?? [];
        if (offset === undefined) throw new ProtocolError("an entry with segments of no form");
        return { offset: Number(offset), length: Number(length) };
      });

/** @throws ProtocolError for an entry of no form */
export const entryOf = ({ fields }: Message): Entry => {
  const text = (key: string): string => {
    const value = fields.get(key);
    if (value === undefined) throw new ProtocolError(`an entry without ${key}`);
    return value;
  };
  const digits = (key: string): string => {
    if (!/^\d{1,20}$/.test(text(key))) throw new ProtocolError(`an entry with a ${key} that is no number`);
    return text(key);
  };
  const number = (key: string, most: number): number => {
    const value = Number(digits(key));
    if (value > most) throw new ProtocolError(`an entry whose ${key} is ${value}`);
    return value;
  };
  const target = fields.get("target");
  const hardlink = fields.get("hardlink");
  const segments = fields.get("segments");
  if (!types.includes(text("type"))) throw new ProtocolError("an entry of an unknown type");
  return {
    name: bytesOf(text("path")),
    type: text("type") as EntryType,
    sizeBytes: number("size", Number.MAX_SAFE_INTEGER),
    mode: number("mode", 0o7777),
    uid: number("uid", maxId),
    gid: number("gid", maxId),
    modifiedMicroseconds: timeOf(text("mtime-us")),
    links: number("links", Number.MAX_SAFE_INTEGER),
    inode: digits("inode"),
    hardlink: hardlink === undefined ? null : bytesOf(hardlink),
    target: target === undefined ? null : bytesOf(target),
    segments: segments === undefined ? null : segmentsOf(segments),
  };
};

export const plantedFields = ({ path, type, mode, uid, gid, modifiedMicroseconds, target, hardlink }: PlantedEntry): AgentField[] => [
  ["path", path],
  ["type", type],
  ["mode", mode],
  ["uid", uid],
  ["gid", gid],
  ["mtime-us", modifiedMicroseconds],
  ...(target === null ? [] : [["target", target] as const]),
  ...(hardlink === null ? [] : [["hardlink", hardlink] as const]),
];
