import { useState } from "preact/hooks";
import { Button } from "../../components/button.tsx";
import { Dialog } from "../../components/dialog.tsx";

/** Asks for a name. */
export const NewFolder = ({
  folder,
  onMake,
  onClose,
}: {
  folder: string;
  onMake: (name: string) => Promise<void>;
  onClose: () => void;
}) => {
  const [name, setName] = useState("");
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    await onMake(name);
    onClose();
  };
  return (
    <Dialog title={`New folder in ${folder}`} onClose={onClose}>
      <form onSubmit={submit}>
        <label>
          Name
          <input value={name} required pattern="[^\/]+" autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary">
            Make it
          </Button>
        </div>
      </form>
    </Dialog>
  );
};
