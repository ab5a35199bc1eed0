// The page starts here: it draws the board in `window.board`, once.
import { h, render } from "preact";
import { Board } from "./board.js";
import "../../../console/page/src/style/theme.css";
import "uplot/dist/uPlot.min.css";
import "../../../console/page/src/style/tables.css";
import "../../../console/page/src/style/charts.css";
import "./board.css";

document.documentElement.dataset.theme = window.board.theme;
render(h(Board, window.board), document.getElementById("page"));
