/** Gives the bytes to the person as a file. The token goes by a header, so a link alone could not fetch them. */
export const saveAs = async (name: string, bytes: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
  const url = URL.createObjectURL(await new Response(bytes).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Until the browser has taken it over.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
};
