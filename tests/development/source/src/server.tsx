import { renderToString } from "react-dom/server";
import { Page } from "./page";

export default {
  fetch: () => new Response(`<!doctype html><title>A page</title>${renderToString(<Page />)}`, { headers: { "Content-Type": "text/html" } }),
};
