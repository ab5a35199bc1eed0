// The page starts here.
import { h, render } from "preact";
import { followLinks } from "./address.js";
import { App } from "./app.js";
import { keepPlace } from "./place.js";
import { applyTheme } from "./theme.js";
import "./style/theme.css";
import "uplot/dist/uPlot.min.css";
import "./style/layout.css";
import "./style/controls.css";
import "./style/tables.css";
import "./style/charts.css";

applyTheme();
document.addEventListener("click", followLinks);
keepPlace();
render(h(App), document.getElementById("page"));
