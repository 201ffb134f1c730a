import type { ComponentChildren } from "preact";
import { tell } from "../problems.ts";
import type { Resource } from "../resource.ts";
import { Button } from "./button.tsx";
import { Icon, type IconName } from "./icon.tsx";

/** Something is on its way: the shape of what will be there. */
export const Loading = ({ lines = 4, what = "Loading" }: { lines?: number; what?: string }) => (
  <div class="loading" role="status" aria-label={what}>
    {Array.from({ length: lines }, (_, index) => (
      <span class="bone" key={index} />
    ))}
  </div>
);

/** There is nothing, and what to do about it. */
export const Empty = ({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <Icon name={icon} size={36} />
    <h3>{title}</h3>
    {children && <div class="empty-text">{children}</div>}
  </div>
);

/** A refusal, in words. */
export const ErrorBox = ({ error, onRetry }: { error: unknown; onRetry?: () => void }) => {
  const { title, detail, code, fields } = tell(error);
  return (
    <div class="error-box" role="alert">
      <Icon name="warning" size={20} />
      <div class="grow">
        <strong>{title}</strong>
        <p>{detail}</p>
        {fields.length > 0 && (
          <ul>
            {fields.map((field) => (
              <li key={field.pointer}>
                <code>{field.pointer}</code> {field.detail}
              </li>
            ))}
          </ul>
        )}
        {code && (
          <a href={`/problems/${code}`} target="_blank" rel="noreferrer">
            What {code} means
          </a>
        )}
      </div>
      {onRetry && (
        <Button small onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
};

interface LoadedProps<T> {
  resource: Resource<T>;
  children: (value: T) => ComponentChildren;
  lines?: number;
}

/** A resource in each of its states; an answer that is there stays while a newer one fails. */
export const Loaded = <T,>({ resource, children, lines = 4 }: LoadedProps<T>) => {
  const { value, error, isLoading, reload } = resource;
  if (value === null && error === null && isLoading) return <Loading lines={lines} />;
  return (
    <>
      {error !== null && <ErrorBox error={error} onRetry={reload} />}
      {value !== null && children(value)}
    </>
  );
};
