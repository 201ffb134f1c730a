/** Paths of files in queries, cursors and bodies: bytes, which need not be UTF-8. */
import { DomainError } from "../domain/errors.ts";

const invalid = (pointer: string, detail: string): DomainError =>
  new DomainError("invalid-request", `${pointer}: ${detail}`, { faults: [{ pointer, detail }] });

/** The most bytes that the kernel takes as a path, without its final NUL (PATH_MAX). */
const pathBytes = 4_095;

const checked = (bytes: Buffer, pointer: string): Buffer => {
  if (bytes.includes(0)) throw invalid(pointer, "must not hold a NUL byte");
  if (bytes.length > pathBytes) throw invalid(pointer, `is longer than ${pathBytes} bytes`);
  return bytes;
};

const absolute = (bytes: Buffer, pointer: string): Buffer => {
  if (bytes[0] !== 47) throw invalid(pointer, "must be an absolute path");
  return checked(bytes, pointer);
};

/** Percent-encoding undone byte by byte, with no regard to UTF-8 (RFC 3986, section 2.1). */
const unescaped = (text: string, pointer: string): Buffer => {
  const plain = text.replaceAll("+", " ");
  if (/%(?![0-9a-fA-F]{2})/.test(plain)) throw invalid(pointer, "holds a % that is no escape");
  const parts = plain.split(/(%[0-9a-fA-F]{2})/);
  return Buffer.concat(parts.map((part, index) => (index % 2 === 1 ? Buffer.from(part.slice(1), "hex") : Buffer.from(part))));
};

/** The parameter `path` of the request target, as its bytes; "/" where there is none. @throws DomainError `invalid-request` */
export const queryPath = (url: string): Buffer => {
  const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
  const found = query.split("&").find((part) => part === "path" || part.startsWith("path="));
  return absolute(found === undefined ? Buffer.from("/") : unescaped(found.slice(5), "path"), "path");
};

/** A text of a body, or the base64 beside it that stands for bytes which are no UTF-8. @throws DomainError unless there is exactly one of the two */
export const bodyBytes = (body: Readonly<Record<string, unknown>>, name: string, isPath: boolean): Buffer => {
  const [text, encoded] = [body[name], body[`${name}Bytes`]];
  if ((text === undefined) === (encoded === undefined)) throw invalid(`/${name}`, `is needed, or ${name}Bytes in its place, for this op`);
  const bytes = text === undefined ? Buffer.from(String(encoded), "base64") : Buffer.from(String(text));
  const pointer = text === undefined ? `/${name}Bytes` : `/${name}`;
  if (isPath) return absolute(bytes, pointer);
  if (bytes.length === 0) throw invalid(pointer, "must not be empty");
  return checked(bytes, pointer);
};

/** The cursor of a listing: the last name that was shown. */
export const nameCursor = (name: Buffer): string => Buffer.concat([Buffer.from("1:"), name]).toString("base64url");

/** @throws DomainError `invalid-request` for a cursor that this daemon did not make */
export const cursorName = (cursor: string | undefined): Buffer | null => {
  if (cursor === undefined) return null;
  const bytes = Buffer.from(cursor, "base64url");
  const name = bytes.subarray(2);
  const sound =
    bytes.toString("latin1", 0, 2) === "1:" && name.length >= 1 && name.length <= 255 && !name.includes(0) && !name.includes(47);
  if (!sound) throw invalid("cursor", "is not one of a listing's nextCursor");
  return name;
};
