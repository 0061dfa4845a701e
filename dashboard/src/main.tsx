import { render } from "preact";
import { startSession } from "./store/session";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/levels.css";
import "./styles/table.css";
import "./styles/panels.css";
import "./styles/alerts.css";
import { App } from "./ui/app";

const root = document.getElementById("app");
if (root) render(<App />, root);
startSession();
