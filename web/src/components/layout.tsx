import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { connection } from "../live.ts";
import { href, place } from "../router.ts";
import { type Route, routes } from "../routes.ts";
import { logOut } from "../session.ts";
import { Button } from "./button.tsx";
import { Icon } from "./icon.tsx";

const connectionTexts = { connecting: "Connecting", live: "Live", offline: "Offline" } as const;

const Brand = () => (
  <a class="brand" href="#/" aria-label="unshared, overview">
    <img src="/favicon.svg" alt="" width="26" height="26" />
    <span>unshared</span>
  </a>
);

/** Navigation, what the connection is like, and the page. */
export const Layout = ({ route, children }: { route: Route | null; children: ComponentChildren }) => {
  const [isOpen, setOpen] = useState(false);
  const path = place.value.path;
  // On a phone the navigation lies over the page, and is gone when a page was chosen.
  useEffect(() => setOpen(false), [path]);
  return (
    <div class="layout">
      <button type="button" class="skip" onClick={() => document.querySelector("main")?.focus()}>
        Skip to the page
      </button>
      <header class="top">
        <Brand />
        <Button
          kind="quiet"
          icon={isOpen ? "close" : "menu"}
          label={isOpen ? "Close navigation" : "Open navigation"}
          onClick={() => setOpen(!isOpen)}
        />
      </header>
      <nav class={isOpen ? "side open" : "side"} aria-label="Pages">
        <Brand />
        <ul>
          {routes.map((each) => (
            <li key={each.segment}>
              <a href={href(each.segment === "" ? [] : [each.segment])} aria-current={each === route ? "page" : undefined}>
                <Icon name={each.icon} />
                {each.title}
              </a>
            </li>
          ))}
          <li class="apart">
            <a href="/docs/guide" target="_blank" rel="noreferrer">
              <Icon name="docs" />
              Guides
            </a>
          </li>
          <li>
            <a href="/docs" target="_blank" rel="noreferrer">
              <Icon name="docs" />
              API
            </a>
          </li>
        </ul>
        <div class="side-foot">
          <span class={`pulse ${connection.value}`} role="status">
            {connectionTexts[connection.value]}
          </span>
          <Button kind="quiet" small icon="logout" onClick={() => logOut()}>
            Log out
          </Button>
        </div>
      </nav>
      <main tabIndex={-1}>
        {connection.value === "offline" && (
          <div class="banner" role="alert">
            <Icon name="offline" />
            <span>The daemon does not answer. What you see may be old; this page comes back by itself.</span>
          </div>
        )}
        {children}
      </main>
    </div>
  );
};
