import { useId } from "preact/hooks";
import { kindOf, type Schema, titleOf } from "./schema.ts";
import { pointerOf, type Values } from "./values.ts";

export interface Faults {
  [pointer: string]: string;
}

interface FieldProps {
  name: string;
  path: string;
  schema: Schema;
  values: Values;
  faults: Faults;
  onChange: (path: string, value: string) => void;
  /** In place of a free text, such as the names of the roots that there are. */
  choices?: readonly string[] | undefined;
}

/** One field of a body, with what the contract says of it. */
export const Field = (props: FieldProps) => {
  const { name, path, schema, values, faults, onChange, choices } = props;
  const id = useId();
  const kind = kindOf(name, schema);
  if (kind === null) return null;
  if (kind === "group") return <Group {...props} />;
  const fault = faults[pointerOf(path)];
  // The contract is Markdown; here it is plain text.
  const hint = schema.description?.replaceAll("`", "");
  const common = {
    id,
    name: path,
    value: values[path] ?? "",
    "aria-invalid": fault !== undefined,
    "aria-describedby": fault !== undefined || hint !== undefined ? `${id}-hint` : undefined,
    onInput: (event: { currentTarget: { value: string } }) => onChange(path, event.currentTarget.value),
  };
  const options = choices ?? (kind === "choice" ? (schema.enum ?? []).map(String) : kind === "flag" ? ["true", "false"] : null);
  const shown = (option: string): string => (kind === "flag" ? (option === "true" ? "yes" : "no") : option);
  const placeholder = placeholderOf(kind, schema);
  return (
    <div class="field">
      <label for={id}>{titleOf(name)}</label>
      {options !== null ? (
        <select {...common}>
          <option value="">default</option>
          {options.map((option) => (
            <option key={option} value={option}>
              {shown(option)}
            </option>
          ))}
        </select>
      ) : kind === "lines" || kind === "pairs" || kind === "choices" ? (
        <textarea {...common} rows={2} placeholder={placeholder} spellcheck={false} />
      ) : (
        <input
          {...common}
          type="text"
          inputMode={kind === "number" ? "decimal" : undefined}
          placeholder={placeholder}
          autocomplete="off"
          spellcheck={false}
        />
      )}
      {(fault ?? hint) !== undefined && (
        <small id={`${id}-hint`} class={fault === undefined ? "hint" : "fault"}>
          {fault ?? hint}
        </small>
      )}
    </div>
  );
};

const placeholderOf = (kind: string, schema: Schema): string => {
  if (kind === "lines") return "one a line";
  if (kind === "pairs") return "NAME=value, one a line";
  if (kind === "choices") return "one a line, such as CAP_CHOWN";
  if (kind === "bytes") return "such as 256 MiB";
  const example = schema.examples?.[0];
  return typeof example === "string" || typeof example === "number" ? `such as ${example}` : "";
};

/** The fields of an object. It is open where something in it is filled in or wrong. */
const Group = ({ name, path, schema, values, faults, onChange }: FieldProps) => {
  const isTouched = Object.keys(values).some((key) => key.startsWith(`${path}.`) && values[key] !== "");
  const isFaulty = Object.keys(faults).some((pointer) => pointer.startsWith(`${pointerOf(path)}/`));
  return (
    <details class="field-group" open={isTouched || isFaulty}>
      <summary>{titleOf(name)}</summary>
      {schema.description && <p class="hint">{schema.description}</p>}
      <div class="fields">
        {Object.entries(schema.properties ?? {}).map(([key, each]) => (
          <Field key={key} name={key} path={`${path}.${key}`} schema={each} values={values} faults={faults} onChange={onChange} />
        ))}
      </div>
    </details>
  );
};
