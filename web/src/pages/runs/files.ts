import type { api } from "../../../../client/browser.ts";

type File = Pick<NonNullable<api.Run["files"]>[number], "data" | "encoding">;

/** The bytes of a file that a run gave back. */
export const bytesOf = ({ data = "", encoding = "utf-8" }: File): Uint8Array<ArrayBuffer> =>
  encoding === "utf-8" ? new TextEncoder().encode(data) : Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));

/** Hands bytes to the browser to be saved under the path's last name. */
export const saveBytes = (path: string, bytes: Uint8Array<ArrayBuffer>): void => {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = path.slice(path.lastIndexOf("/") + 1);
  link.click();
  URL.revokeObjectURL(url);
};
