import "@preact/signals";
import { render } from "preact";
import { App } from "./app.tsx";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/components.css";
import "./styles/overview.css";
import "./styles/sandboxes.css";
import "./styles/managing.css";

const app = document.getElementById("app");
if (app !== null) render(<App />, app);
