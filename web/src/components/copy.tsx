import { useState } from "preact/hooks";
import { Button } from "./button.tsx";

/** A text to take along, such as a command for the host's shell. */
export const Copyable = ({ text, label }: { text: string; label: string }) => {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <span class="copyable">
      <code>{text}</code>
      <Button kind="quiet" small icon={isCopied ? "check" : "copy"} label={isCopied ? "Copied" : label} onClick={copy} />
    </span>
  );
};
