import type { ComponentChildren } from "preact";

/** The head of a page: its one h1, what it is about, and what can be done. */
export const PageHead = ({
  title,
  about,
  children,
}: {
  title: ComponentChildren;
  about?: ComponentChildren;
  children?: ComponentChildren;
}) => (
  <header class="page-head">
    <div>
      <h1 tabIndex={-1}>{title}</h1>
      {about && <p>{about}</p>}
    </div>
    {children && <div class="actions">{children}</div>}
  </header>
);

/** A part of a page with a heading of its own. */
export const Card = ({ title, actions, children }: { title?: string; actions?: ComponentChildren; children: ComponentChildren }) => (
  <section class="card">
    {(title || actions) && (
      <div class="card-head">
        {title && <h2>{title}</h2>}
        {actions}
      </div>
    )}
    {children}
  </section>
);
