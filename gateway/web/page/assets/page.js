// Everything works without this: it refreshes the page by itself, and copies.
"use strict";

function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.onclick = async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.copied;
    };
  }
}

function isBusy() {
  const here = document.activeElement;
  return document.hidden || document.querySelector("main details[open]") !== null ||
    (here !== null && here.matches("main input, main select, main textarea"));
}

async function refresh() {
  const main = document.querySelector("main");
  if (isBusy()) return;
  const response = await fetch(location.href, { cache: "no-store" });
  if (!response.ok || response.redirected) return location.reload();
  const next = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
  if (next === null || isBusy()) return;
  const focused = document.activeElement?.closest("main a")?.getAttribute("href");
  main.replaceChildren(...next.childNodes);
  if (focused) main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  offerCopies();
}

offerCopies();
// What was just done is said once.
if (location.search) {
  const asked = new URLSearchParams(location.search);
  for (const once of ["done", "decided", "ended"]) asked.delete(once);
  history.replaceState(null, "", location.pathname + (asked.size ? `?${asked}` : ""));
}
const seconds = Number(document.querySelector("main")?.dataset.live);
if (seconds) setInterval(() => refresh().catch(() => {}), seconds * 1000);
document.addEventListener("visibilitychange", () => { if (seconds && !document.hidden) refresh().catch(() => {}); });
