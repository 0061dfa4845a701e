import { render } from "preact";
import { startSession } from "./store/session";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/levels.css";
import "./styles/table.css";
import "./styles/panels.css";
import "./styles/alerts.css";
import { App } from "./shell/app";
import { followLinks } from "./shell/route";

followLinks();
const root = document.getElementById("app");
if (root) render(<App />, root);
startSession();
