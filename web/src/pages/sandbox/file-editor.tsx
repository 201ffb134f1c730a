import { useState } from "preact/hooks";
import { ProblemError } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Dialog } from "../../components/dialog.tsx";
import { ErrorBox, Loaded } from "../../components/states.tsx";
import { say } from "../../components/toasts.tsx";
import { useResource } from "../../resource.ts";
import { noticeFailure, session } from "../../session.ts";

interface FileEditorProps {
  id: string;
  path: string;
  onSaved: () => void;
  onClose: () => void;
}

/** The text of a file, or of one that will be. What is no UTF-8 is not shown: it would be broken by saving it. */
export const FileEditor = ({ id, path, onSaved, onClose }: FileEditorProps) => {
  const file = useResource(
    async (client, signal) => {
      const { files } = await client.sandboxes.get(id, { signal });
      try {
        const [entry, bytes] = await Promise.all([files.stat(path, { signal }), files.read(path, { signal })]);
        return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), mode: entry.mode, isNew: false };
      } catch (error) {
        if (error instanceof ProblemError && error.code === "file-not-found") return { text: "", mode: "0644", isNew: true };
        if (error instanceof TypeError) throw new Error("It is no text in UTF-8: download it instead.");
        throw error;
      }
    },
    [id, path],
  );
  return (
    <Dialog title={path} onClose={onClose} wide>
      <Loaded resource={file}>
        {({ text, mode, isNew }) => (
          <Editor id={id} path={path} text={text} mode={mode} isNew={isNew} onSaved={onSaved} onClose={onClose} />
        )}
      </Loaded>
    </Dialog>
  );
};

const Editor = ({ id, path, text, mode, isNew, onSaved, onClose }: FileEditorProps & { text: string; mode: string; isNew: boolean }) => {
  const [target, setTarget] = useState(path);
  const [draft, setDraft] = useState(text);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const save = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      const { files } = await session.value.sandboxes.get(id);
      await files.write(target, draft, { mode, exclusive: isNew });
      say(`${target} is saved`);
      onSaved();
      onClose();
    } catch (reason) {
      noticeFailure(reason);
      setError(reason);
      setBusy(false);
    }
  };
  return (
    <form class="stack" onSubmit={save}>
      {isNew && (
        <label>
          Path
          <input class="mono" value={target} required pattern="/.+" onInput={(event) => setTarget(event.currentTarget.value)} />
        </label>
      )}
      <label>
        <span class={isNew ? undefined : "visually-hidden"}>Text</span>
        <textarea rows={18} value={draft} spellcheck={false} onInput={(event) => setDraft(event.currentTarget.value)} />
      </label>
      {error !== null && <ErrorBox error={error} />}
      <div class="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" kind="primary" disabled={isBusy || (!isNew && draft === text)}>
          Save
        </Button>
      </div>
    </form>
  );
};
