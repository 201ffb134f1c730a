import { useRef, useState } from "preact/hooks";
import type { api, Files } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Confirm } from "../../components/confirm.tsx";
import { Icon, type IconName } from "../../components/icon.tsx";
import { Empty, Loaded } from "../../components/states.tsx";
import { Table } from "../../components/table.tsx";
import { attempt } from "../../components/toasts.tsx";
import { formatBytes, formatTime } from "../../format.ts";
import { useResource } from "../../resource.ts";
import { href, place } from "../../router.ts";
import { session } from "../../session.ts";
import { FileEditor } from "./file-editor.tsx";
import { NewFolder } from "./new-folder.tsx";
import { saveAs } from "./save-as.ts";

const icons: Readonly<Record<api.FileEntry["type"], IconName>> = {
  directory: "folder",
  file: "file",
  link: "link",
  fifo: "file",
  socket: "file",
  device: "file",
};
const mostEditableBytes = 524_288;

const below = (folder: string, name: string): string => `${folder === "/" ? "" : folder}/${name}`;
const filesOf = async (id: string): Promise<Files> => (await session.value.sandboxes.get(id)).files;

const Crumbs = ({ id, folder }: { id: string; folder: string }) => {
  const parts = folder.split("/").filter(Boolean);
  return (
    <nav class="crumbs" aria-label="Folder">
      <a href={href(["sandboxes", id, "files"])}>/</a>
      {parts.map((part, index) => (
        <a key={index} href={href(["sandboxes", id, "files"], { path: `/${parts.slice(0, index + 1).join("/")}` })}>
          {part}
        </a>
      ))}
    </nav>
  );
};

/** Its files, running or not. */
export const FilesTab = ({ sandbox: { id } }: { sandbox: api.Sandbox }) => {
  const folder = place.value.query.get("path") ?? "/";
  const [edited, setEdited] = useState<string | null>(null);
  const [doomed, setDoomed] = useState<api.FileEntry | null>(null);
  const [isNaming, setNaming] = useState(false);
  const [isOver, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const listing = useResource(async (_client, signal) => Array.fromAsync((await filesOf(id)).list(folder, { signal })), [id, folder]);

  const upload = async (list: FileList | null | undefined): Promise<void> => {
    for (const file of list ?? [])
      await attempt(
        async () => (await filesOf(id)).write(below(folder, file.name), new Uint8Array(await file.arrayBuffer())),
        `${file.name} is uploaded`,
      );
    listing.reload();
  };
  const download = (entry: api.FileEntry) =>
    attempt(async () => {
      const files = await filesOf(id);
      const path = below(folder, entry.name);
      if (entry.type !== "directory") return saveAs(entry.name, await files.readStream(path));
      return saveAs(`${entry.name}.tar`, await files.readArchive(path));
    });
  const makeFolder = async (name: string): Promise<void> => {
    await attempt(async () => (await filesOf(id)).mkdir(below(folder, name)), `${name} is made`);
    listing.reload();
  };
  const remove = async (entry: api.FileEntry): Promise<void> => {
    await attempt(
      async () => (await filesOf(id)).remove(below(folder, entry.name), { recursive: entry.type === "directory" }),
      `${entry.name} is deleted`,
    );
    listing.reload();
  };

  return (
    <section
      class={isOver ? "stack drop over" : "stack drop"}
      aria-label="Files"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void upload(event.dataTransfer?.files);
      }}
    >
      <div class="filters">
        <Crumbs id={id} folder={folder} />
        <input
          ref={picker}
          class="visually-hidden"
          type="file"
          multiple
          tabIndex={-1}
          aria-label="Files to upload"
          onChange={(event) => upload(event.currentTarget.files)}
        />
        <Button icon="upload" onClick={() => picker.current?.click()}>
          Upload
        </Button>
        <Button icon="folder" onClick={() => setNaming(true)}>
          New folder
        </Button>
        <Button icon="file" onClick={() => setEdited(below(folder, "new.txt"))}>
          New file
        </Button>
      </div>
      <Loaded resource={listing}>
        {(entries) =>
          entries.length === 0 ? (
            <Empty icon="folder" title="This folder is empty">
              Drop files here to upload them.
            </Empty>
          ) : (
            <Table
              label={`Files in ${folder}`}
              items={entries}
              keyOf={({ name, nameBytes }) => nameBytes ?? name}
              columns={[
                {
                  title: "Name",
                  cell: ({ name, type, target, nameBytes }) => (
                    <span class="row">
                      <Icon name={icons[type]} size={17} />
                      {type === "directory" && nameBytes === undefined ? (
                        <a class="strong" href={href(["sandboxes", id, "files"], { path: below(folder, name) })}>
                          {name}
                        </a>
                      ) : (
                        <span>{name}</span>
                      )}
                      {target !== null && <span class="muted">→ {target}</span>}
                    </span>
                  ),
                },
                { title: "Size", numeric: true, cell: ({ type, sizeBytes }) => (type === "file" ? formatBytes(sizeBytes) : "–") },
                { title: "Mode", minor: true, cell: ({ mode }) => <code>{mode}</code> },
                { title: "Owner", minor: true, cell: ({ uid, gid }) => `${uid}:${gid}` },
                { title: "Changed", cell: ({ modifiedAt }) => formatTime(modifiedAt) },
                {
                  title: "",
                  // A name whose bytes are no UTF-8 cannot be told to the daemon from here.
                  cell: (entry) =>
                    entry.nameBytes === undefined && (
                      <EntryActions
                        entry={entry}
                        onEdit={() => setEdited(below(folder, entry.name))}
                        onDownload={() => download(entry)}
                        onDelete={() => setDoomed(entry)}
                      />
                    ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {edited !== null && <FileEditor id={id} path={edited} onSaved={listing.reload} onClose={() => setEdited(null)} />}
      {isNaming && <NewFolder folder={folder} onMake={makeFolder} onClose={() => setNaming(false)} />}
      {doomed && (
        <Confirm title={`Delete ${doomed.name}?`} verb="Delete" onConfirm={() => remove(doomed)} onClose={() => setDoomed(null)}>
          <p>{doomed.type === "directory" ? "All that is in it goes too." : "It cannot be brought back."}</p>
        </Confirm>
      )}
    </section>
  );
};

interface EntryActionsProps {
  entry: api.FileEntry;
  onEdit: () => void;
  onDownload: () => void;
  onDelete: () => void;
}

const EntryActions = ({ entry: { name, type, sizeBytes }, onEdit, onDownload, onDelete }: EntryActionsProps) => (
  <span class="row tools">
    {type === "file" && sizeBytes <= mostEditableBytes && <Button small kind="quiet" icon="edit" label={`Edit ${name}`} onClick={onEdit} />}
    {(type === "file" || type === "directory") && (
      <Button small kind="quiet" icon="download" label={`Download ${name}`} onClick={onDownload} />
    )}
    <Button small kind="quiet" icon="trash" label={`Delete ${name}`} onClick={onDelete} />
  </span>
);
