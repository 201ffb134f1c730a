/** Longer than the daemon's keep-alives are apart: a connection on which nothing came for so long is dead. */
const silenceMilliseconds = 45_000;

/** The lines of a body, without the empty ones that keep it alive. @throws Error when nothing comes for too long */
export async function* linesOf(response: Response): AsyncGenerator<string, void> {
  const reader = (response.body ?? (new Response("").body as ReadableStream<Uint8Array>)).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let isDead = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      timer = setTimeout(() => {
        isDead = true;
        void reader.cancel().catch(() => {});
      }, silenceMilliseconds);
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (isDead) throw new Error(`nothing came for ${silenceMilliseconds / 1000} s`);
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      // What has no end yet was cut off if nothing follows: it is asked for again.
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") yield line;
    }
  } finally {
    clearTimeout(timer);
    await reader.cancel().catch(() => {});
  }
}

/** The data of each event of a Server-Sent Events body, with its name. */
export async function* serverEventsOf(response: Response): AsyncGenerator<{ name: string; data: string }, void> {
  let name = "message";
  for await (const line of linesOf(response)) {
    if (line.startsWith("event: ")) name = line.slice(7);
    // Each event of the daemon has one line of data, which is its last.
    if (line.startsWith("data: ")) yield { name, data: line.slice(6) };
  }
}
