import { signal } from "@preact/signals";
import { tell } from "../problems.ts";
import { noticeFailure } from "../session.ts";
import { Button } from "./button.tsx";

interface Toast {
  id: number;
  tone: "good" | "bad";
  text: string;
}

const toasts = signal<readonly Toast[]>([]);
const shownMilliseconds = { good: 4_000, bad: 12_000 };
let last = 0;

const dismiss = (id: number): void => {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
};

const show = (tone: Toast["tone"], text: string): void => {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-3), { id, tone, text }];
  setTimeout(() => dismiss(id), shownMilliseconds[tone]);
};

/** Says what was done. */
export const say = (text: string): void => show("good", text);

/** Says what was refused. */
export const complain = (error: unknown): void => {
  noticeFailure(error);
  const { title, detail } = tell(error);
  show("bad", `${title}: ${detail}`);
};

/** Does it, and says what became of it. Resolves to whether it was done. */
export const attempt = async (work: () => Promise<unknown>, done?: string): Promise<boolean> => {
  try {
    await work();
    if (done !== undefined) say(done);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
};

export const Toasts = () => (
  <div class="toasts" role="status" aria-live="polite">
    {toasts.value.map(({ id, tone, text }) => (
      <div class={`toast ${tone}`} key={id}>
        <span>{text}</span>
        <Button kind="quiet" small icon="close" label="Dismiss" onClick={() => dismiss(id)} />
      </div>
    ))}
  </div>
);
