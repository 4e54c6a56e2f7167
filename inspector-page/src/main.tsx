/** The entry point. */

import { render } from "preact";
import { App } from "./app.tsx";
import { preferred, setLanguage } from "./i18n.ts";
import { applyTheme, read, theme } from "./preferences.ts";
import "uplot/dist/uPlot.min.css";
import "./styles.css";

applyTheme(theme());
setLanguage(preferred(read("language"), navigator.language));
document.documentElement.lang = preferred(read("language"), navigator.language);
const target = document.getElementById("app");
if (target) render(<App />, target);
