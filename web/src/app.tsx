import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Layout } from "./components/layout.tsx";
import { Login } from "./components/login.tsx";
import { Empty, ErrorBox, Loading } from "./components/states.tsx";
import { Toasts } from "./components/toasts.tsx";
import { followLive } from "./live.ts";
import { place } from "./router.ts";
import { type PageProps, type Route, routes } from "./routes.ts";
import { isLoggedIn } from "./session.ts";

const Page = ({ route, rest }: { route: Route; rest: readonly string[] }) => {
  const [Component, setComponent] = useState<ComponentType<PageProps> | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    document.title = `${route.title} · unshared`;
    let isLeft = false;
    route
      .load()
      .then((loaded) => isLeft || setComponent(() => loaded))
      .catch((reason: unknown) => isLeft || setError(reason));
    return () => {
      isLeft = true;
    };
  }, [route]);
  if (error !== null) return <ErrorBox error={error} onRetry={() => globalThis.location.reload()} />;
  return Component === null ? <Loading /> : <Component rest={rest} />;
};

const Inside = () => {
  useEffect(() => {
    const left = new AbortController();
    void followLive(left.signal);
    return () => left.abort();
  }, []);
  const [segment = "", ...rest] = place.value.segments;
  const route = routes.find((each) => each.segment === segment) ?? null;
  return (
    <Layout route={route}>
      {route === null ? (
        <Empty icon="search" title="There is no such page">
          <a href="#/">To the overview</a>
        </Empty>
      ) : (
        <Page key={route.segment} route={route} rest={rest} />
      )}
    </Layout>
  );
};

export const App = () => (
  <>
    {isLoggedIn.value ? <Inside /> : <Login />}
    <Toasts />
  </>
);
